"""Segments of a command, and the requests that a load command makes of them."""

from types import SimpleNamespace

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.config import Config
from skimp.ctrl.decode import COMMAND_BITS, view
from skimp.dma.axi import SegmentLayout
from skimp.isa import MAX_TABLE_UNITS, MAX_UNIT_BEATS, Opcode
from skimp.rlc.format import FRAME, Code
from skimp.rlc.unit_reader import UnitLayout

__all__ = ["LoadRequests", "WordRunLayout", "segment_walk"]


def WordRunLayout(config):
    """Words that a segment's beats hold.

    skip: the first word's place in the first beat; count: words of the first beat; single: there is
    no other one; tail: words of the last beat; chip: where the beats come from.
    """
    words = config.chip_words
    return data.StructLayout(
        {
            "skip": ceil_log2(max(words, 2)),
            "count": range(words + 1),
            "tail": range(words + 1),
            "single": 1,
            "beats": 24,
            "chip": 1,
        }
    )


def segment_walk(m, config, *, start, step, incoming, command, blocks):
    """Walk over the segments of a command, a segment ahead of the one that is worked on.

    Parameters
    ----------
    m : Module
    config : Config
    start, step : Signal
        Begins a command; loads `segment` and the rest with its next one, its first in the clock
        behind `start` at the earliest.
    incoming, command : SimpleNamespace
        Fields of the command, in the clock of `start`, and while it lasts.
    blocks : Value
        Blocks of the command, in the clock of `start`.

    Returns
    -------
    SimpleNamespace
        segment (SegmentLayout), run (WordRunLayout), entry (of the segment's first unit in the tile
        table), and whether they are the last ones of their block (last_of_block), of the command
        (final).
    """
    word_shift = ceil_log2(config.word_bytes)
    segments_left, blocks_left = (Signal(16, name=n) for n in ("segments_left", "blocks_left"))
    addr, block_addr = (Signal(32, name=n, reset_less=True) for n in ("addr", "block_addr"))
    entry, next_entry, block_entry = (
        Signal(range(MAX_TABLE_UNITS), name=n, reset_less=True)
        for n in ("entry", "next_entry", "block_entry")
    )
    chip, last_segment = (Signal(name=name) for name in ("chip", "last_segment"))
    segment = Signal(SegmentLayout, reset_less=True)
    run = Signal(WordRunLayout(config), reset_less=True)
    last_of_block, final = (Signal(name=n) for n in ("last_of_block", "final"))
    next_segment, next_run = Signal(SegmentLayout), Signal(WordRunLayout(config))
    m.d.comb += [
        chip.eq(command.dram_addr[31]),
        last_segment.eq(segments_left == 1),
        next_run.chip.eq(chip),
        next_run.beats.eq(next_segment.beats),
    ]
    for k, words in enumerate((config.bus_words, config.chip_words)):
        shift = ceil_log2(words)
        skip = addr[word_shift : word_shift + shift]
        whole, rest = command.seg_words[shift:], command.seg_words[:shift]
        # Words of the first and the last beat, if those of the segment end in it.
        end = Signal(shift + 1, name=f"end_{k}")
        over, single = Signal(name=f"over_{k}"), Signal(name=f"single_{k}")
        m.d.comb += [
            end.eq(rest + skip),
            over.eq(end[shift] & (end[:shift] != 0)),
            single.eq(Mux(whole == 0, ~over, (whole == 1) & (end == 0))),
        ]
        with m.If(chip == k):
            m.d.comb += [
                next_segment.addr.eq(
                    Cat(Const(0, word_shift + shift), addr[word_shift + shift : 31])
                ),
                next_segment.beats.eq(whole + Mux(over, 2, end != 0)),
                next_run.skip.eq(skip),
                next_run.count.eq(Mux(single, command.seg_words, words - skip)),
                next_run.tail.eq(Mux(end[:shift] == 0, words, end[:shift]) if shift else 1),
                next_run.single.eq(single),
            ]
    with m.If(start):
        m.d.sync += [
            addr.eq(incoming.dram_addr),
            block_addr.eq(incoming.dram_addr),
            next_entry.eq(incoming.table_base),
            block_entry.eq(incoming.table_base),
            segments_left.eq(incoming.seg_count),
            blocks_left.eq(blocks),
        ]
    with m.Elif(step):
        m.d.sync += [
            segment.eq(next_segment),
            run.eq(next_run),
            last_of_block.eq(last_segment),
            final.eq(last_segment & (blocks_left == 1)),
            segments_left.eq(segments_left - 1),
            addr.eq(addr + command.seg_stride),
            entry.eq(next_entry),
            next_entry.eq(next_entry + command.table_step),
        ]
        with m.If(last_segment):
            m.d.sync += [
                segments_left.eq(command.seg_count),
                blocks_left.eq(blocks_left - 1),
                addr.eq(block_addr + command.block_stride),
                block_addr.eq(block_addr + command.block_stride),
                next_entry.eq(block_entry + command.table_block_step),
                block_entry.eq(block_entry + command.table_block_step),
            ]
    return SimpleNamespace(
        segment=segment, run=run, entry=entry, last_of_block=last_of_block, final=final
    )


