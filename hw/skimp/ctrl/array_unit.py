"""Array unit: ifmap buffer, feed, weights, array, psum scratchpads."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.config import Config
from skimp.ctrl.array_control import ArrayControl
from skimp.ctrl.unit_ports import connect_reads, connect_unit, linear_ports, unit_ports
from skimp.feed.ifmap_glb import connect_fill, fill_ports
from skimp.feed.ifmap_path import IfmapPath
from skimp.feed.pipe import delay
from skimp.isa import LoadTarget
from skimp.pe.array import PeArray
from skimp.pe.psum_spad import PsumSpad
from skimp.pe.wgt_spad import WgtSpad
from skimp.prim.shared import Shared

__all__ = ["ArrayUnit"]


class ArrayUnit(wiring.Component):
    """Everything between the ifmap words and the psums of CONV.

    The operands run down a rigid pipeline (GLB read, rotation, zero point); the control record
    that the issue stage made runs beside them and tells the array and the psum scratchpads what
    to do. Nothing in here waits.

    Parameters
    ----------
    config : Config

    Members
    -------
    command : In(stream), post : Out(MASK_BITS), idle : Out(1), waiting : Out(1)
    glb_w_count, glb_w_row, glb_w_bank, glb_w_data : In
    glb_w2_count, glb_w2_row, glb_w2_bank, glb_w2_data : In
        Fills the ifmap buffer, as `IfmapGlb`.
    lin_w_en, lin_w_target, lin_w_addr, lin_w_data : In
        Fills the weight scratchpad, a beat a clock (LoadTarget.WGT; others are not for this unit).
    psum_rd_en, psum_rd_slot, psum_rd_addr : In
    psum : Out(ArrayLayout(signed(32), out_channels)).array(pixels)
        `psum_read_latency` clocks later.
    inc_array : Out(1)
    inc_macs_gated : Out(16)
    """

    psum_read_latency = PsumSpad.read_latency

    def __init__(self, config: Config):
        self._config = config
        self._array = PeArray(config)
        self.flight_cycles = 1 + IfmapPath.latency + self._array.latency + PsumSpad.write_latency
        psums = data.ArrayLayout(signed(32), config.out_channels)
        super().__init__(
            unit_ports()
            | {f"glb_{name}": member for name, member in fill_ports(config).items()}
            | linear_ports(config)
            | {
                "psum_rd_en": In(config.pixels),
                "psum_rd_slot": In(2),
                "psum_rd_addr": In(ceil_log2(config.psum_depth)),
                "psum": Out(psums).array(config.pixels),
                "inc_array": Out(1),
                "inc_macs_gated": Out(16),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self._config
        m.submodules.control = control = ArrayControl(cfg, flight_cycles=self.flight_cycles)
        m.submodules.path = path = IfmapPath(cfg, depth=cfg.ifmap_depth)
        m.submodules.array = array = self._array
        m.submodules.wgt_spad = wgt_spad = WgtSpad(cfg)
        connect_unit(m, self, control)
        connect_fill(m, self, path, prefix="glb_")
        connect_reads(m, control, path)
        issue = control.issue
        m.d.comb += [
            path.w_blocks.eq(1),
            path.macs_per_act.eq(control.macs_per_act),
            self.inc_array.eq(issue.valid),
            self.inc_macs_gated.eq(path.inc_macs_gated),
            wgt_spad.w_en.eq(self.lin_w_en & (self.lin_w_target == LoadTarget.WGT)),
            wgt_spad.w_addr.eq(self.lin_w_addr),
            wgt_spad.w_data.eq(self.lin_w_data),
        ]
        for i in range(cfg.pixels):
            m.d.comb += array.act[i].eq(path.act[i])

        # Control records in step with the operands; a scratchpad read takes one clock more. The
        # control reads in the clock of a swap at the earliest.
        lag = wgt_spad.load_lag
        read_issue = delay(m, issue, path.latency - WgtSpad.read_latency, name="issue")
        act_issue = delay(m, read_issue, WgtSpad.read_latency, name="act_issue")
        wgt_read = delay(m, read_issue.wgt_read, lag, name="wgt_read")
        wgt_addr = delay(m, read_issue.wgt_addr, lag, name="wgt_addr", reset_less=True)
        m.d.comb += [
            wgt_spad.r_start.eq(wgt_read),
            wgt_spad.r_block.eq(wgt_addr),
            *(port.eq(word) for port, word in zip(array.wgt, wgt_spad.r_data, strict=True)),
            array.wgt_load.eq(wgt_spad.r_word),
            array.wgt_swap.eq(act_issue.swap),
        ]

        # Psum side
        array_issue = delay(m, act_issue, array.latency, name="array_issue")
        for i in range(cfg.pixels):
            name = f"skimp_psum_spad_{cfg.psum_slots}x{cfg.psum_depth}x{cfg.out_channels}"
            m.submodules[f"psum_{i}"] = psum = Shared(PsumSpad(cfg), name=name)
            m.d.comb += [
                psum.valid.eq(array_issue.valid),
                psum.first.eq(array_issue.first),
                psum.last.eq(array_issue.last),
                psum.slot.eq(array_issue.slot),
                psum.addr.eq(array_issue.group),
                psum.rd_en.eq(self.psum_rd_en[i]),
                psum.rd_slot.eq(self.psum_rd_slot),
                psum.rd_addr.eq(self.psum_rd_addr),
                self.psum[i].eq(psum.rd_data),
            ]
            for c in range(cfg.out_channels):
                m.d.comb += psum.value[c].eq(array.dot[i][c])
        return m
