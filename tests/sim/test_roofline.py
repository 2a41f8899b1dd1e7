"""Rooflines: the roofs by hand, and where a small network lies under them."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from netlib import conv_net

from skimp.configs import PRESETS
from skimp_compiler.graph import ModelError
from skimp_sim.perf.command import perf_report
from skimp_sim.report import Report
from skimp_sim.roofline import TPU, Roofline, roof_of, roofline_chart, write_chart


def net():
    return conv_net(np.random.default_rng(1), height=12, width=10, c=8, k=24, r=3, s=3)


def test_roofs():
    # 92 TOP/s behind 34 GB/s; half of it is 1353 MACs a byte.
    assert TPU.ridge == pytest.approx(2705.9, abs=0.1)
    assert TPU.at(1) == 34e9 and TPU.at(1e6) == 92e12
    zcu104 = roof_of(PRESETS["zcu104"])
    assert zcu104.operations == 2 * 6 * 16 * 32 * 300e6
    assert zcu104.bytes == 19.2e9 and zcu104.ridge == pytest.approx(96.0)
    assert roof_of(PRESETS["small"]).bytes == 16 * 300e6
    # A bus wider than DRAM is as fast as DRAM.
    wide = replace(PRESETS["zcu104"], name="wide", clock_mhz=600)
    assert roof_of(wide).bytes == 19.2e9


@pytest.mark.parametrize("name", ["tiny", "small", "zcu104"])
def test_a_network(name):
    config = PRESETS[name]
    report = perf_report(net(), config)
    found = Roofline.of(report)
    (row,) = (row for row in report.rows if row.layer.macs)
    assert found.layers == [2 * row.layer.macs / row.traffic.moved_bytes]
    (unit,) = found.units
    seconds = row.cycles / (config.clock_mhz * 1e6)
    assert unit.operations == pytest.approx(2 * 12 * 10 * 9 * 8 * 24 / seconds)
    assert unit.name == row.layer.name and unit.intensity == found.layers[0]
    assert unit.operations <= found.roof.operations
    assert found.network.name == report.model
    assert found.network.intensity == pytest.approx(2 * report.macs / report.dram_bytes)
    assert Roofline.from_json(asdict(found)) == found


def test_nothing_multiplies(tmp_path):
    report = perf_report(net(), PRESETS["tiny"])
    empty = Report(**{**vars(report), "rows": []})
    found = Roofline.of(empty)
    assert (found.layers, found.units, found.network) == ([], [], None)
    assert Roofline.from_json(asdict(found)) == found
    write_chart(roofline_chart([found, Roofline.of(report)]), tmp_path / "x.svg")
    assert (tmp_path / "x.svg").read_text().count("TPU-like") >= 2
    with pytest.raises(ModelError, match="cannot be written"):
        write_chart(roofline_chart([found]), tmp_path / "none" / "x.png")
