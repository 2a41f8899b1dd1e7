"""The bench of toggles: what it keeps and writes."""

import json

import numpy as np
import pytest
import toggles
from keeping import RESULTS
from netlib import conv_net
from toggles_results import saved, write_toggles


def test_saved():
    layers = [
        {"on": {"products": 30}, "off": {"products": 100}},
        {"on": {"products": 30, "sums": 5}, "off": {"products": 20, "sums": 5}},
    ]
    assert saved(layers, ["products"]) == 0.5
    assert saved(layers, ["sums"]) == saved(layers, ["links"]) == saved([], ["products"]) == 0


def test_page_is_of_what_is_kept(tmp_path):
    """The page in the repository is the one that the kept runs make, and says what gating saves."""
    runs = json.loads((RESULTS / "toggles.json").read_text())["runs"]
    write_toggles(runs, tmp_path)
    assert (tmp_path / "toggles.md").read_text() == (RESULTS / "toggles.md").read_text()
    near = [
        layer
        for run in runs.values()
        for layer in run["layers"].values()
        if layer["unit"] == "array" and 0.57 <= layer["zeros"] < 0.63
    ]
    assert len(near) > 5 and saved(near, ("products", "operands_ifmap")) >= 0.4
    for run in runs.values():
        for level, energy in run["energy_pj"]["rtl"].items():
            assert run["energy_pj"]["model"][level] == pytest.approx(energy, rel=0.05), level


@pytest.mark.long
@pytest.mark.verilog
def test_command(run_bench):
    """A network on the RTL, gating on and off: page and chart hold what was counted."""
    net = conv_net(np.random.default_rng(1), height=12, width=10, c=8, k=24, r=3, s=3)
    written = run_bench(toggles, "net", net, ["tiny"])
    (run,) = written.runs.values()
    (layer,) = run["layers"].values()
    assert layer["macs"] == 12 * 10 * 9 * 8 * 24
    outside = 1 - (3 * 12 - 2) * (3 * 10 - 2) / (12 * 10 * 9)  # taps in the padding
    assert outside <= layer["zeros"] < outside + 0.02
    assert layer["on"]["products"] < layer["off"]["products"]
    assert layer["on"]["requant"] == layer["off"]["requant"] > 0
    assert run["toggles"]["products"]["counted"] == layer["on"]["products"]
    written.check_charts(["toggles-tiny.svg"], write_toggles)
