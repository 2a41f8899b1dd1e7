"""Chains of eight slices, skewed by hand, against numpy."""

import numpy as np
import pytest

from skimp.config import CHAIN
from skimp.pe.chain import FIELD_BITS, PeChain, PlainChain
from skimp.prim.dsp48e2 import SIM_MODEL
from skimp_sim.bench.vectors import run_vectors

BODIES = [
    pytest.param(PeChain, {}, id="packed-pysim"),
    pytest.param(PlainChain, {}, id="plain-pysim"),
    pytest.param(
        PeChain,
        {"backend": "verilator", "platform": "xilinx", "extra_sources": (SIM_MODEL,)},
        id="primitive-verilator",
        marks=pytest.mark.verilog,
    ),
]


def pack(values, width):
    return sum((int(v) & ((1 << width) - 1)) << (width * k) for k, v in enumerate(values))


def signed(bits, width):
    return bits - (1 << width) if bits >> (width - 1) & 1 else bits


def load_clock(k, wgt_slices):
    """Clocks from slice 0's swap to the load of slice k's next weights, as the array makes it."""
    if wgt_slices == 1:
        return k  # the clock of its swap
    if wgt_slices == 2:
        return 3 + k // 2 + k % 2
    return k + k // 4  # slices 4 to 7 a clock behind their swap


@pytest.mark.parametrize("length", ["shortest", 20])
@pytest.mark.parametrize("wgt_slices", [1, 2, 4])
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("chain", "body"), BODIES)
def test_dot_products(chain, body, seed, wgt_slices, length):
    rng = np.random.default_rng(seed)
    num_passes = 12
    length = CHAIN // wgt_slices if length == "shortest" else length
    num_clocks = num_passes * length
    weights = rng.integers(-127, 128, (num_passes + 1, 2, CHAIN))
    acts = rng.integers(-255, 256, (num_clocks, CHAIN))
    acts[rng.random(acts.shape) < 0.3] = 0
    weights[3:5] = 127  # passes 3 and 4: the largest sums of either sign
    acts[3 * length : 4 * length] = 255
    acts[4 * length : 5 * length] = -255
    swap = np.zeros(num_clocks + 2 * CHAIN, int)
    swap[length:num_clocks:length] = 1  # pass p works while p + 1 is loaded
    vectors = []
    for t in range(num_clocks + chain.latency):
        now = [t - k for k in range(CHAIN)]
        here = [acts[t - k, k] if 0 <= t - k < num_clocks else 0 for k in range(CHAIN)]
        # The bytes are those of the slices that load; noise while none does.
        wgt = rng.integers(-127, 128, (2, wgt_slices))
        load = np.zeros(CHAIN, int)
        for k in range(CHAIN):
            block, clock = divmod(t - load_clock(k, wgt_slices), length)
            if clock == 0 and 0 <= block < num_passes:
                load[k] = 1
                wgt[:, k % wgt_slices] = weights[block, :, k]
        vectors.append(
            {
                "act": pack(here, 9),
                "gate": pack([a == 0 for a in here], 1),
                "wgt1": pack(wgt[1], 8),
                "wgt0": pack(wgt[0], 8),
                "wgt_load": pack(load, 1),
                "wgt_swap": pack([swap[n] if n >= 0 else 0 for n in now], 1),
            }
        )
    dut = chain(wgt_slices=wgt_slices)
    got = run_vectors(dut, vectors, ["dot1", "dot0"], **body)
    for t in range(length, num_clocks):
        want = weights[t // length - 1] @ acts[t]
        sample = got[t + chain.latency]
        dots = [signed(sample[name], FIELD_BITS) for name in ("dot0", "dot1")]
        assert dots == want.tolist(), f"seed {seed}, clock {t}"


@pytest.mark.parametrize(("chain", "body"), BODIES)
def test_latency(chain, body):
    ones = {"wgt1": pack([1], 8), "wgt0": pack([-1], 8), "gate": (1 << CHAIN) - 1}
    vectors = [ones | {"wgt_load": (1 << CHAIN) - 1}, {"wgt_load": 0, "wgt_swap": (1 << CHAIN) - 1}]
    vectors += [{"wgt_swap": 0}] * 20
    start = len(vectors)
    vectors += [{"act": 100, "gate": (1 << CHAIN) - 2}, {"act": 0, "gate": (1 << CHAIN) - 1}]
    vectors += [{}] * 30
    got = run_vectors(chain(), vectors, ["dot1", "dot0"], **body)[start:]
    assert [t for t, s in enumerate(got) if s["dot1"] == 100] == [chain.latency]
    assert [t for t, s in enumerate(got) if s["dot0"]] == [chain.latency]
