"""Banked ifmap buffer and feed against flat memory: lanes read any rows, banks rotate."""

import dataclasses
import itertools
import random

import pytest

from skimp.configs import PRESETS
from skimp.feed.ifmap_feed import IfmapFeed
from skimp.feed.ifmap_glb import IfmapGlb
from skimp_sim.bench.vectors import run_vectors

BACKENDS = ["pysim", pytest.param("verilator", marks=pytest.mark.verilog)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("pixels", "words", "blocks"),
    [(1, 1, 1), (3, 1, 2), (6, 1, 1), (3, 2, 1), (4, 4, 3), (5, 8, 1), (6, 8, 2), (16, 8, 1)],
)
def test_lanes_read_what_was_written(pixels, words, blocks, backend):
    """Runs of any length from any place, over the end of a row: each word lands in its own place.

    Two runs at once, in different banks, into any of the blocks of a word. Runs overlap and come in any order, so a word too many
    shows where a later read looks.
    """
    seed = 40 + pixels + 100 * words
    rng = random.Random(seed)
    config = dataclasses.replace(
        PRESETS["tiny"], pixels=pixels, psum_depth=8, dw_psum_depth=8, act_words=words
    )
    words = config.load_words
    dut = IfmapGlb(config, depth=37, blocks=blocks)
    size = 37 * pixels
    word_of = lambda parts: sum(v << config.word_bits * k for k, v in enumerate(parts))
    memory = [[None] * blocks for _ in range(size)]
    vectors, expected = [], []

    def write(first, count, parts):
        """A run, and often a second one in other banks."""
        runs = {"w": (first, count), "w2": (0, 0)}
        if count < pixels and rng.random() < 0.5:
            start = rng.randrange(size)
            start -= (start - first) % pixels  # in the bank of the first run's first word
            ahead = rng.randrange(count, pixels)
            start = max(start, start % pixels) + ahead
            longest = min(max(1, words // 2), pixels - ahead, size - start)
            runs["w2"] = (start, rng.randint(0, max(0, longest)))
        vector = dict(lane_en=0, w_blocks=parts)
        for port, (at, many) in runs.items():
            values = [
                rng.getrandbits(config.word_bits)
                for _ in range(words if port == "w" else max(1, words // 2))
            ]
            if many:
                for n, k in itertools.product(range(many), range(blocks)):
                    if parts >> k & 1:
                        memory[at + n][k] = values[n]
            vector |= {f"{port}_count": many, f"{port}_row": at // pixels}
            vector |= {f"{port}_bank": at % pixels}
            vector |= {f"{port}_data__{n}": v for n, v in enumerate(values)}
        vectors.append(vector)
        expected.append({})

    some_parts = lambda: rng.randrange(1, 1 << blocks)
    for first in range(size):
        write(first, 1, (1 << blocks) - 1)
    for _ in range(300):
        first = rng.choice([0, size - 1, rng.randrange(size)])
        write(first, rng.randint(0, min(words, size - first)), some_parts())
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
                    f"data__{i}": word_of(memory[rows[i] * pixels + (bank + i) % pixels])
                    for i in range(pixels)
                    if enabled >> i & 1
                }
            )
        for _ in range(100 if not sweep else 0):
            first = rng.randrange(size)
            write(first, rng.randint(0, min(words, size - first)), some_parts())
    vectors += [dict(lane_en=0)] * dut.latency
    results = run_vectors(dut, vectors, [f"data__{i}" for i in range(pixels)], backend=backend)
    checked = 0
    for n, want in enumerate(expected):
        for name, value in want.items():
            assert results[n + dut.latency][name] == value, f"seed {seed} clock {n} {name}"
            checked += 1
    assert checked > 50


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("pixels", "channels", "rows", "macs_bits"), [(1, 8, 1, 8), (4, 8, 1, 8), (3, 16, 2, 1)]
)
def test_feed_subtracts_the_zero_point_and_counts_gated_macs(
    pixels, channels, rows, macs_bits, backend
):
    seed = 60 + pixels
    rng = random.Random(seed)
    config = dataclasses.replace(PRESETS["tiny"], pixels=pixels)
    dut = IfmapFeed(config, channels=channels, rows=rows, macs_bits=macs_bits)
    vectors, expected, gated = [], [], 0
    for _ in range(300):
        zp = rng.choice([-128, 127, 0, rng.randint(-128, 127)])
        enabled = [rng.getrandbits(pixels) for _ in range(rows)]
        real = rng.getrandbits(channels)
        macs = rng.choice([0, 1, 16, 64]) if macs_bits > 1 else rng.randrange(2)
        values = [
            [rng.choice([zp, zp, -128, 127, rng.randint(-128, 127)]) for _ in range(channels)]
            for _ in range(pixels)
        ]
        vectors.append(
            dict(
                in_zp=zp & 0xFF,
                ci_en=real,
                macs_per_act=macs,
                **{f"lane_en__{r}": bits for r, bits in enumerate(enabled)},
                **{
                    f"data__{i}": sum((v & 0xFF) << 8 * c for c, v in enumerate(word))
                    for i, word in enumerate(values)
                },
            )
        )
        acts, zeros = [], []
        for i, word in enumerate(values):
            on = sum(bits >> i & 1 for bits in enabled)
            found = [v - zp if on else 0 for v in word]
            acts.append(sum((v & 0x1FF) << 9 * c for c, v in enumerate(found)))
            zeros.append(sum((v == 0) << c for c, v in enumerate(found)))
            gated += on * macs * sum(v == zp and real >> c & 1 for c, v in enumerate(word))
        expected.append((acts, zeros))
    vectors += [{f"lane_en__{r}": 0 for r in range(rows)}] * 8
    outputs = [f"{name}__{i}" for name in ("act", "zero") for i in range(pixels)]
    results = run_vectors(dut, vectors, [*outputs, "inc_macs_gated"], backend=backend)
    for n, (acts, zeros) in enumerate(expected):
        got = [results[n + dut.latency][name] for name in outputs]
        assert got == acts + zeros, f"seed {seed} clock {n}"
    assert sum(r["inc_macs_gated"] for r in results) == gated, f"seed {seed}"
