"""Compute unit: ifmap buffer, feed, array, depthwise and elementwise units, psum scratchpads."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.config import Config
from skimp.ctrl.compute import ComputeControl
from skimp.ctrl.decode import COMMAND_BITS
from skimp.dw.depthwise import DepthwiseUnit
from skimp.ew.elementwise import ElementwiseUnit
from skimp.feed.glb_address import BANK_BITS, ROW_BITS
from skimp.feed.ifmap_feed import IfmapFeed
from skimp.feed.ifmap_glb import IfmapGlb
from skimp.feed.pipe import delay
from skimp.isa import LoadTarget
from skimp.mem.ram import Ram1R1W
from skimp.mem.wide_ram import WideRam
from skimp.pe.array import PeArray
from skimp.pe.psum_spad import PsumSpad

__all__ = ["ComputeUnit"]


class ComputeUnit(wiring.Component):
    """Everything between the ifmap words and the psums.

    The operands run down a rigid pipeline (GLB read, rotation, zero point); the control record
    that the issue stage made runs beside them and tells each unit and the psum scratchpads what
    to do. Nothing in here waits.

    Parameters
    ----------
    config : Config

    Members
    -------
    command : In(stream), post : Out(16), idle : Out(1), waiting : Out(1)
    glb_w_en, glb_w_row, glb_w_bank, glb_w_data : In
        Fills the ifmap buffer.
    lin_w_en, lin_w_target, lin_w_word, lin_w_lane, lin_w_data : In
        Fills the weight scratchpads and the tables (LoadTarget; PARAM is not for this unit).
    psum_rd_en, psum_rd_half, psum_rd_addr : In
    psum : Out(ArrayLayout(signed(32), out_channels)).array(pixels)
    inc_array, inc_depthwise, inc_elementwise : Out(1)
    inc_macs_gated : Out(16)
    """

    def __init__(self, config: Config):
        self._config = config
        self._array = PeArray(config)
        self._dw = DepthwiseUnit(config)
        self._ew = ElementwiseUnit(config)
        self._psums = [PsumSpad(config) for _ in range(config.pixels)]
        self._feed_latency = IfmapGlb.latency + IfmapFeed.latency
        slowest = max(self._array.latency, self._dw.latency, self._ew.latency + config.pixels)
        self.flight_cycles = 1 + self._feed_latency + slowest + self._psums[0].write_latency
        self.psum_read_latency = self._psums[0].read_latency
        super().__init__(
            {
                "command": In(stream.Signature(COMMAND_BITS)),
                "post": Out(16),
                "idle": Out(1),
                "waiting": Out(1),
                "glb_w_en": In(1),
                "glb_w_row": In(ROW_BITS),
                "glb_w_bank": In(BANK_BITS),
                "glb_w_data": In(config.bus_bits),
                "lin_w_en": In(1),
                "lin_w_target": In(2),
                "lin_w_word": In(16),
                "lin_w_lane": In(7),
                "lin_w_data": In(config.bus_bits),
                "psum_rd_en": In(config.pixels),
                "psum_rd_half": In(1),
                "psum_rd_addr": In(ceil_log2(config.psum_depth)),
                "psum": Out(data.ArrayLayout(signed(32), config.out_channels)).array(config.pixels),
                "inc_array": Out(1),
                "inc_depthwise": Out(1),
                "inc_elementwise": Out(1),
                "inc_macs_gated": Out(16),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self._config
        pixels = cfg.pixels
        m.submodules.control = control = ComputeControl(
            cfg, flight_cycles=self.flight_cycles, ew_interval=self._ew.interval
        )
        m.submodules.glb = glb = IfmapGlb(cfg)
        m.submodules.feed = feed = IfmapFeed(cfg)
        m.submodules.array = array = self._array
        m.submodules.dw = dw = self._dw
        m.submodules.ew = ew = self._ew
        m.submodules.wgt_spad = wgt_spad = WideRam(
            lanes=cfg.wgt_block_beats, lane_width=cfg.bus_bits, depth=cfg.wgt_depth
        )
        m.submodules.dw_wgt_spad = dw_wgt_spad = Ram1R1W(width=cfg.bus_bits, depth=cfg.dw_wgt_depth)

        wiring.connect(m, wiring.flipped(self.command), control.command)
        issue = control.issue
        m.d.comb += [
            self.post.eq(control.post),
            self.idle.eq(control.idle),
            self.waiting.eq(control.waiting),
            self.inc_array.eq(issue.conv),
            self.inc_depthwise.eq(issue.dw),
            self.inc_elementwise.eq(control.busy_elementwise),
            self.inc_macs_gated.eq(feed.inc_macs_gated),
        ]

        # Fill ports
        def is_target(target):
            return self.lin_w_en & (self.lin_w_target == target)

        m.d.comb += [
            glb.w_en.eq(self.glb_w_en),
            glb.w_row.eq(self.glb_w_row),
            glb.w_bank.eq(self.glb_w_bank),
            glb.w_data.eq(self.glb_w_data),
            wgt_spad.w_en.eq(is_target(LoadTarget.WGT)),
            wgt_spad.w_addr.eq(self.lin_w_word),
            wgt_spad.w_lane.eq(self.lin_w_lane),
            wgt_spad.w_data.eq(self.lin_w_data),
            dw_wgt_spad.w_en.eq(is_target(LoadTarget.DW_WGT)),
            dw_wgt_spad.w_addr.eq(self.lin_w_word),
            dw_wgt_spad.w_data.eq(self.lin_w_data),
            ew.w_en.eq(is_target(LoadTarget.LUT)),
            ew.w_addr.eq(self.lin_w_word),
            ew.w_data.eq(self.lin_w_data),
        ]

        # Operands
        glb_latency = glb.latency
        m.d.comb += [
            glb.bank.eq(control.bank),
            glb.lane_en.eq(control.lane_en),
            feed.lane_en.eq(delay(m, control.lane_en, glb_latency, name="lane_en")),
            feed.in_zp.eq(delay(m, control.in_zp, glb_latency, name="in_zp", reset_less=True)),
            feed.ci_en.eq(delay(m, control.ci_en, glb_latency, name="ci_en", reset_less=True)),
            feed.macs_per_act.eq(
                delay(m, control.macs_per_act, glb_latency, name="macs", reset_less=True)
            ),
        ]
        for i in range(pixels):
            m.d.comb += [glb.row[i].eq(control.row[i]), feed.data[i].eq(glb.data[i])]
            for unit in (array, dw, ew):
                m.d.comb += unit.act[i].eq(feed.act[i])

        # Control records in step with the operands; a scratchpad read takes one clock more.
        read_issue = delay(m, issue, self._feed_latency - 1, name="issue")
        act_issue = delay(m, read_issue, 1, name="act_issue")
        m.d.comb += [
            wgt_spad.r_en.eq(read_issue.wgt_read),
            wgt_spad.r_addr.eq(read_issue.wgt_addr),
            array.wgt.eq(wgt_spad.r_data),
            array.wgt_load.eq(act_issue.wgt_read),
            array.wgt_swap.eq(act_issue.conv & act_issue.swap),
            dw_wgt_spad.r_en.eq(read_issue.dw & ~read_issue.unit_wgt),
            dw_wgt_spad.r_addr.eq(read_issue.wgt_addr),
            dw.valid.eq(act_issue.dw),
            dw.first.eq(act_issue.first),
            dw.last.eq(act_issue.last),
            dw.max_mode.eq(act_issue.max_mode),
            ew.take_a.eq(act_issue.ew & ~act_issue.take_b),
            ew.take_b.eq(act_issue.ew & act_issue.take_b),
        ]
        for c in range(cfg.in_channels):
            wgt = dw_wgt_spad.r_data.word_select(c, 8).as_signed()
            m.d.comb += dw.wgt[c].eq(Mux(act_issue.unit_wgt, 1, wgt))

        # Psum side
        array_issue = delay(m, act_issue, array.latency, name="array_issue")
        dw_issue = delay(m, act_issue, dw.latency, name="dw_issue")
        ew_issue = delay(m, act_issue, ew.latency, name="ew_issue")
        ew_group = Signal.like(issue.group, name="ew_group", reset_less=True)
        ew_half = Signal(name="ew_half", reset_less=True)
        ew_starts = Signal()
        m.d.comb += ew_starts.eq(ew_issue.ew & ew_issue.take_b)
        with m.If(ew_starts):
            m.d.sync += [ew_group.eq(ew_issue.group), ew_half.eq(ew_issue.half)]

        for i, psum in enumerate(self._psums):
            m.submodules[f"psum_{i}"] = psum
            m.d.comb += [
                psum.rd_en.eq(self.psum_rd_en[i]),
                psum.rd_half.eq(self.psum_rd_half),
                psum.rd_addr.eq(self.psum_rd_addr),
                self.psum[i].eq(psum.rd_data),
            ]
            with m.If(ew.value_valid):
                m.d.comb += [
                    psum.valid.eq(ew.value_pixel == i),
                    psum.first.eq(1),
                    psum.half.eq(Mux(ew_starts, ew_issue.half, ew_half)),
                    psum.addr.eq(Mux(ew_starts, ew_issue.group, ew_group)),
                ]
                for c in range(cfg.in_channels):
                    m.d.comb += psum.value[c].eq(ew.value[c])
            with m.Elif(dw.acc_valid):
                m.d.comb += [
                    psum.valid.eq(1),
                    psum.first.eq(1),
                    psum.half.eq(dw_issue.half),
                    psum.addr.eq(dw_issue.group),
                ]
                for c in range(cfg.in_channels):
                    m.d.comb += psum.value[c].eq(dw.acc[i][c])
            with m.Else():
                m.d.comb += [
                    psum.valid.eq(array_issue.conv),
                    psum.first.eq(array_issue.first),
                    psum.half.eq(array_issue.half),
                    psum.addr.eq(array_issue.group),
                ]
                for c in range(cfg.out_channels):
                    m.d.comb += psum.value[c].eq(array.dot[i][c])
        return m
