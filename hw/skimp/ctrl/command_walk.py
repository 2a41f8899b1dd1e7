"""What the controls of array and depthwise unit have in common: commands, pixel groups, taps."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.config import Config
from skimp.ctrl.decode import COMMAND_BITS, view
from skimp.ctrl.unit_ports import connect_reads, connect_unit, read_ports, unit_ports
from skimp.feed.countdown import countdown
from skimp.feed.glb_address import row_add
from skimp.feed.pixel_lanes import PixelLanes
from skimp.feed.tap_walk import TapWalk
from skimp.isa import MASK_BITS, Opcode

__all__ = ["CommandWalk", "connect_walk"]


class CommandWalk(wiring.Component):
    """Prepares the next command while one works, and makes the ifmap reads of the one that works.

    The control around it says how the walk goes on: to the next tap, to the next group, to group 0
    again, to the next command. A command is complete, and posts, when everything that it issued
    can be drained.

    Parameters
    ----------
    config : Config
    opcode : Opcode
        CONV or DEPTHWISE.
    channels : int
        Channels of a word of the ifmap buffer.
    psum_depth : int
        Most pixel groups of a command.
    flight_cycles : int
        Clocks from an issue to the moment its psum can be drained.
    rows : int
        Rows of output pixels that take the same words; the second one has num_pixels2 pixels.

    Members
    -------
    command, post, idle, waiting
        As of the control around.
    bank, row, lane_en, in_zp, ci_en
        As of the control around: registered once behind the counters.
    now, upcoming : Out(512)
        The command that works, and the next one, which is there while `staged`.
    staged, take : Out(1)
        Next clock, the next command is the present one.
    prepared : In(1)
        Nothing that the control itself prepares is missing for the next command.
    begin : Out(1)
        Next clock is the first one of the command.
    working, resting : Out(1)
        In the midst of a command; nothing to do.
    takes : In(rows)
        Rows of lanes that take operands in this clock.
    next_tap, next_group, first_group : In(1)
        Where the next clock stands.
    ending : In(1)
        Last clock of the command.
    group : Out, last_group : Out(1)
    first_tap, last_tap, last_s, first, last : Out(1)
        As of `TapWalk`.

    Notes
    -----
    *Throughput*: one clock between two commands, if the second came `prepare_cycles` clocks before
    the first one ended.
    """

    def __init__(
        self,
        config: Config,
        *,
        opcode: Opcode,
        channels: int,
        psum_depth: int,
        flight_cycles: int,
        rows: int = 1,
    ):
        self._config = config
        self._opcode = opcode
        self._channels = channels
        self._psum_depth = psum_depth
        self._flight_cycles = flight_cycles
        self._lanes = PixelLanes(config)
        self.prepare_cycles = self._lanes.setup_cycles + 1
        super().__init__(
            unit_ports()
            | read_ports(config, channels=channels, rows=rows)
            | {
                "now": Out(COMMAND_BITS),
                "upcoming": Out(COMMAND_BITS),
                "staged": Out(1),
                "take": Out(1),
                "prepared": In(1),
                "begin": Out(1),
                "working": Out(1),
                "resting": Out(1),
                "takes": In(rows),
                "next_tap": In(1),
                "next_group": In(1),
                "first_group": In(1),
                "ending": In(1),
                "group": Out(ceil_log2(psum_depth)),
                "last_group": Out(1),
                **{name: Out(1) for name in ("first_tap", "last_tap", "last_s", "first", "last")},
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self._config
        m.submodules.lanes = lanes = self._lanes
        m.submodules.walk = walk = TapWalk(cfg)
        now, soon = view(self.now, self._opcode), view(self.upcoming, self._opcode)

        # The next command: its pixel lanes are set up.
        ready = Signal()
        m.d.comb += [
            self.command.ready.eq(~self.staged),
            lanes.tile_q.eq(soon.tile_q),
            lanes.row_step.eq(soon.row_step),
            lanes.take.eq(self.take),
            ready.eq(self.staged & lanes.ready & ~lanes.setup & self.prepared),
        ]
        m.d.sync += lanes.setup.eq(0)
        with m.If(self.command.valid & ~self.staged):
            m.d.sync += [
                self.upcoming.eq(self.command.payload),
                self.staged.eq(1),
                lanes.setup.eq(1),
            ]
        with m.Elif(self.take):
            m.d.sync += self.staged.eq(0)
        with m.If(self.take):
            m.d.sync += self.now.eq(self.upcoming)

        done = Signal()
        with m.FSM(name="state"):
            with m.State("IDLE"):
                m.d.comb += [
                    self.resting.eq(1),
                    self.waiting.eq(~self.command.valid & ~self.staged),
                    self.take.eq(ready),
                ]
                with m.If(self.take):
                    m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.comb += self.begin.eq(1)
                m.next = "WORK"
            with m.State("WORK"):
                m.d.comb += self.working.eq(1)
                with m.If(self.ending):
                    m.d.comb += [done.eq(1), self.take.eq(ready)]
                    m.next = "IDLE"
                    with m.If(self.take):
                        m.next = "BEGIN"

        # Taps and groups
        for name in ("ifmap_base", "inc_s", "inc_s_wrap", "inc_r", "inc_r_wrap", "inc_c"):
            m.d.comb += getattr(walk, name).eq(getattr(now, name))
        for name in ("num_c", "num_r", "num_s", "stride_h", "stride_w"):
            m.d.comb += getattr(walk, name).eq(getattr(now, name))
        for name in ("first_tap", "last_tap", "last_s", "first", "last"):
            m.d.comb += getattr(self, name).eq(getattr(walk, name))
        first_group = Signal()
        m.d.comb += [
            first_group.eq(self.begin | self.first_group),
            walk.start.eq(self.begin),
            walk.advance.eq(self.next_tap),
            lanes.restart.eq(first_group),
            lanes.advance.eq(self.next_group),
        ]
        num_groups = now.num_groups[: ceil_log2(self._psum_depth + 1)]
        countdown(m, self.last_group, num_groups, start=first_group, step=self.next_group)
        with m.If(first_group):
            m.d.sync += self.group.eq(0)
        with m.Elif(self.next_group):
            m.d.sync += self.group.eq(self.group + 1)

        # Stage 1: rows of the lanes; lane i lies i banks further, which may carry into the row.
        m.d.sync += [self.bank.eq(walk.base.bank), self.in_zp.eq(now.in_zp)]
        for i in range(cfg.pixels):
            carry = Signal(name=f"lane_carry_{i}")
            m.d.comb += carry.eq(walk.base.bank >= cfg.pixels - i)
            m.d.sync += self.row[i].eq(row_add(walk.base.row, lanes.row[i], carry))
        counts = ("num_pixels", "num_pixels2")[: len(self.lane_en)]
        for r, (name, lane_en) in enumerate(zip(counts, self.lane_en, strict=True)):
            left = Signal(signed(17), name=f"{name}_left", reset_less=True)
            with m.If(first_group):
                m.d.sync += left.eq(getattr(now, name))
            with m.Elif(self.next_group):
                m.d.sync += left.eq(left - cfg.pixels)
            for i in range(cfg.pixels):
                m.d.sync += lane_en[i].eq(self.takes[r] & (left > i))
        for c in range(self._channels):
            m.d.sync += self.ci_en[c].eq(~walk.last_c | (now.ci_last > c))

        # Completion follows the operands down the pipeline.
        posts = Signal(MASK_BITS)
        m.d.comb += posts.eq(Mux(done, now.post, 0))
        for k in range(self._flight_cycles):
            stage = Signal(MASK_BITS, name=f"posts_d{k + 1}")
            m.d.sync += stage.eq(posts)
            posts = stage
        in_flight = Signal(range(self._flight_cycles + 2))
        with m.If(done):
            m.d.sync += in_flight.eq(self._flight_cycles + 1)
        with m.Elif(in_flight != 0):
            m.d.sync += in_flight.eq(in_flight - 1)
        m.d.comb += [
            self.post.eq(posts),
            self.idle.eq(self.resting & ~self.command.valid & ~self.staged & (in_flight == 0)),
        ]
        return m


def connect_walk(m, control, walk: CommandWalk):
    """Hand the ports that a control and its walk have in common to the control."""
    connect_unit(m, control, walk)
    connect_reads(m, walk, control)
