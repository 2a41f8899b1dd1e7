"""Compute control: walks taps and pixel groups of CONV, DEPTHWISE and ELEMENTWISE commands."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.config import CHAIN, Config
from skimp.ctrl.decode import COMMAND_BITS, view
from skimp.feed.glb_address import BANK_BITS, ROW_BITS
from skimp.feed.pixel_lanes import PixelLanes
from skimp.feed.tap_walk import TapWalk
from skimp.isa import Opcode

__all__ = ["MIN_PASS", "ComputeControl", "IssueLayout"]

MIN_PASS = CHAIN
"""Shortest pass in clocks: the next weights enter a chain slice by slice, one a clock."""


def IssueLayout(config: Config):
    """Control that travels beside the operands, one record a clock.

    conv, dw, ew : the unit that takes the operands of this clock (at most one is set)
    first, last : conv: psums start at 0; dw: first and last tap of a pixel group
    swap : conv: the prefetched weights become the working ones
    wgt_read : the next weight block enters the prefetch registers when this record arrives
    take_b : ew: this is the second operand
    group : psum entry; half : psum half
    """
    return data.StructLayout(
        {
            "conv": 1,
            "dw": 1,
            "ew": 1,
            "first": 1,
            "last": 1,
            "swap": 1,
            "wgt_read": 1,
            "take_b": 1,
            "max_mode": 1,
            "unit_wgt": 1,
            "half": 1,
            "group": ceil_log2(config.psum_depth),
            "wgt_addr": 16,
        }
    )


class ComputeControl(wiring.Component):
    """Issues pixel groups to the array, the depthwise unit or the elementwise unit.

    CONV keeps a weight block while all pixel groups pass (weight stationary); DEPTHWISE keeps a
    pixel group while all taps pass (output stationary); ELEMENTWISE takes two words a group. A
    command is complete, and posts, when everything it issued has reached the psum scratchpad.

    Parameters
    ----------
    config : Config
    flight_cycles : int
        Clocks from an issue to the moment its psum can be drained, for the slowest unit.
    ew_interval : int
        Clocks between two elementwise groups.

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

    Notes
    -----
    *Latency*: row and bank are registered once behind the counters; `issue` is in step with them.
    *Throughput*: a group a clock; a pass takes max(num_groups, MIN_PASS) clocks; a command starts
    max(MIN_PASS, pixels + 3) clocks after it was taken.
    """

    def __init__(self, config: Config, *, flight_cycles: int, ew_interval: int):
        self._config = config
        self._flight_cycles = flight_cycles
        self._ew_interval = ew_interval
        self.setup_cycles = max(MIN_PASS, config.pixels + 3)
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
                "busy_elementwise": Out(1),
                "waiting": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self._config
        m.submodules.lanes = lanes = PixelLanes(cfg)
        m.submodules.walk = walk = TapWalk(cfg)

        command = Signal(COMMAND_BITS, reset_less=True)
        conv, dw = view(command, Opcode.CONV), view(command, Opcode.DEPTHWISE)
        is_conv, is_dw, is_ew = Signal(), Signal(), Signal()
        m.d.comb += [
            is_conv.eq(conv.opcode == Opcode.CONV),
            is_dw.eq(conv.opcode == Opcode.DEPTHWISE),
            is_ew.eq(conv.opcode == Opcode.ELEMENTWISE),
            lanes.tile_q.eq(conv.tile_q),
            lanes.row_step.eq(conv.row_step),
        ]
        for name in ("ifmap_base", "inc_s", "inc_s_wrap", "inc_r", "inc_r_wrap", "inc_c"):
            m.d.comb += getattr(walk, name).eq(getattr(conv, name))
        for name in ("num_c", "num_r", "num_s", "stride_h", "stride_w"):
            m.d.comb += getattr(walk, name).eq(getattr(conv, name))

        setup_count = Signal(range(self.setup_cycles + 1))
        group = Signal(16)  # also counts the idle clocks that stretch a short pass
        pixels_left = Signal(17)
        wgt_addr = Signal(16, reset_less=True)
        ew_count = Signal(range(max(self._ew_interval, 2)))
        last_opcode = Signal(8)

        group_valid, last_group, pass_end = Signal(), Signal(), Signal()
        in_flight = Signal(range(self._flight_cycles + 2))
        drained = Signal()
        done = Signal()
        s0 = Signal(IssueLayout(cfg))

        m.d.comb += [
            group_valid.eq(group < conv.num_groups),
            last_group.eq(group + 1 >= conv.num_groups),
            pass_end.eq(last_group & (group + 1 >= MIN_PASS)),
            drained.eq(in_flight == 0),
        ]
        restart = Signal()
        advance = Signal()
        m.d.comb += [lanes.restart.eq(restart), lanes.advance.eq(advance)]
        with m.If(restart):
            m.d.sync += [pixels_left.eq(conv.num_pixels), group.eq(0)]
        with m.Elif(advance):
            m.d.sync += group.eq(group + 1)
            m.d.sync += pixels_left.eq(Mux(pixels_left > cfg.pixels, pixels_left - cfg.pixels, 0))

        with m.FSM(name="state"):
            with m.State("IDLE"):
                m.d.comb += self.command.ready.eq(1)
                m.d.comb += self.waiting.eq(~self.command.valid)
                with m.If(self.command.valid):
                    m.d.sync += [command.eq(self.command.payload), setup_count.eq(0)]
                    m.next = "SETUP"

            with m.State("SETUP"):
                m.d.comb += restart.eq(1)
                m.d.comb += lanes.setup.eq(setup_count == 0)
                m.d.comb += walk.start.eq(1)
                with m.If(setup_count == 0):
                    # The first weights go into the prefetch registers while lanes are set up.
                    # Units differ in latency: another one starts on an empty pipeline only.
                    with m.If((last_opcode == conv.opcode) | drained):
                        m.d.comb += s0.wgt_read.eq(is_conv)
                        m.d.sync += setup_count.eq(1)
                    m.d.sync += wgt_addr.eq(conv.wgt_base)
                    m.d.comb += s0.wgt_addr.eq(conv.wgt_base)
                with m.Else():
                    m.d.sync += setup_count.eq(setup_count + 1)
                with m.If(setup_count == self.setup_cycles - 1):
                    m.d.sync += last_opcode.eq(conv.opcode)
                    m.d.sync += ew_count.eq(0)
                    with m.Switch(conv.opcode):
                        with m.Case(Opcode.CONV):
                            m.next = "CONV"
                        with m.Case(Opcode.DEPTHWISE):
                            m.next = "DEPTHWISE"
                        with m.Case(Opcode.ELEMENTWISE):
                            m.next = "ELEMENTWISE"
                        with m.Default():
                            m.next = "IDLE"

            with m.State("CONV"):
                m.d.comb += [
                    s0.conv.eq(group_valid),
                    s0.swap.eq(group == 0),
                    s0.wgt_read.eq((group == 0) & ~walk.last),
                    s0.wgt_addr.eq(wgt_addr + 1),
                    s0.first.eq(walk.first & conv.first),
                    advance.eq(1),
                ]
                with m.If(group == 0):
                    m.d.sync += wgt_addr.eq(wgt_addr + 1)
                with m.If(pass_end):
                    m.d.comb += [restart.eq(1), walk.advance.eq(1)]
                    with m.If(walk.last):
                        m.d.comb += done.eq(1)
                        m.next = "IDLE"

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
                    with m.If(last_group):
                        m.d.comb += done.eq(1)
                        m.next = "IDLE"

            with m.State("ELEMENTWISE"):
                m.d.comb += [
                    self.busy_elementwise.eq(1),
                    s0.ew.eq(ew_count <= 1),
                    s0.take_b.eq(ew_count == 1),
                    walk.advance.eq(ew_count <= 1),
                ]
                m.d.sync += ew_count.eq(ew_count + 1)
                with m.If(ew_count == max(self._ew_interval, 2) - 1):
                    m.d.sync += ew_count.eq(0)
                    m.d.comb += advance.eq(1)
                    with m.If(last_group):
                        m.d.comb += done.eq(1)
                        m.next = "IDLE"

        m.d.comb += [s0.group.eq(group), s0.half.eq(conv.psum_half)]

        # Stage 1: rows of the lanes; lane i lies i banks further, which may carry into the row.
        taken = Signal()
        m.d.comb += taken.eq(s0.conv | s0.dw | s0.ew)
        m.d.sync += [
            self.issue.eq(s0),
            self.bank.eq(walk.base.bank),
            self.in_zp.eq(conv.in_zp),
            self.macs_per_act.eq(
                Mux(is_conv, conv.co_valid, Mux(is_dw & ~dw.unit_wgt & ~dw.max_mode, 1, 0))
            ),
        ]
        for i in range(cfg.pixels):
            carry = Signal(name=f"lane_carry_{i}")
            m.d.comb += carry.eq(walk.base.bank + i >= cfg.pixels)
            m.d.sync += [
                self.row[i].eq(walk.base.row + lanes.row[i] + carry),
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
        with m.If(taken | done | s0.wgt_read):
            m.d.sync += in_flight.eq(self._flight_cycles + 1)
        with m.Elif(~drained):
            m.d.sync += in_flight.eq(in_flight - 1)
        idle_state = Signal()
        m.d.comb += idle_state.eq(self.command.ready & ~self.command.valid)
        m.d.comb += self.idle.eq(idle_state & drained)
        return m
