"""The bench of energies: what it keeps and writes, on a network small enough to know."""

import energy
import numpy as np
import pytest
from energy_results import by_data, by_level, write_energy
from netlib import conv_net

from skimp.configs import PRESETS
from skimp_sim.energy.command import energy_model
from skimp_sim.golden.network import run_graph
from skimp_sim.inputs import load_input
from skimp_sim.perf.command import perf_report


def net():
    return conv_net(np.random.default_rng(1), height=12, width=10, c=8, k=24, r=3, s=3)


@pytest.mark.parametrize("name", ["tiny", "small", "zcu104"])
def test_measure(name):
    graph, config = net(), PRESETS[name]
    values = run_graph(graph, load_input(graph, None))
    kept = energy.measure(graph, config, values)
    report = perf_report(graph, config, activations=values, energy=energy_model(True, None, None))
    total = pytest.approx(report.energy.total_pj, rel=1e-4)
    assert sum(by_level(kept).values()) == total and sum(by_data(kept).values()) == total
    assert sum(kept["layers"][0]["energy_pj"].values()) == total
    tables = kept["technologies"]
    assert list(tables) == ["16nm", "45nm", "65nm"]
    assert sum(tables["45nm"]["ddr4"].values()) == total
    # On the chip alone: one factor.
    chips = [sum(tables[x]["lpddr4"].values()) - tables[x]["lpddr4"]["dram"] for x in tables]
    assert chips[0] / chips[1] == pytest.approx(0.1721, rel=1e-3) and chips[1] < chips[2]
    assert kept["macs"] == 12 * 10 * 9 * 8 * 24 and 0 < kept["gated"] < kept["macs"]


def test_command(run_bench):
    """Page and charts hold what was measured."""
    configs = ("small", "tiny")
    written = run_bench(energy, "net", net(), configs)
    for config in configs:
        assert f"## {config}\n" in written.page
        total = sum(by_level(written.runs[f"net {config}"]).values())
        assert f"| net | {total * 1e-9:.3f} |" in written.page
    charts = [
        f"{kind}-{config}.svg" for kind in ("energy", "energy-roofline") for config in configs
    ]
    written.check_charts(charts, write_energy)
