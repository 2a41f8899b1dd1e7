"""Store unit: executes STORE and LAYER."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.config import Config
from skimp.ctrl.decode import COMMAND_BITS, view
from skimp.dma.axi import SegmentLayout, WriteBeatLayout
from skimp.dma.segments import segment_walk
from skimp.dma.word_fifo import at_most
from skimp.feed.pipe import delay
from skimp.isa import (
    MASK_BITS,
    MAX_TABLE_UNITS,
    MAX_UNIT_BEATS,
    RECORD_BYTES,
    Opcode,
    Semaphore,
)
from skimp.rlc.format import Code
from skimp.rlc.unit_writer import UnitWriter

__all__ = ["StoreUnit"]

_QUEUED_BEATS = 6
_TICKETS = 8
_STORED = 1 << Semaphore.STORED


class StoreUnit(wiring.Component):
    """Reads drained pixels from the ofmap side of the GLB and writes them, a beat a clock.

    Parameters
    ----------
    config : Config

    Members
    -------
    command : In(stream), idle : Out(1)
    post : Out(MASK_BITS)
        Semaphores of a command whose pixels have all been read.
    memory_post : Out(MASK_BITS)
        STORED of a command whose writes are all acknowledged.
    segments : Out(stream(SegmentLayout)), beats : Out(stream(WriteBeatLayout))
        To DRAM.
    writer_sent, writer_answered : In(8)
        Bursts of the write master.
    act_w_en, act_w_addr, act_w_data : Out(chip_bits)
        To the activation store.
    ofmap_r_en, ofmap_r_pixel, ofmap_r_lanes, ofmap_r_block : Out
    ofmap_r_data : In(word_bits).array(chip_words)
        One clock after ofmap_r_en.
    record : In(8 * RECORD_BYTES - 32)
        Counters, 32 bits each; `layer_id` goes before them.
    layer_id : Out(16)
    table_w_en, table_w_addr, table_w_data : Out
        Tile table.

    Notes
    -----
    *Throughput*: a beat a clock; one clock for each segment, two between commands. Coded units go
    at the rate of the encoder, and what follows them waits until they are on their way.
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "command": In(stream.Signature(COMMAND_BITS)),
                "post": Out(MASK_BITS),
                "memory_post": Out(MASK_BITS),
                "idle": Out(1),
                "segments": Out(stream.Signature(SegmentLayout)),
                "beats": Out(stream.Signature(WriteBeatLayout(config))),
                "writer_sent": In(8),
                "writer_answered": In(8),
                "act_w_en": Out(config.chip_words),
                "act_w_addr": Out(32),
                "act_w_data": Out(config.chip_bits),
                "ofmap_r_en": Out(1),
                "ofmap_r_pixel": Out(16),
                "ofmap_r_lanes": Out(config.chip_words),
                "ofmap_r_block": Out(range(max(config.ofmap_blocks, 2))),
                "ofmap_r_data": In(config.word_bits).array(config.chip_words),
                "record": In(8 * RECORD_BYTES - 32),
                "layer_id": Out(16),
                "table_w_en": Out(1),
                "table_w_addr": Out(range(MAX_TABLE_UNITS)),
                "table_w_data": Out(range(MAX_UNIT_BEATS + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self._config
        lanes = cfg.chip_words
        chip_shift = ceil_log2(cfg.chip_bytes)
        command = Signal(COMMAND_BITS, reset_less=True)
        store, layer = view(command, Opcode.STORE), view(command, Opcode.LAYER)
        incoming = view(self.command.payload, Opcode.STORE)

        codec = bool(cfg.tile_table_depth)
        # What goes down the pipe with each beat: to the queue once the pixels are read.
        beat_layout = data.StructLayout(
            {
                "words": lanes, "addr": 32, "chip": 1, "end": 1, "record": 1, "nth": 4,
                "code": 2 * codec, "unit_end": codec, "zero": 8 * codec,
            }
        )  # fmt: skip
        read = Signal(beat_layout)
        read_en = Signal()
        arrived = delay(m, read, 1, name="arrived", reset_less=True)
        arrived_en = delay(m, read_en, 1, name="arrived_en")
        out_layout = data.StructLayout(
            {
                "data": cfg.chip_bits, "words": lanes, "end": 1, "addr": 32, "chip": 1, "stored": 1,
                "code": 2 * codec, "unit_end": codec, "zero": 8 * codec,
            }
        )  # fmt: skip
        m.submodules.queue = queue = SyncFIFOBuffered(
            width=Shape.cast(out_layout).width, depth=_QUEUED_BEATS
        )
        room = Signal()
        m.d.comb += room.eq(at_most(queue.level, _QUEUED_BEATS - 3))

        # The walk: blocks, segments, beats.
        start, step = (Signal(name=name) for name in ("start", "step"))
        walk = segment_walk(
            m,
            cfg,
            start=start,
            step=step,
            incoming=incoming,
            command=store,
            blocks=incoming.num_blocks,
        )
        beats_left = Signal(24)
        addr = Signal(32, reset_less=True)
        # The segment's first pixel; that of the beat's first place, which `skip` words leave free.
        pixel, beat_pixel = (Signal(16, name=n, reset_less=True) for n in ("pixel", "beat_pixel"))
        block = Signal.like(self.ofmap_r_block)
        first, last_beat = (Signal(name=name) for name in ("first", "last_beat"))
        low, end = (Signal(range(lanes + 1), name=name) for name in ("low", "end"))
        chip = Signal()
        snapshot = Signal(8 * RECORD_BYTES, reset_less=True)
        nth = Signal(4)
        m.d.comb += [
            chip.eq(store.dram_addr[31]),
            low.eq(Mux(first, walk.run.skip, 0)),
            end.eq(Mux(last_beat, walk.run.tail, Mux(chip, lanes, cfg.bus_words))),
            self.ofmap_r_en.eq(read_en & ~read.record),
            self.ofmap_r_pixel.eq(beat_pixel),
            self.ofmap_r_lanes.eq(read.words),
            self.ofmap_r_block.eq(block),
            read.addr.eq(addr),
            read.chip.eq(chip),
            read.nth.eq(nth),
            read.code.eq(store.code),
            read.unit_end.eq(last_beat),
            read.zero.eq(store.zero),
        ]
        coded = (store.code != 0) & codec
        # What goes to DRAM as it is goes behind coded units; these say where they go.
        units_over, place_ready, place_valid = Signal(init=1), Signal(init=1), Signal()
        posts = Signal(MASK_BITS)
        record_beats = RECORD_BYTES // cfg.bus_bytes

        with m.FSM(name="state"):
            with m.State("IDLE"):
                m.d.comb += [self.command.ready.eq(1), start.eq(1)]
                with m.If(self.command.valid):
                    m.d.sync += command.eq(self.command.payload)
                    m.next = "START"
            with m.State("START"):
                m.d.comb += step.eq(1)
                m.d.sync += [pixel.eq(store.ofmap_base), block.eq(0), nth.eq(0)]
                with m.If(layer.opcode == Opcode.LAYER):
                    m.d.sync += [
                        self.layer_id.eq(layer.layer_id),
                        snapshot.eq(Cat(layer.layer_id, Const(0, 16), self.record)),
                    ]
                    m.next = "RECORD_SEGMENT"
                with m.Else():
                    m.next = "SEGMENT"
            with m.State("SEGMENT"):
                m.d.comb += [
                    self.segments.valid.eq(~chip & ~coded & units_over),
                    self.segments.payload.eq(walk.segment),
                    place_valid.eq(coded),
                ]
                m.d.sync += [
                    beats_left.eq(walk.segment.beats),
                    beat_pixel.eq(pixel - walk.run.skip),
                    first.eq(1),
                    last_beat.eq(walk.run.single),
                    addr.eq(walk.segment.addr),
                ]
                with m.If(chip | Mux(coded, place_ready, units_over & self.segments.ready)):
                    m.next = "BEATS"
            with m.State("BEATS"):
                for n in range(lanes):
                    m.d.comb += read.words[n].eq(at_most(low, n) & ~at_most(end, n))
                m.d.comb += [
                    read_en.eq(room),
                    read.end.eq(last_beat & walk.final),
                ]
                with m.If(room):
                    m.d.sync += [
                        beats_left.eq(beats_left - 1),
                        beat_pixel.eq(beat_pixel + Mux(chip, lanes, cfg.bus_words)),
                        first.eq(0),
                        last_beat.eq(beats_left == 2),
                        addr[chip_shift:].eq(addr[chip_shift:] + 1),
                    ]
                    with m.If(last_beat):
                        m.d.comb += step.eq(1)
                        m.d.sync += pixel.eq(pixel + store.seg_words)
                        m.next = "SEGMENT"
                        with m.If(walk.last_of_block):
                            m.d.sync += [block.eq(block + 1), pixel.eq(store.ofmap_base)]
                        with m.If(walk.final):
                            m.d.comb += posts.eq(store.post)
                            m.next = "IDLE"
            with m.State("RECORD_SEGMENT"):
                m.d.comb += [
                    self.segments.valid.eq(units_over),
                    self.segments.payload.addr.eq(layer.dram_addr),
                    self.segments.payload.beats.eq(record_beats),
                ]
                with m.If(units_over & self.segments.ready):
                    m.next = "RECORD"
            with m.State("RECORD"):
                m.d.comb += [
                    read_en.eq(room),
                    read.chip.eq(0),
                    read.words.eq(~0),
                    read.record.eq(1),
                    read.code.eq(0),
                    read.end.eq(nth == record_beats - 1),
                ]
                with m.If(room):
                    m.d.sync += nth.eq(nth + 1)
                    with m.If(nth == record_beats - 1):
                        m.d.comb += posts.eq(layer.post)
                        m.next = "IDLE"

        # Pixels that were asked for are there one clock later; a command's posts with them, but
        # for STORED, which waits for its writes.
        m.d.sync += self.post.eq(posts & ~_STORED)
        stored = delay(m, posts[Semaphore.STORED], 1, name="stored")
        came, head = Signal(out_layout), Signal(out_layout)
        m.d.comb += [
            came.words.eq(arrived.words),
            came.end.eq(arrived.end),
            came.addr.eq(arrived.addr),
            came.chip.eq(arrived.chip),
            came.stored.eq(stored),
            came.code.eq(arrived.code),
            came.unit_end.eq(arrived.unit_end),
            came.zero.eq(arrived.zero),
            queue.w_en.eq(arrived_en),
            queue.w_data.eq(came.as_value()),
            head.as_value().eq(queue.r_data),
        ]
        m.d.comb += came.data.eq(Cat(*self.ofmap_r_data))
        with m.If(arrived.record):
            m.d.comb += came.data.eq(snapshot.word_select(arrived.nth, cfg.bus_bits))

        m.submodules.tickets = tickets = SyncFIFOBuffered(width=9, depth=_TICKETS)
        gone = Signal()
        # A command's last beat, and whether it goes to DRAM.
        ends, ends_dram, ends_stored = (
            Signal(name=n) for n in ("ends", "ends_dram", "ends_stored")
        )
        plain = Signal(init=1)  # the head of the queue goes on as it is
        m.d.comb += [
            plain.eq(1),
            units_over.eq(1),
            place_ready.eq(1),
            self.beats.payload.data.eq(head.data),
            self.beats.payload.words.eq(head.words),
            self.beats.valid.eq(queue.r_rdy & plain & ~head.chip & tickets.w_rdy),
            self.act_w_addr.eq(Cat(head.addr[:31], Const(0, 1))),
            self.act_w_data.eq(head.data),
            gone.eq(queue.r_rdy & plain & tickets.w_rdy & Mux(head.chip, 1, self.beats.ready)),
            queue.r_en.eq(gone),
            self.act_w_en.eq(Mux(gone & head.chip, head.words, 0)),
            ends.eq(gone & head.end),
            ends_dram.eq(~head.chip),
            ends_stored.eq(head.stored),
            tickets.w_en.eq(ends),
            tickets.w_data.eq(Cat((self.writer_sent + ends_dram)[:8], ends_stored)),
        ]
        if codec:
            m.submodules.units = units = UnitWriter(cfg)
            unit = units.i.payload
            m.d.comb += [
                units_over.eq(units.idle),
                plain.eq((head.code == 0) & units.empty),
                units.places.valid.eq(place_valid),
                units.places.payload.addr.eq(walk.segment.addr),
                units.places.payload.entry.eq(walk.entry),
                place_ready.eq(units.places.ready),
                unit.data.eq(head.data),
                unit.words.eq(head.words),
                unit.last.eq(head.unit_end),
                unit.end.eq(head.end),
                unit.stored.eq(head.stored),
                unit.bitmap.eq(head.code == Code.BITMAP),
                unit.zero.eq(head.zero),
                units.i.valid.eq(queue.r_rdy & (head.code != 0)),
                self.table_w_en.eq(units.table_w_en),
                self.table_w_addr.eq(units.table_w_addr),
                self.table_w_data.eq(units.table_w_data),
            ]
            with m.If(units.i.valid):
                m.d.comb += queue.r_en.eq(units.i.ready)
            # Segments of units go first: no other one is asked for while there are units.
            with m.If(units.segments.valid):
                m.d.comb += [
                    self.segments.valid.eq(1),
                    self.segments.payload.eq(units.segments.payload),
                ]
            m.d.comb += units.segments.ready.eq(self.segments.ready)
            with m.If(units.o.valid):
                m.d.comb += [
                    self.beats.payload.data.eq(units.o.payload.data),
                    self.beats.payload.words.eq(~0),
                    self.beats.valid.eq(tickets.w_rdy),
                    units.o.ready.eq(self.beats.ready & tickets.w_rdy),
                    ends.eq(units.o.ready & units.o.payload.end),
                    ends_dram.eq(1),
                    ends_stored.eq(units.o.payload.stored),
                ]
        ahead = Signal(8)
        answered = Signal()
        m.d.comb += [
            ahead.eq(self.writer_answered - tickets.r_data[:8]),
            answered.eq(tickets.r_rdy & ~ahead[7]),
            tickets.r_en.eq(answered),
        ]
        m.d.sync += self.memory_post.eq(Mux(answered & tickets.r_data[8], _STORED, 0))
        m.d.comb += self.idle.eq(
            self.command.ready
            & ~self.command.valid
            & ~arrived_en
            & (queue.level == 0)
            & (tickets.level == 0)
            & (self.post == 0)
            & (self.memory_post == 0)
            & units_over
        )
        return m
