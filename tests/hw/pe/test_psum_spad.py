"""Psum scratchpad: accumulation, every slot, the latencies that it promises."""

import dataclasses
import random

import pytest
from testconfigs import ODD

from skimp.configs import PRESETS
from skimp.pe.psum_spad import PsumSpad
from skimp_sim.bench.vectors import run_vectors

CONFIG = dataclasses.replace(PRESETS["tiny"], psum_depth=12, psum_slots=4)
LANES = CONFIG.out_channels
MASK = 0xFFFFFFFF


def pack(values):
    return sum((v & MASK) << 32 * k for k, v in enumerate(values))


@pytest.mark.parametrize("backend", ["pysim", pytest.param("verilator", marks=pytest.mark.verilog)])
@pytest.mark.parametrize(
    ("config", "seed"),
    [(CONFIG, 1), (CONFIG, 2), (PRESETS["small"], 3), (ODD, 4)],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_accumulate_and_drain(backend, config, seed):
    rng = random.Random(seed)
    extremes = (0, 1, -1, (1 << 31) - 1, -(1 << 31))
    sums, finished = {}, {}
    added_at, finished_at, read_at = {}, {}, []
    vectors = []
    # `finished` is what is there once everything has settled; drains wait for it.
    for clock in range(900):
        vector = dict(valid=0, rd_en=0)
        slot = rng.randrange(config.psum_slots)
        addr = rng.randrange(config.psum_depth)
        if clock - added_at.get(addr, -99) >= PsumSpad.min_revisit and rng.random() < 0.9:
            first = int(addr not in sums or rng.random() < 0.2)
            last = int(rng.random() < 0.4)
            values = [
                rng.choice([*extremes, rng.getrandbits(32)]) for _ in range(config.out_channels)
            ]
            before = [0] * config.out_channels if first else sums[addr]
            total = [(a + b) & MASK for a, b in zip(before, values)]
            added_at[addr] = clock
            if last:
                finished[slot, addr], finished_at[slot, addr] = total, clock
                sums.pop(addr, None)
            else:
                sums[addr] = total
            vector.update(valid=1, first=first, last=last, slot=slot, addr=addr, value=pack(values))
        other = rng.choice([*finished]) if finished else None
        if other and clock - finished_at[other] >= PsumSpad.write_latency:
            vector.update(rd_en=1, rd_slot=other[0], rd_addr=other[1])
            read_at.append((clock, pack(finished[other])))
        vectors.append(vector)
    vectors += [dict(valid=0, rd_en=0)] * 4
    results = run_vectors(PsumSpad(config), vectors, ["rd_data"], backend=backend)
    assert len(read_at) > 100
    for clock, want in read_at:
        assert results[clock + PsumSpad.read_latency]["rd_data"] == want, f"seed {seed} @{clock}"


@pytest.mark.parametrize("backend", ["pysim", pytest.param("verilator", marks=pytest.mark.verilog)])
def test_entry_is_readable_after_write_latency(backend):
    value = pack(range(1, LANES + 1))
    for wait, visible in ((PsumSpad.write_latency, True), (PsumSpad.write_latency - 1, False)):
        vectors = [dict(valid=1, first=1, last=1, slot=0, addr=5, value=value, rd_en=0)]
        vectors += [dict(valid=0)] * (wait - 1)
        vectors += [dict(rd_en=1, rd_slot=0, rd_addr=5), dict(rd_en=0), dict()]
        results = run_vectors(PsumSpad(CONFIG), vectors, ["rd_data"], backend=backend)
        assert (results[wait + PsumSpad.read_latency]["rd_data"] == value) == visible


@pytest.mark.parametrize("backend", ["pysim", pytest.param("verilator", marks=pytest.mark.verilog)])
def test_same_entry_again_after_min_revisit(backend):
    terms, addr = 6, 7
    for gap, right in ((PsumSpad.min_revisit, True), (PsumSpad.min_revisit - 1, False)):
        vectors = []
        for k in range(terms):
            value = pack([10 * k + c + 1 for c in range(LANES)])
            ends = dict(first=int(k == 0), last=int(k == terms - 1))
            vectors.append(dict(valid=1, slot=1, addr=addr, value=value) | ends)
            vectors += [dict(valid=0)] * (gap - 1)
        vectors += [dict(valid=0)] * PsumSpad.write_latency
        vectors += [dict(rd_en=1, rd_slot=1, rd_addr=addr), dict(rd_en=0)]
        results = run_vectors(PsumSpad(CONFIG), vectors, ["rd_data"], backend=backend)
        want = pack([sum(10 * k + c + 1 for k in range(terms)) for c in range(LANES)])
        assert (results[-1]["rd_data"] == want) == right, f"gap {gap}"
