"""The real thing: Verilog, Yosys, nextpnr, ecppack; a blinking lamp, and (long) the accelerator.

The accelerator's is kept in build/pnr as long as nothing changes.
"""

import json

import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from click.testing import CliRunner

from skimp.configs import load_config
from skimp.gen import to_verilog
from skimp_boards.nextpnr_ecp5 import make_bitstream
from skimp_boards.pnr import pnr
from skimp_boards.ulx3s.board import BOARD
from skimp_boards.ulx3s.pll import find_dividers, make_pll
from skimp_boards.ulx3s.top import DRAM_BYTES
from skimp_sim.bench.verilator import cache_dir

PREAMBLE = b"\xff\xff\xbd\xb3"
"""Of every ECP5 bitstream, behind its comments (FPGA-TN-02039)."""

EBR_BYTES = 2048
"""Data of a DP16KD without its parity bits."""

MULTIPLIERS = 136
"""64 of the array, 64 of 16 lanes of requantisation, 8 of the depthwise unit."""


class Lamp(wiring.Component):
    """A counter behind the PLL."""

    clk_25mhz: In(1)
    led: Out(8)

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = sync = ClockDomain(reset_less=True)
        count, locked = Signal(24), Signal()
        m.submodules.pll = make_pll(
            find_dividers(25, 30),
            input_mhz=25,
            output_mhz=30,
            i=self.clk_25mhz,
            o=sync.clk,
            locked=locked,
        )
        m.d.sync += count.eq(count + 1)
        m.d.comb += self.led.eq(Cat(count[-7:], locked))
        return m


def test_a_lamp(tmp_path):
    unused = ("ftdi", "btn", "wifi")
    lines = BOARD.constraints.splitlines(keepends=True)
    pins = "".join(line for line in lines if not any(name in line for name in unused))
    result = make_bitstream(
        to_verilog(Lamp(), name="lamp"),
        top="lamp",
        name="lamp",
        part=BOARD.device,
        constraints=pins,
        folder=tmp_path,
    )
    assert PREAMBLE in result.bitstream.read_bytes()[:200]
    assert result.clocks["clk"]["wanted_mhz"] == 30 and result.meets_timing
    used = {kind: counts["used"] for kind, counts in result.area.items()}
    assert (used["FF"], used["PLL"], used["pin"]) == (24, 1, 9)


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
    assert area["FF"] < 29_000 and area["LUT4"] < 34_000
    assert area["PLL"] == 1 and area["pin"] == 13
