"""Weight scratchpad of the array: a block goes to the chains in min_pass_cycles clocks."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.config import Config
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
        Read a block, a word a clock; at least min_pass_cycles apart.
    r_data : Out(8 * wgt_slice_bytes).array(wgt_slices)
        Position p of word n: `read_latency` + n + p clocks later.

    Notes
    -----
    *Throughput*: a block in min_pass_cycles clocks, while a beat is written in every clock.
    """

    read_latency = 1

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "w_en": In(1),
                "w_addr": In(24),
                "w_data": In(config.bus_bits),
                "r_start": In(1),
                "r_block": In(ceil_log2(config.wgt_depth)),
                "r_data": Out(8 * config.wgt_slice_bytes).array(config.wgt_slices),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self._config
        block_words, positions = cfg.min_pass_cycles, cfg.wgt_slices
        depth = block_words * cfg.wgt_depth

        words_left = Signal(range(block_words))
        r_en = Signal()
        r_addr, next_addr = Signal(range(depth)), Signal(range(depth), reset_less=True)
        with m.If(self.r_start):
            m.d.sync += words_left.eq(block_words - 1)
        with m.Elif(words_left != 0):
            m.d.sync += words_left.eq(words_left - 1)
        m.d.sync += next_addr.eq(r_addr + 1)
        m.d.comb += [
            r_en.eq(self.r_start | (words_left != 0)),
            r_addr.eq(Mux(self.r_start, self.r_block * block_words, next_addr)),
        ]

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
