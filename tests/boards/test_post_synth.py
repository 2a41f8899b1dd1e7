"""Netlists of Yosys against what they were made of: memories, a chain, a convolution, a network."""

import random
from functools import partial

import numpy as np
import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import Out
from queued import Queued

from skimp.config import ConfigError
from skimp.configs import PRESETS
from skimp.ctrl.array_unit import ArrayUnit
from skimp.isa import LoadTarget, Opcode, assemble, glb_address
from skimp.mem.lut_ram import LutRam
from skimp.mem.ram import Ram1R1W
from skimp.pe.chain import PeChain
from skimp.prim.dsp48e2 import SIM_MODEL
from skimp.top import Skimp
from skimp_boards.post_synth import cell_models, post_synthesis
from skimp_compiler.compiler import compile_graph
from skimp_compiler.tflite_reader import read_tflite
from skimp_sim import rtl_engine
from skimp_sim.bench.rtl import RtlSim
from skimp_sim.bench.vectors import flat_ports, run_vectors
from skimp_sim.executor import check, run_program
from skimp_sim.golden.network import run_graph
from skimp_sim.inputs import load_input
from skimp_sim.real_networks import input_of

pytest.importorskip("pyosys", reason="pip install 'skimp[synth]'")

TINY = PRESETS["tiny"]
VERILATOR = {"backend": "verilator"}
PRIMITIVE = VERILATOR | {"platform": "xilinx", "extra_sources": (SIM_MODEL,)}


def on_netlist(dut):
    """Return options of `run_vectors` that run the netlist of a component."""
    return VERILATOR | {"verilog": post_synthesis(dut, name="dut").verilog}


def ports_of(dut, direction):
    return {n: len(value) for n, (flow, value) in flat_ports(dut).items() if flow == direction}


def same(ways, where):
    """Check that all ways give the same, clock by clock."""
    (first, expected), *others = ways.items()
    for way, found in others:
        for clock, (one, other) in enumerate(zip(expected, found, strict=True)):
            wrong = [name for name in one if one[name] != other[name]]
            assert not wrong, f"{where}, clock {clock}: {wrong} of the {way}, not as the {first}"


# ---- Memories ----------------------------------------------------------------------------------

MEMORIES = {
    "wide": dict(width=72, depth=512),
    "bytes": dict(width=64, depth=512, granularity=32),
    "half": dict(width=36, depth=512),
    "deep": dict(width=36, depth=1024),
    "narrow": dict(width=9, depth=4096),
    "odd": dict(width=100, depth=600, granularity=50),
    "slice": dict(width=40, depth=32, ram_style="distributed"),
    "slices": dict(width=30, depth=64, ram_style="distributed"),
}


class Memories(wiring.Component):
    """Memories of many shapes, and one whose read needs no clock."""

    def __init__(self):
        self._parts = {name: Ram1R1W(**shape) for name, shape in MEMORIES.items()}
        self._parts["lut"] = LutRam(width=20, depth=32)
        super().__init__({name: Out(part.signature) for name, part in self._parts.items()})

    def elaborate(self, platform):
        m = Module()
        for name, part in self._parts.items():
            m.submodules[name] = part
            wiring.connect(m, wiring.flipped(getattr(self, name)), part)
        return m


@pytest.mark.verilog
def test_memories():
    """Any reads and writes; where a word is read while it is written, only LUT RAMs must agree."""
    rng = random.Random(1)
    dut = Memories()
    inputs, outputs = ports_of(dut, "input"), ports_of(dut, "output")
    vectors = []
    for clock in range(3000):
        vector = {}
        for name, bits in inputs.items():
            few = name.endswith("addr") and clock % 500 < 250  # the same words again and again
            vector[name] = rng.getrandbits(min(bits, 2) if few else bits)
        for memory, shape in MEMORIES.items():
            r_addr, w_addr = vector[f"{memory}__r_addr"], vector[f"{memory}__w_addr"]
            vector[f"{memory}__r_addr"], vector[f"{memory}__w_addr"] = (
                addr % shape["depth"] for addr in (r_addr, w_addr)
            )
            meet = vector[f"{memory}__r_addr"] == vector[f"{memory}__w_addr"]
            if meet and vector[f"{memory}__r_en"] and "ram_style" not in shape:
                vector[f"{memory}__w_en"] = 0
        vectors.append(vector)
    netlist = on_netlist(dut)
    ways = {
        "twin": run_vectors(dut, vectors, list(outputs)),
        "netlist": run_vectors(dut, vectors, list(outputs), **netlist),
    }
    same(ways, "seed 1")
    cells = post_synthesis(dut, name="dut").cells
    assert cells["RAMB36E2"] and cells["RAMB18E2"] and cells["RAM32M16"] and cells["RAM64M8"]

    # The model of block RAM does not hide a read of what is written in the same clock.
    write = {"wide__w_en": 1, "wide__w_addr": 7, "wide__w_data": 0x1234, "wide__r_addr": 7}
    both = [write, write | {"wide__r_en": 1, "wide__w_data": 0x5678}, {"wide__w_en": 0}, {}]
    read = run_vectors(dut, both, ["wide__r_data"], **netlist)
    assert [sample["wide__r_data"] for sample in read] == [0, 0, ~0x1234 % (1 << 72), 0x5678]


