"""Compute unit: ifmap buffer, feed, array, depthwise unit, psum scratchpads."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.config import CHAIN, Config
from skimp.ctrl.compute import ComputeControl
from skimp.ctrl.decode import COMMAND_BITS
from skimp.dw.depthwise import DepthwiseUnit
from skimp.feed.glb_address import BANK_BITS, ROW_BITS
from skimp.feed.ifmap_feed import IfmapFeed
from skimp.feed.ifmap_glb import IfmapGlb
from skimp.feed.pipe import delay
from skimp.isa import LoadTarget
from skimp.mem.ram import Ram1R1W
from skimp.pe.array import PeArray
from skimp.pe.psum_spad import PsumSpad
from skimp.prim.shared import Shared

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
    glb_w_count, glb_w_row, glb_w_bank, glb_w_data : In
    glb_w2_count, glb_w2_row, glb_w2_bank, glb_w2_data : In
        Fills the ifmap buffer, as `IfmapGlb`.
    lin_w_en, lin_w_target, lin_w_addr, lin_w_data : In
        Fills the weight scratchpads, a beat a clock (LoadTarget; PARAM is not for this unit).
    psum_rd_en, psum_rd_slot, psum_rd_addr : In
    psum : Out(ArrayLayout(signed(32), out_channels)).array(pixels)
    inc_array, inc_depthwise : Out(1)
    inc_macs_gated : Out(16)
    """

    def __init__(self, config: Config):
        self._config = config
        self._array = PeArray(config)
        self._dw = DepthwiseUnit(config)
        self._psums = [PsumSpad(config) for _ in range(config.pixels)]
        self._feed_latency = IfmapGlb.latency + IfmapFeed.latency
        slowest = max(self._array.latency, self._dw.latency)
        self.flight_cycles = 1 + self._feed_latency + slowest + self._psums[0].write_latency
        self.psum_read_latency = self._psums[0].read_latency
        super().__init__(
            {
                "command": In(stream.Signature(COMMAND_BITS)),
                "post": Out(16),
                "idle": Out(1),
                "waiting": Out(1),
                "glb_w_count": In(range(config.load_words + 1)),
                "glb_w_row": In(ROW_BITS),
                "glb_w_bank": In(BANK_BITS),
                "glb_w_data": In(config.word_bits).array(config.load_words),
                "glb_w2_count": In(range(max(1, config.load_words // 2) + 1)),
                "glb_w2_row": In(ROW_BITS),
                "glb_w2_bank": In(BANK_BITS),
                "glb_w2_data": In(config.word_bits).array(max(1, config.load_words // 2)),
                "lin_w_en": In(1),
                "lin_w_target": In(2),
                "lin_w_addr": In(24),
                "lin_w_data": In(config.bus_bits),
                "psum_rd_en": In(config.pixels),
                "psum_rd_slot": In(2),
                "psum_rd_addr": In(ceil_log2(config.psum_depth)),
                "psum": Out(data.ArrayLayout(signed(32), config.out_channels)).array(config.pixels),
                "inc_array": Out(1),
                "inc_depthwise": Out(1),
                "inc_macs_gated": Out(16),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self._config
        pixels = cfg.pixels
        m.submodules.control = control = ComputeControl(cfg, flight_cycles=self.flight_cycles)
        m.submodules.glb = glb = IfmapGlb(cfg)
        m.submodules.feed = feed = IfmapFeed(cfg)
        m.submodules.array = array = self._array
        m.submodules.dw = dw = self._dw
        # A word holds what one slice position of all chains takes: CHAIN words are a block.
        slice_beats = cfg.wgt_slice_bytes // cfg.bus_bytes
        m.submodules.wgt_spad = wgt_spad = Ram1R1W(
            width=8 * cfg.wgt_slice_bytes,
            depth=CHAIN * cfg.wgt_depth,
            granularity=cfg.bus_bits,
            ram_style=cfg.deep_ram_style if cfg.wgt_depth * CHAIN >= 4096 else None,
        )
        m.submodules.dw_wgt_spad = dw_wgt_spad = Ram1R1W(
            width=cfg.bus_bits, depth=-(-cfg.dw_wgt_depth // cfg.bus_words)
        )

        wiring.connect(m, wiring.flipped(self.command), control.command)
        issue = control.issue
        m.d.comb += [
            self.post.eq(control.post),
            self.idle.eq(control.idle),
            self.waiting.eq(control.waiting),
            self.inc_array.eq(issue.conv),
            self.inc_depthwise.eq(issue.dw),
            self.inc_macs_gated.eq(feed.inc_macs_gated),
        ]

        # Fill ports
        def is_target(target):
            return self.lin_w_en & (self.lin_w_target == target)

        m.d.comb += [
            glb.w_count.eq(self.glb_w_count),
            glb.w_row.eq(self.glb_w_row),
            glb.w_bank.eq(self.glb_w_bank),
            glb.w2_count.eq(self.glb_w2_count),
            glb.w2_row.eq(self.glb_w2_row),
            glb.w2_bank.eq(self.glb_w2_bank),
            wgt_spad.w_addr.eq(self.lin_w_addr // slice_beats),
            wgt_spad.w_data.eq(self.lin_w_data.replicate(slice_beats)),
            dw_wgt_spad.w_en.eq(is_target(LoadTarget.DW_WGT)),
            dw_wgt_spad.w_addr.eq(self.lin_w_addr),
            dw_wgt_spad.w_data.eq(self.lin_w_data),
        ]
        for n in range(cfg.load_words):
            m.d.comb += glb.w_data[n].eq(self.glb_w_data[n])
        for n in range(max(1, cfg.load_words // 2)):
            m.d.comb += glb.w2_data[n].eq(self.glb_w2_data[n])
        for n in range(slice_beats):
            here = self.lin_w_addr % slice_beats == n
            m.d.comb += wgt_spad.w_en[n].eq(is_target(LoadTarget.WGT) & here)

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
            for unit in (array, dw):
                m.d.comb += unit.act[i].eq(feed.act[i])

        # Control records in step with the operands; a scratchpad read takes one clock more.
        read_issue = delay(m, issue, self._feed_latency - 1, name="issue")
        act_issue = delay(m, read_issue, 1, name="act_issue")
        slices_left = Signal(range(CHAIN))
        next_slice = Signal.like(wgt_spad.r_addr, name="next_slice", reset_less=True)
        with m.If(read_issue.wgt_read):
            m.d.sync += slices_left.eq(CHAIN - 1)
        with m.Elif(slices_left != 0):
            m.d.sync += slices_left.eq(slices_left - 1)
        m.d.sync += next_slice.eq(wgt_spad.r_addr + 1)
        m.d.comb += [
            wgt_spad.r_en.eq(read_issue.wgt_read | (slices_left != 0)),
            wgt_spad.r_addr.eq(Mux(read_issue.wgt_read, read_issue.wgt_addr * CHAIN, next_slice)),
            array.wgt.eq(wgt_spad.r_data),
            array.wgt_load.eq(act_issue.wgt_read),
            array.wgt_swap.eq(act_issue.conv & act_issue.swap),
            dw_wgt_spad.r_en.eq(read_issue.dw & ~read_issue.unit_wgt),
            dw_wgt_spad.r_addr.eq(read_issue.wgt_addr // cfg.bus_words),
            dw.valid.eq(act_issue.dw),
            dw.first.eq(act_issue.first),
            dw.last.eq(act_issue.last),
            dw.max_mode.eq(act_issue.max_mode),
        ]
        dw_word = dw_wgt_spad.r_data.word_select(act_issue.wgt_addr % cfg.bus_words, cfg.word_bits)
        for c in range(cfg.in_channels):
            wgt = dw_word.word_select(c, 8).as_signed()
            m.d.comb += dw.wgt[c].eq(Mux(act_issue.unit_wgt, 1, wgt))

        # Psum side
        array_issue = delay(m, act_issue, array.latency, name="array_issue")
        dw_issue = delay(m, act_issue, dw.latency, name="dw_issue")

        for i, psum in enumerate(self._psums):
            name = f"skimp_psum_spad_{cfg.psum_slots}x{cfg.psum_depth}x{cfg.out_channels}"
            m.submodules[f"psum_{i}"] = psum = Shared(psum, name=name)
            m.d.comb += [
                psum.rd_en.eq(self.psum_rd_en[i]),
                psum.rd_slot.eq(self.psum_rd_slot),
                psum.rd_addr.eq(self.psum_rd_addr),
                self.psum[i].eq(psum.rd_data),
            ]
            with m.If(dw.acc_valid):
                m.d.comb += [
                    psum.valid.eq(1),
                    psum.first.eq(1),
                    psum.last.eq(1),
                    psum.slot.eq(dw_issue.slot),
                    psum.addr.eq(dw_issue.group),
                ]
                for c in range(cfg.in_channels):
                    m.d.comb += psum.value[c].eq(dw.acc[i][c])
            with m.Else():
                m.d.comb += [
                    psum.valid.eq(array_issue.conv),
                    psum.first.eq(array_issue.first),
                    psum.last.eq(array_issue.last),
                    psum.slot.eq(array_issue.slot),
                    psum.addr.eq(array_issue.group),
                ]
                for c in range(cfg.out_channels):
                    m.d.comb += psum.value[c].eq(array.dot[i][c])
        return m
