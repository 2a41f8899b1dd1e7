"""Requests of a load command: its segments, one after the other, to DRAM or the activation store."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.config import Config
from skimp.ctrl.decode import COMMAND_BITS, view
from skimp.dma.axi import SegmentLayout
from skimp.isa import Opcode

__all__ = ["LoadRequests", "WordRunLayout"]


def WordRunLayout(config):
    """Words that a segment's beats hold: the first one's place in its beat, how many, the source."""
    return data.StructLayout({"skip": ceil_log2(max(config.chip_words, 2)), "words": 24, "chip": 1})


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
        word_shift = ceil_log2(cfg.word_bytes)
        command = Signal(COMMAND_BITS, reset_less=True)
        # LOAD_RESIDUAL has its source in the same fields.
        load = view(command, Opcode.LOAD_IFMAP)
        segment, block = Signal(16), Signal(16)
        addr = Signal(32, reset_less=True)
        block_addr = Signal(32, reset_less=True)
        skip = Signal(ceil_log2(max(cfg.chip_words, 2)))
        chip = Signal()
        valid, ready = Signal(), Signal()
        m.d.comb += [
            self.pending.payload.eq(command),
            chip.eq(load.dram_addr[31]),
            ready.eq(self.runs.ready & Mux(chip, self.segments[1].ready, self.segments[0].ready)),
            self.runs.valid.eq(valid & ready),
            self.runs.payload.skip.eq(skip),
            self.runs.payload.words.eq(load.seg_words),
            self.runs.payload.chip.eq(chip),
        ]
        for k, words in enumerate((cfg.bus_words, cfg.chip_words)):
            beat_shift = word_shift + ceil_log2(words)
            skipped = addr[word_shift:beat_shift]
            with m.If(chip == k):
                m.d.comb += skip.eq(skipped)
            m.d.comb += [
                self.segments[k].valid.eq(valid & self.runs.ready & (chip == k)),
                self.segments[k].payload.beats.eq(
                    (load.seg_words + skipped + (words - 1)) >> ceil_log2(words)
                ),
                self.segments[k].payload.addr.eq(
                    Cat(Const(0, beat_shift), addr[beat_shift:31], Const(0, 1))
                ),
            ]

        last_segment, last_block = Signal(), Signal()
        m.d.comb += [
            last_segment.eq(segment + 1 == load.seg_count),
            last_block.eq(block + 1 == load.dma_blocks),
        ]
        with m.FSM(name="state"):
            with m.State("IDLE"):
                m.d.comb += self.command.ready.eq(1)
                with m.If(self.command.valid):
                    m.d.sync += command.eq(self.command.payload)
                    m.next = "HAND"
            with m.State("HAND"):
                m.d.comb += self.pending.valid.eq(1)
                m.d.sync += [
                    addr.eq(load.dram_addr),
                    block_addr.eq(load.dram_addr),
                    segment.eq(0),
                    block.eq(0),
                ]
                with m.If(self.pending.ready):
                    with m.If(load.seg_words == 0):
                        m.next = "IDLE"
                    with m.Else():
                        m.next = "SEGMENTS"
            with m.State("SEGMENTS"):
                m.d.comb += valid.eq(1)
                with m.If(ready):
                    m.d.sync += [segment.eq(segment + 1), addr.eq(addr + load.seg_stride)]
                    with m.If(last_segment):
                        m.d.sync += [
                            segment.eq(0),
                            block.eq(block + 1),
                            addr.eq(block_addr + load.block_stride),
                            block_addr.eq(block_addr + load.block_stride),
                        ]
                        with m.If(last_block):
                            m.next = "IDLE"
        return m
