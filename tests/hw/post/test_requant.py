"""Requantisation lanes against the golden arithmetic: corners, ties, saturation, random."""

import dataclasses
import itertools
import random
from functools import cache

import numpy as np
import pytest
from testconfigs import ODD, WIDE

from skimp.configs import PRESETS
from skimp.isa import MAX_SHIFT, MIN_SHIFT, Rounding
from skimp.post.requant import Requant, RequantLane
from skimp.prim.dsp48e2 import SIM_MODEL
from skimp_sim.bench.vectors import run_vectors
from skimp_sim.golden.arithmetic import multiply_double, multiply_single, wrap_int32

PACKED = dataclasses.replace(ODD, packed=True)
"""Lanes of both kinds."""

BACKENDS = ["pysim", pytest.param("verilator", marks=pytest.mark.verilog)]

BODIES = [
    pytest.param({}, id="pysim"),
    pytest.param({"backend": "verilator"}, id="verilator", marks=pytest.mark.verilog),
    pytest.param(
        {"backend": "verilator", "platform": "xilinx", "extra_sources": (SIM_MODEL,)},
        id="primitive-verilator",
        marks=pytest.mark.verilog,
    ),
]

INT32 = (1 << 31) - 1
ACCS = (0, 1, -1, 2, -2, 3, -3, 1000, -1000, 1 << 30, -(1 << 30), INT32, -INT32 - 1)
MULTS = (0, 1, 1 << 30, (1 << 30) + 1, (1 << 31) - 1, 0x5A827999)
SHIFTS = (MIN_SHIFT, -30, -8, -1, 0, 1, MAX_SHIFT)


all_lanes, one_lane = cache(Requant), cache(RequantLane)  # one of each for all runs


def expected(mode, acc, bias, mult, shift, zp, low, high):
    if mode == Rounding.AWAY:
        out = np.sign(acc) * (((abs(acc) + bias) * mult) >> (31 - shift))
    else:
        total = wrap_int32(acc + bias)
        multiply = multiply_double if mode == Rounding.DOUBLE else multiply_single
        out = multiply(total, mult, shift)
    return int(np.clip(out + zp, low, high))


def control_bits(mode, zp, low, high):
    return int(mode) | (zp & 0xFF) << 2 | (low & 0xFF) << 10 | (high & 0xFF) << 18


def lane_vectors(values, rng):
    """One value a clock, each parameter in the clock in which the lane takes it, then the tail.

    What nobody takes is noise: everything behind the end.
    """
    stages = RequantLane.latency - 1
    clocks = len(values) + RequantLane.latency
    vectors = [
        dict(
            acc=rng.getrandbits(32), bias=rng.getrandbits(32), shift=rng.randint(-31, 7) & 0x7F,
            mult=rng.getrandbits(31), control=0, **{f"control_d__{k}": 0 for k in range(stages)},
        )
        for _ in range(clocks)
    ]  # fmt: skip
    for t, (mode, acc, bias, mult, shift, zp, low, high) in enumerate(values):
        control = control_bits(mode, zp, low, high)
        vectors[t] |= dict(
            acc=acc & 0xFFFFFFFF, bias=bias & 0xFFFFFFFF, mult=mult, shift=shift & 0x7F,
            control=control,
        )  # fmt: skip
        for k in range(stages):
            vectors[t + 1 + k][f"control_d__{k}"] = control
    return vectors


