"""`make pnr` with a tool that only writes a report: what is kept, and the section made from it."""

import json
import sys
from types import SimpleNamespace

import pnr
import pnr_results
import pytest

RUN = {
    "board": "ulx3s",
    "part": "LFE5U-85F",
    "seed": 1,
    "dram_bytes": 262144,
    "versions": {"pyosys": "0.70"},
    "area": {"LUT4": {"used": 41820, "available": 83640}},
    "clocks": {"clk": {"fmax_mhz": 41.2, "wanted_mhz": 30.0}},
    "seconds": {"yosys": 100.4, "nextpnr": 300.0},
    "bitstream_bytes": 1234567,
}


def test_section(tmp_path, monkeypatch):
    monkeypatch.setattr(pnr_results, "RESULTS", tmp_path)
    assert pnr_results.bitstreams() == []
    (tmp_path / "pnr-ulx3s.json").write_text(json.dumps(RUN))
    text = "\n".join(pnr_results.bitstreams())
    for part in (
        "## Bitstream for ulx3s",
        "256 KB",
        "| LUT4 | 41,820 | 83,640 | 50.0% |",
        "| `clk` | 30 | 41.2 | yes |",
        "yosys 100 s; nextpnr 300 s; 1,234,567 bytes.",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("code", "report", "is_kept"),
    [(0, RUN, True), (1, RUN, True), (2, None, False), (0, {}, False)],
)
def test_what_is_kept(tmp_path, monkeypatch, code, report, is_kept):
    pages = []

    def run(command, check):
        assert command[1:4] == ["pnr", "--board", "ulx3s"]
        if report is not None:
            command[-1].write_text(json.dumps(report))
        return SimpleNamespace(returncode=code)

    monkeypatch.setattr(pnr, "RESULTS", tmp_path)
    monkeypatch.setattr(pnr, "write_page", lambda: pages.append(1))
    monkeypatch.setattr(pnr.subprocess, "run", run)
    monkeypatch.setattr(sys, "argv", ["pnr.py"])
    assert pnr.main() == code
    assert (tmp_path / "pnr-ulx3s.json").is_file() == is_kept
    assert pages == [1] * is_kept