class LoadRequests(wiring.Component):
    """First half of the load unit: turns commands into segments to read.

    A command passes on to the writer before its first segment is asked for, so that the next
    command's segments are under way while this one's words arrive. Words that lie in memory as they
    are and words of coded units come on different ways: a command waits until what came on the
    other way is through.

    Parameters
    ----------
    config : Config

    Members
    -------
    command : In(stream)
        LOAD_IFMAP or LOAD_RESIDUAL.
    pending : Out(stream)
        Hands the command to the writer.
    segments : Out(stream(SegmentLayout)).array(2)
        To DRAM, to the activation store (its addresses count from its start).
    runs : Out(stream(WordRunLayout))
        What each segment's beats hold, in order.
    runs_over : In(1)
        All words of all runs have come.
    units : Out(stream(UnitLayout))
        Coded units that are read, and what is wanted of them.
    units_over : In(1)
        All units are through.
    coded : Out(1)
        Beats of DRAM are those of units.
    table_r_en, table_r_addr : Out, table_r_data : In
        Tile table; data one clock later.

    Notes
    -----
    *Throughput*: a segment a clock; 2 clocks between commands. Coded: a unit in two clocks, one more
    for each segment, 4 more for each command.
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "command": In(stream.Signature(COMMAND_BITS)),
                "pending": Out(stream.Signature(COMMAND_BITS)),
                "segments": Out(stream.Signature(SegmentLayout)).array(2),
                "runs": Out(stream.Signature(WordRunLayout(config))),
                "runs_over": In(1),
                "units": Out(stream.Signature(UnitLayout)),
                "units_over": In(1),
                "coded": Out(1),
                "table_r_en": Out(1),
                "table_r_addr": Out(range(MAX_TABLE_UNITS)),
                "table_r_data": In(range(MAX_UNIT_BEATS + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self._config
        command = Signal(COMMAND_BITS, reset_less=True)
        # LOAD_RESIDUAL has its source in the same fields.
        incoming = view(self.command.payload, Opcode.LOAD_IFMAP)
        load = view(command, Opcode.LOAD_IFMAP)
        chip = Signal()
        valid, ready = Signal(), Signal()

        start, step = (Signal(name=name) for name in ("start", "step"))
        walk = segment_walk(
            m,
            cfg,
            start=start,
            step=step,
            incoming=incoming,
            command=load,
            blocks=incoming.dma_blocks,
        )
        m.d.comb += [
            chip.eq(load.dram_addr[31]),
            self.pending.payload.eq(command),
            ready.eq(self.runs.ready & Mux(chip, self.segments[1].ready, self.segments[0].ready)),
            self.runs.valid.eq(valid & ready),
            self.runs.payload.eq(walk.run),
        ]
        for k in range(2):
            m.d.comb += [
                self.segments[k].valid.eq(valid & self.runs.ready & (chip == k)),
                self.segments[k].payload.eq(walk.segment),
            ]
        with m.FSM(name="state"):
            with m.State("IDLE"):
                m.d.comb += self.command.ready.eq(1)
                m.d.comb += start.eq(1)
                m.d.sync += command.eq(self.command.payload)
                with m.If(self.command.valid):
                    m.next = "HAND"
            with m.State("HAND"):
                m.d.comb += self.pending.valid.eq(1)
                with m.If(self.pending.ready):
                    m.d.comb += step.eq(1)
                    with m.If(load.seg_words == 0):
                        m.next = "IDLE"
                    with m.Else():
                        m.next = "SEGMENTS"
                    if cfg.tile_table_depth:
                        with m.If((load.seg_words != 0) & ((load.code != 0) | self.coded)):
                            m.next = "TURN"
            with m.State("SEGMENTS"):
                m.d.comb += valid.eq(1)
                with m.If(ready):
                    m.d.comb += step.eq(1)
                    with m.If(walk.final):
                        m.next = "IDLE"
            if cfg.tile_table_depth:
                self._units(m, load, walk, step)
        return m

    def _units(self, m, load, walk, step):
        """Walk over the units of each segment."""
        cfg = self._config
        bus_shift, frame_shift = ceil_log2(cfg.bus_bytes), ceil_log2(FRAME)
        num_bytes = Signal(12 + ceil_log2(cfg.word_bytes))
        frames, coded_bytes = Signal(len(num_bytes)), Signal(len(num_bytes) + 1)
        pitch = Signal(range(MAX_UNIT_BEATS + 1))
        entry = Signal(range(MAX_TABLE_UNITS))
        beat = Signal(32 - bus_shift)  # where the unit begins
        front, there, keep = (Signal(12, name=name) for name in ("front", "there", "keep"))
        left = Signal(24)
        last = Signal()
        m.d.comb += [
            num_bytes.eq(load.unit_words << ceil_log2(cfg.word_bytes)),
            self.table_r_addr.eq(entry),
        ]
        # The longest that a unit can become, in beats; there are clocks enough until it is needed.
        m.d.sync += [
            frames.eq((num_bytes + FRAME - 1) >> frame_shift),
            coded_bytes.eq(num_bytes + frames),
            pitch.eq((coded_bytes + cfg.bus_bytes - 1) >> bus_shift),
        ]
        unit, asked = self.units.payload, Signal()
        m.d.comb += [
            unit.beats.eq(self.table_r_data),
            unit.words.eq(load.unit_words),
            unit.front.eq(front),
            unit.keep.eq(keep),
            unit.bitmap.eq(load.code == Code.BITMAP),
            unit.zero.eq(load.zero),
        ]
        with m.State("TURN"):
            with m.If(Mux(load.code == 0, self.units_over, self.runs_over | self.coded)):
                m.d.sync += self.coded.eq(load.code != 0)
                m.next = "SEGMENTS"
                with m.If(load.code != 0):
                    m.next = "SEGMENT"
        with m.State("SEGMENT"):
            m.d.sync += [
                entry.eq(walk.entry),
                beat.eq(walk.segment.addr >> bus_shift),
                left.eq(load.seg_words),
                front.eq(load.skip),
                there.eq(load.unit_words - load.skip),
            ]
            m.next = "LOOK_UP"
        with m.State("LOOK_UP"):
            m.d.comb += self.table_r_en.eq(1)
            m.d.sync += [last.eq(left <= there), keep.eq(Mux(left <= there, left, there))]
            m.next = "UNIT"
        with m.State("UNIT"):
            # Over the default: the segment is the unit.
            m.d.comb += [
                asked.eq(self.units.ready & self.segments[0].ready),
                self.units.valid.eq(asked),
                self.segments[0].valid.eq(self.units.ready),
                self.segments[0].payload.addr.eq(beat << bus_shift),
                self.segments[0].payload.beats.eq(self.table_r_data),
            ]
            with m.If(asked):
                m.d.sync += [
                    entry.eq(entry + 1),
                    beat.eq(beat + pitch),
                    left.eq(left - keep),
                    front.eq(0),
                    there.eq(load.unit_words),
                ]
                m.next = "LOOK_UP"
                with m.If(last):
                    m.d.comb += step.eq(1)
                    m.next = "SEGMENT"
                    with m.If(walk.final):
                        m.next = "IDLE"
