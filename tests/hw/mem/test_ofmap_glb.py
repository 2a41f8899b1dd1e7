"""Ofmap side of the global buffer: pixels in, channel blocks out."""

import random

import pytest
from testconfigs import ODD, WIDE

from skimp.configs import PRESETS
from skimp.mem.ofmap_glb import OfmapGlb
from skimp_sim.bench.vectors import run_vectors


@pytest.mark.parametrize("backend", ["pysim", pytest.param("verilator", marks=pytest.mark.verilog)])
@pytest.mark.parametrize("config", [PRESETS["tiny"], ODD, WIDE], ids=lambda c: c.name)
def test_blocks_of_written_pixels(config, backend):
    seed = config.ofmap_depth
    rng = random.Random(seed)
    pixels = {}
    vectors, expected = [], []
    seen = None
    for clock in range(600):
        write = rng.randrange(config.ofmap_depth)
        w_en = int(clock < 40 or rng.random() < 0.5)
        w_data = rng.getrandbits(8 * config.out_channels)
        read = rng.choice(sorted(pixels)) if pixels else 0
        r_en = int(read in pixels and not (w_en and read == write) and rng.random() < 0.7)
        block = rng.randrange(config.ofmap_blocks)
        expected.append(seen)
        if r_en:
            seen = pixels[read] >> config.bus_bits * block & (1 << config.bus_bits) - 1
        if w_en:
            pixels[write] = w_data
        vectors.append(
            dict(w_en=w_en, w_addr=write, w_data=w_data, r_en=r_en, r_addr=read, r_block=block)
        )
    results = run_vectors(OfmapGlb(config), vectors, ["r_data"], backend=backend)
    for clock, want in enumerate(expected):
        if want is not None:
            assert results[clock]["r_data"] == want, f"seed {seed} clock {clock}"
