"""Pixel lanes against the definition: row of pixel f = t + (f // tile_q) * row_step."""

import dataclasses

import pytest

from skimp.configs import PRESETS
from skimp.feed.pixel_lanes import PixelLanes
from skimp_sim.bench.vectors import run_vectors


def expected_rows(pixels, tile_q, row_step, group):
    return [(group + (group * pixels + i) // tile_q * row_step) & 0xFFFF for i in range(pixels)]


@pytest.mark.parametrize("backend", ["pysim", pytest.param("verilator", marks=pytest.mark.verilog)])
@pytest.mark.parametrize("pixels", [1, 3, 4, 6])
def test_rows(pixels, backend):
    config = dataclasses.replace(PRESETS["small"], pixels=pixels)
    dut = PixelLanes(config)
    outputs = [f"row__{i}" for i in range(pixels)]
    vectors, expected = [], []

    def clock(rows=None, **inputs):
        vectors.append({"setup": 0, "restart": 0, "advance": 0, **inputs})
        expected.append(rows)

    for tile_q, row_step in [(1, 0), (1, 3), (2, 1), (5, 2), (7, 0), (13, 1), (112, 4), (300, 9)]:
        clock(tile_q=tile_q, row_step=row_step, setup=1)
        for _ in range(dut.setup_cycles - 1):
            clock()
        for _ in range(2):
            clock(restart=1)
            for group in range(12):
                clock(rows=expected_rows(pixels, tile_q, row_step, group), advance=1)
    results = run_vectors(dut, vectors, outputs, backend=backend)
    for n, (rows, result) in enumerate(zip(expected, results)):
        if rows is not None:
            assert [result[name] for name in outputs] == rows, f"clock {n}"
