"""Small memory whose read needs no clock: what LUT RAM does."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

__all__ = ["LutRam"]


class LutRam(wiring.Component):
    """One write port, one combinational read port.

    Parameters
    ----------
    width, depth : int

    Members
    -------
    w_en, w_addr, w_data : In
    r_addr : In, r_data : Out(width)
        In the same clock.
    """

    def __init__(self, *, width, depth):
        if width <= 0 or depth <= 0:
            raise ValueError(f"width and depth must be positive, not {width!r} and {depth!r}")
        self._width = width
        self._depth = depth
        addr_bits = ceil_log2(depth)
        super().__init__(
            {
                "w_en": In(1),
                "w_addr": In(addr_bits),
                "w_data": In(width),
                "r_addr": In(addr_bits),
                "r_data": Out(width),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = ram = memory.Memory(
            shape=unsigned(self._width),
            depth=self._depth,
            init=[],
            attrs={"ram_style": "distributed"},
        )
        write, read = ram.write_port(), ram.read_port(domain="comb")
        m.d.comb += [
            write.en.eq(self.w_en),
            write.addr.eq(self.w_addr),
            write.data.eq(self.w_data),
            read.addr.eq(self.r_addr),
            self.r_data.eq(read.data),
        ]
        return m
