"""Packed multiplication: the arithmetic exhaustively, and the slices against it."""

import itertools
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.sim import Simulator

from skimp.prim.dsp48e2 import (
    PACK_SHIFT,
    PAIR_SHIFT,
    SIM_MODEL,
    NarrowProduct,
    PackedPair,
    PackedSlice,
    PlainPair,
    WideProduct,
    is_xilinx,
)
from skimp.prim.lut_pair import LutPair
from skimp_sim.bench.vectors import run_vectors

BODIES = [
    pytest.param({}, id="twin-pysim"),
    pytest.param({"backend": "verilator"}, id="twin-verilator", marks=pytest.mark.verilog),
    pytest.param(
        {"backend": "verilator", "platform": "xilinx", "extra_sources": (SIM_MODEL,)},
        id="primitive-verilator",
        marks=pytest.mark.verilog,
    ),
]
WEIGHTS = np.arange(-127, 128)
ACTS = np.arange(-255, 256)


def signed(bits, width):
    return bits - (1 << width) if bits >> (width - 1) & 1 else bits


def sign_extend(values, width):
    return (values << (64 - width)) >> (64 - width)


def slice_fields(p):
    """Split P the way a chain does."""
    lower = (p & ((1 << PACK_SHIFT) - 1)) ^ PackedSlice.offset
    return sign_extend(p >> PACK_SHIFT, PACK_SHIFT), sign_extend(lower, PACK_SHIFT)


# ---- The arithmetic ---------------------------------------------------------------------------


def test_packed_slice_all_operands():
    products = WEIGHTS[:, None] * ACTS
    for w1 in WEIGHTS:
        operand = (w1 << PACK_SHIFT) + WEIGHTS
        assert operand.min() >= -(1 << 26) and operand.max() < 1 << 26, w1
        upper, lower = slice_fields(operand[:, None] * ACTS + PackedSlice.offset)
        assert (upper == w1 * ACTS).all() and (lower == products).all(), w1


def test_packed_slice_sums_of_eight_extremes():
    corners = np.array(list(itertools.product((-127, 127), (-127, 127), (-255, 255))))
    w1, w0, a = corners.T
    packed = ((w1 << PACK_SHIFT) + w0) * a
    chosen = np.array(list(itertools.combinations_with_replacement(range(len(corners)), 8)))
    upper, lower = slice_fields(packed[chosen].sum(axis=1) + PackedSlice.offset)
    assert (upper == (w1 * a)[chosen].sum(axis=1)).all()
    assert (lower == (w0 * a)[chosen].sum(axis=1)).all()
    assert upper.max() == lower.max() == 8 * 127 * 255


def test_packed_pair_all_operands():
    products = ACTS[:, None] * WEIGHTS
    for a1 in ACTS:
        operand = (a1 << PAIR_SHIFT) + ACTS
        assert operand.min() >= -(1 << 26) and operand.max() < 1 << 26, a1
        p = operand[:, None] * WEIGHTS + PackedPair.offset
        assert (sign_extend(p, 17) == products).all(), a1
        assert (sign_extend(p >> PAIR_SHIFT, 17) == a1 * WEIGHTS).all(), a1


# ---- The slices -------------------------------------------------------------------------------


def random_act(rng, zeros):
    if rng.random() < zeros:
        return 0
    return rng.choice((-255, 255, -1, 1)) if rng.random() < 0.3 else rng.randint(-255, 255)


def random_weight(rng):
    return rng.choice((-127, 127, -1, 0)) if rng.random() < 0.3 else rng.randint(-127, 127)


