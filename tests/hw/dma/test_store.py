"""Store unit against nested loops: segments, words read, order, with back-pressure."""

import dataclasses

import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from streamparts import Stall

from skimp.configs import PRESETS
from skimp.ctrl.decode import COMMAND_BITS
from skimp.dma.store import StoreUnit
from skimp.isa import Opcode, assemble
from skimp.mem.ofmap_glb import OfmapGlb
from skimp_sim.bench.vectors import run_vectors

CONFIG = dataclasses.replace(PRESETS["small"], ofmap_depth=128)


class StoreBench(wiring.Component):
    """The unit with an ofmap buffer and a write master that stalls."""

    def __init__(self, *, eighths):
        self._eighths = eighths
        super().__init__(
            {
                "command": In(COMMAND_BITS),
                "valid": In(1),
                "w_en": In(1),
                "w_addr": In(7),
                "w_data": In(8 * CONFIG.out_channels),
                "asked": Out(1),
                "addr": Out(32),
                "beats": Out(24),
                "moved": Out(1),
                "data": Out(CONFIG.bus_bits),
                "post": Out(16),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.store = store = StoreUnit(CONFIG)
        m.submodules.ofmap = ofmap = OfmapGlb(CONFIG)
        m.submodules.stall = stall = Stall(seed=3, eighths=self._eighths)
        m.d.comb += [
            store.command.payload.eq(self.command),
            store.command.valid.eq(self.valid),
            store.segments.ready.eq(stall.go),
            store.beats.ready.eq(stall.go),
            store.writer_idle.eq(1),
            self.asked.eq(store.segments.valid & stall.go),
            self.addr.eq(store.segments.payload.addr),
            self.beats.eq(store.segments.payload.beats),
            self.moved.eq(store.beats.valid & stall.go),
            self.data.eq(store.beats.payload),
            self.post.eq(store.post),
            self.idle.eq(store.idle),
            ofmap.w_en.eq(self.w_en),
            ofmap.w_addr.eq(self.w_addr),
            ofmap.w_data.eq(self.w_data),
            ofmap.r_en.eq(store.ofmap_r_en),
            ofmap.r_addr.eq(store.ofmap_r_addr),
            ofmap.r_block.eq(store.ofmap_r_block),
            store.ofmap_r_data.eq(ofmap.r_data),
        ]
        return m


def word_of(addr, block):
    return (addr * 0x0101_0101_0101 + block * 0x7F) & (1 << CONFIG.bus_bits) - 1


@pytest.mark.parametrize("backend", ["pysim", pytest.param("verilator", marks=pytest.mark.verilog)])
@pytest.mark.parametrize("eighths", [0, 4, 7])
@pytest.mark.parametrize(
    ("beats", "segments", "blocks", "base"),
    [(1, 1, 1, 0), (7, 3, 2, 40), (64, 1, 2, 64), (1, 9, 1, 5)],
)
def test_store(beats, segments, blocks, base, eighths, backend):
    fields = dict(
        dram_addr=0x4000, seg_beats=beats, seg_count=segments, seg_stride=512, block_stride=1 << 14,
        ofmap_base=base, num_blocks=blocks,
    )  # fmt: skip
    command = int.from_bytes(assemble(Opcode.STORE, post=0b10, **fields), "little")
    vectors = [
        dict(
            w_en=1, w_addr=a, valid=0,
            w_data=sum(word_of(a, b) << CONFIG.bus_bits * b for b in range(CONFIG.ofmap_blocks)),
        )
        for a in range(CONFIG.ofmap_depth)
    ]  # fmt: skip
    total = beats * segments * blocks
    vectors += [dict(w_en=0, command=command, valid=1)]
    vectors += [dict(valid=0)] * (60 + (total + segments * blocks) * (24 // (8 - eighths) + 1))
    outputs = ["asked", "addr", "beats", "moved", "data", "post", "idle"]
    results = run_vectors(StoreBench(eighths=eighths), vectors, outputs, backend=backend)
    asked = [(r["addr"], r["beats"]) for r in results if r["asked"]]
    assert asked == [
        (0x4000 + b * (1 << 14) + s * 512, beats) for b in range(blocks) for s in range(segments)
    ]
    moved = [(n, r["data"]) for n, r in enumerate(results) if r["moved"]]
    assert [data for _, data in moved] == [
        word_of(base + n, b) for b in range(blocks) for n in range(beats * segments)
    ]
    posts = [(n, r["post"]) for n, r in enumerate(results) if r["post"]]
    assert len(posts) == 1 and posts[0][1] == 0b10 and posts[0][0] > moved[-1][0]
    if not eighths:  # a beat a clock
        assert moved[-1][0] - moved[0][0] == total - 1
    assert results[-1]["idle"]
