"""Finished psums of one row of the depthwise unit's lanes."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.config import DW_SUM_BITS, Config
from skimp.mem.lut_ram import LutRam

__all__ = ["DepthwisePsums"]


class DepthwisePsums(wiring.Component):
    """dw_psum_slots x dw_psum_depth pixel groups in LUT RAM.

    Parameters
    ----------
    config : Config

    Members
    -------
    w_en, w_slot, w_addr : In
    w_data : In(ArrayLayout(signed(DW_SUM_BITS), out_channels)).array(pixels)
    rd_en : In(pixels), rd_slot, rd_addr : In
        Drain side.
    rd_data : Out(ArrayLayout(signed(DW_SUM_BITS), out_channels)).array(pixels)
        `read_latency` clocks later; 0 for pixels that were not read in that clock, so that rows
        and pixels are chosen by an OR.

    Notes
    -----
    *Latency*: a psum is readable `write_latency` clocks after it came. *Throughput*: a group a
    clock in and out.
    """

    read_latency = 1
    write_latency = 1

    def __init__(self, config: Config):
        self._config = config
        sums = data.ArrayLayout(signed(DW_SUM_BITS), config.out_channels)
        addr_bits = ceil_log2(config.dw_psum_depth)
        super().__init__(
            {
                "w_en": In(1),
                "w_slot": In(2),
                "w_addr": In(addr_bits),
                "w_data": In(sums).array(config.pixels),
                "rd_en": In(config.pixels),
                "rd_slot": In(2),
                "rd_addr": In(addr_bits),
                "rd_data": Out(sums).array(config.pixels),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self._config
        depth = cfg.dw_psum_slots << ceil_log2(cfg.dw_psum_depth)
        for i in range(cfg.pixels):
            ram = LutRam(width=DW_SUM_BITS * cfg.out_channels, depth=depth)
            m.submodules[f"pixel_{i}"] = ram
            m.d.comb += [
                ram.w_en.eq(self.w_en),
                ram.w_addr.eq(Cat(self.w_addr, self.w_slot)),
                ram.w_data.eq(self.w_data[i]),
                ram.r_addr.eq(Cat(self.rd_addr, self.rd_slot)),
            ]
            m.d.sync += self.rd_data[i].as_value().eq(Mux(self.rd_en[i], ram.r_data, 0))
        return m
