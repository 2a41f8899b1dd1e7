"""Lanes of the depthwise unit against the definition: sums and maxima of windows of any length."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from skimp.config import DW_SUM_BITS
from skimp.configs import PRESETS
from skimp.dw.lanes import DepthwiseLanes
from skimp.prim.dsp48e2 import SIM_MODEL
from skimp_sim.bench.vectors import run_vectors

TINY = PRESETS["tiny"]
PLAIN = replace(TINY, name="plain", pixels=2, packed=False)
ODD = replace(TINY, name="odd", pixels=3, in_channels=16, out_channels=16)
LUTS = replace(TINY, name="luts", pixels=3, dw_slices=False)
VERILATOR = {"backend": "verilator"}
PRIMITIVE = VERILATOR | {"platform": "xilinx", "extra_sources": (SIM_MODEL,)}
CASES = [
    pytest.param(TINY, {}, id="tiny-pysim"),
    pytest.param(PLAIN, {}, id="plain-pysim"),
    pytest.param(ODD, VERILATOR, id="odd-verilator", marks=pytest.mark.verilog),
    pytest.param(LUTS, VERILATOR, id="luts-verilator", marks=pytest.mark.verilog),
    pytest.param(PRESETS["small"], VERILATOR, id="small-verilator", marks=pytest.mark.verilog),
    pytest.param(
        PRESETS["zcu104"],
        VERILATOR,
        id="zcu104-verilator",
        marks=[pytest.mark.verilog, pytest.mark.long],
    ),
    pytest.param(ODD, PRIMITIVE, id="odd-primitive", marks=pytest.mark.verilog),
]


lanes = cache(DepthwiseLanes)  # one of each for all runs


def pack(values, width):
    return sum((int(v) & ((1 << width) - 1)) << (width * k) for k, v in enumerate(values))


def unpack(bits, width, count):
    fields = [bits >> (width * k) & ((1 << width) - 1) for k in range(count)]
    return [field - (1 << width) if field >> (width - 1) else field for field in fields]


def random_operands(rng, taps, px, channels):
    acts = rng.integers(-255, 256, (taps, px, channels))
    wgts = rng.integers(-127, 128, (taps, channels))
    kind = rng.integers(4)
    if kind == 0:  # zero-heavy, of both operands
        acts[rng.random(acts.shape) < 0.8] = 0
        wgts[rng.random(wgts.shape) < 0.3] = 0
    elif kind == 1:
        acts = rng.choice((-255, 255), acts.shape)
        wgts = rng.choice((-127, 127), wgts.shape)
    elif kind == 2:  # every product of the same sign
        acts[:] = 255
        wgts[:] = rng.choice((-127, 127))
    return acts, wgts


@pytest.mark.parametrize("gaps", [0, 0.3], ids=["dense", "gaps"])
@pytest.mark.parametrize("maxima", [False, True], ids=["sums", "maxima"])
@pytest.mark.parametrize(("config", "body"), CASES)
def test_windows(config, body, maxima, gaps):
    seed = 5
    rng = np.random.default_rng(seed)
    dut = lanes(config, maxima=maxima)
    px, channels = config.pixels, config.out_channels
    vectors, results = [], {}

    def operands(acts, wgts):
        zeros = {f"zero__{i}": pack(acts[i] == 0, 1) for i in range(px)}
        return {f"act__{i}": pack(acts[i], 9) for i in range(px)} | zeros | {"wgt": pack(wgts, 8)}

    def garbage():
        acts, wgts = random_operands(rng, 1, px, channels)
        return operands(acts[0], wgts[0]) | {
            "valid": 0,
            "first": int(rng.integers(2)),
            "last": int(rng.integers(2)),
            "max_mode": int(rng.integers(2)) if maxima else 0,
        }

    for taps in [1, 1, 2, 9, 9, 1, 25, 49, *rng.integers(1, 12, 20)]:
        max_mode = int(rng.integers(2)) if maxima else 0
        acts, wgts = random_operands(rng, taps, px, channels)
        if max_mode:
            wgts[:] = 1
        for k in range(taps):
            while rng.random() < gaps:
                vectors.append(garbage())
            vectors.append(
                operands(acts[k], wgts[k])
                | {
                    "valid": 1,
                    "first": int(k == 0),
                    "last": int(k == taps - 1),
                    "max_mode": max_mode,
                }
            )
        sums = np.maximum(acts.max(axis=0), 0) if max_mode else (acts * wgts[:, None]).sum(axis=0)
        results[len(vectors) - 1 + dut.latency] = sums
    vectors += [garbage() for _ in range(dut.latency + 3)]

    got = run_vectors(dut, vectors, [f"acc__{i}" for i in range(px)] + ["acc_valid"], **body)
    assert [t for t, sample in enumerate(got) if sample["acc_valid"]] == list(results)
    for t, want in results.items():
        acc = [unpack(got[t][f"acc__{i}"], DW_SUM_BITS, channels) for i in range(px)]
        assert acc == want.tolist(), f"seed {seed}, clock {t}"


@pytest.mark.verilog
def test_sums_wrap():
    """More taps than any window has: 5,000 of the largest products, 2^27 and beyond."""
    dut = DepthwiseLanes(TINY, maxima=True)
    taps = 5_000
    tap = {"act__0": pack([255] * 8, 9), "wgt": pack([127] * 8, 8), "valid": 1, "first": 1}
    vectors = [tap, {"first": 0}] + [{}] * (taps - 3) + [{"last": 1}, {"valid": 0, "last": 0}]
    vectors += [{}] * dut.latency
    got = run_vectors(dut, vectors, ["acc__0", "acc_valid"], backend="verilator")
    done = [sample["acc__0"] for sample in got if sample["acc_valid"]]
    assert len(done) == 1
    half = 1 << DW_SUM_BITS - 1
    assert taps * 255 * 127 > half
    assert unpack(done[0], DW_SUM_BITS, 8) == [(taps * 255 * 127 + half) % (2 * half) - half] * 8


def test_arguments():
    with pytest.raises(TypeError, match="config must be a Config, not 3"):
        DepthwiseLanes(3, maxima=False)
