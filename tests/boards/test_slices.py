"""How slices are used, read off the netlist of a real chain, and what a wrong one shows."""

import copy

import pytest

from skimp.configs import PRESETS
from skimp.gen import to_verilog
from skimp.pe.chain import PeChain
from skimp_boards.netlist import latch_cells, shared_nets
from skimp_boards.slices import slice_use
from skimp_boards.synthlog import (
    conflicts,
    latches,
    memory_register_bits,
    memory_targets,
    multipliers_left,
)
from skimp_boards.yosys import map_xilinx, read_netlist, run_yosys

pytest.importorskip("pyosys", reason="pip install 'skimp[synth]'")

WRONG = """\
module top(input clk, we, g, input [3:0] a, input [7:0] d, e, output [7:0] q, output reg l,
           output x, output reg [7:0] p);
reg [7:0] kept [0:15];
(* ram_style = "registers" *) reg [7:0] lost [0:15];
(* ram_style = "registers" *) reg [7:0] sunk [0:7];
reg [7:0] s;
always @(posedge clk) begin
  if (we) begin kept[a] <= d; lost[a] <= d; sunk[a[2:0]] <= d; end
  s <= sunk[d[2:0]];
  p <= d[3:0] * e[3:0];
end
assign q = kept[a] ^ lost[a] ^ s;
always @* if (g) l = d[0];
assign x = d[1] & we;
assign x = d[2] | we;
endmodule
"""
"""A latch, a net with two drivers, two memories in flip-flops, a product in LUTs."""


def synthesise(text, folder, top="top"):
    verilog, netlist, script = (folder / name for name in ("top.v", "top.json", "top.ys"))
    verilog.write_text(text)
    script.write_text(f"read_verilog {verilog}\n{map_xilinx(top, netlist)}")
    run = run_yosys(script)
    assert 50 < run.peak_mb < 2000
    return run.log, read_netlist(netlist, top)


def chain(platform, folder):
    component = PeChain(wgt_slices=PRESETS["tiny"].wgt_slices)
    return synthesise(to_verilog(component, name="top", platform=platform), folder)


@pytest.fixture(scope="module")
def netlist(tmp_path_factory):
    log, module = chain("xilinx", tmp_path_factory.mktemp("chain"))
    assert multipliers_left(log) == 0 and not latches(log) and not conflicts(log)
    return module


def altered(netlist, change):
    """Return the use of slices with one of them changed."""
    module = copy.deepcopy(netlist)
    change(next(cell for cell in module["cells"].values() if cell["type"] == "DSP48E2"))
    return slice_use(module)


def test_chain(netlist):
    assert slice_use(netlist) == {"unregistered": 0, "preadding": 8, "cascades": {"8": 1}}
    assert not shared_nets(netlist) and not latch_cells(netlist)


@pytest.mark.parametrize("register", "AREG BREG DREG ADREG MREG PREG OPMODEREG".split())
def test_slice_without_a_register(netlist, register):
    use = altered(netlist, lambda cell: cell["parameters"].update({register: "0"}))
    assert use["unregistered"] == 1
    use = altered(netlist, lambda cell: cell["parameters"].pop(register))
    assert use["unregistered"] == 1, "what the netlist does not say is not there"


def test_constant_ports_need_no_register(netlist):
    """C and ALUMODE are constant in a chain; its slices have no registers there."""
    cells = [cell for cell in netlist["cells"].values() if cell["type"] == "DSP48E2"]
    assert {int(cell["parameters"]["CREG"], 2) for cell in cells} == {0}
    assert altered(netlist, lambda cell: cell["connections"].update(C=[5] * 48)) == {
        "unregistered": 1,
        "preadding": 8,
        "cascades": {"8": 1},
    }


def test_slice_without_preadder(netlist):
    use = altered(netlist, lambda cell: cell["parameters"].update(AMULTSEL="A"))
    assert use["preadding"] == 7


def test_broken_cascade(netlist):
    use = altered(netlist, lambda cell: cell["connections"].update(PCOUT=["0"] * 48))
    assert sum(int(k) * n for k, n in use["cascades"].items()) == 8
    assert "8" not in use["cascades"]


def test_twin_does_not_pass(tmp_path):
    """Inferred from operators, the slices multiply but neither pre-add nor cascade."""
    _, module = chain(None, tmp_path)
    use = slice_use(module)
    assert use["preadding"] == 0 and set(use["cascades"]) == {"1"}
    assert use["unregistered"] > 0


def test_what_the_log_says(tmp_path):
    log, module = synthesise(WRONG, tmp_path)
    assert latches(log) == [r"\top.\l"]
    assert len(latch_cells(module)) == 1
    assert conflicts(log)
    assert memory_targets(log) == {"kept": "LUTRAM_SP"}
    assert memory_register_bits(log) == {"lost": 128, "sunk": 64}
    assert multipliers_left(log) == 1, "too narrow for a slice"
    with pytest.raises(ValueError, match="multiplications"):
        multipliers_left("nothing")


def test_shared_nets():
    cells = {
        name: {"type": "LUT1", "connections": {"O": [bit]}, "port_directions": {"O": "output"}}
        for name, bit in (("a", 3), ("b", 3), ("c", 4), ("d", 2))
    }
    module = {
        "ports": {"i": {"direction": "input", "bits": [2]}},
        "cells": cells,
        "netnames": {"twice": {"bits": [3]}},
    }
    assert shared_nets(module) == ["net 2", "twice"]
