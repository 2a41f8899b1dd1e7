"""Tables of the second stage: T1[q] + T2[residual] for all channels."""

import random

import pytest
from testconfigs import ODD, WIDE

from skimp.configs import PRESETS
from skimp.isa import TABLE_ENTRIES
from skimp.post.add_tables import AddTables
from skimp_sim.bench.vectors import run_vectors


@pytest.mark.parametrize("backend", ["pysim", pytest.param("verilator", marks=pytest.mark.verilog)])
@pytest.mark.parametrize("config", [PRESETS["tiny"], ODD, WIDE], ids=lambda c: c.name)
def test_sums(config, backend):
    """Every entry of both tables, sums that wrap, one operand and two in neighbouring clocks."""
    seed = 90 + config.out_channels
    rng = random.Random(seed)
    channels = range(config.out_channels)
    extremes = (0, 1, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000)
    table = {}
    vectors, expected = [], []

    def write(entries):
        for addr in entries:
            table[addr] = rng.choice([*extremes, *(rng.getrandbits(32) for _ in range(20))])
            noise = dict(q=rng.getrandbits(64), residual=rng.getrandbits(64))
            vectors.append(dict(w_en=1, w_addr=addr, w_data=table[addr], valid=0, **noise))
            expected.append(None)

    write(range(2 * TABLE_ENTRIES))
    for again in range(2):
        order = list(range(TABLE_ENTRIES)) * config.out_channels
        rng.shuffle(order)
        pixels = [order[n::TABLE_ENTRIES] for n in range(TABLE_ENTRIES)]
        for q in pixels:
            valid, use_residual = int(rng.random() < 0.8), rng.randrange(2)
            residual = [rng.choice([0, 255, 128, rng.randrange(256)]) for _ in channels]
            vectors.append(
                dict(
                    w_en=0, valid=valid, use_residual=use_residual,
                    q=sum(v << 8 * c for c, v in enumerate(q)),
                    residual=sum(v << 8 * c for c, v in enumerate(residual)),
                )
            )  # fmt: skip
            sums = [table[a] + use_residual * table[TABLE_ENTRIES + b] for a, b in zip(q, residual)]
            packed = sum((total & 0xFFFFFFFF) << 32 * c for c, total in enumerate(sums))
            expected.append(packed if valid else None)
        if not again:
            write(rng.sample(range(2 * TABLE_ENTRIES), 40))  # part of them anew
    latency = AddTables.latency
    vectors += [dict(valid=0)] * latency
    results = run_vectors(AddTables(config), vectors, ["sum", "sum_valid"], backend=backend)
    for n, want in enumerate(expected):
        got = results[n + latency]
        assert got["sum_valid"] == (want is not None), f"seed {seed} clock {n}"
        if want is not None:
            assert got["sum"] == want, f"seed {seed} clock {n}"
