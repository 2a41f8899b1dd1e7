"""Memory with one read and one write port: what a block RAM or a LUT RAM does."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

__all__ = ["MOST_LUT_RAM_WORDS", "Ram1R1W"]

MOST_LUT_RAM_WORDS = 64
"""Depth beyond which LUT RAM takes more LUTs to choose a word than to keep it."""


class Ram1R1W(wiring.Component):
    """Simple dual-port memory with a registered read.

    Parameters
    ----------
    width : int
        Bits of a word.
    depth : int
        Words.
    granularity : int or None
        Bits that a write-enable bit covers; None: the whole word.
    ram_style : str or None
        Value of the attribute of that name ("block", "distributed", "ultra").

    Members
    -------
    r_en : In(1), r_addr : In, r_data : Out(width)
        Data one clock after r_en; held while r_en is 0; undefined before the first read.
    w_en : In(width / granularity), w_addr : In, w_data : In(width)

    Notes
    -----
    *Latency*: 1 clock. A word read in the clock in which it is written comes out as it was before
    (simulation) or undefined (hardware): do not rely on it. Address bits beyond the depth are cut.
    """

    read_latency = 1

    def __init__(self, *, width, depth, granularity=None, ram_style=None):
        if width <= 0 or depth <= 0:
            raise ValueError(f"width and depth must be positive, not {width!r} and {depth!r}")
        if granularity is not None and width % granularity:
            raise ValueError(f"granularity must divide width ({width}), not {granularity!r}")
        self._width = width
        self._depth = depth
        self._granularity = granularity
        self._ram_style = ram_style
        addr_bits = ceil_log2(depth)
        super().__init__(
            {
                "r_en": In(1),
                "r_addr": In(addr_bits),
                "r_data": Out(width),
                "w_en": In(1 if granularity is None else width // granularity),
                "w_addr": In(addr_bits),
                "w_data": In(width),
            }
        )

    def elaborate(self, platform):
        m = Module()
        attrs = {"ram_style": self._ram_style} if self._ram_style else {}
        m.submodules.memory = ram = memory.Memory(
            shape=unsigned(self._width), depth=self._depth, init=[], attrs=attrs
        )
        write = ram.write_port(granularity=self._granularity)
        read = ram.read_port()
        m.d.comb += [
            read.en.eq(self.r_en),
            read.addr.eq(self.r_addr),
            self.r_data.eq(read.data),
            write.en.eq(self.w_en),
            write.addr.eq(self.w_addr),
            write.data.eq(self.w_data),
        ]
        return m
