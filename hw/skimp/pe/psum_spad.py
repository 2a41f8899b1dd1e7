"""Psum scratchpad of one pixel lane: adds up one tile's sums while others' drain."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.config import Config
from skimp.feed.pipe import delay
from skimp.mem.lut_ram import LutRam
from skimp.mem.ram import Ram1R1W
from skimp.prim.carry import add

__all__ = ["PsumSpad"]


class PsumSpad(wiring.Component):
    """psum_depth sums under way and psum_slots x psum_depth finished ones, of 32 bits a channel.

    Parameters
    ----------
    config : Config

    Members
    -------
    value : In(ArrayLayout(signed(32), out_channels))
        Added to the sum under way (int32, wrapping), or the first one of it.
    valid, first, last, slot, addr : In
        With the value. Where `last`, the sum is finished and goes to the slot.
    rd_en, rd_slot, rd_addr : In
        Drain side: finished sums.
    rd_data : Out(ArrayLayout(signed(32), out_channels))
        `read_latency` clocks later.

    Notes
    -----
    *Latency*: a sum is readable `write_latency` clocks after its last value came. *Throughput*: a
    value a clock; the same entry again after `min_revisit` clocks or more.
    *Resources*: a LUT RAM of psum_depth and a block RAM of psum_slots x psum_depth words of
    32 * out_channels bits: what is added to lies in small memory, what waits in dense one.
    """

    read_latency = 1
    write_latency = 3
    min_revisit = 2

    def __init__(self, config: Config):
        self._config = config
        sums = data.ArrayLayout(signed(32), config.out_channels)
        addr_bits = ceil_log2(config.psum_depth)
        super().__init__(
            {
                "value": In(sums),
                "valid": In(1),
                "first": In(1),
                "last": In(1),
                "slot": In(2),
                "addr": In(addr_bits),
                "rd_en": In(1),
                "rd_slot": In(2),
                "rd_addr": In(addr_bits),
                "rd_data": Out(sums),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self._config
        width, addr_bits = 32 * cfg.out_channels, ceil_log2(cfg.psum_depth)
        m.submodules.sums = sums = LutRam(width=width, depth=cfg.psum_depth)
        m.submodules.finished = finished = Ram1R1W(
            width=width, depth=cfg.psum_slots << addr_bits, ram_style="block"
        )
        m.d.comb += [
            finished.r_en.eq(self.rd_en),
            finished.r_addr.eq(Cat(self.rd_addr, self.rd_slot)),
            self.rd_data.as_value().eq(finished.r_data),
        ]

        # Stage 1: the entry is read and added to, so that a pass may last two clocks; stage 2: the
        # sum is there and is written.
        tag = Signal(data.StructLayout({"first": 1, "last": 1, "addr": addr_bits, "slot": 2}))
        m.d.comb += [
            getattr(tag, k).eq(getattr(self, k)) for k in ("first", "last", "addr", "slot")
        ]
        s1_valid = delay(m, self.valid, 1, name="s1_valid")
        s1_tag = delay(m, tag, 1, name="s1_tag", reset_less=True)
        s2_valid = delay(m, s1_valid, 1, name="s2_valid")
        s2_tag = delay(m, s1_tag, 1, name="s2_tag", reset_less=True)
        before = Signal(width)
        s2_sums = []
        for c in range(cfg.out_channels):
            value = delay(m, self.value[c], 1, name=f"s1_value_{c}", reset_less=True)
            s2_sum = Signal(signed(32), name=f"s2_sum_{c}", reset_less=True)
            with m.If(s1_valid):
                m.d.sync += s2_sum.eq(add(value, before.word_select(c, 32), C(0, 1)))
            s2_sums.append(s2_sum)
        m.d.comb += [
            sums.r_addr.eq(s1_tag.addr),
            before.eq(Mux(s1_tag.first, 0, sums.r_data)),
            sums.w_en.eq(s2_valid & ~s2_tag.last),
            sums.w_addr.eq(s2_tag.addr),
            sums.w_data.eq(Cat(s2_sums)),
            finished.w_en.eq(s2_valid & s2_tag.last),
            finished.w_addr.eq(Cat(s2_tag.addr, s2_tag.slot)),
            finished.w_data.eq(Cat(s2_sums)),
        ]
        return m
