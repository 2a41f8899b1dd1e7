"""Weight scratchpad of the array: a block goes to the chains in min_pass_cycles clocks."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.config import Config
from skimp.feed.pipe import delay
from skimp.mem.ram import Ram1R1W

__all__ = ["DEEP_WORDS", "WgtSpad"]

DEEP_WORDS = 2048
"""Words of a memory from which on it is a deep one."""


class WgtSpad(wiring.Component):
    """wgt_depth blocks; a word holds what wgt_slices slice positions of all chains take.

    The positions of a word are memories of their own, so that each is read when its slices can
    take it: position p of a word a clock behind position p - 1.

    Parameters
    ----------
    config : Config

    Members
    -------
    w_en, w_addr, w_data : In
        A beat to write; consecutive beats fill consecutive positions.
    r_start : In(1), r_block : In
        Read a block; at least min_pass_cycles apart.
    r_word : Out(min_pass_cycles)
        Position 0 of that word is there: `read_latency` clocks behind r_start for word 0.
    r_data : Out(8 * wgt_slice_bytes).array(wgt_slices)
        Position p: p clocks behind r_word.

    Notes
    -----
    *Throughput*: a block in min_pass_cycles clocks, while a beat is written in every clock.
    The words of a block go out one a clock, which the chains can take if the slices of word 0 begin
    to load `load_lag` clocks behind the swap of the weights before. With four positions a word the
    lag would be longer than the shortest pass: there, word 1 waits as long as its slices lag behind
    those of word 0, and a clock more where another block begins in that clock.
    """

    read_latency = 1

    def __init__(self, config: Config):
        self._config = config
        words, positions = config.min_pass_cycles, config.wgt_slices
        self._word_gap = 1 if positions <= 2 else positions  # from word 0 to word 1
        self.load_lag = (words - 1) * (positions - self._word_gap)
        super().__init__(
            {
                "w_en": In(1),
                "w_addr": In(24),
                "w_data": In(config.bus_bits),
                "r_start": In(1),
                "r_block": In(ceil_log2(config.wgt_depth)),
                "r_word": Out(words),
                "r_data": Out(8 * config.wgt_slice_bytes).array(positions),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self._config
        block_words, positions = cfg.min_pass_cycles, cfg.wgt_slices
        depth = block_words * cfg.wgt_depth

        # Word 0 is read at once; the others, a clock each, from the moment when word 1 is due.
        soon = delay(m, self.r_start, self._word_gap - 1, name="soon")
        soon_block = delay(m, self.r_block, self._word_gap - 1, name="soon_block", reset_less=True)
        word, block = Signal(range(block_words)), Signal.like(self.r_block, reset_less=True)
        r_en, r_addr = Signal(), Signal(range(depth))
        with m.If(soon):
            m.d.sync += [word.eq(1), block.eq(soon_block)]
        with m.Elif((word != 0) & ~self.r_start):
            m.d.sync += word.eq(word + 1)
        m.d.comb += [
            r_en.eq(self.r_start | (word != 0)),
            r_addr.eq(Mux(self.r_start, Cat(C(0, word.shape()), self.r_block), Cat(word, block))),
        ]
        m.d.sync += self.r_word[0].eq(self.r_start)
        for n in range(1, block_words):
            m.d.sync += self.r_word[n].eq((word == n) & ~self.r_start)

        beats = cfg.wgt_slice_bytes // cfg.bus_bytes
        position = self.w_addr // beats
        for p in range(positions):
            m.submodules[f"position_{p}"] = ram = Ram1R1W(
                width=8 * cfg.wgt_slice_bytes,
                depth=depth,
                granularity=cfg.bus_bits,
                ram_style=cfg.deep_ram_style if depth >= DEEP_WORDS else None,
            )
            m.d.comb += [
                ram.w_addr.eq(position // positions),
                ram.w_data.eq(self.w_data.replicate(beats)),
                ram.r_en.eq(r_en),
                ram.r_addr.eq(r_addr),
                self.r_data[p].eq(ram.r_data),
            ]
            for n in range(beats):
                here = (position % positions == p) & (self.w_addr % beats == n)
                m.d.comb += ram.w_en[n].eq(self.w_en & here)
            later_en, later_addr = Signal(name=f"en_{p}"), Signal(range(depth), name=f"addr_{p}")
            m.d.sync += [later_en.eq(r_en), later_addr.eq(r_addr)]
            r_en, r_addr = later_en, later_addr
        return m
