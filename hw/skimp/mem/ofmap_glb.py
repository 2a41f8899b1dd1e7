"""Ofmap side of the global buffer: whole pixels in, channel blocks out."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.config import Config
from skimp.mem.ram import Ram1R1W

__all__ = ["OfmapGlb"]


class OfmapGlb(wiring.Component):
    """One bank per channel block; the drain writes all banks, the store reads one.

    Parameters
    ----------
    config : Config

    Members
    -------
    w_en : In(1), w_addr : In, w_data : In(8 * out_channels)
    r_en : In(1), r_addr : In, r_block : In, r_data : Out(8 * in_channels)
        One clock later; held while r_en is 0.
    """

    read_latency = 1

    def __init__(self, config: Config):
        self._config = config
        addr_bits = ceil_log2(config.ofmap_depth)
        super().__init__(
            {
                "w_en": In(1),
                "w_addr": In(addr_bits),
                "w_data": In(8 * config.out_channels),
                "r_en": In(1),
                "r_addr": In(addr_bits),
                "r_block": In(range(max(config.ofmap_blocks, 2))),
                "r_data": Out(config.bus_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self._config
        block = Signal.like(self.r_block, reset_less=True)
        with m.If(self.r_en):
            m.d.sync += block.eq(self.r_block)
        for b in range(cfg.ofmap_blocks):
            m.submodules[f"block_{b}"] = ram = Ram1R1W(width=cfg.bus_bits, depth=cfg.ofmap_depth)
            m.d.comb += [
                ram.w_en.eq(self.w_en),
                ram.w_addr.eq(self.w_addr),
                ram.w_data.eq(self.w_data.word_select(b, cfg.bus_bits)),
                ram.r_en.eq(self.r_en & (self.r_block == b)),
                ram.r_addr.eq(self.r_addr),
            ]
            with m.If(block == b):
                m.d.comb += self.r_data.eq(ram.r_data)
        return m
