"""Store unit with the write master: bytes in memory and on the chip, posts, records, throughput."""

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
from skimp.dma.axi_write import AxiWriter
from skimp.dma.store import StoreUnit
from skimp.isa import CHIP_BASE, MASK_BITS, RECORD_BYTES, Opcode, Semaphore, assemble
from skimp.mem.pixel_ram import PixelRam
from skimp_sim.bench.vectors import run_vectors

BACKENDS = [
    pytest.param("pysim", marks=pytest.mark.long),
    pytest.param("verilator", marks=pytest.mark.verilog),
]
ONE = dataclasses.replace(ODD, name="one", act_words=1)
EVEN = dataclasses.replace(WIDE, name="even", act_words=2, out_channels=32)
CONFIGS = [ONE, EVEN, QUAD]
"""Words of a beat to DRAM, to the chip: 1 1, 2 2, 4 8."""

STORED = 1 << Semaphore.STORED
COUNTERS = RECORD_BYTES // 4 - 1
OUTPUTS = (
    "aw awaddr awlen w wdata wstrb wlast b act_w_en act_w_addr act_w_data read post memory_post "
    "idle layer_id"
).split()


class StoreBench(wiring.Component):
    """The unit with its pixels, the write master and a memory that stalls and answers late.

    In `late` of eight clocks no answer comes. The counters of a record are the number of the clock
    and what follows it.
    """

    def __init__(self, config):
        self._config = config
        super().__init__(
            {
                "seed": In(16),
                "eighths": In(3),
                "late": In(3),
                "push": In(1),
                "word": In(COMMAND_BITS),
                "fill": In(1),
                "pixel": In(16),
                "pixel_data": In(8 * config.out_channels),
                "aw": Out(1),
                "awaddr": Out(32),
                "awlen": Out(8),
                "w": Out(1),
                "wdata": Out(config.bus_bits),
                "wstrb": Out(config.bus_bytes),
                "wlast": Out(1),
                "b": Out(1),
                "act_w_en": Out(config.chip_words),
                "act_w_addr": Out(32),
                "act_w_data": Out(config.chip_bits),
                "read": Out(1),
                "post": Out(MASK_BITS),
                "memory_post": Out(MASK_BITS),
                "idle": Out(1),
                "layer_id": Out(16),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self._config
        m.submodules.feeder = feeder = Feeder(width=COMMAND_BITS)
        m.submodules.store = store = StoreUnit(cfg)
        m.submodules.writer = writer = AxiWriter(cfg)
        m.submodules.ofmap = ofmap = PixelRam(
            cfg,
            depth=cfg.ofmap_depth,
            write_pixels=1,
            read_pixels=cfg.chip_words,
            read_words=True,
        )
        go = []
        for n, eighths in enumerate((self.eighths, self.eighths, self.late)):
            stall = Stall(seed=self.seed + n, eighths=eighths)
            m.submodules[f"stall_{n}"] = stall
            go.append(stall.go)
        wiring.connect(m, feeder.o, store.command)
        wiring.connect(m, store.segments, writer.segments)
        wiring.connect(m, store.beats, writer.beats)
        clock, unanswered = Signal(32), Signal(16)
        axi = writer.axi
        m.d.sync += [
            clock.eq(clock + 1),
            unanswered.eq(unanswered + (self.w & self.wlast) - self.b),
        ]
        m.d.comb += [
            feeder.push.eq(self.push),
            feeder.word.eq(self.word),
            ofmap.w_count.eq(self.fill),
            ofmap.w_pixel.eq(self.pixel),
            ofmap.w_data[0].eq(self.pixel_data),
            ofmap.r_en.eq(store.ofmap_r_en),
            ofmap.r_pixel.eq(store.ofmap_r_pixel),
            ofmap.r_lanes.eq(store.ofmap_r_lanes),
            ofmap.r_block.eq(store.ofmap_r_block),
            *(
                ours.eq(theirs)
                for ours, theirs in zip(store.ofmap_r_data, ofmap.r_data, strict=True)
            ),
            store.record.eq(Cat((clock + n)[:32] for n in range(COUNTERS))),
            store.writer_sent.eq(writer.sent),
            store.writer_answered.eq(writer.answered),
            axi.awready.eq(go[0]),
            axi.wready.eq(go[1]),
            axi.bvalid.eq(go[2] & (unanswered != 0)),
            self.aw.eq(axi.awvalid & go[0]),
            self.w.eq(axi.wvalid & go[1]),
            self.b.eq(axi.bvalid & axi.bready),
            self.read.eq(store.ofmap_r_en),
        ]
        for name in ("awaddr", "awlen", "wdata", "wstrb", "wlast"):
            m.d.comb += getattr(self, name).eq(getattr(axi, name))
        for name in "act_w_en act_w_addr act_w_data post memory_post idle layer_id".split():
            m.d.comb += getattr(self, name).eq(getattr(store, name))
        return m


bench = cache(StoreBench)  # one of each for all runs


def run(config, pixels, commands, *, seed, eighths, backend, clocks, late=6):
    """Return what came out from the clock on in which the first command was pushed."""
    codes = [int.from_bytes(assemble(op, **f), "little") for op, f in commands]
    vectors = [dict(fill=1, pixel=p, pixel_data=v) for p, v in enumerate(pixels)]
    vectors += [dict(fill=0, push=1, word=code) for code in codes]
    vectors += [dict(fill=0, push=0)] * clocks
    vectors[0] |= dict(seed=seed, eighths=eighths, late=late)
    return run_vectors(bench(config), vectors, OUTPUTS, backend=backend)[len(pixels) :]


def random_commands(config, rng):
    """Stores to both places that do not overlap, with records between them."""
    at = [0, 0]
    commands = []
    for n in range(14):
        post = rng.choice([rng.getrandbits(MASK_BITS), STORED, rng.getrandbits(MASK_BITS) | STORED])
        if n % 5 == 3:
            at[0] += -at[0] % RECORD_BYTES
            fields = dict(layer_id=rng.getrandbits(16), dram_addr=at[0], post=post)
            commands.append((Opcode.LAYER, fields))
            at[0] += RECORD_BYTES
            continue
        chip = int(rng.random() < 0.4)
        words = rng.choice([1, 2, config.chip_words, config.chip_words + 1, rng.randint(1, 30)])
        count = rng.randint(1, max(1, min(4, config.ofmap_depth // words)))
        blocks = rng.randint(1, config.ofmap_blocks)
        base = rng.randint(0, config.ofmap_depth - words * count)
        gaps = [rng.choice([0, 1, rng.randrange(12)]) for _ in range(3)]
        seg_stride = words + gaps[0]
        block_stride = count * seg_stride + gaps[1]
        first = at[chip] + gaps[2] * config.word_bytes
        fields = dict(
            dram_addr=first + chip * CHIP_BASE, seg_words=words, seg_count=count,
            seg_stride=seg_stride * config.word_bytes, num_blocks=blocks, ofmap_base=base,
            block_stride=block_stride * config.word_bytes, post=post,
        )  # fmt: skip
        commands.append((Opcode.STORE, fields))
        at[chip] = first + blocks * block_stride * config.word_bytes
    return commands


def expected(config, pixels, f):
    """(address, bytes) of every segment, and its beats."""
    chip = f["dram_addr"] >= CHIP_BASE
    size = config.chip_bytes if chip else config.bus_bytes
    word, segments, beats = config.word_bytes, [], 0
    for block in range(f["num_blocks"]):
        pixel = f["ofmap_base"]
        for n in range(f["seg_count"]):
            first = f["dram_addr"] % CHIP_BASE + block * f["block_stride"] + n * f["seg_stride"]
            values = b"".join(
                pixels[p].to_bytes(config.out_channels, "little")[block * word :][:word]
                for p in range(pixel, pixel + f["seg_words"])
            )
            pixel += f["seg_words"]
            segments.append((first, values))
            beats += (first + len(values) - 1) // size - first // size + 1
    return segments, beats


def put(memory, address, values, mask):
    """Write the bytes that a mask names; no byte twice."""
    for n, value in enumerate(values):
        if mask >> n & 1:
            assert address + n not in memory, f"byte {address + n:#x} is written twice"
            memory[address + n] = value


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("eighths", [0, 5])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_commands(config, eighths, backend):
    """Every byte of every store, once and no byte beside them; whole beats counted.

    Posts but STORED come the clock behind the last read. STORED comes in order, behind the answer
    to the last burst of its command and of all before it, and behind its chip writes. A record is
    the layer's number and the counters of one clock while the command ran.
    """
    for seed in range(1 if backend == "pysim" else 4):
        where = f"seed {seed}"
        rng = random.Random(seed)
        pixels = [rng.getrandbits(8 * config.out_channels) for _ in range(config.ofmap_depth)]
        commands = random_commands(config, rng)
        wanted, beats = [{}, {}], [[], []]
        for op, f in commands:
            chip = int(f["dram_addr"] >= CHIP_BASE)
            if op == Opcode.LAYER:
                segments, count = [], RECORD_BYTES // config.bus_bytes
            else:
                segments, count = expected(config, pixels, f)
            for address, values in segments:
                put(wanted[chip], address, values, -1)
            beats[chip].append(count)
            beats[1 - chip].append(0)
        clocks = 400 + sum(map(sum, beats)) * (8 // (8 - eighths)) * 3 + 60 * len(commands)
        results = run(
            config, pixels, commands, seed=seed, eighths=eighths, backend=backend, clocks=clocks
        )

        memory = [{}, {}]
        bursts, beat_ends = [], []
        for clock, r in enumerate(results):
            if r["act_w_en"]:
                address = r["act_w_addr"] - r["act_w_addr"] % config.chip_bytes
                mask = sum(
                    (1 << config.word_bytes) - 1 << config.word_bytes * n
                    for n in range(config.chip_words)
                    if r["act_w_en"] >> n & 1
                )
                values = r["act_w_data"].to_bytes(config.chip_bytes, "little")
                put(memory[1], address, values, mask)
            if r["aw"]:
                assert r["awaddr"] % config.bus_bytes == 0, where
                bursts += [
                    (r["awaddr"] + n * config.bus_bytes, n == r["awlen"])
                    for n in range(r["awlen"] + 1)
                ]
            if r["w"]:
                beat_ends.append((clock, r["wlast"], r["wdata"], r["wstrb"]))
        assert len(bursts) == len(beat_ends) == sum(beats[0]), where
        for (address, end), (_, last, value, strobes) in zip(bursts, beat_ends, strict=True):
            assert last == end and strobes, where
            put(memory[0], address, value.to_bytes(config.bus_bytes, "little"), strobes)
        act_clocks = [n for n, r in enumerate(results) if r["act_w_en"]]
        assert len(act_clocks) == sum(beats[1]), where
        answers = [n for n, r in enumerate(results) if r["b"]]
        assert len(answers) == sum(end for _, end in bursts), where

        # Posts: each command's mask, without and with STORED.
        reads = iter([n for n, r in enumerate(results) if r["read"]])
        posts = iter([(n, r["post"]) for n, r in enumerate(results) if r["post"]])
        stored = iter([(n, r["memory_post"]) for n, r in enumerate(results) if r["memory_post"]])
        sent = [0, 0]
        for n, (op, f) in enumerate(commands):
            which = f"{where} command {n}"
            sent = [done + more[n] for done, more in zip(sent, beats, strict=True)]
            if op == Opcode.STORE:
                for _ in range(beats[0][n] + beats[1][n]):
                    last_read = next(reads)
            if f["post"] & ~STORED:
                clock, post = next(posts)
                assert post == f["post"] & ~STORED, which
                assert op == Opcode.LAYER or clock == last_read + 1, which
            if f["post"] & STORED:
                clock, post = next(stored)
                assert post == STORED, which
                acknowledged = sum(end for _, end in bursts[: sent[0]])
                assert clock > answers[acknowledged - 1] if acknowledged else True, which
                assert clock > act_clocks[sent[1] - 1] if sent[1] else True, which
            if op == Opcode.LAYER:
                record = bytes(memory[0].pop(f["dram_addr"] + k) for k in range(RECORD_BYTES))
                words = [int.from_bytes(record[4 * k :][:4], "little") for k in range(COUNTERS + 1)]
                assert words[0] == f["layer_id"], which
                assert words[1:] == list(range(words[1], words[1] + COUNTERS)), which
                seen = words[1] - len(pixels)
                assert results[seen + 1]["layer_id"] == f["layer_id"], which
                assert seen < beat_ends[sent[0] - beats[0][n]][0], which
        assert next(posts, None) is next(stored, None) is next(reads, None) is None, where
        assert memory == wanted, where
        assert results[-1]["idle"], where
        busy = max(answers[-1], act_clocks[-1])
        assert not any(r["idle"] for r in results[4:busy]), where


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
@pytest.mark.parametrize("chip", [0, CHIP_BASE])
def test_beat_a_clock(config, chip, backend):
    """Without stalls: a beat a clock, one clock for each segment, two between commands."""
    lanes = config.chip_words if chip else config.bus_words
    count, words = 2, config.ofmap_depth // 2
    fields = dict(
        dram_addr=chip, seg_words=words, seg_count=count, seg_stride=words * config.word_bytes,
        num_blocks=1, block_stride=0,
    )  # fmt: skip
    commands = [(Opcode.STORE, fields), (Opcode.STORE, fields)]
    results = run(
        config, [0] * config.ofmap_depth, commands, seed=1, eighths=0, backend=backend,
        clocks=900, late=0,
    )  # fmt: skip
    reads = [n for n, r in enumerate(results) if r["read"]]
    beats = -(-words // lanes)
    assert len(reads) == 2 * count * beats
    gaps = [b - a for a, b in zip(reads, reads[1:], strict=False)]
    places = [beats * n - 1 for n in range(1, 2 * count)]
    # A segment's clock; IDLE and START come on top between commands.
    assert [gaps[p] for p in places] == [2, 4, 2]
    assert all(gap == 1 for n, gap in enumerate(gaps) if n not in places)


@pytest.mark.parametrize("backend", BACKENDS)
def test_more_than_256_bursts(backend):
    """The burst counters wrap: STORED still waits for its own answer."""
    rng = random.Random(9)
    pixels = [rng.getrandbits(8 * ONE.out_channels) for _ in range(ONE.ofmap_depth)]
    fields = dict(
        seg_words=1, seg_count=1, seg_stride=8, num_blocks=1, block_stride=8, ofmap_base=5
    )
    count = 30
    commands = [
        (Opcode.STORE, fields | dict(dram_addr=256 * n, seg_count=10, seg_stride=16, post=STORED))
        for n in range(count)
    ]
    results = run(ONE, pixels, commands, seed=3, eighths=1, backend=backend, clocks=9000)
    answers = [n for n, r in enumerate(results) if r["b"]]
    stored = [n for n, r in enumerate(results) if r["memory_post"]]
    assert len(answers) == 10 * count and len(stored) == count
    for n, clock in enumerate(stored):
        assert 0 < clock - answers[10 * n + 9] < 8, f"command {n}"
