"""Memory of pixels against a table: runs of neighbours in and out, blocks apart, rows that wrap."""

import dataclasses
import random

import pytest
from testconfigs import ODD, QUAD, WIDE

from skimp.configs import PRESETS
from skimp.mem.pixel_ram import PixelRam
from skimp_sim.bench.vectors import run_vectors

BACKENDS = ["pysim", pytest.param("verilator", marks=pytest.mark.verilog)]
SHAPES = [
    (PRESETS["tiny"], 5, 1, 1),
    (ODD, 64, 1, 1),
    (WIDE, 32, 2, 8),
    (dataclasses.replace(WIDE, act_words=2), 32, 2, 2),
    (dataclasses.replace(WIDE, out_channels=32, act_words=2), 6, 1, 2),
    (QUAD, 48, 1, 8),
    (QUAD, 40, 5, 1),
    (QUAD, 8, 3, 2),
    (dataclasses.replace(QUAD, act_words=4), 44, 4, 4),
]


@pytest.mark.parametrize("read_words", [False, True], ids=["words-in", "words-out"])
@pytest.mark.parametrize(
    ("config", "depth", "write_pixels", "read_pixels", "backend"),
    [
        *(pytest.param(*shape, "verilator", marks=pytest.mark.verilog) for shape in SHAPES),
        *(pytest.param(*shape, "pysim") for shape in SHAPES[:3]),
        *(pytest.param(*shape, "pysim", marks=pytest.mark.long) for shape in SHAPES[3:]),
    ],
    ids=lambda v: v.name if hasattr(v, "name") else str(v),
)
def test_reads_what_was_written(config, depth, write_pixels, read_pixels, read_words, backend):
    """Every block of every pixel of every run: the value last written, held while nothing is read.

    Runs start anywhere; what a run reads beyond the depth, or in the clock of its writing, is not
    looked at. Memories of pixels that are not wanted rest: they still show what they read before.
    """
    seed = 1000 * depth + 10 * write_pixels + read_pixels
    rng = random.Random(seed)
    blocks, bits = config.ofmap_blocks, config.word_bits
    dut = PixelRam(
        config, depth=depth, write_pixels=write_pixels, read_pixels=read_pixels,
        read_words=read_words,
    )  # fmt: skip
    assert dut.read_latency == 1
    table, shown = {}, {}  # by pixel, by memory; of every channel block
    vectors, expected = [], []
    seen = {}
    filling = depth * (1 if read_words else blocks)
    for clock in range(filling + 600):
        w_pixel, w_count, block = clock % depth, 1, clock // depth
        if clock >= filling:
            w_pixel = rng.randrange(depth)
            w_count = rng.randint(0, min(write_pixels, depth - w_pixel))
            block = rng.randrange(blocks)
        w_data = [
            rng.getrandbits(blocks * bits if read_words else bits) for _ in range(write_pixels)
        ]
        into = range(blocks) if read_words else [block]
        written = {
            (w_pixel + n, k): w_data[n] >> bits * i & (1 << bits) - 1
            for n in range(w_count)
            for i, k in enumerate(into)
        }
        r_en = int(clock >= filling and rng.random() < 0.7)
        r_pixel = rng.choice([0, depth - 1, rng.randrange(depth)])
        r_block = rng.randrange(blocks)
        r_lanes = rng.getrandbits(read_pixels)
        expected.append(dict(seen))
        if r_en:
            out = [r_block] if read_words else range(blocks)
            runs = [(n, r_pixel + n, k) for n in range(read_pixels) for k in out]
            for n, pixel, k in runs:
                if r_lanes >> n & 1:
                    known = pixel < depth and (pixel, k) not in written
                    shown[pixel % config.chip_words, k] = table[pixel, k] if known else None
            seen = {
                (n, out.index(k)): shown[pixel % config.chip_words, k]
                for n, pixel, k in runs
                if shown.get((pixel % config.chip_words, k)) is not None
            }
        table |= written
        vectors.append(
            dict(
                w_count=w_count, w_pixel=w_pixel, r_en=r_en, r_pixel=r_pixel, r_lanes=r_lanes,
                **(dict(r_block=r_block) if read_words else dict(w_blocks=1 << block)),
                **{f"w_data__{n}": v for n, v in enumerate(w_data)},
            )
        )  # fmt: skip
    results = run_vectors(
        dut, vectors, [f"r_data__{n}" for n in range(read_pixels)], backend=backend
    )
    checked = 0
    for clock, want in enumerate(expected):
        for (n, i), value in want.items():
            got = results[clock][f"r_data__{n}"] >> bits * i & (1 << bits) - 1
            assert got == value, f"seed {seed} clock {clock} pixel {n} part {i}"
            checked += 1
    assert checked > 200


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("config", [WIDE, QUAD], ids=lambda c: c.name)
def test_run_that_starts_before_pixel_0(config, backend):
    """A store whose segment starts inside a beat reads from -1, -2, ... on: pixel 0 is in place."""
    lanes, depth = config.chip_words, 8 * config.chip_words
    bits, last = config.word_bits, config.ofmap_blocks - 1
    rng = random.Random(lanes)
    pixels = [rng.getrandbits(8 * config.out_channels) for _ in range(depth)]
    dut = PixelRam(config, depth=depth, write_pixels=1, read_pixels=lanes, read_words=True)
    vectors = [dict(w_count=1, w_pixel=p, w_data__0=value) for p, value in enumerate(pixels)]
    every = (1 << lanes) - 1
    vectors += [
        dict(w_count=0, r_en=1, r_block=last, r_pixel=-before, r_lanes=every)
        for before in range(lanes)
    ]
    vectors += [dict(r_en=0)]
    results = run_vectors(dut, vectors, [f"r_data__{n}" for n in range(lanes)], backend=backend)
    for before in range(lanes):
        row = results[depth + before + 1]
        for n in range(before, lanes):
            want = pixels[n - before] >> bits * last
            assert row[f"r_data__{n}"] == want, f"start {-before} place {n}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(depth=44), "depth must be a multiple of 8, not 44"),
        (dict(depth=0), "depth must be a multiple of 8, not 0"),
        (dict(write_pixels=9), "write_pixels must be 1 to 8, not 9"),
        (dict(read_pixels=0), "read_pixels must be 1 to 8, not 0"),
    ],
)
def test_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        PixelRam(QUAD, read_words=True, **(dict(depth=48, write_pixels=1, read_pixels=8) | change))
