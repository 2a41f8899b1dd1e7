"""Load unit against nested loops: addresses asked for, words written, padding, phases."""

import dataclasses
import random

import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from streamparts import CountingSource

from skimp.configs import PRESETS
from skimp.ctrl.decode import COMMAND_BITS
from skimp.dma.load import LoadUnit
from skimp.isa import LoadTarget, Opcode, assemble, glb_address
from skimp_sim.bench.vectors import run_vectors

BACKENDS = ["pysim", pytest.param("verilator", marks=pytest.mark.verilog)]


class LoadBench(wiring.Component):
    """The unit with a memory that sends 0, 1, 2, ... and stalls."""

    def __init__(self, config, *, eighths):
        self._config, self._eighths = config, eighths
        bits = config.bus_bits
        super().__init__(
            {
                "command": In(COMMAND_BITS),
                "valid": In(1),
                "post": Out(16),
                "idle": Out(1),
                "asked": Out(1),
                "addr": Out(32),
                "beats": Out(24),
                **{f"glb_w_{n}": Out(w) for n, w in (("en", 1), ("row", 16), ("bank", 4))},
                "glb_w_data": Out(bits),
                **{
                    f"lin_w_{n}": Out(w)
                    for n, w in (("en", 1), ("target", 2), ("word", 16), ("lane", 7))
                },
                "lin_w_data": Out(bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.load = load = LoadUnit(self._config)
        m.submodules.source = source = CountingSource(
            width=self._config.bus_bits, seed=5, eighths=self._eighths
        )
        wiring.connect(m, source.o, load.beats)
        m.d.comb += [
            load.command.payload.eq(self.command),
            load.command.valid.eq(self.valid),
            load.segments.ready.eq(1),
            self.asked.eq(load.segments.valid),
            self.addr.eq(load.segments.payload.addr),
            self.beats.eq(load.segments.payload.beats),
            self.post.eq(load.post),
            self.idle.eq(load.idle),
            source.enable.eq(1),
        ]
        for name in ("glb_w_en", "glb_w_row", "glb_w_bank", "glb_w_data"):
            m.d.comb += getattr(self, name).eq(getattr(load, name))
        for name in ("lin_w_en", "lin_w_target", "lin_w_word", "lin_w_lane", "lin_w_data"):
            m.d.comb += getattr(self, name).eq(getattr(load, name))
        return m


def run(config, opcode, fields, words, *, eighths, backend):
    """Run one command; return segments, writes to the GLB, linear writes, clock of the post."""
    command = int.from_bytes(assemble(opcode, post=0b1001, **fields), "little")
    clocks = 60 + words * (8 // (8 - eighths) + 1) * 2
    vectors = [dict(command=command, valid=1)] + [dict(valid=0)] * clocks
    dut = LoadBench(config, eighths=eighths)
    outputs = (
        "post idle asked addr beats glb_w_en glb_w_row glb_w_bank glb_w_data lin_w_en "
        "lin_w_target lin_w_word lin_w_lane lin_w_data"
    ).split()
    results = run_vectors(dut, vectors, outputs, backend=backend)
    segments = [(r["addr"], r["beats"]) for r in results if r["asked"]]
    glb = [
        (n, (r["glb_w_row"], r["glb_w_bank"], r["glb_w_data"]))
        for n, r in enumerate(results)
        if r["glb_w_en"]
    ]
    linear = [
        (n, tuple(r[f"lin_w_{k}"] for k in ("target", "word", "lane", "data")))
        for n, r in enumerate(results)
        if r["lin_w_en"]
    ]
    posts = [(n, r["post"]) for n, r in enumerate(results) if r["post"]]
    assert results[-1]["idle"]
    return segments, glb, linear, posts


def expected_tile(config, f):
    """(row, bank, data) of every word, by the definition of LOAD_IFMAP."""
    pixels = config.pixels

    def flat(address):
        row, bank = address & 0xFFFF, address >> 16
        return (row - (row >> 15 << 16)) * pixels + bank

    fill = int.from_bytes(bytes([f["fill"] & 0xFF]) * config.in_channels, "little")
    count, words = 0, []
    block = flat(f["glb_base"])
    for _ in range(f["num_blocks"]):
        row_start = block
        rows = f["pad_top"] + f["num_rows"] + f["pad_bottom"]
        for y in range(rows):
            word = row_start
            for x in range(f["pad_left"] + f["num_cols"] + f["pad_right"]):
                real_row = f["pad_top"] <= y < f["pad_top"] + f["num_rows"]
                real_col = f["pad_left"] <= x < f["pad_left"] + f["num_cols"]
                real = real_row and real_col
                words.append((word // pixels, word % pixels, count if real else fill))
                count += real
                wraps = (x + 1) % f["stride_w"] == 0
                word += flat(f["inc_col_wrap"] if wraps else f["inc_col"])
            row_start += flat(f["inc_row_wrap"] if (y + 1) % f["stride_h"] == 0 else f["inc_row"])
        block += flat(f["inc_block"])
    return words


def random_tile(rng, pixels):
    glb = lambda words: glb_address(words, pixels)
    stride_h, stride_w = rng.randint(1, 3), rng.randint(1, 3)
    rows, cols = rng.choice([0, 1, 3, 5]), rng.choice([0, 1, 4, 7])
    pads = [rng.choice([0, 0, 1, 2]) for _ in range(4)]
    if not rows + pads[0] + pads[1]:
        pads[0] = 1
    if not cols + pads[2] + pads[3]:
        pads[3] = 1
    if not rows or not cols:
        rows, cols = (rows, 0) if cols == 0 else (0, cols)
    plane, pitch, blocks = 90, 13, rng.randint(1, 3)
    fields = dict(
        dram_addr=rng.randrange(100) * 64, num_blocks=blocks, num_rows=rows, num_cols=cols,
        pad_top=pads[0], pad_bottom=pads[1], pad_left=pads[2], pad_right=pads[3],
        fill=rng.randint(-128, 127), stride_h=stride_h, stride_w=stride_w,
        glb_base=glb(rng.randrange(50)), inc_col=glb(plane),
        inc_col_wrap=glb(1 - (stride_w - 1) * plane), inc_row=glb(stride_w * plane),
        inc_row_wrap=glb(pitch - (stride_h - 1) * stride_w * plane),
        inc_block=glb(stride_h * stride_w * plane),
    )  # fmt: skip
    if rows and cols:
        fields |= dict(
            seg_beats=cols, seg_count=rows, dma_blocks=blocks, seg_stride=1024, block_stride=1 << 16
        )
    return fields


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("eighths", [0, 5])
@pytest.mark.parametrize("pixels", [1, 3, 4])
def test_tile(pixels, eighths, backend):
    config = dataclasses.replace(PRESETS["small"], pixels=pixels)
    for seed in range(6):
        fields = random_tile(random.Random(seed), pixels)
        wanted = expected_tile(config, fields)
        segments, glb, linear, posts = run(
            config, Opcode.LOAD_IFMAP, fields, len(wanted), eighths=eighths, backend=backend
        )
        where = f"seed {seed} pixels {pixels}"
        assert [word for _, word in glb] == wanted, where
        asked = [
            (fields["dram_addr"] + b * (1 << 16) + s * 1024, fields["seg_beats"])
            for b in range(fields.get("dma_blocks", 0))
            for s in range(fields.get("seg_count", 0))
        ]
        assert segments == asked, where
        assert not linear
        assert posts == [(glb[-1][0], 0b1001)], where
        if not eighths:  # a word a clock, padding too
            assert glb[-1][0] - glb[0][0] == len(glb) - 1, where


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("eighths", [0, 5])
@pytest.mark.parametrize("target", list(LoadTarget))
def test_linear(target, eighths, backend):
    config = PRESETS["small"]
    lanes = {
        LoadTarget.WGT: config.wgt_block_beats,
        LoadTarget.PARAM: config.param_block_beats,
    }.get(target, 1)
    beats = 3 * lanes
    fields = dict(dram_addr=4096, num_beats=beats, target=target, word_addr=7)
    segments, glb, linear, posts = run(
        config, Opcode.LOAD_LINEAR, fields, beats, eighths=eighths, backend=backend
    )
    assert segments == [(4096, beats)]
    assert not glb
    wanted = [(int(target), 7 + n // lanes, n % lanes, n) for n in range(beats)]
    assert [word for _, word in linear] == wanted
    assert posts == [(linear[-1][0], 0b1001)]
