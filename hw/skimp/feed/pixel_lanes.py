"""Where the pixels of a group lie: row offsets of each pixel lane while groups go by."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from skimp.config import Config
from skimp.feed.countdown import countdown
from skimp.feed.glb_address import ROW_BITS

__all__ = ["PixelLanes"]


class PixelLanes(wiring.Component):
    """Row offset of every pixel lane for the current pixel group.

    Output pixels of a tile are numbered row by row, f = p * tile_q + q; lane i of group t takes
    f = t * pixels + i. The buffer's row pitch is tile_q + row_step * pixels words, so the word of
    pixel f lies i + pixels * (t + p * row_step) behind that of pixel 0: always in bank i (plus the
    tap's bank), which makes the banks free of conflicts; only the row differs. This block keeps
    t + p * row_step for each lane without dividing.

    Parameters
    ----------
    config : Config

    Members
    -------
    tile_q, row_step : In(16)
        Geometry of the tile to prepare; stable from `setup` until `take`.
    setup : In(1)
        Starts the preparation of another geometry while the present one works.
    ready : Out(1)
        The preparation is complete, `setup_cycles` clocks behind `setup`.
    take : In(1)
        The prepared geometry becomes the present one.
    restart : In(1)
        Next clock holds group 0.
    advance : In(1)
        Next clock holds the next group (`restart` wins).
    row : Out(16).array(pixels)
        Row offset of each lane.

    Notes
    -----
    *Latency*: 1 clock from `restart` or `advance`.
    """

    def __init__(self, config: Config):
        self._pixels = config.pixels
        self.setup_cycles = config.pixels + 2
        super().__init__(
            {
                "tile_q": In(16),
                "row_step": In(16),
                "setup": In(1),
                "ready": Out(1),
                "take": In(1),
                "restart": In(1),
                "advance": In(1),
                "row": Out(ROW_BITS).array(config.pixels),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lane_idx = Signal(range(self._pixels + 2), init=self._pixels + 1)
        walk_q = Signal(16)
        walk_row = Signal(ROW_BITS)
        step_q = Signal(16, reset_less=True)
        step_row = Signal(ROW_BITS, reset_less=True)

        # One walk over the first `pixels` pixels finds the start of every lane; one pixel further
        # it stands where lane 0 will stand in group 1: that is the step from group to group.
        walking = Signal()
        row_end = Signal()
        m.d.comb += walking.eq(lane_idx != self._pixels + 1)
        countdown(m, row_end, self.tile_q, start=self.setup, step=walking)
        with m.If(self.setup):
            m.d.sync += [lane_idx.eq(0), walk_q.eq(0), walk_row.eq(0)]
        with m.Elif(walking):
            m.d.sync += lane_idx.eq(lane_idx + 1)
            with m.If(row_end):
                m.d.sync += [walk_q.eq(0), walk_row.eq(walk_row + self.row_step)]
            with m.Else():
                m.d.sync += walk_q.eq(walk_q + 1)
        with m.If(lane_idx == self._pixels):
            m.d.sync += [step_q.eq(walk_q), step_row.eq(walk_row + 1)]

        m.d.comb += self.ready.eq(~walking)

        # The present geometry. A lane's column goes on by step_q, or back by the rest of the row.
        # What is kept is the column less that rest: its sign says which of the two comes next.
        now_step_q = Signal(16, reset_less=True)
        now_back_q = Signal(signed(17), reset_less=True)
        now_step_row = Signal(ROW_BITS, reset_less=True)
        now_wrap_row = Signal(ROW_BITS, reset_less=True)
        with m.If(self.take):
            m.d.sync += [
                now_step_q.eq(step_q),
                now_back_q.eq(step_q - self.tile_q),
                now_step_row.eq(step_row),
                now_wrap_row.eq(step_row + self.row_step),
            ]
        for i in range(self._pixels):
            first_q = Signal(16, name=f"first_q_{i}", reset_less=True)
            first_row = Signal(ROW_BITS, name=f"first_row_{i}", reset_less=True)
            now_q = Signal(16, name=f"now_q_{i}", reset_less=True)
            now_row = Signal(ROW_BITS, name=f"now_row_{i}", reset_less=True)
            beyond_q = Signal(signed(17), name=f"beyond_q_{i}", reset_less=True)
            back = Signal(name=f"back_{i}")
            m.d.comb += back.eq(self.restart | (beyond_q >= 0))
            with m.If(lane_idx == i):
                m.d.sync += [first_q.eq(walk_q), first_row.eq(walk_row)]
            with m.If(self.take):
                m.d.sync += [now_q.eq(first_q), now_row.eq(first_row)]
            with m.If(self.restart | self.advance):
                before = Mux(self.restart, now_q, beyond_q)
                m.d.sync += beyond_q.eq(before + Mux(back, now_back_q, now_step_q))
            with m.If(self.restart):
                m.d.sync += self.row[i].eq(now_row)
            with m.Elif(self.advance):
                m.d.sync += self.row[i].eq(self.row[i] + Mux(back, now_wrap_row, now_step_row))
        return m
