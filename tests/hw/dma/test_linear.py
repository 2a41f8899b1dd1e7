"""Weight load unit against lists: beats in their places, tables entry by entry, posts, order."""

import dataclasses
import random
from functools import cache

import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from streamparts import CountingSource, Feeder, Stall
from testconfigs import ODD, QUAD, WIDE

from skimp.ctrl.decode import COMMAND_BITS
from skimp.dma.linear import LinearUnit
from skimp.isa import MASK_BITS, TABLE_ENTRIES, LoadTarget, Opcode, assemble
from skimp_sim.bench.vectors import run_vectors

BACKENDS = [
    pytest.param("pysim", marks=pytest.mark.long),
    pytest.param("verilator", marks=pytest.mark.verilog),
]
CONFIGS = [ODD, dataclasses.replace(WIDE, act_words=2), QUAD]


class LinearBench(wiring.Component):
    """The unit with a queue of commands and a source that sends numbered words of 32 bits."""

    def __init__(self, config):
        self._config = config
        super().__init__(
            {
                "seed": In(16),
                "eighths": In(3),
                "push": In(1),
                "word": In(COMMAND_BITS),
                "asked": Out(1),
                "addr": Out(32),
                "beats": Out(24),
                "w_en": Out(1),
                "w_target": Out(2),
                "w_addr": Out(24),
                "w_data": Out(config.bus_bits),
                "table_w_en": Out(1),
                "table_w_addr": Out(range(2 * TABLE_ENTRIES)),
                "table_w_data": Out(32),
                "post": Out(MASK_BITS),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bits = self._config.bus_bits
        m.submodules.feeder = feeder = Feeder(width=COMMAND_BITS)
        m.submodules.linear = linear = LinearUnit(self._config)
        m.submodules.source = source = CountingSource(
            width=bits, words=bits // 32, seed=self.seed, eighths=self.eighths
        )
        m.submodules.stall = stall = Stall(seed=self.seed + 1, eighths=self.eighths)
        wiring.connect(m, feeder.o, linear.command)
        wiring.connect(m, source.o, linear.beats)
        m.d.comb += [
            feeder.push.eq(self.push),
            feeder.word.eq(self.word),
            source.enable.eq(1),
            linear.segments.ready.eq(stall.go),
            self.asked.eq(linear.segments.valid & stall.go),
            self.addr.eq(linear.segments.payload.addr),
            self.beats.eq(linear.segments.payload.beats),
        ]
        for name in linear.signature.members:
            if name.startswith(("w_", "table_w_")) or name in ("post", "idle"):
                m.d.comb += getattr(self, name).eq(getattr(linear, name))
        return m


bench = cache(LinearBench)  # one of each for all runs


def run(config, commands, *, seed, eighths, backend):
    codes = [int.from_bytes(assemble(Opcode.LOAD_LINEAR, **f), "little") for f in commands]
    total = sum(f["num_beats"] for f in commands)
    tables = sum(f["target"] == LoadTarget.TABLE for f in commands)
    clocks = 100 + total * (8 // (8 - eighths)) * 2 + (2 * TABLE_ENTRIES + 40) * tables
    vectors = [dict(push=1, word=code) for code in codes] + [dict(push=0)] * clocks
    vectors[0] |= dict(seed=seed, eighths=eighths)
    dut = bench(config)
    return run_vectors(dut, vectors, list(dut.signature.members), backend=backend)


def random_commands(config, rng, tables):
    commands = []
    for place in range(12):
        target = rng.choice([LoadTarget.WGT, LoadTarget.PARAM, LoadTarget.DW_WGT])
        beats = rng.choice([1, 2, rng.randint(1, 60)])
        if place in tables:
            target, beats = LoadTarget.TABLE, 8 * TABLE_ENTRIES // config.bus_bytes
        commands.append(
            dict(
                dram_addr=rng.randrange(1000) * config.bus_bytes, num_beats=beats, target=target,
                beat_addr=rng.choice([0, rng.randrange(1000)]), post=rng.randrange(1, 1 << MASK_BITS),
            )
        )  # fmt: skip
    return commands


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("eighths", [0, 5])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_commands(config, eighths, backend):
    """Every beat in its place, in order; a table's entries 0 ... 511; posts with the last write.

    A segment for each command, as it stands there; none while a table is on its way.
    """
    per_beat = config.bus_bytes // 4
    for seed in range(1 if backend == "pysim" else 3):
        where = f"seed {seed}"
        commands = random_commands(config, random.Random(seed), tables=(3, 4, 8))
        results = run(config, commands, seed=seed, eighths=eighths, backend=backend)
        asked = [(n, r["addr"], r["beats"]) for n, r in enumerate(results) if r["asked"]]
        assert [s[1:] for s in asked] == [(f["dram_addr"], f["num_beats"]) for f in commands], where
        writes, wanted, lasts = [], [], []
        for clock, r in enumerate(results):
            assert not (r["w_en"] and r["table_w_en"]), where
            if r["w_en"]:
                writes.append((clock, (r["w_target"], r["w_addr"], r["w_data"])))
            if r["table_w_en"]:
                writes.append((clock, ("table", r["table_w_addr"], r["table_w_data"])))
        word = 0
        for f in commands:
            for n in range(f["num_beats"]):
                numbers = range(word, word + per_beat)
                word += per_beat
                if f["target"] == LoadTarget.TABLE:
                    wanted += [("table", n * per_beat + i, v) for i, v in enumerate(numbers)]
                else:
                    value = sum(v << 32 * i for i, v in enumerate(numbers))
                    wanted.append((int(f["target"]), f["beat_addr"] + n, value))
            lasts.append(len(wanted) - 1)
        assert [write for _, write in writes] == wanted, where
        posts = [(n, r["post"]) for n, r in enumerate(results) if r["post"]]
        assert posts == [
            (writes[last][0], f["post"]) for last, f in zip(lasts, commands, strict=True)
        ], where
        for n, f in enumerate(commands[:-1]):
            if f["target"] == LoadTarget.TABLE:
                assert asked[n + 1][0] >= posts[n][0], where
        assert results[-1]["idle"], where
        assert not any(r["idle"] for r in results[4 : posts[-1][0]]), where


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_beat_a_clock(config, backend):
    """Without stalls and tables: a beat a clock, without a gap between commands of two beats up."""
    commands = [
        f | dict(num_beats=max(2, f["num_beats"]))
        for f in random_commands(config, random.Random(5), tables=())
    ]
    results = run(config, commands, seed=5, eighths=0, backend=backend)
    clocks = [n for n, r in enumerate(results) if r["w_en"]]
    assert len(clocks) == sum(f["num_beats"] for f in commands)
    assert clocks[-1] - clocks[0] == len(clocks) - 1
