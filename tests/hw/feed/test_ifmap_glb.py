"""Banked ifmap buffer and feed against flat memory: lanes read any rows, banks rotate."""

import dataclasses
import random

import pytest

from skimp.configs import PRESETS
from skimp.feed.ifmap_feed import IfmapFeed
from skimp.feed.ifmap_glb import IfmapGlb
from skimp_sim.bench.vectors import run_vectors

BACKENDS = ["pysim", pytest.param("verilator", marks=pytest.mark.verilog)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("pixels", "words"), [(1, 1), (3, 1), (6, 1), (3, 2), (4, 4), (5, 8), (6, 8), (16, 8)]
)
def test_lanes_read_what_was_written(pixels, words, backend):
    """Runs of any length from any place, over the end of a row: each word lands in its own place.

    Runs overlap and come in any order, so a word too many shows where a later read looks.
    """
    seed = 40 + pixels + 100 * words
    rng = random.Random(seed)
    config = dataclasses.replace(
        PRESETS["tiny"], pixels=pixels, ifmap_depth=37, psum_depth=8, act_words=words
    )
    words = config.load_words
    dut = IfmapGlb(config)
    size = 37 * pixels
    memory = [None] * size
    vectors, expected = [], []

    def write(first, count):
        values = [rng.getrandbits(config.word_bits) for _ in range(words)]
        memory[first : first + count] = values[:count]
        vectors.append(
            dict(
                w_count=count, w_row=first // pixels, w_bank=first % pixels, lane_en=0,
                **{f"w_data__{n}": v for n, v in enumerate(values)},
            )
        )  # fmt: skip
        expected.append({})

    for first in range(size):
        write(first, 1)
    for _ in range(300):
        first = rng.choice([0, size - 1, rng.randrange(size)])
        write(first, rng.randint(0, min(words, size - first)))
    for sweep in range(2):
        for n in range(200):
            bank, enabled = rng.randrange(pixels), rng.getrandbits(pixels)
            # The first clocks look at every word once.
            rows = [n if n < 37 and not sweep else rng.randrange(37) for _ in range(pixels)]
            if n < 37 and not sweep:
                enabled = (1 << pixels) - 1
            vectors.append(
                dict(
                    w_count=0, bank=bank, lane_en=enabled,
                    **{f"row__{i}": r for i, r in enumerate(rows)},
                )
            )  # fmt: skip
            expected.append(
                {
                    f"data__{i}": memory[rows[i] * pixels + (bank + i) % pixels]
                    for i in range(pixels)
                    if enabled >> i & 1
                }
            )
        for _ in range(100 if not sweep else 0):
            first = rng.randrange(size)
            write(first, rng.randint(0, min(words, size - first)))
    vectors += [dict(lane_en=0)] * dut.latency
    results = run_vectors(dut, vectors, [f"data__{i}" for i in range(pixels)], backend=backend)
    checked = 0
    for n, want in enumerate(expected):
        for name, value in want.items():
            assert results[n + dut.latency][name] == value, f"seed {seed} clock {n} {name}"
            checked += 1
    assert checked > 50


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("pixels", [1, 4])
def test_feed_subtracts_the_zero_point_and_counts_gated_macs(pixels, backend):
    seed = 60 + pixels
    rng = random.Random(seed)
    config = dataclasses.replace(PRESETS["tiny"], pixels=pixels)
    channels = config.in_channels
    dut = IfmapFeed(config)
    vectors, expected, gated = [], [], 0
    for _ in range(300):
        zp = rng.choice([-128, 127, 0, rng.randint(-128, 127)])
        enabled, real = rng.getrandbits(pixels), rng.getrandbits(channels)
        macs = rng.choice([0, 1, 16, 64])
        values = [
            [rng.choice([zp, zp, -128, 127, rng.randint(-128, 127)]) for _ in range(channels)]
            for _ in range(pixels)
        ]
        vectors.append(
            dict(
                in_zp=zp & 0xFF,
                lane_en=enabled,
                ci_en=real,
                macs_per_act=macs,
                **{
                    f"data__{i}": sum((v & 0xFF) << 8 * c for c, v in enumerate(word))
                    for i, word in enumerate(values)
                },
            )
        )
        acts = []
        for i, word in enumerate(values):
            on = enabled >> i & 1
            acts.append(sum(((v - zp if on else 0) & 0x1FF) << 9 * c for c, v in enumerate(word)))
            if on:
                gated += macs * sum(v == zp and real >> c & 1 for c, v in enumerate(word))
        expected.append(acts)
    vectors += [dict(lane_en=0)] * 6
    outputs = [f"act__{i}" for i in range(pixels)] + ["inc_macs_gated"]
    results = run_vectors(dut, vectors, outputs, backend=backend)
    for n, acts in enumerate(expected):
        got = [results[n + dut.latency][f"act__{i}"] for i in range(pixels)]
        assert got == acts, f"seed {seed} clock {n}"
    assert sum(r["inc_macs_gated"] for r in results) == gated, f"seed {seed}"