def slice_vectors(rng, num_clocks):
    """Return vectors for a slice with loads, swaps and gates at any time, and what P becomes."""
    vectors, adds = [], []
    loaded = working = (0, 0)
    for _ in range(num_clocks):
        act = random_act(rng, 0.4)
        vector = {
            "act": act,
            # A closed gate hides any activation; an open one may let a zero through.
            "gate": int((act == 0 and rng.random() < 0.8) or rng.random() < 0.1),
            "wgt1": random_weight(rng),
            "wgt0": random_weight(rng),
            "wgt_load": int(rng.random() < 0.2),
            "wgt_swap": int(rng.random() < 0.2),
            "pcin": rng.randint(-(1 << 40), 1 << 40),
        }
        if vector["wgt_swap"]:
            working = loaded
        if vector["wgt_load"]:
            loaded = (vector["wgt1"], vector["wgt0"])
        w1, w0 = working
        adds.append(0 if vector["gate"] else ((w1 << PACK_SHIFT) + w0) * act)
        vectors.append(vector)
    return vectors, adds


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("body", BODIES)
def test_slice(body, first, seed):
    rng = random.Random(seed)
    vectors, adds = slice_vectors(rng, 2000)
    dut = PackedSlice(first=first)
    got = run_vectors(dut, vectors, ["p", "pcout"], **body)
    for t in range(PackedSlice.latency, len(vectors)):
        before = PackedSlice.offset if first else vectors[t - 1]["pcin"]
        want = before + adds[t - PackedSlice.latency]
        assert signed(got[t]["p"], 48) == want, f"seed {seed}, clock {t}"
        assert got[t]["pcout"] == got[t]["p"], f"seed {seed}, clock {t}"


@pytest.mark.verilog
@pytest.mark.parametrize("first", [True, False])
def test_slice_bodies_agree_from_the_first_clock(first):
    vectors, _ = slice_vectors(random.Random(7), 500)
    vectors[0]["pcin"] = 0  # as in a chain, where the neighbour's P starts at 0 too
    results = [
        run_vectors(PackedSlice(first=first), vectors, ["p"], **body.values[0]) for body in BODIES
    ]
    assert results[0] == results[1] == results[2]


def pair_vectors(rng, num_clocks):
    vectors = []
    for _ in range(num_clocks):
        vector = {
            "act1": random_act(rng, 0.3),
            "act0": random_act(rng, 0.3),
            "wgt": random_weight(rng),
        }
        idle = vector["wgt"] == 0 or vector["act1"] == vector["act0"] == 0
        vectors.append(vector | {"gate": int(idle or rng.random() < 0.1)})
    return vectors


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("pair", [PackedPair, PlainPair, LutPair])
@pytest.mark.parametrize("body", BODIES)
def test_pair(body, pair, seed):
    vectors = pair_vectors(random.Random(seed), 2000)
    got = run_vectors(pair(), vectors, ["product1", "product0"], **body)
    for t, sample in enumerate(got):
        source = vectors[t - pair.latency] if t >= pair.latency else {"gate": 1}
        for lane in (0, 1):
            want = 0 if source["gate"] else source["wgt"] * source[f"act{lane}"]
            assert signed(sample[f"product{lane}"], 17) == want, f"seed {seed}, clock {t}"


def test_lut_pair_recodes_every_weight():
    acts = [-255, -254, -129, -128, -86, -85, -2, -1, 0, 1, 2, 85, 127, 128, 170, 254, 255, 64]
    vectors = [
        {"act1": a1, "act0": a0, "wgt": wgt, "gate": 0}
        for wgt in range(-128, 128)
        for a1, a0 in zip(acts[::2], acts[1::2])
    ]
    settle = [{"gate": 1}] * LutPair.latency
    got = run_vectors(LutPair(), vectors + settle, ["product1", "product0"])
    for vector, sample in zip(vectors, got[LutPair.latency :]):
        for lane in (0, 1):
            want = vector["wgt"] * vector[f"act{lane}"]
            assert signed(sample[f"product{lane}"], 17) == want, vector


