"""Units on their way to DRAM: coded beats, their bursts, their entries in the tile table."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.config import Config
from skimp.dma.axi import SegmentLayout
from skimp.isa import MAX_TABLE_UNITS, MAX_UNIT_BEATS
from skimp.rlc.encoder import Encoder
from skimp.rlc.format import CODEC_BYTES

__all__ = ["CodedBeatLayout", "PlaceLayout", "PlainBeatLayout", "UnitWriter"]

_UNITS = 8
_SEGMENTS = 4

PlaceLayout = data.StructLayout({"addr": 32, "entry": range(MAX_TABLE_UNITS)})
"""Where a unit goes, and its entry in the tile table."""


def PlainBeatLayout(config):
    """Words of a unit, from its first on.

    words: which of the beat's are there; last: the unit ends; end, stored: what comes out with its
    last beat.
    """
    return data.StructLayout(
        {
            "data": config.bus_bits,
            "words": config.bus_words,
            "last": 1,
            "end": 1,
            "stored": 1,
            "bitmap": 1,
            "zero": 8,
        }
    )


def CodedBeatLayout(config):
    return data.StructLayout({"data": config.bus_bits, "end": 1, "stored": 1})


class UnitWriter(wiring.Component):
    """Encodes units and asks for the bursts that they turn out to need.

    Parameters
    ----------
    config : Config

    Members
    -------
    places : In(stream(PlaceLayout))
        Of the units to come, in order; they may come ahead of their words.
    i : In(stream(PlainBeatLayout))
    segments : Out(stream(SegmentLayout))
        To the write master, each once its beats are there.
    o : Out(stream(CodedBeatLayout))
    table_w_en, table_w_addr, table_w_data : Out
    idle : Out(1)
        All units whose place came are on their way.
    empty : Out(1)
        No unit has begun that is not on its way.

    Notes
    -----
    *Throughput*: that of the encoder.
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "places": In(stream.Signature(PlaceLayout)),
                "i": In(stream.Signature(PlainBeatLayout(config))),
                "segments": Out(stream.Signature(SegmentLayout)),
                "o": Out(stream.Signature(CodedBeatLayout(config))),
                "table_w_en": Out(1),
                "table_w_addr": Out(range(MAX_TABLE_UNITS)),
                "table_w_data": Out(range(MAX_UNIT_BEATS + 1)),
                "idle": Out(1),
                "empty": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self._config
        m.submodules.encoder = encoder = Encoder(cfg)
        m.submodules.places = places = SyncFIFOBuffered(
            width=Shape.cast(PlaceLayout).width, depth=_UNITS
        )
        m.submodules.marks = marks = SyncFIFOBuffered(width=2, depth=_UNITS)
        m.submodules.queue = queue = SyncFIFOBuffered(
            width=cfg.bus_bits + 3, depth=2 * cfg.burst_beats
        )
        m.submodules.bursts = bursts = SyncFIFOBuffered(
            width=32 + len(Signal(range(cfg.burst_beats + 1))), depth=_SEGMENTS
        )
        m.d.comb += [
            places.w_data.eq(self.places.payload),
            places.w_en.eq(self.places.valid),
            self.places.ready.eq(places.w_rdy),
        ]

        # A beat goes in chunk by chunk.
        beat, chunk = self.i.payload, encoder.i.payload
        per_chunk = CODEC_BYTES // cfg.word_bytes
        chunks = cfg.bus_bytes // CODEC_BYTES
        turn = Signal(range(max(chunks, 2)))
        final, taken = Signal(), Signal()
        here, behind = Signal(per_chunk), Signal()
        m.d.comb += [
            here.eq(beat.words.word_select(turn, per_chunk)),
            # Words come without gaps: the next chunk's first one says whether there is one.
            behind.eq(Cat(beat.words, Const(0, per_chunk)).word_select(turn + 1, per_chunk)[0]),
            final.eq(~behind),
            chunk.data.eq(beat.data.word_select(turn, 8 * CODEC_BYTES)),
            chunk.size.eq(sum(here[n] for n in range(per_chunk)) << ceil_log2(cfg.word_bytes)),
            chunk.last.eq(beat.last & final),
            chunk.bitmap.eq(beat.bitmap),
            chunk.zero.eq(beat.zero),
            encoder.i.valid.eq(self.i.valid & marks.w_rdy),
            taken.eq(encoder.i.valid & encoder.i.ready),
            self.i.ready.eq(encoder.i.ready & marks.w_rdy & final),
            marks.w_en.eq(taken & chunk.last),
            marks.w_data.eq(Cat(beat.end, beat.stored)),
        ]
        with m.If(taken):
            m.d.sync += turn.eq(Mux(final, 0, turn + 1))

        # Coded beats wait until a burst or the unit is complete.
        place, coded = Signal(PlaceLayout), encoder.o.payload
        passed, closes, inside = Signal(), Signal(), Signal()
        in_burst = Signal(range(cfg.burst_beats + 1), init=1)  # this one included
        in_unit = Signal(range(MAX_UNIT_BEATS + 1), init=1)
        addr, burst_addr = Signal(32), Signal(32)
        m.d.comb += [
            place.as_value().eq(places.r_data),
            encoder.o.ready.eq(
                queue.w_rdy & bursts.w_rdy & places.r_rdy & (marks.r_rdy | ~coded.last)
            ),
            passed.eq(encoder.o.valid & encoder.o.ready),
            closes.eq(coded.last | (in_burst == cfg.burst_beats)),
            queue.w_en.eq(passed),
            queue.w_data.eq(Cat(coded.data, coded.last, marks.r_data & coded.last.replicate(2))),
            burst_addr.eq(Mux(inside, addr, place.addr)),
            bursts.w_en.eq(passed & closes),
            bursts.w_data.eq(Cat(burst_addr, in_burst)),
            places.r_en.eq(passed & coded.last),
            marks.r_en.eq(passed & coded.last),
        ]
        m.d.sync += [
            self.table_w_en.eq(passed & coded.last),
            self.table_w_addr.eq(place.entry),
            self.table_w_data.eq(in_unit),
        ]
        with m.If(passed):
            m.d.sync += [
                in_burst.eq(Mux(closes, 1, in_burst + 1)),
                in_unit.eq(Mux(coded.last, 1, in_unit + 1)),
            ]
            with m.If(closes):
                m.d.sync += [
                    inside.eq(~coded.last),
                    addr.eq(burst_addr + cfg.burst_beats * cfg.bus_bytes),
                ]
        m.d.comb += [
            self.segments.valid.eq(bursts.r_rdy),
            self.segments.payload.addr.eq(bursts.r_data[:32]),
            self.segments.payload.beats.eq(bursts.r_data[32:]),
            bursts.r_en.eq(self.segments.ready),
            self.o.valid.eq(queue.r_rdy),
            self.o.payload.data.eq(queue.r_data[: cfg.bus_bits]),
            self.o.payload.end.eq(queue.r_data[cfg.bus_bits + 1]),
            self.o.payload.stored.eq(queue.r_data[cfg.bus_bits + 2]),
            queue.r_en.eq(self.o.ready),
        ]

        # Units whose place came; units that began.
        flying, begun = Signal(6), Signal(6)
        begins, leaves = Signal(), Signal()
        first = Signal(init=1)
        m.d.comb += [
            begins.eq(taken & first),
            leaves.eq(self.o.valid & self.o.ready & queue.r_data[cfg.bus_bits]),
            self.idle.eq(flying == 0),
            self.empty.eq(begun == 0),
        ]
        with m.If(taken):
            m.d.sync += first.eq(chunk.last)
        m.d.sync += [
            flying.eq(flying + (self.places.valid & self.places.ready) - leaves),
            begun.eq(begun + begins - leaves),
        ]
        return m
