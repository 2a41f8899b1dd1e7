"""Psum scratchpad: accumulation, both halves, the latencies that it promises."""

import dataclasses
import random

import pytest

from skimp.configs import PRESETS
from skimp.pe.psum_spad import PsumSpad
from skimp_sim.bench.vectors import run_vectors

CONFIG = dataclasses.replace(PRESETS["tiny"], psum_depth=12)
LANES = CONFIG.out_channels
MASK = 0xFFFFFFFF


def pack(values):
    return sum((v & MASK) << 32 * k for k, v in enumerate(values))


@pytest.mark.parametrize("backend", ["pysim", pytest.param("verilator", marks=pytest.mark.verilog)])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_accumulate_and_drain(backend, seed):
    rng = random.Random(seed)
    extremes = (0, 1, -1, (1 << 31) - 1, -(1 << 31))
    memory = {}
    written_at, read_at = {}, []
    vectors = []
    # `memory` is what is there once everything has settled; drains wait for it.
    for clock in range(900):
        vector = dict(valid=0, rd_en=0)
        half = clock // 150 % 2
        addr = rng.randrange(CONFIG.psum_depth)
        if clock - written_at.get((half, addr), -99) >= PsumSpad.min_revisit and rng.random() < 0.9:
            first = int((half, addr) not in memory or rng.random() < 0.2)
            values = [rng.choice([*extremes, rng.getrandbits(32)]) for _ in range(LANES)]
            before = [0] * LANES if first else memory[half, addr]
            memory[half, addr] = [(a + b) & MASK for a, b in zip(before, values)]
            written_at[half, addr] = clock
            vector.update(valid=1, first=first, half=half, addr=addr, value=pack(values))
        other = (1 - half, rng.randrange(CONFIG.psum_depth))
        settled = clock - written_at.get(other, clock) >= PsumSpad.write_latency
        if other in memory and settled:
            vector.update(rd_en=1, rd_half=other[0], rd_addr=other[1])
            read_at.append((clock, pack(memory[other])))
        vectors.append(vector)
    vectors += [dict(valid=0, rd_en=0)] * 4
    results = run_vectors(PsumSpad(CONFIG), vectors, ["rd_data"], backend=backend)
    assert len(read_at) > 100
    for clock, want in read_at:
        assert results[clock + PsumSpad.read_latency]["rd_data"] == want, f"seed {seed} @{clock}"


@pytest.mark.parametrize("backend", ["pysim", pytest.param("verilator", marks=pytest.mark.verilog)])
def test_entry_is_readable_after_write_latency(backend):
    value = pack(range(1, LANES + 1))
    for wait, visible in ((PsumSpad.write_latency, True), (PsumSpad.write_latency - 1, False)):
        vectors = [dict(valid=1, first=1, half=0, addr=5, value=value, rd_en=0)]
        vectors += [dict(valid=0)] * (wait - 1)
        vectors += [dict(rd_en=1, rd_half=0, rd_addr=5), dict(rd_en=0), dict()]
        results = run_vectors(PsumSpad(CONFIG), vectors, ["rd_data"], backend=backend)
        assert (results[wait + PsumSpad.read_latency]["rd_data"] == value) == visible
