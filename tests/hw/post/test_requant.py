"""Requantisation lanes against the golden arithmetic: corners, ties, saturation, random."""

import itertools
import random

import numpy as np
import pytest
from testconfigs import ODD

from skimp.configs import PRESETS
from skimp.isa import MAX_SHIFT, MIN_SHIFT, Rounding
from skimp.post.requant import Requant, RequantLane
from skimp_sim.bench.vectors import run_vectors
from skimp_sim.golden.arithmetic import multiply_double, multiply_single, wrap_int32

BACKENDS = ["pysim", pytest.param("verilator", marks=pytest.mark.verilog)]

INT32 = (1 << 31) - 1
ACCS = (0, 1, -1, 2, -2, 3, -3, 1000, -1000, 1 << 30, -(1 << 30), INT32, -INT32 - 1)
MULTS = (0, 1, 1 << 30, (1 << 30) + 1, (1 << 31) - 1, 0x5A827999)
SHIFTS = (MIN_SHIFT, -30, -8, -1, 0, 1, MAX_SHIFT)


def expected(mode, acc, bias, mult, shift, zp, low, high):
    if mode == Rounding.AWAY:
        out = np.sign(acc) * (((abs(acc) + bias) * mult) >> (31 - shift))
    else:
        total = wrap_int32(acc + bias)
        multiply = multiply_double if mode == Rounding.DOUBLE else multiply_single
        out = multiply(total, mult, shift)
    return int(np.clip(out + zp, low, high))


def vector(mode, acc, bias, mult, shift, zp, low, high):
    return dict(
        mode=int(mode), acc=acc & 0xFFFFFFFF, bias=bias & 0xFFFFFFFF, mult=mult,
        shift=shift & 0x7F, out_zp=zp & 0xFF, act_min=low & 0xFF, act_max=high & 0xFF,
    )  # fmt: skip


def cases():
    """Parameters, one value at a time, because they must stand still while data is in the pipe."""
    for mode, mult, shift in itertools.product((Rounding.DOUBLE, Rounding.SINGLE), MULTS, SHIFTS):
        yield mode, 0, mult, shift, -1, -128, 127, ACCS
    rng = np.random.default_rng(11)
    for _ in range(60):
        mode = (Rounding.DOUBLE, Rounding.SINGLE)[rng.integers(2)]
        shift = int(rng.integers(MIN_SHIFT, MAX_SHIFT + 1))
        scale = max(1, min(31, -shift + 9))
        accs = rng.integers(-(1 << scale), 1 << scale, 20)
        bias = int(rng.integers(-(1 << 30), 1 << 30)) if rng.integers(3) == 0 else 0
        low = int(rng.integers(-128, 0))
        yield (
            mode, bias, int(rng.integers(0, 1 << 31)), shift, int(rng.integers(-128, 128)), low,
            int(rng.integers(low, 128)), [int(a) for a in accs],
        )  # fmt: skip
    # Ties: the product lands exactly on a half.
    ties = [k << 1 | 1 for k in range(-20, 20)]
    yield Rounding.DOUBLE, 0, 1 << 30, 0, 0, -128, 127, ties
    yield Rounding.SINGLE, 0, 1 << 30, 0, 0, -128, 127, ties
    yield Rounding.DOUBLE, 0, 1 << 30, 1 - 3, 0, -128, 127, [4 * t for t in ties]
    for divisor in (1, 2, 3, 7, 9, 49, 64, 125):
        bits = max(30, (129 * divisor * divisor - 1).bit_length())
        mult = -(-(1 << bits) // divisor)
        sums = [int(s) for s in rng.integers(-128 * divisor, 128 * divisor, 30)]
        yield Rounding.AWAY, divisor // 2, mult, 31 - bits, 0, -128, 127, sums
    for mult, shift in itertools.product(MULTS, (MIN_SHIFT, -30, -8, -1, 0)):
        yield Rounding.AWAY, 0, mult, shift, 5, -100, 100, [a for a in ACCS if a != -INT32 - 1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_lane(backend):
    vectors, wanted = [], []
    for mode, bias, mult, shift, zp, low, high, accs in cases():
        for acc in accs:
            vectors.append(vector(mode, acc, bias, mult, shift, zp, low, high))
            wanted.append((len(vectors) - 1, expected(mode, acc, bias, mult, shift, zp, low, high)))
        vectors += [vectors[-1]] * RequantLane.latency
    results = run_vectors(RequantLane(), vectors, ["ofmap"], backend=backend)
    for clock, want in wanted:
        got = results[clock + RequantLane.latency]["ofmap"]
        assert (got ^ 0x80) - 0x80 == want, (clock, vectors[clock])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("config", [PRESETS["tiny"], PRESETS["small"], ODD], ids=lambda c: c.name)
def test_lanes_valid_and_tag(config, backend):
    """Every lane has its own parameters; valid and tag come out beside the data."""
    seed = config.pixels
    rng = random.Random(seed)
    channels = range(config.out_channels)
    vectors, wanted = [], {}
    for mode in (Rounding.DOUBLE, Rounding.SINGLE, Rounding.DOUBLE):
        bias = [rng.randrange(-(1 << 20), 1 << 20) for _ in channels]
        mult = [rng.randrange(1 << 30, 1 << 31) for _ in channels]
        shift = [rng.randrange(-16, 2) for _ in channels]
        zp, low, high = rng.randrange(-128, 128), rng.randrange(-128, 0), rng.randrange(0, 128)
        for _ in range(80):
            acc = [rng.randrange(-(1 << 24), 1 << 24) for _ in channels]
            args = [(mode, acc[c], bias[c], mult[c], shift[c], zp, low, high) for c in channels]
            lanes = [vector(*a) for a in args]
            together = {
                name: sum(lane[name] << bits * c for c, lane in enumerate(lanes))
                for name, bits in (("acc", 32), ("bias", 32), ("mult", 32), ("shift", 7))
            }
            valid, tag = rng.randrange(2), rng.getrandbits(5)
            if valid:
                packed = sum((expected(*a) & 0xFF) << 8 * c for c, a in enumerate(args))
                wanted[len(vectors) + Requant.latency] = (tag, packed)
            vectors.append({**lanes[0], **together, "valid": valid, "tag": tag})
        vectors += [{**vectors[-1], "valid": 0}] * Requant.latency
    dut = Requant(config, tag_bits=5)
    results = run_vectors(dut, vectors, ["ofmap", "ofmap_valid", "ofmap_tag"], backend=backend)
    for clock, result in enumerate(results):
        assert result["ofmap_valid"] == (clock in wanted), f"seed {seed} clock {clock}"
        if clock in wanted:
            assert (result["ofmap_tag"], result["ofmap"]) == wanted[clock], f"seed {seed} @{clock}"


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