def test_a_cell_without_a_model():
    with pytest.raises(ConfigError, match="there is no simulation model of URAM288"):
        cell_models(["FDRE", "URAM288", "DSP48E2"])
    assert cell_models(["INV", "RAMB18E2"]).count("\nmodule RAMB18E2 ") == 1


# ---- Parts of the array ------------------------------------------------------------------------


@pytest.mark.verilog
def test_chain():
    """Eight slices over the cascade, loads and swaps at any time."""
    dut = PeChain()
    inputs, outputs = ports_of(dut, "input"), list(ports_of(dut, "output"))
    rng = random.Random(2)
    vectors = [{n: rng.getrandbits(bits) for n, bits in inputs.items()} for _ in range(2000)]
    for clock, vector in enumerate(vectors):
        if clock % 100 < 80:  # else gates, loads and swaps come every other time
            vector["gate"] &= rng.getrandbits(8)
            vector["wgt_load"] &= rng.getrandbits(8) & rng.getrandbits(8)
            vector["wgt_swap"] &= rng.getrandbits(8) & rng.getrandbits(8)
    ways = {
        "twin": run_vectors(dut, vectors, outputs),
        "primitive": run_vectors(dut, vectors, outputs, **PRIMITIVE),
        "netlist": run_vectors(dut, vectors, outputs, **on_netlist(dut)),
    }
    same(ways, "seed 2")
    cells = post_synthesis(dut, name="dut").cells
    assert cells["DSP48E2"] == 8
    assert set(cells) <= {"DSP48E2", "FDRE", "FDSE", "INV", "BUFG"}, "the split needs no logic"


def pack(values, bits):
    return sum((int(v) & (1 << bits) - 1) << bits * k for k, v in enumerate(values))


