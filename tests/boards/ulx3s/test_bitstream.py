"""The real thing: Verilog, Yosys, nextpnr, ecppack; kept in build/pnr as long as nothing changes."""

import json

import pytest
from click.testing import CliRunner

from skimp.configs import load_config
from skimp_boards.pnr import pnr
from skimp_boards.ulx3s.board import BOARD
from skimp_boards.ulx3s.top import DRAM_BYTES
from skimp_sim.bench.verilator import cache_dir

PREAMBLE = b"\xff\xff\xbd\xb3"
"""Of every ECP5 bitstream, behind its comments (FPGA-TN-02039)."""

EBR_BYTES = 2048
"""Data of a DP16KD without its parity bits."""

MULTIPLIERS = 136
"""64 of the array, 64 of 16 lanes of requantisation, 8 of the depthwise unit."""


@pytest.mark.long
@pytest.mark.xdist_group("ulx3s")
def test_a_bitstream_that_meets_its_clock(tmp_path):
    report = tmp_path / "report.json"
    result = CliRunner().invoke(pnr, ["--board", "ulx3s", "--json", str(report)])
    assert result.exit_code == 0, result.output
    folder = cache_dir() / "pnr" / "ulx3s"
    assert PREAMBLE in (folder / "ulx3s.bit").read_bytes()[:200]
    assert load_config(str(folder / "ulx3s.json")) == BOARD.config
    found = json.loads(report.read_text())
    (clock,) = (c for c in found["clocks"].values() if c["wanted_mhz"] == BOARD.config.clock_mhz)
    assert clock["fmax_mhz"] >= BOARD.config.clock_mhz
    area = {kind: counts["used"] for kind, counts in found["area"].items()}
    assert area["multiplier (18 x 18)"] == MULTIPLIERS
    # A memory that lands elsewhere shows: in registers, or as block RAM that is missing.
    assert 30 <= area["block RAM (18 kbit)"] - DRAM_BYTES // EBR_BYTES <= 45
    assert area["FF"] < 32_000 and area["LUT4"] < 48_000
    assert area["PLL"] == 1 and area["pin"] == 13
