"""Memory with wide words that fill lane by lane and are read at once."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.mem.ram import Ram1R1W

__all__ = ["WideRam"]


class WideRam(wiring.Component):
    """Word of `lanes` x `lane_width` bits, written one lane a clock, read whole.

    Parameters
    ----------
    lanes, lane_width, depth : int

    Members
    -------
    w_en : In(1), w_addr : In, w_lane : In, w_data : In(lane_width)
    r_en : In(1), r_addr : In, r_data : Out(lanes * lane_width)
        Lane 0 lowest; held while r_en is 0.

    Notes
    -----
    *Latency*: 1 clock. *Resources*: one `Ram1R1W` per lane.
    """

    read_latency = 1

    def __init__(self, *, lanes, lane_width, depth):
        if lanes <= 0:
            raise ValueError(f"lanes must be positive, not {lanes!r}")
        self._lanes = lanes
        self._lane_width = lane_width
        self._depth = depth
        super().__init__(
            {
                "w_en": In(1),
                "w_addr": In(ceil_log2(depth)),
                "w_lane": In(range(max(lanes, 2))),
                "w_data": In(lane_width),
                "r_en": In(1),
                "r_addr": In(ceil_log2(depth)),
                "r_data": Out(lanes * lane_width),
            }
        )

    def elaborate(self, platform):
        m = Module()
        for k in range(self._lanes):
            ram = Ram1R1W(width=self._lane_width, depth=self._depth)
            m.submodules[f"lane_{k}"] = ram
            m.d.comb += [
                ram.w_en.eq(self.w_en & (self.w_lane == k)),
                ram.w_addr.eq(self.w_addr),
                ram.w_data.eq(self.w_data),
                ram.r_en.eq(self.r_en),
                ram.r_addr.eq(self.r_addr),
                self.r_data.word_select(k, self._lane_width).eq(ram.r_data),
            ]
        return m
