"""Activation store against a list of words: runs of beats out, words in, stalls, throughput."""

import random
from functools import cache

import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from streamparts import Feeder, Stall
from testconfigs import QUAD, WIDE

from skimp.mem.act_store import ActStore
from skimp_sim.bench.vectors import run_vectors

BACKENDS = ["pysim", pytest.param("verilator", marks=pytest.mark.verilog)]
SEGMENT_BITS = 56


class ActBench(wiring.Component):
    """The store with a queue of segments and a reader that stalls."""

    def __init__(self, config):
        self._config = config
        super().__init__(
            {
                "seed": In(16),
                "eighths": In(3),
                "push": In(1),
                "segment": In(SEGMENT_BITS),
                "w_en": In(config.chip_words),
                "w_addr": In(32),
                "w_data": In(config.chip_bits),
                "asked": Out(1),
                "came": Out(1),
                "data": Out(config.chip_bits),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.act = act = ActStore(self._config)
        m.submodules.feeder = feeder = Feeder(width=SEGMENT_BITS)
        m.submodules.stall = stall = Stall(seed=self.seed, eighths=self.eighths)
        m.d.comb += [
            feeder.push.eq(self.push),
            feeder.word.eq(self.segment),
            act.segments.payload.as_value().eq(feeder.o.payload),
            act.segments.valid.eq(feeder.o.valid),
            feeder.o.ready.eq(act.segments.ready),
            act.beats.ready.eq(stall.go),
            self.asked.eq(feeder.o.valid & act.segments.ready),
            self.came.eq(act.beats.valid & stall.go),
            self.data.eq(act.beats.payload),
            self.idle.eq(act.idle),
        ]
        for name in ("w_en", "w_addr", "w_data"):
            m.d.comb += getattr(act, name).eq(getattr(self, name))
        return m


bench = cache(ActBench)  # one of each for all runs


def segment(config, beat, beats):
    return beat * config.chip_bytes | beats << 32


def fill(config, rng, rows, words):
    """Vectors that write noise, some of it word by word, and the table that they leave."""
    bits = config.word_bits
    vectors, table = [], [0] * rows
    for row in [*range(rows), *(rng.randrange(rows) for _ in range(2 * rows))]:
        first = len(vectors) < rows
        mask = (1 << words) - 1 if first else rng.getrandbits(words)
        data = rng.getrandbits(bits * words)
        where = rng.randrange(config.chip_bytes)  # low bits of the address mean nothing
        vectors.append(dict(w_en=mask, w_addr=row * config.chip_bytes + where, w_data=data))
        for n in range(words):
            if mask >> n & 1:
                hole = (1 << bits) - 1 << bits * n
                table[row] = table[row] & ~hole | data & hole
    return vectors, table


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("eighths", [0, 3, 7])
@pytest.mark.parametrize("config", [WIDE, QUAD], ids=lambda c: c.name)
def test_beats_in_order(config, eighths, backend):
    """Every segment's beats, in order and once, while other rows are written.

    Writes go on in the upper half while the lower one is read. Without stalls: 4 clocks from a
    segment to its first beat, then a beat a clock, and one clock between segments.
    """
    seed = config.act_depth + eighths
    rng = random.Random(seed)
    half, words = config.act_depth // 2, config.chip_words
    vectors, table = fill(config, rng, config.act_depth, words)
    runs = [(0, half), (half - 1, 1), (0, 1), (3, 0)]
    runs += [(at, rng.randint(1, half - at)) for at in rng.choices(range(half), k=12)]
    vectors = [dict(push=0, **v) for v in vectors]
    total = sum(beats for _, beats in runs)
    start = len(vectors)
    for n in range(60 + (total + len(runs)) * (8 // (8 - eighths) + 1) * 2):
        vectors.append(
            dict(
                push=int(n < len(runs)),
                segment=segment(config, *runs[min(n, len(runs) - 1)]),
                w_en=rng.getrandbits(words),
                w_addr=rng.randrange(half, config.act_depth) * config.chip_bytes,
                w_data=rng.getrandbits(config.chip_bits),
            )
        )
    vectors[0] |= dict(seed=seed, eighths=eighths)
    results = run_vectors(
        bench(config), vectors, ["asked", "came", "data", "idle"], backend=backend
    )
    wanted = [table[at + n] for at, beats in runs for n in range(beats)]
    came = [(n, r["data"]) for n, r in enumerate(results) if r["came"]]
    assert [data for _, data in came] == wanted, f"seed {seed}"
    assert all(r["idle"] for r in results[:start])
    assert results[-1]["idle"]
    if not eighths:
        asked = [n for n, r in enumerate(results) if r["asked"]]
        first = 0
        for clock, (_, beats), later in zip(asked, runs, [*asked[1:], None], strict=True):
            clocks = [n for n, _ in came[first : first + beats]]
            assert clocks == list(range(clock + 4, clock + 4 + beats)), f"seed {seed}"
            assert later is None or later == clock + beats + 1, f"seed {seed}"
            first += beats


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("beats", "eighths"), [(5, 6), (1, 0), (2, 0), (3, 3)])
@pytest.mark.parametrize("config", [WIDE, QUAD], ids=lambda c: c.name)
def test_not_idle_before_the_last_beat(config, beats, eighths, backend):
    """From the clock behind a segment until its last beat is taken, the store is not idle."""
    rng = random.Random(7)
    vectors, table = fill(config, rng, 8, config.chip_words)
    vectors += [dict(w_en=0, push=1, segment=segment(config, 2, beats)), dict(push=0)]
    vectors += [dict(push=0)] * 150
    vectors[0] |= dict(seed=3, eighths=eighths)
    results = run_vectors(
        bench(config), vectors, ["asked", "came", "data", "idle"], backend=backend
    )
    [asked] = [n for n, r in enumerate(results) if r["asked"]]
    came = [n for n, r in enumerate(results) if r["came"]]
    assert [results[n]["data"] for n in came] == table[2 : 2 + beats]
    assert [r["idle"] for r in results] == [
        int(not asked < n <= came[-1]) for n in range(len(results))
    ]
