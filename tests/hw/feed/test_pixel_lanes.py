"""Pixel lanes against the definition: row of pixel f = t + (f // tile_q) * row_step."""

import dataclasses
import random

import pytest

from skimp.configs import PRESETS
from skimp.feed.pixel_lanes import PixelLanes
from skimp_sim.bench.vectors import run_vectors

BACKENDS = ["pysim", pytest.param("verilator", marks=pytest.mark.verilog)]
GEOMETRIES = [
    (1, 0), (1, 3), (2, 1), (5, 2), (7, 0), (13, 1), (112, 4), (300, 9), (65535, 7), (3, 65535),
]  # fmt: skip


def config_of(pixels):
    return dataclasses.replace(
        PRESETS["small"], pixels=pixels, bus_words=1, drain_pixels=1, tile_table_depth=0
    )


def expected_rows(pixels, tile_q, row_step, group):
    return [(group + (group * pixels + i) // tile_q * row_step) & 0xFFFF for i in range(pixels)]


class Bench:
    """Vectors for the lanes, and what `row` and `ready` must be in each of these clocks."""

    def __init__(self, dut, pixels, rng):
        self.dut, self.pixels, self.rng = dut, pixels, rng
        self.vectors, self.expected = [], []
        self.group = None
        self.geometry = self.preparing = None
        self.ready_at = 0

    def clock(self, **inputs):
        """One clock; the inputs' names are the ports'."""
        vector = dict(setup=0, take=0, restart=0, advance=0)
        if self.preparing is None:  # nobody promised that these stand still
            vector.update(tile_q=self.rng.getrandbits(16), row_step=self.rng.getrandbits(16))
        now = len(self.vectors)
        rows = None
        if self.group is not None:
            rows = expected_rows(self.pixels, *self.geometry, self.group)
        self.expected.append((int(now >= self.ready_at), rows))
        if inputs.get("setup"):
            self.preparing = (inputs["tile_q"], inputs["row_step"])
            self.ready_at = now + self.dut.setup_cycles
            self.expected[-1] = (None, rows)
        if inputs.get("restart") and self.geometry:
            self.group = 0
        elif inputs.get("advance") and self.group is not None:
            self.group += 1
        self.vectors.append(vector | inputs)

    def take(self, **inputs):
        """Take what is prepared; rows mean nothing until the restart, which comes at once."""
        self.clock(take=1, **inputs)
        self.geometry, self.preparing, self.group = self.preparing, None, None
        self.clock(restart=1)

    def check(self, backend, where):
        outputs = [f"row__{i}" for i in range(self.pixels)]
        results = run_vectors(self.dut, self.vectors, [*outputs, "ready"], backend=backend)
        for n, ((ready, rows), result) in enumerate(zip(self.expected, results, strict=True)):
            if ready is not None:
                assert result["ready"] == ready, f"{where} clock {n}"
            if rows is not None:
                assert [result[name] for name in outputs] == rows, f"{where} clock {n}"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("pixels", [1, 3, 4, 6])
def test_rows(pixels, backend):
    """Each geometry by itself: two walks over its groups."""
    dut = PixelLanes(config_of(pixels))
    bench = Bench(dut, pixels, random.Random(pixels))
    for tile_q, row_step in GEOMETRIES:
        bench.clock(setup=1, tile_q=tile_q, row_step=row_step)
        for _ in range(dut.setup_cycles - 1):
            bench.clock()
        bench.take()
        for _ in range(12):
            bench.clock(advance=1)
        bench.clock(restart=1)
        for _ in range(12):
            bench.clock(advance=1)
    bench.check(backend, f"pixels {pixels}")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("pixels", [1, 3, 4, 6])
def test_next_geometry_is_prepared_behind_the_present_one(pixels, backend):
    """Walks at random while the next geometry is set up, waits, and is taken."""
    seed = 30 + pixels
    rng = random.Random(seed)
    dut = PixelLanes(config_of(pixels))
    bench = Bench(dut, pixels, rng)

    def work(clocks):
        for _ in range(clocks):
            bench.clock(restart=int(rng.random() < 0.1), advance=int(rng.random() < 0.8))

    for k in range(60):
        tile_q, row_step = rng.choice([*GEOMETRIES, (rng.randint(1, 20), rng.randint(0, 5))])
        work(rng.choice([0, 0, 5, 30]))
        bench.clock(setup=1, tile_q=tile_q, row_step=row_step, advance=int(k > 0))
        work(dut.setup_cycles - 1)
        work(rng.choice([0, 0, 1, 9]))
        bench.take(advance=int(rng.random() < 0.5), restart=int(rng.random() < 0.5))
    work(20)
    bench.check(backend, f"seed {seed}")
