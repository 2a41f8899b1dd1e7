"""Depthwise control: walks taps and pixel groups of DEPTHWISE commands, for one row or two."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out
from amaranth.utils import ceil_log2

from skimp.config import Config
from skimp.ctrl.command_walk import CommandWalk, connect_walk
from skimp.ctrl.decode import view
from skimp.ctrl.unit_ports import read_ports, unit_ports
from skimp.feed.countdown import countdown
from skimp.isa import Opcode

__all__ = ["DepthwiseControl", "DepthwiseIssue"]


def DepthwiseIssue(config: Config):
    """Control that travels beside the operands, one record a clock.

    valid : a tap is read in this clock
    rows : for each row of lanes: it takes the tap; first and last one of its window
    wgt_addr : weight of the upper row's tap; the lower row's has been read before
    max_mode, unit_wgt : of the command
    group : psum entry; slot : psum slot
    """
    row = data.StructLayout({"valid": 1, "first": 1, "last": 1})
    return data.StructLayout(
        {
            "valid": 1,
            "rows": data.ArrayLayout(row, config.dw_rows),
            "wgt_addr": ceil_log2(config.dw_wgt_depth),
            "max_mode": 1,
            "unit_wgt": 1,
            "slot": 2,
            "group": ceil_log2(config.dw_psum_depth),
        }
    )


class DepthwiseControl(wiring.Component):
    """Issues taps to the depthwise unit: a pixel group stays while all taps pass.

    With two rows, a window of R rows begins `lag` rows of the walk later in the lower lanes.

    Parameters
    ----------
    config : Config
    flight_cycles : int
        Clocks from an issue to the moment its psum can be drained.

    Members
    -------
    command, post, idle, waiting
        As of `ArrayControl`.
    bank : Out(4), row : Out(16).array(pixels), lane_en : Out(pixels).array(dw_rows)
        Reads of the ifmap buffer, and the lanes that take them.
    in_zp : Out(signed(8)), ci_en : Out(out_channels), macs_per_act : Out(1)
        For the feed, in the clock of the read.
    issue : Out(DepthwiseIssue)
        In the clock of the read.

    Notes
    -----
    *Latency*: as `ArrayControl`. *Throughput*: a tap a clock; one clock between two commands, if
    the second came `prepare_cycles` clocks before the first one ended.
    """

    def __init__(self, config: Config, *, flight_cycles: int):
        self._config = config
        channels, rows = config.out_channels, config.dw_rows
        self._walk = CommandWalk(
            config,
            opcode=Opcode.DEPTHWISE,
            channels=channels,
            psum_depth=config.dw_psum_depth,
            flight_cycles=flight_cycles,
            rows=rows,
        )
        self.prepare_cycles = self._walk.prepare_cycles
        super().__init__(
            unit_ports()
            | read_ports(config, channels=channels, rows=rows)
            | {"macs_per_act": Out(1), "issue": Out(DepthwiseIssue(config))}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.walk = walk = self._walk
        connect_walk(m, self, walk)
        now, soon = view(walk.now, Opcode.DEPTHWISE), view(walk.upcoming, Opcode.DEPTHWISE)
        issue = Signal(DepthwiseIssue(self._config))
        first_tap, next_row = Signal(), Signal()
        m.d.comb += [
            walk.prepared.eq(1),
            walk.next_tap.eq(walk.working),
            walk.next_group.eq(walk.working & walk.last_tap),
            walk.ending.eq(walk.last_tap & walk.last_group),
            first_tap.eq(walk.begin | walk.next_group),
            next_row.eq(walk.working & walk.last_s),
        ]

        # Both rows' windows have as many kernel rows; the lower one's last are the walk's.
        num_r = Signal(16, reset_less=True)
        with m.If(walk.take):
            m.d.sync += num_r.eq(soon.num_r - soon.lag)
        upper_on, upper_end = Signal(), Signal()
        countdown(m, upper_end, num_r, start=first_tap, step=next_row)
        with m.If(first_tap):
            m.d.sync += upper_on.eq(1)
        with m.Elif(next_row & upper_end):
            m.d.sync += upper_on.eq(0)
        windows = [(upper_on, walk.first_tap, walk.last_s & upper_end)]
        if self._config.dw_rows == 2:
            paired = Signal()
            with m.If(walk.take):
                m.d.sync += paired.eq(soon.num_pixels2 != 0)
            lower_on, lower_first, lag_end = Signal(), Signal(), Signal()
            countdown(m, lag_end, now.lag, start=first_tap, step=next_row)
            with m.If(first_tap):
                m.d.sync += lower_on.eq(0)
            with m.Elif(next_row & lag_end):
                m.d.sync += lower_on.eq(paired)
            with m.If(walk.working):
                m.d.sync += lower_first.eq(next_row & lag_end & ~lower_on)
            windows.append((lower_on, lower_first, walk.last_tap))

        for r, (on, first, last) in enumerate(windows):
            m.d.comb += [
                walk.takes[r].eq(walk.working & on),
                issue.rows[r].valid.eq(walk.working & on),
                issue.rows[r].first.eq(first),
                issue.rows[r].last.eq(last),
            ]
        wgt_addr = Signal(ceil_log2(self._config.dw_wgt_depth))
        with m.If(first_tap):
            m.d.sync += wgt_addr.eq(now.wgt_base)
        with m.Else():
            m.d.sync += wgt_addr.eq(wgt_addr + 1)
        counted = ~now.unit_wgt & ~now.max_mode
        m.d.comb += [
            issue.valid.eq(walk.working),
            issue.max_mode.eq(now.max_mode),
            issue.unit_wgt.eq(~counted),  # the maximum is that of products with 1
            issue.wgt_addr.eq(wgt_addr),
            issue.group.eq(walk.group),
            issue.slot.eq(now.psum_slot),
        ]
        m.d.sync += [self.issue.eq(issue), self.macs_per_act.eq(counted)]
        return m
