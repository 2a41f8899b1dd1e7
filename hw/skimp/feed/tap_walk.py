"""Where a kernel tap begins: the walk over channel blocks, kernel rows and kernel columns."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from skimp.config import Config
from skimp.feed.countdown import countdown
from skimp.feed.glb_address import GlbAddress, glb_add

__all__ = ["TapWalk"]


class TapWalk(wiring.Component):
    """GLB address of tap (c, r, s) for output pixel 0, columns fastest, then rows, then blocks.

    With a stride the tile lies in the buffer as one plane per stride phase, so that taps one apart
    change the plane and taps `stride` apart move by one word: both steps are offsets that the
    command holds.

    Parameters
    ----------
    config : Config

    Members
    -------
    ifmap_base, inc_s, inc_s_wrap, inc_r, inc_r_wrap, inc_c : In(GlbAddress)
        Fields of the command, stable while the walk runs.
    num_c, num_r, num_s : In(16)
    stride_h, stride_w : In(4)
    start : In(1)
        Next clock stands at tap (0, 0, 0).
    advance : In(1)
        Next clock stands at the next tap; behind the last one at the first again.
    base : Out(GlbAddress)
    first_tap, last_tap : Out(1)
        First, last tap of a channel block.
    first, last : Out(1)
        First, last tap of all.
    last_s : Out(1)
        Last tap of a kernel row.
    last_c : Out(1)
        In the last channel block.

    Notes
    -----
    *Latency*: 1 clock from `start` or `advance`.
    """

    def __init__(self, config: Config):
        self._num_banks = config.pixels
        super().__init__(
            {
                **{
                    name: In(GlbAddress)
                    for name in (
                        "ifmap_base",
                        "inc_s",
                        "inc_s_wrap",
                        "inc_r",
                        "inc_r_wrap",
                        "inc_c",
                    )
                },
                "num_c": In(16),
                "num_r": In(16),
                "num_s": In(16),
                "stride_h": In(4),
                "stride_w": In(4),
                "start": In(1),
                "advance": In(1),
                "base": Out(GlbAddress),
                "first_tap": Out(1),
                "last_tap": Out(1),
                "first": Out(1),
                "last": Out(1),
                "last_s": Out(1),
                "last_c": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        r_base = Signal(GlbAddress, reset_less=True)
        c_base = Signal(GlbAddress, reset_less=True)
        step_s, step_r = Signal(GlbAddress), Signal(GlbAddress)
        wrap_w, wrap_h = Signal(), Signal()
        last_c, last_r, last_s = Signal(), Signal(), Signal()
        step_row, step_block = Signal(), Signal()

        m.d.comb += [
            step_s.eq(Mux(wrap_w, self.inc_s_wrap, self.inc_s)),
            step_r.eq(Mux(wrap_h, self.inc_r_wrap, self.inc_r)),
            step_row.eq(self.advance & last_s),
            step_block.eq(step_row & last_r),
            self.last_s.eq(last_s),
            self.last_c.eq(last_c),
            self.last_tap.eq(last_r & last_s),
            self.last.eq(self.last_tap & last_c),
        ]
        countdown(m, last_c, self.num_c, start=self.start, step=step_block)
        countdown(m, last_r, self.num_r, start=self.start, step=step_row)
        countdown(m, last_s, self.num_s, start=self.start, step=self.advance)
        countdown(m, wrap_h, self.stride_h, start=self.start | step_block, step=step_row)
        countdown(m, wrap_w, self.stride_w, start=self.start | step_row, step=self.advance)

        next_s = glb_add(m, "next_s", self.base, step_s, num_banks=self._num_banks)
        next_r = glb_add(m, "next_r", r_base, step_r, num_banks=self._num_banks)
        next_c = glb_add(m, "next_c", c_base, self.inc_c, num_banks=self._num_banks)

        with m.If(self.start | (step_block & last_c)):
            m.d.sync += [x.eq(self.ifmap_base) for x in (self.base, r_base, c_base)]
            m.d.sync += [self.first.eq(1), self.first_tap.eq(1)]
        with m.Elif(self.advance):
            m.d.sync += [self.first.eq(0), self.first_tap.eq(self.last_tap)]
            with m.If(~last_s):
                m.d.sync += self.base.eq(next_s)
            with m.Elif(~last_r):
                m.d.sync += [x.eq(next_r) for x in (self.base, r_base)]
            with m.Else():
                m.d.sync += [x.eq(next_c) for x in (self.base, r_base, c_base)]
        return m
