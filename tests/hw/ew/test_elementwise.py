"""Elementwise unit against two tables, groups as close as it allows."""

import dataclasses
import random

import pytest

from skimp.configs import PRESETS
from skimp.ew.elementwise import ElementwiseUnit
from skimp_sim.bench.vectors import run_vectors


@pytest.mark.parametrize("backend", ["pysim", pytest.param("verilator", marks=pytest.mark.verilog)])
@pytest.mark.parametrize(("pixels", "channels"), [(1, 8), (3, 8), (4, 8), (2, 16)])
def test_sums_of_table_entries(pixels, channels, backend):
    seed = 10 * pixels + channels
    rng = random.Random(seed)
    config = dataclasses.replace(
        PRESETS["small"], pixels=pixels, in_channels=channels, out_channels=channels
    )
    dut = ElementwiseUnit(config)
    tables = [[rng.getrandbits(32) for _ in range(256)] for _ in range(2)]
    per_word = channels // 4
    entries = tables[0] + tables[1]
    vectors = []
    for addr in range(512 // per_word):
        word = sum(v << 32 * k for k, v in enumerate(entries[addr * per_word :][:per_word]))
        vectors.append(dict(w_en=1, w_addr=addr, w_data=word, take_a=0, take_b=0))
    expected = {}
    for _ in range(40):
        start = len(vectors)
        first, second = (
            [[rng.randrange(256) for _ in range(channels)] for _ in range(pixels)] for _ in "ab"
        )
        for name, operand in (("take_a", first), ("take_b", second)):
            acts = {
                f"act__{i}": sum((x - ((x & 128) << 1) & 0x1FF) << 9 * c for c, x in enumerate(row))
                for i, row in enumerate(operand)
            }
            other = "take_b" if name == "take_a" else "take_a"
            vectors.append(dict(w_en=0, **{name: 1, other: 0}, **acts))
        for i in range(pixels):
            value = sum(
                ((tables[0][a] + tables[1][b]) & 0xFFFFFFFF) << 32 * c
                for c, (a, b) in enumerate(zip(first[i], second[i]))
            )
            expected[start + 1 + dut.latency + i] = (i, value)
        vectors += [dict(take_a=0, take_b=0)] * (dut.interval - 2)
    vectors += [dict(take_a=0, take_b=0)] * (dut.latency + pixels + 2)
    outputs = ["value", "value_valid", "value_pixel"]
    results = run_vectors(dut, vectors, outputs, backend=backend)
    for clock, result in enumerate(results):
        assert result["value_valid"] == (clock in expected), f"seed {seed} clock {clock}"
        if clock in expected:
            assert (result["value_pixel"], result["value"]) == expected[clock], f"seed {seed}"