def wide_vectors(rng, num_clocks):
    """Return vectors, each operand in its clock, and the p of every product."""
    tail = WideProduct.latency
    vectors = [
        {"mult": rng.getrandbits(26), "mult_carry": 0, "x": 0, "addend": 0, "rnd_en": 0}
        for _ in range(num_clocks + tail)
    ]
    wanted = []
    top = (1 << 31) - 1
    for t in range(num_clocks):
        mult = rng.choice((0, (1 << 26) - 1, 1 << 25, rng.getrandbits(26)))
        x = rng.choice((-top - 1, top, -1, 0, 0x1FFFF, 0x20000, rng.randint(-top - 1, top)))
        addend = rng.choice((-top - 1, top, -1, rng.randint(-top - 1, top)))
        carry, rnd_en = rng.randrange(2), rng.randrange(2)
        vectors[t] |= {"mult": mult, "mult_carry": carry, "x": x}
        vectors[t + 2]["addend"] = addend
        vectors[t + 3]["rnd_en"] = rnd_en
        wanted.append((((mult + carry) * x + addend) >> 17) + 256 * rnd_en)
    return vectors, wanted


@pytest.mark.parametrize("body", BODIES)
def test_wide_product(body):
    vectors, wanted = wide_vectors(random.Random(9), 3000)
    got = run_vectors(WideProduct(rnd=256), vectors, ["p"], **body)
    for t, want in enumerate(wanted):
        assert signed(got[t + WideProduct.latency]["p"], 42) == want, f"clock {t}"


@pytest.mark.parametrize("body", BODIES)
def test_narrow_product(body):
    """All signs and the most negative operands, each in its clock."""
    rng, num_clocks = random.Random(10), 3000

    def any_of(bits):
        top = (1 << bits - 1) - 1
        return rng.choice((-top - 1, top, -1, 0, 1, rng.randint(-top - 1, top)))

    vectors = [
        dict(
            x=rng.getrandbits(26),
            y=rng.getrandbits(17),
            y_carry=0,
            addend=rng.getrandbits(31),
            rnd_en=0,
        )
        for _ in range(num_clocks + NarrowProduct.latency)
    ]
    wanted = []
    for t in range(num_clocks):
        x, y, addend = any_of(27), any_of(18) & (1 << 17) - 1, any_of(32)
        y_carry, rnd_en = rng.randrange(2), rng.randrange(2)
        vectors[t] |= dict(y=y, y_carry=y_carry)
        vectors[t + 1]["x"] = x
        vectors[t + 3] |= dict(addend=addend, rnd_en=rnd_en)
        wanted.append(addend + x * (y + y_carry) + 2048 * rnd_en)
    got = run_vectors(NarrowProduct(rnd=2048), vectors, ["p"], **body)
    for t, want in enumerate(wanted):
        assert signed(got[t + NarrowProduct.latency]["p"], 48) == want, f"clock {t}"


# ---- Gating -----------------------------------------------------------------------------------


def changes(dut, vectors, folder):
    """Return signal name -> number of changes in the waves of the twin."""
    path = folder / "waves.vcd"
    sim = Simulator(dut)
    sim.add_clock(1e-6)

    async def bench(ctx):
        for vector in vectors:
            for name, value in vector.items():
                ctx.set(getattr(dut, name), value)
            await ctx.tick()

    sim.add_testbench(bench)
    with path.open("w") as file, sim.write_vcd(file):
        sim.run()
    header, _, body = path.read_text().partition("$enddefinitions $end")
    names = dict(re.findall(r"\$var \S+ +\d+ (\S+) (\S+)", header))
    counts = dict.fromkeys(names.values(), -1)  # the first value is not a change
    for line in body.splitlines():
        change = re.match(r"(?:[01x](?=\S)|b[01x]+ )(\S+)$", line)
        if change:
            counts[names[change.group(1)]] += 1
    return counts


OPERAND_REGISTERS = {
    PackedSlice: ("a_reg", "d_reg", "ad_reg", "b_reg", "m_reg"),
    PackedPair: ("a_reg", "d_reg", "b1_reg", "ad_reg", "b2_reg", "m_reg"),
    LutPair: ("act1_d1", "act0_d1", "wgt_d1", "act1_d2", "wgt_d2", "high1", "low0", "low1"),
}


