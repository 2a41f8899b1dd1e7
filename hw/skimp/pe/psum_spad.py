"""Psum scratchpad of one pixel lane: adds into one slot while another one drains."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.config import Config
from skimp.feed.pipe import delay
from skimp.mem.ram import Ram1R1W

__all__ = ["PsumSpad"]


class PsumSpad(wiring.Component):
    """psum_slots x psum_depth entries of out_channels 32-bit sums.

    Parameters
    ----------
    config : Config

    Members
    -------
    value : In(ArrayLayout(signed(32), out_channels))
        Added to the entry (int32, wrapping), or put there where `first`.
    valid, first, slot, addr : In
        With the value.
    rd_en, rd_slot, rd_addr : In
        Drain side; the slot is not the one being filled.
    rd_data : Out(ArrayLayout(signed(32), out_channels))
        `read_latency` clocks later.

    Notes
    -----
    *Latency*: an entry is readable `write_latency` clocks after its value came. *Throughput*: a
    value a clock; the same entry again after `min_revisit` clocks or more.
    *Resources*: psum_slots memories of psum_depth x 32 * out_channels bits.
    """

    read_latency = 1
    write_latency = 3
    min_revisit = 3

    def __init__(self, config: Config):
        self._config = config
        sums = data.ArrayLayout(signed(32), config.out_channels)
        addr_bits = ceil_log2(config.psum_depth)
        super().__init__(
            {
                "value": In(sums),
                "valid": In(1),
                "first": In(1),
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
        slots = []
        for h in range(cfg.psum_slots):
            m.submodules[f"slot_{h}"] = ram = Ram1R1W(
                width=32 * cfg.out_channels, depth=cfg.psum_depth
            )
            filling = Signal(name=f"filling_{h}")
            m.d.comb += filling.eq(self.valid & (self.slot == h))
            m.d.comb += [
                ram.r_en.eq((filling & ~self.first) | (self.rd_en & (self.rd_slot == h))),
                ram.r_addr.eq(Mux(filling, self.addr, self.rd_addr)),
            ]
            slots.append(ram)
        rd_slot = delay(m, self.rd_slot, 1, name="rd_slot", reset_less=True)
        with m.Switch(rd_slot):
            for h, ram in enumerate(slots):
                with m.Case(h):
                    m.d.comb += self.rd_data.as_value().eq(ram.r_data)

        # Stage 1: the entry is there; stage 2: the sum; then it is written.
        s1_valid = delay(m, self.valid, 1, name="s1_valid")
        s1_first = delay(m, self.first, 1, name="s1_first", reset_less=True)
        s1_slot = delay(m, self.slot, 1, name="s1_slot", reset_less=True)
        s1_addr = delay(m, self.addr, 1, name="s1_addr", reset_less=True)
        s2_valid = delay(m, s1_valid, 1, name="s2_valid")
        s2_slot = delay(m, s1_slot, 1, name="s2_slot", reset_less=True)
        s2_addr = delay(m, s1_addr, 1, name="s2_addr", reset_less=True)
        sums = []
        for c in range(cfg.out_channels):
            value = delay(m, self.value[c], 1, name=f"s1_value_{c}", reset_less=True)
            before = Signal(signed(32), name=f"before_{c}")
            s2_sum = Signal(signed(32), name=f"s2_sum_{c}", reset_less=True)
            with m.If(~s1_first):
                with m.Switch(s1_slot):
                    for h, ram in enumerate(slots):
                        with m.Case(h):
                            m.d.comb += before.eq(ram.r_data.word_select(c, 32))
            with m.If(s1_valid):
                m.d.sync += s2_sum.eq(before + value)
            sums.append(s2_sum)
        for h, ram in enumerate(slots):
            m.d.comb += [
                ram.w_en.eq(s2_valid & (s2_slot == h)),
                ram.w_addr.eq(s2_addr),
                ram.w_data.eq(Cat(sums)),
            ]
        return m