def cases():
    """Every value with all its parameters: (mode, acc, bias, mult, shift, zp, low, high)."""
    for mode, mult, shift in itertools.product((Rounding.DOUBLE, Rounding.SINGLE), MULTS, SHIFTS):
        for acc in ACCS:
            yield mode, acc, 0, mult, shift, -1, -128, 127
    rng = np.random.default_rng(11)
    for _ in range(1200):
        mode = (Rounding.DOUBLE, Rounding.SINGLE)[rng.integers(2)]
        shift = int(rng.integers(MIN_SHIFT, MAX_SHIFT + 1))
        scale = max(1, min(31, -shift + 9))
        bias = int(rng.integers(-(1 << 30), 1 << 30)) if rng.integers(3) == 0 else 0
        low = int(rng.integers(-128, 0))
        yield (
            mode, int(rng.integers(-(1 << scale), 1 << scale)), bias, int(rng.integers(0, 1 << 31)),
            shift, int(rng.integers(-128, 128)), low, int(rng.integers(low, 128)),
        )  # fmt: skip
    # Sums of any size with biases that make them wrap, multipliers of any size, close to 2^31 and
    # with every pattern in their lowest bits.
    for _ in range(1500):
        mode = (Rounding.DOUBLE, Rounding.SINGLE, Rounding.AWAY)[rng.integers(3)]
        acc = int(rng.choice(ACCS)) if rng.integers(3) == 0 else int(rng.integers(-INT32, INT32))
        acc >>= int(rng.integers(32))
        bias = (0, INT32, -INT32 - 1, int(rng.integers(-INT32, INT32)))[rng.integers(4)]
        if mode == Rounding.AWAY:
            acc, bias = max(acc, -INT32), 0
        mult = int(rng.integers(1 << 31)) >> int(rng.integers(32))
        mult = (mult, INT32 - (mult & 0x3F), mult & 0x3F)[rng.integers(3)]
        shift = int(rng.integers(MIN_SHIFT, (0 if mode == Rounding.AWAY else MAX_SHIFT) + 1))
        yield mode, acc, bias, mult, shift, int(rng.integers(-128, 128)), -128, 127
    # Ties: the product lands exactly on a half.
    for k in range(-20, 20):
        tie = k << 1 | 1
        yield Rounding.DOUBLE, tie, 0, 1 << 30, 0, 0, -128, 127
        yield Rounding.SINGLE, tie, 0, 1 << 30, 0, 0, -128, 127
        yield Rounding.DOUBLE, 4 * tie, 0, 1 << 30, 1 - 3, 0, -128, 127
    for divisor in (1, 2, 3, 7, 9, 49, 64, 125):
        bits = max(30, (129 * divisor * divisor - 1).bit_length())
        mult = -(-(1 << bits) // divisor)
        for acc in rng.integers(-128 * divisor, 128 * divisor, 30):
            yield Rounding.AWAY, int(acc), divisor // 2, mult, 31 - bits, 0, -128, 127
    for mult, shift in itertools.product(MULTS, (MIN_SHIFT, -30, -8, -1, 0)):
        for acc in ACCS:
            if acc != -INT32 - 1:
                yield Rounding.AWAY, acc, 0, mult, shift, 5, -100, 100


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("slices", [1, 2])
@pytest.mark.parametrize(
    ("body", "every"),
    [
        pytest.param({}, 9, id="pysim"),
        pytest.param({}, 1, id="pysim-all", marks=pytest.mark.long),
        *(pytest.param(*body.values, 1, id=body.id, marks=body.marks) for body in BODIES[1:]),
    ],
)
def test_lane(body, every, slices, mixed):
    """A value a clock; mixed: neighbours in the pipeline have nothing in common."""
    seed = 17
    rng = random.Random(seed)
    values = list(cases())[::every]
    if mixed:
        rng.shuffle(values)
    results = run_vectors(one_lane(slices=slices), lane_vectors(values, rng), ["ofmap"], **body)
    for clock, value in enumerate(values):
        got = results[clock + RequantLane.latency]["ofmap"]
        assert (got ^ 0x80) - 0x80 == expected(*value), f"seed {seed} clock {clock}: {value}"


@pytest.mark.parametrize("body", BODIES)
def test_bias_only(body):
    """The sum counts as 0, whatever its neighbours' do."""
    seed = 18
    rng = random.Random(seed)
    values = [v for v in cases() if v[0] != Rounding.AWAY or v[2] >= 0]
    rng.shuffle(values)
    values = values[:600]
    alone = [rng.randrange(2) for _ in values]
    vectors = lane_vectors(values, rng)
    for t, bit in enumerate(alone):
        vectors[t]["control"] |= bit << 26
    results = run_vectors(one_lane(slices=2), vectors, ["ofmap"], **body)
    for clock, (value, bit) in enumerate(zip(values, alone, strict=True)):
        mode, acc, *rest = value
        got = (results[clock + RequantLane.latency]["ofmap"] ^ 0x80) - 0x80
        assert got == expected(mode, 0 if bit else acc, *rest), f"seed {seed} clock {clock}"


@pytest.mark.parametrize(
    ("config", "narrow", "backend"),
    [
        pytest.param(PRESETS["tiny"], 0, "pysim", id="tiny-pysim"),
        pytest.param(
            PRESETS["tiny"],
            0,
            "verilator",
            id="tiny-verilator",
            marks=[pytest.mark.verilog, pytest.mark.long],
        ),
        pytest.param(PACKED, 5, "pysim", id="odd-pysim", marks=pytest.mark.long),
        pytest.param(PACKED, 5, "verilator", id="odd-verilator", marks=pytest.mark.verilog),
        pytest.param(
            WIDE,
            16,
            "verilator",
            id="wide-verilator",
            marks=[pytest.mark.verilog, pytest.mark.long],
        ),
    ],
)
def test_lanes_valid_and_tag(config, narrow, backend):
    """Every lane has its own parameters, every pixel others; valid and tag beside the data."""
    seed = config.pixels
    rng = random.Random(seed)
    channels = range(config.out_channels)
    num_pixels, latency = 240, Requant.latency
    vectors = [dict(valid=0, tag=rng.getrandbits(5)) for _ in range(num_pixels + latency)]
    wanted = {}
    for t in range(num_pixels):
        mode = rng.choice((Rounding.DOUBLE, Rounding.SINGLE, Rounding.AWAY))
        zp, low, high = rng.randrange(-128, 128), rng.randrange(-128, 0), rng.randrange(0, 128)
        args = [
            (
                mode, rng.randrange(-(1 << 24), 1 << 24),
                rng.randrange(0 if mode == Rounding.AWAY else -(1 << 20), 1 << 20),
                rng.randrange(1 << 30, 1 << 31),
                rng.randrange(-16, 0 if mode == Rounding.AWAY else 2), zp, low, high,
            )
            for _ in channels
        ]  # fmt: skip
        together = {
            name: sum((lane[k] & (1 << bits) - 1) << bits * c for c, lane in enumerate(args))
            for k, name, bits in ((1, "acc", 32), (2, "bias", 32), (3, "mult", 32), (4, "shift", 7))
        }
        valid = rng.randrange(2)
        vectors[t] |= {**together, "valid": valid, "control": control_bits(mode, zp, low, high)}
        if valid:
            packed = sum((expected(*a) & 0xFF) << 8 * c for c, a in enumerate(args))
            wanted[t + latency] = (vectors[t]["tag"], packed)
    dut = all_lanes(config, tag_bits=5, narrow=narrow)
    outputs = ["ofmap", "ofmap_valid", "ofmap_tag", "early_valid", "early_tag"]
    results = run_vectors(dut, vectors, outputs, backend=backend)
    for clock, result in enumerate(results):
        where = f"seed {seed} clock {clock}"
        assert result["ofmap_valid"] == (clock in wanted), where
        assert result["early_valid"] == (clock + 1 in wanted) or clock + 1 == len(results), where
        if clock in wanted:
            assert (result["ofmap_tag"], result["ofmap"]) == wanted[clock], where
        if clock + 1 in wanted:
            assert result["early_tag"] == wanted[clock + 1][0], where
    assert len(wanted) > 80


def test_average_is_exact_division():
    """The AWAY formula equals TFLite's integer division for every sum of small windows."""
    from skimp_compiler.lower_depthwise import exact_division

    for divisor in range(1, 65):
        mult, shift = exact_division(divisor)
        sums = np.arange(-128 * divisor, 127 * divisor + 1)
        ours = np.sign(sums) * (((np.abs(sums) + divisor // 2) * mult) >> (31 - shift))
        theirs = np.sign(sums) * ((np.abs(sums) + divisor // 2) // divisor)
        assert (ours == theirs).all(), divisor
    for divisor in (225, 12544, 50176, 1 << 20):
        mult, shift = exact_division(divisor)
        sums = np.random.default_rng(divisor).integers(-128 * divisor, 127 * divisor, 100_000)
        sums = np.concatenate((sums, divisor * np.arange(-128, 128) + divisor // 2))
        ours = ((np.abs(sums) + divisor // 2) * mult.__int__()) >> (31 - shift)
        assert (ours == (np.abs(sums) + divisor // 2) // divisor).all(), divisor


@pytest.mark.parametrize("backend", BACKENDS)
def test_lane_of_plain_multipliers(backend):
    """Other devices' lane: the same results in the same clocks."""
    seed = 19
    rng = random.Random(seed)
    values = list(cases())[:: 3 if backend == "pysim" else 1]
    rng.shuffle(values)
    vectors = lane_vectors(values, rng)
    results = run_vectors(RequantLane(slices=0), vectors, ["ofmap"], backend=backend)
    for clock, value in enumerate(values):
        got = results[clock + RequantLane.latency]["ofmap"]
        assert (got ^ 0x80) - 0x80 == expected(*value), f"seed {seed} clock {clock}: {value}"


def test_slices_out_of_range():
    with pytest.raises(ValueError, match="slices must be 0, 1 or 2, not 3"):
        RequantLane(slices=3)
