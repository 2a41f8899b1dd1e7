"""Load unit against nested loops: words where they belong, padding, phases, halves, parts, posts."""

import dataclasses
import itertools
import random
from functools import cache

import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from streamparts import CountingSource, Feeder, Stall, word_of
from testconfigs import ODD, QUAD, WIDE

from skimp.ctrl.decode import COMMAND_BITS
from skimp.dma.load import LoadUnit
from skimp.isa import CHIP_BASE, MASK_BITS, Opcode, assemble, glb_address
from skimp_sim.bench.vectors import run_vectors

BACKENDS = [
    pytest.param("pysim", marks=pytest.mark.long),
    pytest.param("verilator", marks=pytest.mark.verilog),
]
ONE = dataclasses.replace(ODD, name="one", act_words=1)
SPREAD = dataclasses.replace(ODD, name="spread", act_words=8)
EVEN = dataclasses.replace(WIDE, name="even", act_words=2)
CONFIGS = [ONE, SPREAD, EVEN, QUAD]
"""Words of a beat from DRAM, from the chip, written at once: 1 1 1, 1 8 3, 2 2 2, 4 8 5."""

TAGS = (0x5A, 0xC3)
PITCH = 17


class LoadBench(wiring.Component):
    """The unit with a queue of commands and sources that send numbered words and stall."""

    def __init__(self, config):
        self._config = config
        words = config.load_words
        super().__init__(
            {
                "seed": In(16),
                "eighths": In(3),
                "push": In(1),
                "word": In(COMMAND_BITS),
                **{f"asked_{k}": Out(1) for k in range(2)},
                **{f"addr_{k}": Out(32) for k in range(2)},
                **{f"beats_{k}": Out(24) for k in range(2)},
                **{f"taken_{k}": Out(1) for k in range(2)},
                "room": Out(16),
                "post": Out(MASK_BITS),
                "idle": Out(1),
                "glb_w_count": Out(range(words + 1)),
                "glb_w_row": Out(16),
                "glb_w_bank": Out(4),
                "glb_w_data": Out(config.word_bits * words),
                "glb_w2_count": Out(range(words + 1)),
                "glb_w2_row": Out(16),
                "glb_w2_bank": Out(4),
                "glb_w2_data": Out(config.word_bits * max(1, words // 2)),
                "glb_w_dw": Out(1),
                "glb_w_blocks": Out(config.ofmap_blocks),
                "res_w_count": Out(range(words + 1)),
                "res_w_pixel": Out(16),
                "res_w_blocks": Out(config.ofmap_blocks),
                "res_w_data": Out(config.word_bits * words),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self._config
        m.submodules.feeder = feeder = Feeder(width=COMMAND_BITS)
        m.submodules.load = load = LoadUnit(cfg)
        wiring.connect(m, feeder.o, load.command)
        m.d.comb += [feeder.push.eq(self.push), feeder.word.eq(self.word)]
        ends = ((load.dram_beats, cfg.bus_words), (load.chip_beats, cfg.chip_words))
        for k, (beats, words) in enumerate(ends):
            source = CountingSource(
                width=cfg.word_bits * words, words=words, tag=TAGS[k], seed=self.seed + k,
                eighths=self.eighths,
            )  # fmt: skip
            stall = Stall(seed=self.seed + 7 + k, eighths=self.eighths)
            m.submodules[f"source_{k}"], m.submodules[f"stall_{k}"] = source, stall
            wiring.connect(m, source.o, beats)
            segments = load.segments[k]
            m.d.comb += [
                source.enable.eq(1),
                segments.ready.eq(stall.go),
                getattr(self, f"asked_{k}").eq(segments.valid & stall.go),
                getattr(self, f"addr_{k}").eq(segments.payload.addr),
                getattr(self, f"beats_{k}").eq(segments.payload.beats),
                getattr(self, f"taken_{k}").eq(beats.valid & beats.ready),
            ]
        for name in ("room", "post", "idle"):
            m.d.comb += getattr(self, name).eq(getattr(load, name))
        for name in load.signature.members:
            if name.startswith(("glb_w", "res_w")):
                value = getattr(load, name)
                ours = getattr(self, name)
                m.d.comb += ours.eq(Cat(*value) if name.endswith("_data") else value)
        return m


class Sources:
    """Words that the unit gets for its segments: numbered, from DRAM and from the chip."""

    def __init__(self, config):
        self.config = config
        self.beats = [0, 0]
        self.segments = [[], []]

    def words(self, f):
        """The data words of a command, in order; counts the beats that it takes."""
        cfg, words = self.config, []
        chip = int(f["dram_addr"] >= CHIP_BASE)
        lanes = cfg.chip_words if chip else cfg.bus_words
        size = lanes * cfg.word_bytes
        for block in range(f.get("dma_blocks", 0)):
            for n in range(f["seg_count"]):
                first = f["dram_addr"] % CHIP_BASE + block * f["block_stride"] + n * f["seg_stride"]
                skip = first % size // cfg.word_bytes
                beats = -(-(skip + f["seg_words"]) // lanes)
                self.segments[chip].append((first - first % size, beats))
                start = self.beats[chip] * lanes + skip
                self.beats[chip] += beats
                words += [
                    word_of(start + i, width=cfg.word_bits, tag=TAGS[chip])
                    for i in range(f["seg_words"])
                ]
        return words


def flat_of(config, address):
    """Flat word of a GLB address field; rows of 2**15 and above are negative."""
    row, bank = address & 0xFFFF, address >> 16
    return (row - (row >> 15 << 16)) * config.pixels + bank


def expected_tile(config, f, words):
    """(flat address, word, part) of every write, by the definition of LOAD_IFMAP.

    The part is None for the array's buffer.
    """
    fill = int.from_bytes(bytes([f["fill"] & 0xFF]) * config.in_channels, "little")
    words = iter(words)
    writes = []
    block = flat_of(config, f["glb_base"])
    for n in range(f["num_blocks"]):
        part = n % config.ofmap_blocks if f["dw"] else None
        row_start = block
        for y in range(f["pad_top"] + f["num_rows"] + f["pad_bottom"]):
            at, kept = row_start, 0
            for x in range(f["pad_left"] + f["num_cols"] + f["pad_right"]):
                real = 0 <= y - f["pad_top"] < f["num_rows"]
                real &= 0 <= x - f["pad_left"] < f["num_cols"]
                word = next(words) if real else fill
                if f["halve"] and x % 2:
                    continue
                writes.append((at, word, part))
                kept += 1
                wraps = kept % f["stride_w"] == 0
                at += flat_of(config, f["inc_col_wrap"] if wraps else f["inc_col"])
            wraps = (y + 1) % f["stride_h"] == 0
            row_start += flat_of(config, f["inc_row_wrap"] if wraps else f["inc_row"])
        if part in (None, config.ofmap_blocks - 1):
            block += flat_of(config, f["inc_block"])
    assert next(words, None) is None
    return writes


def plane_words(config):
    """Words of a column phase: two phases lie half of the banks apart, as pairs of them need."""
    return next(n for n in range(190, 300) if n % config.pixels == config.pixels // 2)


def glb_words(config, r):
    """(flat address, word, part) of what is written in a clock, in order of columns."""
    runs = []
    for port in ("glb_w", "glb_w2"):
        row, bank = r[f"{port}_row"], r[f"{port}_bank"]
        first = (row - (row >> 15 << 16)) * config.pixels + bank
        words = split(r[f"{port}_data"], config.word_bits, r[f"{port}_count"])
        runs.append([(first + n, word) for n, word in enumerate(words)])
    words = [w for pair in itertools.zip_longest(*runs) for w in pair if w is not None]
    assert not runs[1] or len(runs[0]) - len(runs[1]) in (0, 1)
    assert len({address % config.pixels for address, _ in words}) == len(words), "one bank twice"
    part = None
    if words and r["glb_w_dw"]:
        part = r["glb_w_blocks"].bit_length() - 1
        assert r["glb_w_blocks"] == 1 << part
    return [(*word, part) for word in words]


def random_source(config, rng, blocks, rows, cols):
    """Fields of the source: rows apart, blocks in one piece, or all of it in one piece."""
    unit = rng.choice([config.word_bytes, config.chip_bytes])
    shape = rng.choice(
        [(cols, rows, blocks), (rows * cols, 1, blocks), (blocks * rows * cols, 1, 1)]
    )
    seg_words, seg_count, dma_blocks = shape
    return dict(
        dram_addr=rng.randrange(60) * unit + rng.randrange(2) * CHIP_BASE, seg_words=seg_words,
        seg_count=seg_count, dma_blocks=dma_blocks,
        seg_stride=(seg_words + rng.randrange(20)) * config.word_bytes,
        block_stride=(blocks * rows * cols + rng.randrange(900)) * config.word_bytes,
    )  # fmt: skip


def random_tile(config, rng):
    """LOAD_IFMAP: any padding, strides, halves, empty rows and columns, either buffer."""
    glb = lambda words: glb_address(words, config.pixels)
    plane = plane_words(config)
    halve = rng.random() < 0.25
    stride_h, stride_w = rng.randint(1, 3), 1 if halve else rng.choice([1, 1, 2, 2, 3])
    rows = rng.choice([0, 1, 1, 3, 5])
    cols = rng.choice([0, 1, 2, 4, 7, config.load_words, 2 * config.load_words + 1, 16])
    top, bottom, left, right = (rng.choice([0, 0, 1, 2, config.load_words + 1]) for _ in range(4))
    if halve:
        left = right = 0
        cols = cols or 5
    if not rows or not cols:
        rows, cols = rng.choice([(0, 0), (rows, 0), (0, cols)])
    if not rows + top + bottom:
        top = 1
    if not cols + left + right:
        right = 1
    dw = rng.random() < 0.4
    blocks = rng.randint(1, max(3, 2 * config.ofmap_blocks + 1) if dw else 3)
    fields = dict(
        dram_addr=0, num_blocks=blocks, num_rows=rows, num_cols=cols, pad_top=top,
        pad_bottom=bottom, pad_left=left, pad_right=right, fill=rng.randint(-128, 127),
        stride_h=stride_h, stride_w=stride_w, glb_base=glb(rng.randrange(50)), halve=int(halve),
        dw=int(dw),
        inc_col=glb(plane), inc_col_wrap=glb(1 - (stride_w - 1) * plane),
        inc_row=glb(stride_w * plane),
        inc_row_wrap=glb(PITCH - (stride_h - 1) * stride_w * plane),
        inc_block=glb(stride_h * stride_w * plane),
    )  # fmt: skip
    if rows and cols:
        fields |= random_source(config, rng, blocks, rows, cols)
    return fields


def random_residual(config, rng):
    """LOAD_RESIDUAL: some blocks of some pixels from anywhere."""
    rows, cols = rng.choice([1, 1, 3]), rng.choice([1, 2, 7, config.load_words])
    fields = random_source(config, rng, rng.randint(1, config.ofmap_blocks), rows, cols)
    while fields["dma_blocks"] > config.ofmap_blocks:
        fields["dma_blocks"] -= 1
    base = rng.randrange(config.ofmap_depth)
    return fields | dict(num_pixels=fields["seg_count"] * fields["seg_words"], pixel_base=base)


def expected_residual(f, words):
    """(pixel, block mask, word) of every write, by the definition of LOAD_RESIDUAL."""
    places = [
        (f["pixel_base"] + n, 1 << block)
        for block in range(f["dma_blocks"])
        for n in range(f["num_pixels"])
    ]
    return [(*place, word) for place, word in zip(places, words, strict=True)]


def split(value, bits, count):
    return [value >> bits * n & (1 << bits) - 1 for n in range(count)]


bench = cache(LoadBench)  # one of each for all runs


def run(config, commands, *, seed, eighths, backend, clocks):
    codes = [int.from_bytes(assemble(op, **f), "little") for op, f in commands]
    vectors = [dict(push=1, word=code) for code in codes] + [dict(push=0)] * clocks
    vectors[0] |= dict(seed=seed, eighths=eighths)
    dut = bench(config)
    return run_vectors(dut, vectors, list(dut.signature.members), backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("eighths", [0, 5])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_commands(config, eighths, backend):
    """Both commands, from both sources, behind each other: every write, in order and once.

    Segments hold the beats of the words; a post comes with the last word of its command or a clock
    later, and before the next command's first word; `room` is what the queue of words has left.
    """
    for seed in range(1 if backend == "pysim" else 4):
        where = f"seed {seed}"
        rng = random.Random(seed)
        commands = []
        for _ in range(8 if backend == "pysim" else 14):
            if rng.random() < 0.7:
                op, fields = Opcode.LOAD_IFMAP, random_tile(config, rng)
            else:
                op, fields = Opcode.LOAD_RESIDUAL, random_residual(config, rng)
            commands.append((op, fields | dict(post=rng.randrange(1, 1 << MASK_BITS))))
        sources = Sources(config)
        wanted = []
        for op, f in commands:
            words = sources.words(f)
            if op == Opcode.LOAD_IFMAP:
                wanted.append([("glb", *w) for w in expected_tile(config, f, words)])
            else:
                wanted.append([("res", *w) for w in expected_residual(f, words)])
        total = sum(map(len, wanted)) + sum(sources.beats)
        results = run(
            config, commands, seed=seed, eighths=eighths, backend=backend,
            clocks=200 + total * (8 // (8 - eighths)) * 2,
        )  # fmt: skip
        writes = []
        for clock, r in enumerate(results):
            writes += [(clock, ("glb", *write)) for write in glb_words(config, r)]
            res = split(r["res_w_data"], config.word_bits, r["res_w_count"])
            writes += [
                (clock, ("res", r["res_w_pixel"] + n, r["res_w_blocks"], word))
                for n, word in enumerate(res)
            ]
        flat = [write for command in wanted for write in command]
        for n, ((clock, got), want) in enumerate(zip(writes, flat, strict=False)):
            assert got == want, f"{where} write {n} clock {clock}"
        assert len(writes) == len(flat), where
        for k in range(2):
            asked = [(r[f"addr_{k}"], r[f"beats_{k}"]) for r in results if r[f"asked_{k}"]]
            assert asked == sources.segments[k], where
            assert sum(r[f"taken_{k}"] for r in results) == sources.beats[k], where
        posts = [(n, r["post"]) for n, r in enumerate(results) if r["post"]]
        assert [post for _, post in posts] == [f["post"] for _, f in commands], where
        done = 0
        for (clock, _), command in zip(posts, wanted, strict=True):
            done += len(command)
            assert clock - writes[done - 1][0] in (0, 1), where
            assert done == len(writes) or writes[done][0] > clock, where
        assert results[-1]["idle"], where
        assert not any(r["idle"] for r in results[4 : posts[-1][0]]), where


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_halved_rows_with_padding_above_and_below(config, backend):
    """Rows of padding are as long as the halved rows: words behind them stay as they were."""
    for cols in (5, 6):
        fields = dict(
            dram_addr=0, num_blocks=2, num_rows=2, num_cols=cols, pad_top=1, pad_bottom=2, pad_left=0,
            pad_right=0, fill=9,
            stride_h=1, stride_w=1, halve=1, dw=0, glb_base=0,
            inc_col=glb_address(1, config.pixels),
            inc_col_wrap=glb_address(1, config.pixels), inc_row=glb_address(3, config.pixels),
            inc_row_wrap=glb_address(3, config.pixels), inc_block=glb_address(15, config.pixels),
            seg_words=4 * cols, seg_count=1, dma_blocks=1, seg_stride=0, block_stride=0,
        )  # fmt: skip
        wanted = expected_tile(config, fields, Sources(config).words(fields))
        commands = [(Opcode.LOAD_IFMAP, fields)]
        results = run(config, commands, seed=1, eighths=2, backend=backend, clocks=200)
        got = [write for r in results for write in glb_words(config, r)]
        assert got == wanted, f"{cols} columns"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_load_words_a_clock(config, backend):
    """Once words are there: load_words of a row a clock, padding or data, without a gap.

    With two column phases an even number; with more, a word a clock.
    """
    even = config.load_words - config.load_words % 2
    plane = plane_words(config)
    for stride_w in (1, 2, 3):
        most = {1: config.load_words, 2: max(1, even), 3: 1}[stride_w]
        rows, cols, left, right = 4, 6 * config.load_words - 1, 1, 2
        fields = dict(
            dram_addr=CHIP_BASE, num_blocks=2, num_rows=rows, num_cols=cols, pad_top=1,
            pad_left=left, pad_right=right, stride_h=1, stride_w=stride_w, seg_count=1,
            seg_words=2 * rows * cols, dma_blocks=1, inc_col=glb_address(plane, config.pixels),
            inc_col_wrap=glb_address(1 - (stride_w - 1) * plane, config.pixels),
            inc_row_wrap=glb_address(PITCH, config.pixels), inc_row=0, glb_base=0, halve=0, dw=0,
            pad_bottom=0, fill=-3, inc_block=glb_address(2 * plane, config.pixels), seg_stride=0,
            block_stride=0,
        )  # fmt: skip
        wanted = expected_tile(config, fields, Sources(config).words(fields))
        commands = [(Opcode.LOAD_IFMAP, fields)]
        results = run(config, commands, seed=1, eighths=0, backend=backend, clocks=1000)
        assert [write for r in results for write in glb_words(config, r)] == wanted
        clocks = [n for n, r in enumerate(results) if r["glb_w_count"]]
        row_clocks = -(-(left + cols + right) // most)
        assert len(clocks) == 2 * (1 + rows) * row_clocks
        # Data may come a little behind the first row, which is padding; then it stays ahead.
        assert clocks[-1] - clocks[row_clocks + 1] == len(clocks) - row_clocks - 2


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_room(config, backend):
    """`room` is the beats that fit behind the words not yet taken; it is used up and comes back."""
    capacity = max(16, 2 * config.burst_beats) * config.chip_words
    cols = 3 * capacity
    fields = dict(
        dram_addr=CHIP_BASE if config.bus_words == 1 else 0, num_blocks=1, num_rows=1,
        num_cols=cols, stride_h=1, stride_w=3, seg_words=cols, seg_count=1, dma_blocks=1,
        inc_col=glb_address(1, config.pixels), inc_col_wrap=glb_address(1, config.pixels),
    )  # fmt: skip
    commands = [(Opcode.LOAD_IFMAP, fields)]
    results = run(config, commands, seed=1, eighths=1, backend=backend, clocks=2 * cols + 100)
    chip = int(fields["dram_addr"] >= CHIP_BASE)
    lanes = config.chip_words if chip else config.bus_words
    pushed = written = 0
    rooms = set()
    for clock, r in enumerate(results):
        written += r["glb_w_count"]
        held = min(pushed * lanes, cols) - written
        assert r["room"] == (capacity - held) // config.bus_words, f"clock {clock}"
        rooms.add(r["room"])
        pushed += r[f"taken_{chip}"]
    assert written == cols
    assert max(rooms) == capacity // config.bus_words
    if lanes > 1:
        assert min(rooms) <= config.chip_words // config.bus_words
