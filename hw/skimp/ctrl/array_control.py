"""Array control: walks taps and pixel groups of CONV commands."""

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

__all__ = ["ArrayControl", "ArrayIssue"]


def ArrayIssue(config: Config):
    """Control that travels beside the operands, one record a clock.

    valid : the array takes the operands of this clock
    first, last : first and last product of a psum
    swap : the prefetched weights become the working ones
    wgt_read : from this record on, the next block enters the prefetch registers
    group : psum entry; slot : psum slot
    """
    return data.StructLayout(
        {
            "valid": 1,
            "first": 1,
            "last": 1,
            "swap": 1,
            "wgt_read": 1,
            "slot": 2,
            "group": ceil_log2(config.psum_depth),
            "wgt_addr": 16,
        }
    )


class ArrayControl(wiring.Component):
    """Issues pixel groups to the array.

    A weight block stays while all pixel groups pass (weight stationary). While a command runs, the
    next one is prepared: its pixel lanes are set up and its first weights are read. A command is
    complete, and posts, when everything it issued has reached the psum scratchpad.

    Parameters
    ----------
    config : Config
    flight_cycles : int
        Clocks from an issue to the moment its psum can be drained.

    Members
    -------
    command : In(stream)
        Commands whose semaphores were taken.
    post : Out(MASK_BITS)
        Semaphores of a completed command, for one clock.
    idle : Out(1)
    waiting : Out(1)
        Nothing to do: no command has come.
    bank : Out(4), row : Out(16).array(pixels), lane_en : Out(pixels).array(1)
        Reads of the ifmap buffer.
    in_zp : Out(signed(8)), ci_en : Out(in_channels), macs_per_act : Out(8)
        For the feed, in the clock of the read.
    issue : Out(ArrayIssue)
        In the clock of the read.

    Notes
    -----
    *Latency*: row and bank are registered once behind the counters; `issue` is in step with them.
    *Throughput*: a group a clock; a pass takes max(num_groups, min_pass_cycles) clocks; one clock
    between two commands, if the second came `prepare_cycles` clocks before the first one ended.
    """

    def __init__(self, config: Config, *, flight_cycles: int):
        self._config = config
        self._walk = CommandWalk(
            config,
            opcode=Opcode.CONV,
            channels=config.in_channels,
            psum_depth=config.psum_depth,
            flight_cycles=flight_cycles,
        )
        self.prepare_cycles = max(config.min_pass_cycles - 1, self._walk.prepare_cycles)
        super().__init__(
            unit_ports()
            | read_ports(config, channels=config.in_channels)
            | {"macs_per_act": Out(8), "issue": Out(ArrayIssue(config))}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.walk = walk = self._walk
        connect_walk(m, self, walk)
        now, soon = view(walk.now, Opcode.CONV), view(walk.upcoming, Opcode.CONV)
        issue = Signal(ArrayIssue(self._config))

        # Passes: a short one is stretched.
        min_pass = self._config.min_pass_cycles
        pass_clocks = Signal(range(self._config.psum_depth + 1), reset_less=True)
        pass_end = Signal()
        first_clock = Signal()  # of a pass
        group_valid = Signal()  # 0 in the clocks that stretch a short pass
        restart = Signal()
        with m.If(walk.take):
            m.d.sync += pass_clocks.eq(Mux(soon.num_groups < min_pass, min_pass, soon.num_groups))
        countdown(m, pass_end, pass_clocks, start=restart, step=walk.working)
        m.d.comb += [
            restart.eq(walk.begin | walk.working & pass_end),
            walk.first_group.eq(restart),
            walk.next_group.eq(walk.working),
            walk.next_tap.eq(walk.working & pass_end),
            walk.ending.eq(pass_end & walk.last),
            walk.takes.eq(issue.valid),
        ]
        with m.If(restart):
            m.d.sync += [first_clock.eq(1), group_valid.eq(1)]
        with m.Elif(walk.working):
            m.d.sync += [first_clock.eq(0), group_valid.eq(group_valid & ~walk.last_group)]

        # Weight reads are min_pass clocks apart; the registers are free when the weights before
        # begin to work. A command begins two clocks behind `take`.
        wgt_addr = Signal(16, reset_less=True)
        soon_loaded = Signal()  # the next command's first weights are on their way
        reading = Signal(range(min_pass))
        read_next, read_soon = Signal(), Signal()
        with m.If(issue.wgt_read):
            m.d.sync += reading.eq(min_pass - 1)
        with m.Elif(reading != 0):
            m.d.sync += reading.eq(reading - 1)
        with m.If(walk.take):
            m.d.sync += soon_loaded.eq(0)
        with m.Elif(read_soon):
            m.d.sync += soon_loaded.eq(1)
        with m.If(walk.begin):
            m.d.sync += wgt_addr.eq(now.wgt_base)
        with m.Elif(walk.working & first_clock):
            m.d.sync += wgt_addr.eq(wgt_addr + 1)
        m.d.comb += [
            walk.prepared.eq(soon_loaded & (reading <= 2)),
            read_next.eq(walk.working & first_clock & ~walk.last),
            read_soon.eq(
                walk.staged
                & ~soon_loaded
                & (walk.resting | walk.working & walk.last)
                & (reading == 0)
            ),
            issue.wgt_read.eq(read_next | read_soon),
            issue.wgt_addr.eq(Mux(read_soon, soon.wgt_base, wgt_addr + 1)),
            issue.valid.eq(walk.working & group_valid),
            issue.swap.eq(walk.working & first_clock),
            issue.first.eq(walk.first & now.first),
            issue.last.eq(walk.last & now.last),
            issue.group.eq(walk.group),
            issue.slot.eq(now.psum_slot),
        ]
        m.d.sync += [self.issue.eq(issue), self.macs_per_act.eq(now.co_valid)]
        return m
