"""Compute control: walks taps and pixel groups of CONV and DEPTHWISE commands."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.config import CHAIN, Config
from skimp.ctrl.decode import COMMAND_BITS, view
from skimp.feed.countdown import countdown
from skimp.feed.glb_address import BANK_BITS, ROW_BITS, row_add
from skimp.feed.pixel_lanes import PixelLanes
from skimp.feed.tap_walk import TapWalk
from skimp.isa import Opcode

__all__ = ["MIN_PASS", "ComputeControl", "IssueLayout"]

MIN_PASS = CHAIN
"""Shortest pass in clocks: the next weights enter a chain slice by slice, one a clock."""


def IssueLayout(config: Config):
    """Control that travels beside the operands, one record a clock.

    conv, dw : the unit that takes the operands of this clock (at most one is set)
    first, last : first and last product of a psum
    swap : conv: the prefetched weights become the working ones
    wgt_read : from this record on, a clock a slice, the next block enters the prefetch registers
    group : psum entry; slot : psum slot
    """
    return data.StructLayout(
        {
            "conv": 1,
            "dw": 1,
            "first": 1,
            "last": 1,
            "swap": 1,
            "wgt_read": 1,
            "max_mode": 1,
            "unit_wgt": 1,
            "slot": 2,
            "group": ceil_log2(config.psum_depth),
            "wgt_addr": 16,
        }
    )


class ComputeControl(wiring.Component):
    """Issues pixel groups to the array or the depthwise unit.

    CONV keeps a weight block while all pixel groups pass (weight stationary); DEPTHWISE keeps a
    pixel group while all taps pass (output stationary). While a command runs, the next one is
    prepared: its pixel lanes are set up and its first weights are read. A command is complete, and
    posts, when everything it issued has reached the psum scratchpad.

    Parameters
    ----------
    config : Config
    flight_cycles : int
        Clocks from an issue to the moment its psum can be drained, for the slowest unit.

    Members
    -------
    command : In(stream)
        Commands whose semaphores were taken.
    post : Out(16)
        Semaphores of a completed command, for one clock.
    idle : Out(1)
    bank : Out(4), row : Out(16).array(pixels), lane_en : Out(pixels)
        Reads of the ifmap buffer.
    in_zp : Out(signed(8)), ci_en : Out(in_channels), macs_per_act : Out(8)
        For the feed, in the clock of the read.
    issue : Out(IssueLayout)
        In the clock of the read.
    waiting : Out(1)
        Nothing to do: no command has come.

    Notes
    -----
    *Latency*: row and bank are registered once behind the counters; `issue` is in step with them.
    *Throughput*: a group a clock; a pass takes max(num_groups, MIN_PASS) clocks; one clock between
    two commands of the same unit, if the second came `prepare_cycles` clocks before the first one
    ended; another unit starts when the pipeline is empty.
    """

    def __init__(self, config: Config, *, flight_cycles: int):
        self._config = config
        self._flight_cycles = flight_cycles
        self.prepare_cycles = max(MIN_PASS - 1, config.pixels + 3)
        super().__init__(
            {
                "command": In(stream.Signature(COMMAND_BITS)),
                "post": Out(16),
                "idle": Out(1),
                "bank": Out(BANK_BITS),
                "row": Out(ROW_BITS).array(config.pixels),
                "lane_en": Out(config.pixels),
                "in_zp": Out(signed(8)),
                "ci_en": Out(config.in_channels),
                "macs_per_act": Out(8),
                "issue": Out(IssueLayout(config)),
                "waiting": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self._config
        m.submodules.lanes = lanes = PixelLanes(cfg)
        m.submodules.walk = walk = TapWalk(cfg)

        # The next command, and what is prepared for it.
        upcoming = Signal(COMMAND_BITS, reset_less=True)
        soon = view(upcoming, Opcode.CONV)
        staged = Signal()
        soon_loaded = Signal()  # its first weights are on their way to the prefetch registers
        soon_is_conv = Signal()
        take = Signal()
        m.d.comb += [
            lanes.tile_q.eq(soon.tile_q),
            lanes.row_step.eq(soon.row_step),
            lanes.take.eq(take),
            self.command.ready.eq(~staged),
        ]
        m.d.sync += lanes.setup.eq(0)
        with m.If(self.command.valid & ~staged):
            m.d.sync += [
                upcoming.eq(self.command.payload),
                soon_is_conv.eq(view(self.command.payload, Opcode.CONV).opcode == Opcode.CONV),
                staged.eq(1),
                soon_loaded.eq(0),
                lanes.setup.eq(1),
            ]
        with m.Elif(take):
            m.d.sync += staged.eq(0)

        # The present command.
        command = Signal(COMMAND_BITS, reset_less=True)
        conv, dw = view(command, Opcode.CONV), view(command, Opcode.DEPTHWISE)
        is_conv = Signal()
        pass_clocks = Signal(range(cfg.psum_depth + 1), reset_less=True)
        with m.If(take):
            m.d.sync += [
                command.eq(upcoming),
                is_conv.eq(soon_is_conv),
                pass_clocks.eq(
                    Mux(soon_is_conv & (soon.num_groups < MIN_PASS), MIN_PASS, soon.num_groups)
                ),
            ]
        for name in ("ifmap_base", "inc_s", "inc_s_wrap", "inc_r", "inc_r_wrap", "inc_c"):
            m.d.comb += getattr(walk, name).eq(getattr(conv, name))
        for name in ("num_c", "num_r", "num_s", "stride_h", "stride_w"):
            m.d.comb += getattr(walk, name).eq(getattr(conv, name))

        group = Signal(ceil_log2(cfg.psum_depth))
        first_clock = Signal()  # of a pass; DEPTHWISE takes its groups in one pass
        group_valid = Signal()  # 0 in the clocks that stretch a short pass
        last_group, pass_end = Signal(), Signal()
        pixels_left = Signal(16, reset_less=True)
        wgt_addr = Signal(16, reset_less=True)
        in_flight = Signal(range(self._flight_cycles + 2))
        drained = Signal()
        done = Signal()
        s0 = Signal(IssueLayout(cfg))
        restart = Signal()
        advance = Signal()
        m.d.comb += [
            drained.eq(~in_flight.any()),
            lanes.restart.eq(restart),
            lanes.advance.eq(advance),
        ]
        num_groups = conv.num_groups[: len(pass_clocks)]  # they are psum_depth at most
        countdown(m, last_group, num_groups, start=restart, step=advance)
        countdown(m, pass_end, pass_clocks, start=restart, step=advance)
        with m.If(restart):
            m.d.sync += [
                group.eq(0),
                first_clock.eq(1),
                group_valid.eq(1),
                pixels_left.eq(conv.num_pixels),
            ]
        with m.Elif(advance):
            m.d.sync += [
                group.eq(group + 1),
                first_clock.eq(0),
                group_valid.eq(group_valid & ~last_group),
                pixels_left.eq(pixels_left - cfg.pixels),
            ]

        # Weight reads take CHAIN clocks; the registers are free when the weights before begin to
        # work. A command begins two clocks behind `take`.
        reading = Signal(range(CHAIN))
        registers_free = Signal()
        read_soon, ready = Signal(), Signal()
        with m.If(s0.wgt_read):
            m.d.sync += reading.eq(CHAIN - 1)
        with m.Elif(reading != 0):
            m.d.sync += reading.eq(reading - 1)
        m.d.comb += [
            # Units differ in latency: another one starts on an empty pipeline only.
            ready.eq(
                staged
                & lanes.ready
                & ~lanes.setup
                & ((soon_is_conv == is_conv) | drained)
                & (~soon_is_conv | (soon_loaded & reading.matches(0, 1, 2)))
            ),
            read_soon.eq(staged & soon_is_conv & ~soon_loaded & registers_free & ~reading.any()),
        ]
        with m.If(read_soon):
            m.d.comb += [s0.wgt_read.eq(1), s0.wgt_addr.eq(soon.wgt_base)]
            m.d.sync += soon_loaded.eq(1)

        idle_state = Signal()
        with m.FSM(name="state"):
            with m.State("IDLE"):
                m.d.comb += [
                    idle_state.eq(1),
                    self.waiting.eq(~self.command.valid & ~staged),
                    registers_free.eq(1),
                    take.eq(ready),
                ]
                with m.If(take):
                    m.next = "FIRST"
            with m.State("FIRST"):
                m.d.comb += [restart.eq(1), walk.start.eq(1)]
                m.d.sync += wgt_addr.eq(conv.wgt_base)
                m.next = "DEPTHWISE"
                with m.If(is_conv):
                    m.next = "CONV"

            with m.State("CONV"):
                m.d.comb += [
                    s0.conv.eq(group_valid),
                    s0.swap.eq(first_clock),
                    s0.first.eq(walk.first & conv.first),
                    s0.last.eq(walk.last & conv.last),
                    advance.eq(1),
                    registers_free.eq(walk.last),
                ]
                with m.If(first_clock):
                    m.d.sync += wgt_addr.eq(wgt_addr + 1)
                    with m.If(~walk.last):
                        m.d.comb += [s0.wgt_read.eq(1), s0.wgt_addr.eq(wgt_addr + 1)]
                with m.If(pass_end):
                    m.d.comb += [restart.eq(1), walk.advance.eq(1)]
                    with m.If(walk.last):
                        m.d.comb += [done.eq(1), take.eq(ready)]
                        m.next = "IDLE"
                        with m.If(take):
                            m.next = "FIRST"

            with m.State("DEPTHWISE"):
                m.d.comb += [
                    s0.dw.eq(1),
                    s0.first.eq(walk.first_tap),
                    s0.last.eq(walk.last_tap),
                    s0.wgt_addr.eq(wgt_addr),
                    s0.max_mode.eq(dw.max_mode),
                    s0.unit_wgt.eq(dw.unit_wgt),
                    walk.advance.eq(1),
                ]
                m.d.sync += wgt_addr.eq(Mux(walk.last_tap, dw.wgt_base, wgt_addr + 1))
                with m.If(walk.last_tap):
                    m.d.comb += advance.eq(1)
                    with m.If(pass_end):
                        m.d.comb += [done.eq(1), take.eq(ready)]
                        m.next = "IDLE"
                        with m.If(take):
                            m.next = "FIRST"

        m.d.comb += [s0.group.eq(group), s0.slot.eq(conv.psum_slot)]

        # Stage 1: rows of the lanes; lane i lies i banks further, which may carry into the row.
        taken = Signal()
        m.d.comb += taken.eq(s0.conv | s0.dw)
        m.d.sync += [
            self.issue.eq(s0),
            self.bank.eq(walk.base.bank),
            self.in_zp.eq(conv.in_zp),
            self.macs_per_act.eq(Mux(is_conv, conv.co_valid, ~dw.unit_wgt & ~dw.max_mode)),
        ]
        for i in range(cfg.pixels):
            carry = Signal(name=f"lane_carry_{i}")
            m.d.comb += carry.eq(walk.base.bank >= cfg.pixels - i)
            m.d.sync += [
                self.row[i].eq(row_add(walk.base.row, lanes.row[i], carry)),
                self.lane_en[i].eq(taken & (pixels_left > i)),
            ]
        for c in range(cfg.in_channels):
            m.d.sync += self.ci_en[c].eq(~walk.last_c | (conv.ci_last > c))

        # Completion follows the operands down the longest pipeline.
        posts = Signal(16)
        m.d.comb += posts.eq(Mux(done, conv.post, 0))
        for k in range(self._flight_cycles):
            stage = Signal(16, name=f"posts_d{k + 1}")
            m.d.sync += stage.eq(posts)
            posts = stage
        m.d.comb += self.post.eq(posts)
        with m.If(taken | done):
            m.d.sync += in_flight.eq(self._flight_cycles + 1)
        with m.Elif(~drained):
            m.d.sync += in_flight.eq(in_flight - 1)
        m.d.comb += self.idle.eq(idle_state & ~self.command.valid & ~staged & drained)
        return m
