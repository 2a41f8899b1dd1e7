"""Coded units on their way from DRAM: words that a load wants out of them."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.config import Config
from skimp.rlc.decoder import Decoder
from skimp.rlc.format import CODEC_BYTES

__all__ = ["UnitLayout", "UnitReader"]

UnitLayout = data.StructLayout(
    {"beats": 9, "words": 12, "front": 12, "keep": 12, "bitmap": 1, "zero": 8}
)
"""A unit to read: its beats and words; words in front to leave out, and behind them to keep."""

_UNITS = 8
"""Units that may be asked for: DRAM answers some dozens of clocks later."""


class UnitReader(wiring.Component):
    """Takes beats of coded units, decodes them, and gives the words that are wanted.

    Parameters
    ----------
    config : Config

    Members
    -------
    units : In(stream(UnitLayout))
    beats : In(stream(bus_bits))
        Of the units, in order.
    room : Out(16)
        Beats that can come now.
    w_ready : In(1)
        CODEC_BYTES can be taken.
    w_first, w_count, w_data : Out
        Words of a clock: the first one that is wanted, how many (0: none), and all.
    idle : Out(1)
        All units are through.
    error : Out(1)
        A unit is damaged.

    Notes
    -----
    *Throughput*: that of the decoder.
    """

    def __init__(self, config: Config):
        self._config = config
        self._words = words = CODEC_BYTES // config.word_bytes
        super().__init__(
            {
                "units": In(stream.Signature(UnitLayout)),
                "beats": In(stream.Signature(config.bus_bits)),
                "room": Out(16),
                "w_ready": In(1),
                "w_first": Out(range(max(words, 2))),
                "w_count": Out(range(words + 1)),
                "w_data": Out(8 * CODEC_BYTES),
                "idle": Out(1),
                "error": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg, words = self._config, self._words
        m.submodules.decoder = decoder = Decoder(cfg)
        depth = cfg.load_queue_beats
        m.submodules.queue = queue = SyncFIFOBuffered(width=cfg.bus_bits, depth=depth)
        m.submodules.units = units = SyncFIFOBuffered(
            width=Shape.cast(UnitLayout).width, depth=_UNITS
        )
        m.submodules.wanted = wanted = SyncFIFOBuffered(width=24, depth=_UNITS)
        unit = Signal(UnitLayout)
        started = Signal()
        m.d.comb += [
            units.w_data.eq(self.units.payload),
            units.w_en.eq(self.units.valid),
            self.units.ready.eq(units.w_rdy),
            queue.w_data.eq(self.beats.payload),
            queue.w_en.eq(self.beats.valid),
            self.beats.ready.eq(queue.w_rdy),
            self.room.eq(depth - queue.level),
            decoder.i.payload.eq(queue.r_data),
            decoder.i.valid.eq(queue.r_rdy),
            queue.r_en.eq(decoder.i.ready),
            unit.as_value().eq(units.r_data),
            decoder.unit.payload.beats.eq(unit.beats),
            decoder.unit.payload.num_bytes.eq(unit.words << ceil_log2(cfg.word_bytes)),
            decoder.unit.payload.bitmap.eq(unit.bitmap),
            decoder.unit.payload.zero.eq(unit.zero),
            decoder.unit.valid.eq(units.r_rdy & wanted.w_rdy),
            started.eq(decoder.unit.valid & decoder.unit.ready),
            units.r_en.eq(started),
            wanted.w_en.eq(started),
            wanted.w_data.eq(Cat(unit.front, unit.keep)),
        ]

        # Words of the unit that are left to leave out, then to keep.
        front, keep = Signal(12), Signal(12)
        inside = Signal()
        front_now, keep_now = Signal(12), Signal(12)
        taken, first, behind = Signal(), Signal(range(words + 1)), Signal(range(2 * words + 1))
        there = Signal(range(words + 1))
        chunk = decoder.o.payload
        m.d.comb += [
            front_now.eq(Mux(inside, front, wanted.r_data[:12])),
            keep_now.eq(Mux(inside, keep, wanted.r_data[12:])),
            there.eq(chunk.size >> ceil_log2(cfg.word_bytes)),
            decoder.o.ready.eq(self.w_ready & wanted.r_rdy),
            taken.eq(decoder.o.valid & decoder.o.ready),
            wanted.r_en.eq(taken & chunk.last),
            first.eq(Mux(front_now < words, front_now, words)),
            behind.eq(Mux(keep_now < words, first + keep_now, 2 * words)),
            self.w_first.eq(first),
            self.w_data.eq(chunk.data),
        ]
        most = Signal(range(words + 1))
        m.d.comb += most.eq(Mux(behind < there, behind, there))
        with m.If(taken & (most > first)):
            m.d.comb += self.w_count.eq(most - first)
        with m.If(taken):
            m.d.sync += [
                inside.eq(~chunk.last),
                front.eq(front_now - first),
                keep.eq(keep_now - self.w_count),
            ]
        m.d.comb += [
            self.idle.eq(
                (units.level == 0) & (queue.level == 0) & (wanted.level == 0) & decoder.idle
            ),
            self.error.eq(decoder.error),
        ]
        return m
