"""Requests of load commands against nested loops: beats that hold the words, source, order."""

import dataclasses
import random
from functools import cache

import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from streamparts import Feeder, Stall
from testconfigs import ODD, QUAD, WIDE

from skimp.ctrl.decode import COMMAND_BITS
from skimp.dma.segments import LoadRequests
from skimp.isa import CHIP_BASE, Opcode, assemble
from skimp_sim.bench.vectors import run_vectors

BACKENDS = [
    pytest.param("pysim", marks=pytest.mark.long),
    pytest.param("verilator", marks=pytest.mark.verilog),
]
CONFIGS = [dataclasses.replace(ODD, name="one", act_words=1), WIDE, QUAD]
RUN = "chip skip count single tail".split()


class RequestBench(wiring.Component):
    """The requests with a queue of commands; every output stalls on its own."""

    def __init__(self, config):
        self._config = config
        super().__init__(
            {
                "seed": In(16),
                "eighths": In(3),
                "push": In(1),
                "word": In(COMMAND_BITS),
                "handed": Out(1),
                "pending": Out(COMMAND_BITS),
                **{f"asked_{k}": Out(1) for k in range(2)},
                **{f"addr_{k}": Out(32) for k in range(2)},
                **{f"beats_{k}": Out(24) for k in range(2)},
                "run": Out(1),
                "run_beats": Out(24),
                **{name: Out(8) for name in RUN},
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.feeder = feeder = Feeder(width=COMMAND_BITS)
        m.submodules.requests = requests = LoadRequests(self._config)
        go = []
        for n in range(4):
            stall = Stall(seed=self.seed + n, eighths=self.eighths)
            m.submodules[f"stall_{n}"] = stall
            go.append(stall.go)
        wiring.connect(m, feeder.o, requests.command)
        m.d.comb += [
            feeder.push.eq(self.push),
            feeder.word.eq(self.word),
            requests.pending.ready.eq(go[2]),
            self.handed.eq(requests.pending.valid & go[2]),
            self.pending.eq(requests.pending.payload),
            requests.runs.ready.eq(go[3]),
            self.run.eq(requests.runs.valid & go[3]),
            self.run_beats.eq(requests.runs.payload.beats),
            *(getattr(self, name).eq(requests.runs.payload[name]) for name in RUN),
        ]
        for k, segments in enumerate(requests.segments):
            m.d.comb += [
                segments.ready.eq(go[k]),
                getattr(self, f"asked_{k}").eq(segments.valid & go[k]),
                getattr(self, f"addr_{k}").eq(segments.payload.addr),
                getattr(self, f"beats_{k}").eq(segments.payload.beats),
            ]
        return m


bench = cache(RequestBench)  # one of each for all runs


def random_command(config, rng):
    """A load from anywhere: words that start and end inside beats, one word, whole beats, none."""
    words = rng.choice([1, 2, 3, config.chip_words, 2 * config.chip_words, rng.randint(1, 70), 0])
    chip = rng.randrange(2)
    unit = rng.choice([config.word_bytes, config.chip_bytes])
    return rng.choice([Opcode.LOAD_IFMAP, Opcode.LOAD_RESIDUAL]), dict(
        dram_addr=rng.randrange(500) * unit + chip * CHIP_BASE,
        seg_words=words,
        seg_count=rng.choice([1, 1, 2, 5]),
        dma_blocks=rng.choice([1, 2, 3]),
        seg_stride=rng.randrange(200) * config.word_bytes,
        block_stride=rng.randrange(3000) * config.word_bytes,
        post=rng.getrandbits(16),
    )


def held(config, run):
    """Lanes of the words of each beat of a run, as (first, end)."""
    lanes = config.chip_words if run["chip"] else config.bus_words
    first = (run["skip"], run["skip"] + run["count"])
    if run["single"]:
        assert run["run_beats"] == 1
        return [first]
    return [first, *[(0, lanes)] * (run["run_beats"] - 2), (0, run["tail"])]


def expected_held(config, chip, beats, skip, words):
    lanes = config.chip_words if chip else config.bus_words
    return [(max(skip - n * lanes, 0), min(skip + words - n * lanes, lanes)) for n in range(beats)]


def expected_segments(config, f):
    """(chip, address, beats, skip, words) of every segment."""
    chip = int(f["dram_addr"] >= CHIP_BASE)
    beat_bytes = config.chip_bytes if chip else config.bus_bytes
    segments = []
    for block in range(f["dma_blocks"] if f["seg_words"] else 0):
        for n in range(f["seg_count"]):
            first = f["dram_addr"] % CHIP_BASE + block * f["block_stride"] + n * f["seg_stride"]
            behind = first + f["seg_words"] * config.word_bytes
            beat, last_beat = first // beat_bytes, (behind - 1) // beat_bytes
            skip = first % beat_bytes // config.word_bytes
            beats = last_beat - beat + 1
            segments.append((chip, beat * beat_bytes, beats, skip, f["seg_words"]))
    return segments


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("eighths", [0, 5])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_segments(config, eighths, backend):
    """Segments go to their source in order, with the beats that hold their words and no more.

    Their runs come in the same order; a command is handed on, once and whole, before its first
    segment. Without stalls: a segment a clock, two clocks between commands.
    """
    for seed in range(1 if backend == "pysim" else 4):
        rng = random.Random(seed)
        commands = [random_command(config, rng) for _ in range(24)]
        codes = [int.from_bytes(assemble(op, **f), "little") for op, f in commands]
        wanted = [expected_segments(config, f) for _, f in commands]
        total = sum(map(len, wanted))
        vectors = [dict(push=1, word=code) for code in codes]
        vectors += [dict(push=0)] * (80 + (total + 3 * len(codes)) * (1 if not eighths else 12))
        vectors[0] |= dict(seed=seed, eighths=eighths)
        outputs = "handed pending asked_0 addr_0 beats_0 asked_1 addr_1 beats_1".split()
        outputs += ["run", "run_beats", *RUN]
        results = run_vectors(bench(config), vectors, outputs, backend=backend)
        where = f"seed {seed}"
        handed = [(n, r["pending"]) for n, r in enumerate(results) if r["handed"]]
        assert [code for _, code in handed] == codes, where
        asked = [
            (n, k, r[f"addr_{k}"], r[f"beats_{k}"])
            for n, r in enumerate(results)
            for k in range(2)
            if r[f"asked_{k}"]
        ]
        flat = [s for segments in wanted for s in segments]
        assert [s[1:] for s in asked] == [s[:3] for s in flat], where
        runs = [(r["chip"], held(config, r)) for r in results if r["run"]]
        assert runs == [(chip, expected_held(config, chip, *rest)) for chip, _, *rest in flat], (
            where
        )
        first, before = 0, None
        for (clock, _), segments in zip(handed, wanted, strict=True):
            clocks = [n for n, *_ in asked[first : first + len(segments)]]
            assert all(n > clock for n in clocks), where
            if not eighths and clocks:
                assert clocks == list(range(clock + 1, clock + 1 + len(clocks))), where
            if not eighths and before is not None:
                assert clock == before + 2, where  # taken in one clock, handed on in the next
            before = clocks[-1] if clocks else clock
            first += len(segments)
