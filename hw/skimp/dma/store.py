"""Store unit: executes STORE."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.config import Config
from skimp.ctrl.decode import COMMAND_BITS, view
from skimp.dma.axi import SegmentLayout
from skimp.feed.pipe import delay
from skimp.isa import Opcode

__all__ = ["StoreUnit"]

_BUFFERED_BEATS = 4


class StoreUnit(wiring.Component):
    """Reads drained pixels from the ofmap side of the GLB and hands them to the write master.

    Parameters
    ----------
    config : Config

    Members
    -------
    command : In(stream), post : Out(16), idle : Out(1)
    segments : Out(stream(SegmentLayout)), beats : Out(stream(bus_bits))
    writer_idle : In(1)
        The write master has written and acknowledged everything.
    ofmap_r_en, ofmap_r_addr, ofmap_r_block : Out, ofmap_r_data : In(bus_bits)
        Data one clock after r_en.

    Notes
    -----
    *Throughput*: a beat a clock; a command ends when its writes are acknowledged.
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "command": In(stream.Signature(COMMAND_BITS)),
                "post": Out(16),
                "idle": Out(1),
                "segments": Out(stream.Signature(SegmentLayout)),
                "beats": Out(stream.Signature(config.bus_bits)),
                "writer_idle": In(1),
                "ofmap_r_en": Out(1),
                "ofmap_r_addr": Out(ceil_log2(config.ofmap_depth)),
                "ofmap_r_block": Out(range(max(config.ofmap_blocks, 2))),
                "ofmap_r_data": In(config.bus_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        command = Signal(COMMAND_BITS, reset_less=True)
        store = view(command, Opcode.STORE)
        start, running = Signal(), Signal()

        # Addresses: blocks, segments.
        asking = Signal()
        addr, block_addr = Signal(32, reset_less=True), Signal(32, reset_less=True)
        ask_seg, ask_block = Signal(16), Signal(8)
        m.d.comb += [
            self.segments.valid.eq(asking),
            self.segments.payload.addr.eq(addr),
            self.segments.payload.beats.eq(store.seg_beats),
        ]
        with m.If(start):
            m.d.sync += [
                asking.eq(1),
                addr.eq(store.dram_addr),
                block_addr.eq(store.dram_addr),
                ask_seg.eq(0),
                ask_block.eq(0),
            ]
        with m.Elif(asking & self.segments.ready):
            m.d.sync += [addr.eq(addr + store.seg_stride), ask_seg.eq(ask_seg + 1)]
            with m.If(ask_seg + 1 == store.seg_count):
                m.d.sync += [
                    ask_seg.eq(0),
                    ask_block.eq(ask_block + 1),
                    addr.eq(block_addr + store.block_stride),
                    block_addr.eq(block_addr + store.block_stride),
                ]
                with m.If(ask_block + 1 == store.num_blocks):
                    m.d.sync += asking.eq(0)

        # Data: the same walk over words, a read ahead of a small queue.
        reading = Signal()
        word, block = Signal(16, reset_less=True), Signal(8, reset_less=True)
        beat, seg = Signal(16), Signal(16)
        m.submodules.queue = queue = SyncFIFOBuffered(
            width=self._config.bus_bits, depth=_BUFFERED_BEATS + 2
        )
        room = Signal()
        m.d.comb += [
            room.eq(queue.level < _BUFFERED_BEATS),
            self.ofmap_r_en.eq(reading & room),
            self.ofmap_r_addr.eq(word),
            self.ofmap_r_block.eq(block),
            queue.w_en.eq(delay(m, self.ofmap_r_en, 1, name="read")),
            queue.w_data.eq(self.ofmap_r_data),
            self.beats.payload.eq(queue.r_data),
            self.beats.valid.eq(queue.r_rdy),
            queue.r_en.eq(self.beats.ready),
        ]
        with m.If(start):
            m.d.sync += [
                reading.eq(1),
                word.eq(store.ofmap_base),
                block.eq(0),
                beat.eq(0),
                seg.eq(0),
            ]
        with m.Elif(self.ofmap_r_en):
            m.d.sync += [word.eq(word + 1), beat.eq(beat + 1)]
            with m.If(beat + 1 == store.seg_beats):
                m.d.sync += [beat.eq(0), seg.eq(seg + 1)]
                with m.If(seg + 1 == store.seg_count):
                    m.d.sync += [seg.eq(0), block.eq(block + 1), word.eq(store.ofmap_base)]
                    with m.If(block + 1 == store.num_blocks):
                        m.d.sync += reading.eq(0)

        finished = Signal()
        m.d.comb += finished.eq(running & ~asking & ~reading & self.writer_idle & ~self.beats.valid)
        settle = Signal(2)
        with m.FSM(name="state"):
            with m.State("IDLE"):
                m.d.comb += [self.command.ready.eq(1), self.idle.eq(~self.command.valid)]
                with m.If(self.command.valid):
                    m.d.sync += command.eq(self.command.payload)
                    m.next = "START"
            with m.State("START"):
                m.d.comb += start.eq(1)
                m.d.sync += settle.eq(0)
                m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += running.eq(1)
                # The last beat takes a clock through the queue, the last segment one to the
                # master: only then does the master's idle mean this command.
                with m.If(~finished):
                    m.d.sync += settle.eq(0)
                with m.Elif(settle != 3):
                    m.d.sync += settle.eq(settle + 1)
                with m.Else():
                    m.d.comb += self.post.eq(store.post)
                    m.next = "IDLE"
        return m
