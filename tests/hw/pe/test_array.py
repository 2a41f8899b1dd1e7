"""The MAC array against numpy: passes back to back, weights changed behind its back."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from skimp.config import CHAIN
from skimp.configs import PRESETS
from skimp.pe.array import PeArray
from skimp.prim.dsp48e2 import SIM_MODEL
from skimp_sim.bench.vectors import run_vectors

TINY = PRESETS["tiny"]
PLAIN = replace(TINY, name="plain", packed=False)
ODD = replace(TINY, name="odd", pixels=3, in_channels=16, out_channels=16)
NARROW = replace(ODD, name="narrow", pixels=1)
WIDE = replace(ODD, name="wide", out_channels=32, wgt_slices=2)
TWO = replace(TINY, name="two", wgt_slices=2)
TWO_NARROW = replace(NARROW, name="two narrow", wgt_slices=2)
FOUR = replace(TINY, name="four", wgt_slices=4)
FOUR_NARROW = replace(NARROW, name="four narrow", wgt_slices=4)
PYSIM = {}
VERILATOR = {"backend": "verilator"}
PRIMITIVE = VERILATOR | {"platform": "xilinx", "extra_sources": (SIM_MODEL,)}
CASES = [
    pytest.param(TINY, PYSIM, id="tiny-pysim"),
    pytest.param(PLAIN, PYSIM, id="plain-pysim"),
    pytest.param(replace(NARROW, packed=False), PYSIM, id="narrow-plain-pysim"),
    pytest.param(ODD, VERILATOR, id="odd-verilator", marks=pytest.mark.verilog),
    pytest.param(TWO, PYSIM, id="two-pysim"),
    pytest.param(replace(TWO_NARROW, packed=False), PYSIM, id="two-narrow-plain-pysim"),
    pytest.param(FOUR, PYSIM, id="four-pysim"),
    pytest.param(replace(FOUR_NARROW, packed=False), PYSIM, id="four-narrow-plain-pysim"),
    pytest.param(PRESETS["small"], VERILATOR, id="small-verilator", marks=pytest.mark.verilog),
    pytest.param(NARROW, PRIMITIVE, id="narrow-primitive", marks=pytest.mark.verilog),
    pytest.param(TWO_NARROW, PRIMITIVE, id="two-narrow-primitive", marks=pytest.mark.verilog),
    pytest.param(FOUR_NARROW, PRIMITIVE, id="four-narrow-primitive", marks=pytest.mark.verilog),
    pytest.param(
        WIDE, VERILATOR, id="wide-verilator", marks=[pytest.mark.verilog, pytest.mark.long]
    ),
    pytest.param(ODD, PRIMITIVE, id="odd-primitive", marks=[pytest.mark.verilog, pytest.mark.long]),
]


array = cache(PeArray)  # one of each for all runs


def pack(values, width):
    """Pack integers, the first lowest."""
    return sum((int(v) & ((1 << width) - 1)) << (width * k) for k, v in enumerate(values))


def unpack(bits, width, count):
    fields = [bits >> (width * k) & ((1 << width) - 1) for k in range(count)]
    return [field - (1 << width) if field >> (width - 1) else field for field in fields]


def wgt_slice(weights, k):
    """What slice k of every chain takes from weights [co, ci]: byte co * num_chains + g."""
    return pack(weights[:, k::CHAIN].ravel(), 8)


def random_acts(rng, shape):
    """Return activations of one pass: dense, half zeros, nearly all zeros, or extreme."""
    kind = rng.integers(4)
    acts = rng.integers(-255, 256, shape)
    if kind == 3:
        return rng.choice((-255, 255), shape)
    return np.where(rng.random(shape) < (0, 0.5, 0.95)[kind], 0, acts)


def random_weights(rng, shape):
    if rng.random() < 0.3:
        return rng.choice((-127, 127), shape)
    return rng.integers(-127, 128, shape)


def load_clocks(config, rng, bounds, when):
    """Return the clock in which each word of every pass comes: [pass][word], all different.

    A word's slices can take it from the swap of the pass before until their own; "early" and "late"
    prefer the ends of that.
    """
    windows = []
    for before, start in zip([0, *bounds], bounds):
        for skew in range(0, CHAIN, config.wgt_slices):
            clocks = np.arange(before + skew, start + skew)
            orders = {"early": clocks, "late": clocks[::-1], "any": rng.permutation(clocks)}
            windows.append(orders[when])
    owner = {}

    def place(n, tried):
        for clock in windows[n]:
            if clock not in tried:
                tried.add(clock)
                if clock not in owner or place(owner[clock], tried):
                    owner[clock] = n
                    return True
        return False

    assert all(place(n, set()) for n in range(len(windows)))
    clocks = sorted(owner, key=owner.get)
    return np.reshape(clocks, (len(bounds), config.min_pass_cycles))


def run_passes(config, body, rng, lengths, *, when):
    """Run passes back to back; return what came out and what should have, clock by clock.

    A weight port holds noise but in the clock in which a slice takes its weights.
    """
    dut = array(config)
    positions = config.wgt_slices
    px, ci, co = config.pixels, config.in_channels, config.out_channels
    bounds = CHAIN + np.cumsum([0, *lengths])
    loads = load_clocks(config, rng, bounds[:-1].tolist(), when)
    num_clocks = int(bounds[-1]) + dut.latency + 4
    load = np.zeros(num_clocks, int)
    swap = np.zeros(num_clocks, int)
    want = np.zeros((num_clocks, px, co), int)
    acts = np.zeros((num_clocks, px, ci), int)
    slice_bytes = config.wgt_slice_bytes
    bus = [
        [int.from_bytes(rng.bytes(slice_bytes), "little") for _ in range(positions)]
        for _ in range(num_clocks)
    ]
    for p, (start, end) in enumerate(zip(bounds[:-1], bounds[1:], strict=True)):
        weights = random_weights(rng, (co, ci))
        here = random_acts(rng, (end - start, px, ci))
        if p == 2:  # the largest sums, next to the smallest ones
            weights = np.where(np.arange(co) % 2, 127, -127)[:, None].repeat(ci, axis=1)
            here = np.where(np.arange(end - start) % 2, 255, -255)[:, None, None] * np.ones(
                (px, ci), int
            )
        swap[start] = 1
        for k in range(CHAIN):
            word, position = divmod(k, positions)
            load[loads[p, word]] = 1 << word
            bus[loads[p, word] + position][position] = wgt_slice(weights, k)
        acts[start:end] = here
        want[start:end] = acts[start:end] @ weights.T
    vectors = [
        {f"act__{i}": pack(acts[t, i], 9) for i in range(px)}
        | {f"wgt__{p}": bus[t][p] for p in range(positions)}
        | {"wgt_load": int(load[t]), "wgt_swap": int(swap[t])}
        for t in range(num_clocks)
    ]
    got = run_vectors(dut, vectors, [f"dot__{i}" for i in range(px)], **body)
    dots = np.array([[unpack(v, dut.dot_bits, co) for v in sample.values()] for sample in got])
    return dots[dut.latency :], want[: num_clocks - dut.latency]


@pytest.mark.parametrize(("when", "seed"), [("early", 11), ("late", 12), ("any", 13)])
@pytest.mark.parametrize(("config", "body"), CASES)
def test_passes(config, body, when, seed):
    rng = np.random.default_rng(seed)
    # The shortest pass that a load fits into, again and again, then any length.
    shortest = config.min_pass_cycles
    lengths = [shortest] * 6 + rng.integers(shortest, 30, 20).tolist()
    got, want = run_passes(config, body, rng, lengths, when=when)
    wrong = np.argwhere(got != want)
    assert not wrong.size, f"seed {seed}: first wrong (clock, pixel, channel) {wrong[0]}"
    assert abs(want).max() == 127 * 255 * config.in_channels  # the extremes were among them


@pytest.mark.parametrize("config", [TINY, PLAIN, ODD, TWO, FOUR], ids=lambda c: c.name)
def test_latency(config):
    dut = array(config)
    ones = pack([1] * config.wgt_slice_bytes, 8)
    last = config.pixels - 1
    words = (1 << config.min_pass_cycles) - 1
    vectors = [{f"wgt__{p}": ones for p in range(config.wgt_slices)} | {"wgt_load": words}]
    vectors += [{"wgt_load": 0}] + [{}] * (CHAIN - 1)
    vectors += [{"wgt_swap": 1}, {"wgt_swap": 0}] + [{}] * 20
    start = len(vectors)
    vectors += [{f"act__{last}": pack([3] * config.in_channels, 9)}, {f"act__{last}": 0}]
    vectors += [{}] * 30
    got = run_vectors(dut, vectors, [f"dot__{last}"])[start:]
    dots = [unpack(sample[f"dot__{last}"], dut.dot_bits, config.out_channels) for sample in got]
    busy = [t for t, row in enumerate(dots) if any(row)]
    assert busy == [dut.latency]
    assert dots[dut.latency] == [3 * config.in_channels] * config.out_channels


def test_arguments():
    with pytest.raises(TypeError, match="config must be a Config, not 'tiny'"):
        PeArray("tiny")
