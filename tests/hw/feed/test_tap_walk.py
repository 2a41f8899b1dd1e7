"""Tap walk against nested loops over channel blocks, kernel rows and kernel columns."""

import dataclasses
import random

import pytest

from skimp.configs import PRESETS
from skimp.feed.tap_walk import TapWalk
from skimp.isa import glb_address
from skimp_sim.bench.vectors import run_vectors


def config_of(pixels):
    return dataclasses.replace(
        PRESETS["small"], pixels=pixels, bus_words=1, drain_pixels=1, tile_table_depth=0
    )


def taps(*, num_c, num_r, num_s, stride_h, stride_w, plane, pitch, base):
    """Flat word of every tap: a plane per stride phase, row phases outside column phases."""
    block = stride_h * stride_w * plane
    for c in range(num_c):
        for r in range(num_r):
            for s in range(num_s):
                phase = (r % stride_h) * stride_w + s % stride_w
                yield base + c * block + phase * plane + r // stride_h * pitch + s // stride_w


@pytest.mark.parametrize("backend", ["pysim", pytest.param("verilator", marks=pytest.mark.verilog)])
@pytest.mark.parametrize("pixels", [1, 3, 4, 6])
def test_walk(pixels, backend):
    seed = 20 + pixels
    rng = random.Random(seed)
    dut = TapWalk(config_of(pixels))
    outputs = ["base", "first_tap", "last_tap", "first", "last", "last_c"]
    vectors, expected = [], []
    for _ in range(12):
        num_c, num_r, num_s = (rng.randint(1, 4) for _ in range(3))
        stride_h, stride_w = rng.randint(1, 3), rng.randint(1, 3)
        plane, pitch, base = rng.randint(20, 90), rng.randint(4, 20), rng.randint(0, 200)
        glb = lambda words: glb_address(words, pixels)
        fields = dict(
            ifmap_base=glb(base),
            inc_s=glb(plane),
            inc_s_wrap=glb(1 - (stride_w - 1) * plane),
            inc_r=glb(stride_w * plane),
            inc_r_wrap=glb(pitch - (stride_h - 1) * stride_w * plane),
            inc_c=glb(stride_h * stride_w * plane),
            num_c=num_c,
            num_r=num_r,
            num_s=num_s,
            stride_h=stride_h,
            stride_w=stride_w,
        )
        vectors.append({**fields, "start": 1, "advance": 0})
        expected.append(None)
        flat = list(
            taps(
                num_c=num_c,
                num_r=num_r,
                num_s=num_s,
                stride_h=stride_h,
                stride_w=stride_w,
                plane=plane,
                pitch=pitch,
                base=base,
            )
        )
        for n, word in enumerate(flat + flat[:2]):  # behind the last tap it starts again
            k = n % len(flat)
            tap = k % (num_r * num_s)
            if rng.random() < 0.3:
                vectors.append({"start": 0, "advance": 0})
                expected.append(None)
            vectors.append({"start": 0, "advance": 1})
            expected.append(
                {
                    "base": glb(word),
                    "first_tap": int(tap == 0),
                    "last_tap": int(tap == num_r * num_s - 1),
                    "first": int(k == 0),
                    "last": int(k == len(flat) - 1),
                    "last_c": int(k // (num_r * num_s) == num_c - 1),
                }
            )
    results = run_vectors(dut, vectors, outputs, backend=backend)
    for n, (want, got) in enumerate(zip(expected, results)):
        assert want is None or got == want, f"seed {seed} clock {n}"