@pytest.mark.parametrize("kind", OPERAND_REGISTERS)
def test_gated_operand_registers_keep_still(kind, tmp_path):
    dut = kind(first=False) if kind is PackedSlice else kind()
    rng = random.Random(3)
    start = {"wgt": 5, "act1": 9, "act0": -9, "gate": 0}
    if kind is PackedSlice:
        start = {"wgt1": 5, "wgt0": -6, "act": 9, "gate": 0, "wgt_load": 1, "wgt_swap": 0}
    vectors = [start, start | {"wgt_swap": 1}] if kind is PackedSlice else [start]
    settle = {"gate": 1} | ({"wgt_load": 0, "wgt_swap": 0} if kind is PackedSlice else {})
    inputs = [name for name in start if name.startswith(("wgt1", "wgt0", "act"))]

    def stream(gate):
        return [{name: rng.randint(1, 100) for name in inputs} | {"gate": gate} for _ in range(100)]

    before = changes(dut, vectors + [settle] * 6, tmp_path)
    gated = changes(dut, vectors + [settle] * 6 + stream(1), tmp_path)
    working = changes(dut, vectors + [settle] * 6 + stream(0), tmp_path)
    for name in OPERAND_REGISTERS[kind]:
        assert gated[name] == before[name], name
    assert working[OPERAND_REGISTERS[kind][-1]] > before[OPERAND_REGISTERS[kind][-1]] + 90


def test_new_weights_do_not_toggle_a_gated_product(tmp_path):
    rng = random.Random(4)
    start = {"wgt1": 5, "wgt0": -6, "act": 9, "gate": 0, "wgt_load": 1, "wgt_swap": 1}
    settled = [start] * 4 + [{"gate": 1}] * 6
    new = [{"wgt1": rng.randint(-127, 127), "act": rng.randint(-255, 255)} for _ in range(100)]
    before = changes(PackedSlice(first=True), settled, tmp_path)
    after = changes(PackedSlice(first=True), settled + new, tmp_path)
    assert after["ad_reg"] > before["ad_reg"] + 90
    assert (after["b_reg"], after["m_reg"]) == (before["b_reg"], before["m_reg"])


# ---- The model of the primitive refuses what it does not know ---------------------------------


class Odd(wiring.Component):
    """A slice with one attribute or pin that the model cannot honour."""

    go: wiring.In(1)
    p: wiring.Out(48)

    def __init__(self, **changed):
        self._changed = changed
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        opmode = Signal(9)
        m.d.comb += opmode.eq(Mux(self.go, 0b000000001, 0))
        pins = {"i_CLK": ClockSignal(), "i_OPMODE": opmode, "i_CECTRL": 1, "o_P": self.p}
        m.submodules.slice = Instance("DSP48E2", **(pins | self._changed))
        return m


RUN_ODD = """
import sys
sys.path.insert(0, {folder!r})
from test_dsp48e2 import Odd
from skimp_sim.bench.vectors import run_vectors
from skimp.prim.dsp48e2 import SIM_MODEL
run_vectors(Odd(**{changed!r}), [{{"go": 1}}] * 4, ["p"],
            backend="verilator", extra_sources=(SIM_MODEL,))
"""


@pytest.mark.verilog
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"p_USE_SIMD": "TWO24"}, "USE_SIMD must be ONE48"),
        ({"p_INMODEREG": 0, "i_INMODE": 4}, "neither operand is AD"),
        ({}, "selects half of the product"),
    ],
)
def test_model_stops_at_what_it_does_not_know(changed, message):
    # $fatal ends the process, so it needs one of its own.
    code = RUN_ODD.format(folder=str(Path(__file__).parent), changed=changed)
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode != 0
    assert message in run.stdout + run.stderr


def test_arguments():
    assert is_xilinx("xilinx") and not is_xilinx(None) and not is_xilinx("lattice")
    with pytest.raises(TypeError, match="first must be a bool, not 'yes'"):
        PackedSlice(first="yes")
    with pytest.raises(ValueError, match="DSP48E2 has no model in pysim"):
        run_vectors(PackedSlice(first=True), [{"act": 1}], ["p"], platform="xilinx")
