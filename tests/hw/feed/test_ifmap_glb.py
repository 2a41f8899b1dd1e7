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

    Two runs at once, in different banks. Runs overlap and come in any order, so a word too many
    shows where a later read looks.
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
        """A run, and often a second one in other banks."""
        runs = {"w": (first, count), "w2": (0, 0)}
        if count < pixels and rng.random() < 0.5:
            start = rng.randrange(size)
            start -= (start - first) % pixels  # in the bank of the first run's first word
            ahead = rng.randrange(count, pixels)
            start = max(start, start % pixels) + ahead
            longest = min(max(1, words // 2), pixels - ahead, size - start)
            runs["w2"] = (start, rng.randint(0, max(0, longest)))
        vector = dict(lane_en=0)
        for port, (at, many) in runs.items():
            values = [
                rng.getrandbits(config.word_bits)
                for _ in range(words if port == "w" else max(1, words // 2))
            ]
            if many:
                memory[at : at + many] = values[:many]
            vector |= {f"{port}_count": many, f"{port}_row": at // pixels}
            vector |= {f"{port}_bank": at % pixels}
            vector |= {f"{port}_data__{n}": v for n, v in enumerate(values)}
        vectors.append(vector)
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
                    w_count=0, w2_count=0, bank=bank, lane_en=enabled,
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
