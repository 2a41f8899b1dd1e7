"""The bench of DRAM traffic: what it keeps and writes, on networks small enough to know."""

import numpy as np
import pytest
import traffic
from netlib import conv_net
from traffic import measure
from traffic_results import why, write_traffic

from skimp.configs import PRESETS
from skimp_compiler.compiler import compile_graph
from skimp_sim.perf import run_perf
from skimp_sim.traffic import KINDS, traffic_of


def picture():
    """3x3 over a picture of three channels, which lies with kernel columns side by side."""
    return conv_net(
        np.random.default_rng(1), height=40, width=36, c=3, k=24, r=3, s=3, stride=(2, 2)
    )


@pytest.mark.parametrize("name", ["tiny", "small", "zcu104"])
def test_measure(name):
    graph, config = picture(), PRESETS[name]
    program = compile_graph(graph, config)
    kept, found = measure(graph, config), traffic_of(graph, program)
    (layer,), (unit,) = kept["layers"], kept["units"]
    assert unit["layers"] == ["0:conv"]
    assert list(layer["moved_bytes"]) == list(KINDS)
    assert sum(layer["moved_bytes"].values()) == found.moved.total()
    assert layer["compulsory_bytes"] == 40 * 36 * 3 + 27 * 24 + 20 * 18 * 24
    more = sum(layer["surplus_bytes"].values())
    assert found.moved.total() == layer["chip_compulsory_bytes"] + more
    assert kept["crossing_bytes"] == found.crossing
    dram = run_perf(program).dram
    use = kept["rows"]["tiles"]
    for key in ("reads", "writes", "row_hits", "activates"):
        assert use[key] == dram[key]
    assert use["row_hits"] + use["activates"] == use["reads"] + use["writes"]
    assert (kept["rows_without_store"] is None) == (config.act_depth == 0)


def test_why():
    """The largest parts of the surplus, from a tenth of it on."""
    one = {"surplus_bytes": {"commands": 6400, "halos read again": 3000, "beats": 999, "rest": 1}}
    assert why(one) == "commands 6.4 kB, halos read again 3.0 kB"


def test_command(run_bench):
    """Page and charts hold what was measured."""
    configs = ("small", "tiny")
    written = run_bench(traffic, "picture", picture(), configs)
    for run in written.runs.values():
        (layer,) = run["layers"]
        moved = sum(layer["moved_bytes"].values())
        least = sum(run["crossing_bytes"].values())
        assert f"| {moved / 1e6:.3f} |" in written.page
        assert f"| {least / 1e6:.3f} | {moved / least:.3f} |" in written.page
        # More than 1.3 of what crosses the pins: explained.
        assert moved > 1.3 * layer["chip_compulsory_bytes"]
        assert f"| {why(layer)} |" in written.page
        for layouts in (run["rows"], run["rows_without_store"] or {}):
            for use in layouts.values():
                assert f"| {use['activates']:,} |" in written.page
    written.check_charts([f"traffic-{config}.svg" for config in configs], write_traffic)
