"""First in, first out, in LUT RAM: what came can be read in the next clock."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.mem.lut_ram import LutRam

__all__ = ["LutFifo"]


class LutFifo(wiring.Component):
    """Queue of a few dozen words.

    Parameters
    ----------
    width : int
        Bits of a word.
    depth : int
        Words; a power of two.

    Members
    -------
    w_en : In(1), w_data : In(width)
        Only with `w_rdy`, or where the user knows that there is room.
    w_rdy : Out(1)
    r_en : In(1)
        Only with `r_rdy`.
    r_rdy : Out(1), r_data : Out(width)
        The oldest word; it is there until r_en.

    Notes
    -----
    *Latency*: 1 clock. *Throughput*: a word a clock each way, at any level.
    """

    def __init__(self, *, width: int, depth: int):
        if depth < 2 or depth & (depth - 1):
            raise ValueError(f"depth must be a power of two above 1, not {depth!r}")
        self._width = width
        self._depth = depth
        super().__init__(
            {
                "w_en": In(1),
                "w_data": In(width),
                "w_rdy": Out(1),
                "r_en": In(1),
                "r_rdy": Out(1),
                "r_data": Out(width),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bits = ceil_log2(self._depth)
        m.submodules.ram = ram = LutRam(width=self._width, depth=self._depth)
        # One bit more than an address: it tells a full queue from an empty one.
        w_ptr, r_ptr = (Signal(bits + 1, name=name) for name in ("w_ptr", "r_ptr"))
        m.d.comb += [
            ram.w_en.eq(self.w_en),
            ram.w_addr.eq(w_ptr),
            ram.w_data.eq(self.w_data),
            ram.r_addr.eq(r_ptr),
            self.r_data.eq(ram.r_data),
            self.r_rdy.eq(w_ptr != r_ptr),
            self.w_rdy.eq(w_ptr != r_ptr ^ self._depth),
        ]
        m.d.sync += [w_ptr.eq(w_ptr + self.w_en), r_ptr.eq(r_ptr + self.r_en)]
        return m
