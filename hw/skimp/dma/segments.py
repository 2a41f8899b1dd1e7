"""Segments of a command, and the requests that a load command makes of them."""

from types import SimpleNamespace

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.config import Config
from skimp.ctrl.decode import COMMAND_BITS, view
from skimp.dma.axi import SegmentLayout
from skimp.isa import Opcode

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
        segment (SegmentLayout), run (WordRunLayout), and whether they are the last ones of their
        block (last_of_block), of the command (final).
    """
    word_shift = ceil_log2(config.word_bytes)
    segments_left, blocks_left = (Signal(16, name=n) for n in ("segments_left", "blocks_left"))
    addr, block_addr = (Signal(32, name=n, reset_less=True) for n in ("addr", "block_addr"))
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
        ]
        with m.If(last_segment):
            m.d.sync += [
                segments_left.eq(command.seg_count),
                blocks_left.eq(blocks_left - 1),
                addr.eq(block_addr + command.block_stride),
                block_addr.eq(block_addr + command.block_stride),
            ]
    return SimpleNamespace(segment=segment, run=run, last_of_block=last_of_block, final=final)


class LoadRequests(wiring.Component):
    """First half of the load unit: turns commands into segments to read.

    A command passes on to the writer before its first segment is asked for, so that the next
    command's segments are under way while this one's words arrive.

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

    Notes
    -----
    *Throughput*: a segment a clock; 2 clocks between commands.
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "command": In(stream.Signature(COMMAND_BITS)),
                "pending": Out(stream.Signature(COMMAND_BITS)),
                "segments": Out(stream.Signature(SegmentLayout)).array(2),
                "runs": Out(stream.Signature(WordRunLayout(config))),
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
            with m.State("SEGMENTS"):
                m.d.comb += valid.eq(1)
                with m.If(ready):
                    m.d.comb += step.eq(1)
                    with m.If(walk.final):
                        m.next = "IDLE"
        return m