@pytest.mark.long
@pytest.mark.verilog
def test_convolution():
    """3x3 over two blocks of channels in the array unit, from words of the GLB to psums."""
    rng = np.random.default_rng(3)
    rows, cols, blocks, pixels = 4, 8, 2, TINY.pixels
    depth, co = blocks * TINY.in_channels, TINY.out_channels
    x = rng.integers(-128, 128, (rows + 2, cols + 2, depth))
    zero_point = -128
    x[rng.random(x.shape) < 0.5] = zero_point
    weights = rng.integers(-127, 128, (co, 3, 3, depth))
    weights[0], weights[1] = 127, -127
    x[0], x[1, :3] = 127, -128
    patches = np.lib.stride_tricks.sliding_window_view(x - zero_point, (3, 3), axis=(0, 1))
    want = np.einsum("pqcrs,krsc->pqk", patches, weights).reshape(rows * cols, co)

    # Each block of channels is a plane in the GLB, a pixel a word, rows behind rows.
    width, plane = cols + 2, (rows + 2) * (cols + 2)
    glb = lambda word: glb_address(word, pixels)
    words = x.reshape(plane, blocks, TINY.in_channels).transpose(1, 0, 2)
    vectors = []
    idle = dict(glb_w_count=0, lin_w_en=0, command__valid=0)
    for n, word in enumerate(words.reshape(blocks * plane, -1)):
        row, bank = divmod(n, pixels)
        fill = dict(glb_w_count=1, glb_w_row=row, glb_w_bank=bank, glb_w_data__0=pack(word, 8))
        vectors.append(idle | fill)
    # A tap's block of weights: [slice, output channel], as the chains take them.
    taps = weights.reshape(co, 9, blocks, TINY.in_channels).transpose(2, 1, 3, 0)
    data = taps.astype(np.int8).tobytes()
    for n in range(len(data) // TINY.bus_bytes):
        beat = data[n * TINY.bus_bytes : (n + 1) * TINY.bus_bytes]
        load = dict(lin_w_target=int(LoadTarget.WGT), lin_w_addr=n)
        vectors.append(idle | load | dict(lin_w_en=1, lin_w_data=int.from_bytes(beat, "little")))
    groups = rows * cols // pixels
    command = assemble(
        Opcode.CONV, tile_q=cols, num_pixels=rows * cols, num_groups=groups,
        row_step=2 // pixels, ifmap_base=glb(0), inc_s=glb(plane), inc_s_wrap=glb(1),
        inc_r=glb(plane), inc_r_wrap=glb(width), inc_c=glb(plane), num_r=3, num_s=3,
        num_c=blocks, stride_h=1, stride_w=1, psum_slot=0, in_zp=zero_point,
        ci_last=TINY.in_channels, co_valid=co, first=1, last=1, wgt_base=0, post=1,
    )  # fmt: skip
    payload = int.from_bytes(command, "little")
    vectors += [idle | dict(command__valid=1, command__payload=payload), idle]
    vectors += [{}] * (9 * blocks * groups + 100)
    start = len(vectors)
    every = (1 << pixels) - 1
    vectors += [dict(psum_rd_en=every, psum_rd_slot=0, psum_rd_addr=g) for g in range(groups)]
    vectors += [{}] * 4

    dut = Queued(ArrayUnit(TINY), depth=8)
    psums = [f"psum__{i}" for i in range(pixels)]
    outputs = ["post", "idle", "inc_array", "inc_macs_gated", *psums]
    ways = {
        "twin": run_vectors(dut, vectors, outputs),
        "primitive": run_vectors(dut, vectors, outputs, **PRIMITIVE),
        "netlist": run_vectors(dut, vectors, outputs, **on_netlist(dut)),
    }
    for way, results in ways.items():
        read = results[start + ArrayUnit.psum_read_latency :][:groups]
        found = [
            [sample[psum] >> 32 * k & 0xFFFFFFFF for k in range(co)]
            for sample in read
            for psum in psums
        ]
        np.testing.assert_array_equal(np.uint32(found).astype(np.int32), want, err_msg=way)
        assert sum(sample["inc_array"] for sample in results) == 9 * blocks * groups, way
    seen = [n for n in outputs if not n.startswith("psum")]
    same({way: [{n: s[n] for n in seen} for s in r] for way, r in ways.items()}, "seed 3")
    assert post_synthesis(dut, name="dut").cells["DSP48E2"] == TINY.macs_per_cycle // 2


# ---- All of it ---------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.verilog
@pytest.mark.xdist_group("netlist of tiny")
@pytest.mark.parametrize("name", ["kws_ref_model", "ad01_int8"])
def test_networks_on_the_netlist_of_tiny(name, models, monkeypatch):
    """Convolutions, depthwise layers, pooling and fully connected layers, at every layer's end."""
    netlist = post_synthesis(Skimp(TINY), name="skimp", urams=TINY.urams)
    slices = TINY.macs_per_cycle // 2 + TINY.out_channels + 2 * TINY.requant_lanes
    assert netlist.cells["DSP48E2"] == slices, "no slice but those that are instances"
    monkeypatch.setattr(rtl_engine, "RtlSim", partial(RtlSim, verilog=netlist.verilog))
    path = models / f"{name}.tflite"
    graph = read_tflite(path)
    inputs = load_input(graph, input_of(path), seed=7)
    golden = run_graph(graph, inputs)
    program = compile_graph(graph, TINY)
    result = run_program(graph, program, inputs, engine=rtl_engine.RtlEngine(program))
    verdict = check(program, result.values, golden)
    on_device = [layer for layer in program.layers if layer.unit in ("array", "depthwise", "post")]
    assert len(on_device) > 8
    for layer in on_device:
        assert verdict[layer.layer_id] is not False, layer.name
    assert sum(verdict[layer.layer_id] is True for layer in on_device) > 8
