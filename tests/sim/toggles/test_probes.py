"""Registers and enables found in Verilog."""

import pytest

from skimp.configs import PRESETS
from skimp_sim.bench.rtl import top_verilog
from skimp_sim.toggles.probes import Probe, place_probes
from skimp_sim.toggles.units import MEMORIES, TOGGLE_UNITS

TEXT = r"""module \chip.core.act.ram (rst, write__en, read__en, clk);
  input read__en;
  wire read__en;
  input [1:0] write__en;
  wire [1:0] write__en;
  wire [1:0] w_en;
  reg [31:0] memory [15:0];
  always @(posedge clk) begin
    if (write__en[0])
      memory[write__addr][15:0] <= write__data[15:0];
  end
  reg [31:0] _0_;
  always @(posedge clk) begin
    if (read__en) begin
      _0_ <= memory[read__addr];
    end
  end
endmodule

module slice(clk);
  wire read__en;
  reg [7:0] b_reg = 8'h00;
  reg \x$12  = 1'h0;
  reg \final  = 1'h0;
  reg [7:0] \$9 ;
  always @(posedge clk)
    b_reg <= \$9 ;
  always @(posedge clk)
    \x$12  <= 1'h1;
  always @(posedge clk)
    \final  <= 1'h1;
  always @* begin
    \$9  = b_reg;
  end
endmodule

module chip(clk);
  \chip.core.act.ram  \core.act.ram$1  (
    .clk(clk)
  );
  slice one (
    .clk(clk)
  );
  slice two (
    .clk(clk)
  );
endmodule
"""


def test_finds_registers_and_enables():
    """Each instance's registers; enables of memories only; nothing that is computed."""
    text, probes = place_probes(TEXT, "chip")
    ram = "chip.core.act.ram$1"
    assert set(probes) == {
        Probe(scope=ram, name="_0_", bits=32, unit="act"),
        Probe(scope=ram, name="read__en", bits=1, unit="act", kind="read", weight=32),
        Probe(scope=ram, name="write__en", bits=2, unit="act", kind="write", weight=16),
        *(
            Probe(scope=f"chip.{name}", name=register, bits=bits, unit="control")
            for name in ("one", "two")
            for register, bits in (("b_reg", 8), ("\\x$12 ", 1), ("final", 1))
        ),
    }
    marked = [line for line in text.splitlines() if "public" in line]
    assert len(marked) == 6, marked
    plain = text.replace("/*verilator public_flat_rd*/", "")
    assert "".join(plain.split()) == "".join(TEXT.split())


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_every_unit_and_memory(name):
    """A preset has registers in every unit that it should have, and all of its memories."""
    _, probes = place_probes(top_verilog(PRESETS[name]), "skimp")
    units = {probe.unit for probe in probes if probe.kind == "register"}
    absent = {"act", "codec"} if name == "tiny" else set()
    assert units == set(TOGGLE_UNITS) - absent
    written = {probe.unit for probe in probes if probe.kind == "write"}
    assert written == set(MEMORIES) - (absent & set(MEMORIES))
    config = PRESETS[name]
    bits = dict.fromkeys(units, 0)
    for probe in probes:
        if probe.kind == "register":
            bits[probe.unit] += probe.bits
    slices = config.macs_per_cycle // 2
    assert bits["operands_ifmap"] == 9 * slices
    assert bits["operands_wgt"] == (8 + 8 + 27) * slices
    assert bits["products"] == 36 * slices
