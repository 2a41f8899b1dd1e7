"""Depthwise unit: ifmap buffer, feed, weights, lanes of one row or two, psums."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.config import DW_LAG_TAPS, DW_SUM_BITS, Config
from skimp.ctrl.unit_ports import connect_reads, connect_unit, linear_ports, unit_ports
from skimp.dw.control import DepthwiseControl
from skimp.dw.lanes import DepthwiseLanes
from skimp.dw.psum import DepthwisePsums
from skimp.feed.ifmap_glb import connect_fill, fill_ports
from skimp.feed.ifmap_path import IfmapPath
from skimp.feed.pipe import delay
from skimp.isa import LoadTarget
from skimp.mem.lut_ram import LutRam
from skimp.mem.ram import Ram1R1W

__all__ = ["DepthwiseUnit", "DepthwiseWeights"]


class DepthwiseWeights(wiring.Component):
    """Weights of the rows of lanes: a word of out_channels bytes for each tap.

    The lower row takes the words that the upper row took: they are kept until it comes to them.

    Parameters
    ----------
    config : Config

    Members
    -------
    w_en, w_addr, w_data : In
        A beat to write: several words, or a part of one.
    valid, first : In(dw_rows)
        A row takes a weight; the first one of its window. The lower row begins 1 clock behind the
        upper one or later, at most DW_LAG_TAPS of its weights later, and ends before the upper
        row's next window begins.
    r_addr : In
        Word that the upper row takes.
    r_unit : In(1)
        The upper row takes weights of 1, whatever there is.
    r_data : Out(ArrayLayout(signed(8), out_channels)).array(dw_rows)

    Notes
    -----
    *Latency*: 2 clocks from valid to r_data.
    """

    read_latency = 2

    def __init__(self, config: Config):
        self._config = config
        words = data.ArrayLayout(signed(8), config.out_channels)
        super().__init__(
            {
                "w_en": In(1),
                "w_addr": In(24),
                "w_data": In(config.bus_bits),
                "valid": In(config.dw_rows),
                "first": In(config.dw_rows),
                "r_addr": In(ceil_log2(config.dw_wgt_depth)),
                "r_unit": In(1),
                "r_data": Out(words).array(config.dw_rows),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self._config
        word_bits = 8 * cfg.out_channels
        # A line of the memory is a beat or a word, whichever is longer.
        words = max(1, cfg.dw_wgt_beat_words)
        beats = 1 if cfg.dw_wgt_beat_words else word_bits // cfg.bus_bits
        m.submodules.ram = ram = Ram1R1W(
            width=beats * cfg.bus_bits,
            depth=-(-cfg.dw_wgt_depth // words),
            granularity=cfg.bus_bits,
        )
        m.d.comb += [
            ram.w_addr.eq(self.w_addr // beats),
            ram.w_data.eq(self.w_data.replicate(beats)),
            ram.r_en.eq(self.valid[0] & ~self.r_unit),
            ram.r_addr.eq(self.r_addr // words),
        ]
        for n in range(beats):
            m.d.comb += ram.w_en[n].eq(self.w_en & (self.w_addr % beats == n))
        place = delay(m, self.r_addr % words, 1, name="place", reset_less=True)
        unit = delay(m, self.r_unit, 1, name="unit", reset_less=True)
        ones = Const(1, 8).replicate(cfg.out_channels)
        word = Signal(word_bits)
        m.d.comb += word.eq(Mux(unit, ones, ram.r_data.word_select(place, word_bits)))
        m.d.sync += self.r_data[0].as_value().eq(word)
        if cfg.dw_rows == 1:
            return m

        # Both rows count their weights from the beginning of the window.
        m.submodules.kept = kept = LutRam(width=word_bits, depth=DW_LAG_TAPS)
        for r, address in enumerate((kept.w_addr, kept.r_addr)):
            number = Signal.like(address, name=f"number_{r}")
            with m.If(self.valid[r]):
                m.d.sync += number.eq(Mux(self.first[r], 0, number + 1))
            m.d.comb += address.eq(number)
        m.d.comb += [
            kept.w_en.eq(delay(m, self.valid[0], 1, name="upper")),
            kept.w_data.eq(word),
        ]
        m.d.sync += self.r_data[1].as_value().eq(kept.r_data)
        return m


class DepthwiseUnit(wiring.Component):
    """Everything between the ifmap words and the psums of DEPTHWISE.

    The rows of lanes take the same words of the ifmap buffer, each with weights of its own. As in
    `ArrayUnit`, nothing in here waits.

    Parameters
    ----------
    config : Config

    Members
    -------
    command : In(stream), post : Out(MASK_BITS), idle : Out(1), waiting : Out(1)
    glb_w_count, glb_w_row, glb_w_bank, glb_w_data : In
    glb_w2_count, glb_w2_row, glb_w2_bank, glb_w2_data, glb_w_blocks : In
        Fills the ifmap buffer, as `IfmapGlb`.
    lin_w_en, lin_w_target, lin_w_addr, lin_w_data : In
        Fills the weights, a beat a clock (LoadTarget.DW_WGT; others are not for this unit).
    psum_rd_en, psum_rd_slot, psum_rd_addr, psum_rd_row : In
    psum : Out(ArrayLayout(signed(DW_SUM_BITS), out_channels)).array(dw_rows, pixels)
        `psum_read_latency` clocks later; 0 for rows and pixels that were not read in that clock.
    inc_depthwise : Out(1)
    inc_macs_gated : Out(16)
    """

    psum_read_latency = DepthwisePsums.read_latency
    flight_cycles = 1 + IfmapPath.latency + DepthwiseLanes.latency + DepthwisePsums.write_latency

    def __init__(self, config: Config):
        self._config = config
        sums = data.ArrayLayout(signed(DW_SUM_BITS), config.out_channels)
        super().__init__(
            unit_ports()
            | {f"glb_{name}": member for name, member in fill_ports(config).items()}
            | linear_ports(config)
            | {
                "glb_w_blocks": In(config.ofmap_blocks),
                "psum_rd_en": In(config.pixels),
                "psum_rd_slot": In(2),
                "psum_rd_addr": In(ceil_log2(config.dw_psum_depth)),
                "psum_rd_row": In(1),
                "psum": Out(sums).array(config.dw_rows, config.pixels),
                "inc_depthwise": Out(1),
                "inc_macs_gated": Out(16),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self._config
        m.submodules.control = control = DepthwiseControl(cfg, flight_cycles=self.flight_cycles)
        m.submodules.path = path = IfmapPath(
            cfg,
            depth=cfg.dw_ifmap_depth,
            blocks=cfg.ofmap_blocks,
            rows=cfg.dw_rows,
            macs_bits=1,
        )
        connect_unit(m, self, control)
        connect_fill(m, self, path, prefix="glb_")
        connect_reads(m, control, path)
        issue = control.issue
        m.d.comb += [
            path.w_blocks.eq(self.glb_w_blocks),
            path.macs_per_act.eq(control.macs_per_act),
            self.inc_depthwise.eq(issue.valid),
            self.inc_macs_gated.eq(path.inc_macs_gated),
        ]

        # Control records in step with weight reads, operands, psums.
        read_issue = delay(m, issue, path.latency - DepthwiseWeights.read_latency, name="issue")
        act_issue = delay(m, read_issue, DepthwiseWeights.read_latency, name="act_issue")
        psum_issue = delay(m, act_issue, DepthwiseLanes.latency, name="psum_issue")
        m.submodules.wgt = wgt = DepthwiseWeights(cfg)
        m.d.comb += [
            wgt.w_en.eq(self.lin_w_en & (self.lin_w_target == LoadTarget.DW_WGT)),
            wgt.w_addr.eq(self.lin_w_addr),
            wgt.w_data.eq(self.lin_w_data),
            wgt.valid.eq(Cat(row.valid for row in read_issue.rows)),
            wgt.first.eq(Cat(row.first for row in read_issue.rows)),
            wgt.r_addr.eq(read_issue.wgt_addr),
            wgt.r_unit.eq(read_issue.unit_wgt),
        ]
        for r in range(cfg.dw_rows):
            m.submodules[f"lanes_{r}"] = lanes = DepthwiseLanes(cfg, maxima=r == 0)
            m.submodules[f"psums_{r}"] = psums = DepthwisePsums(cfg)
            m.d.comb += [
                lanes.wgt.eq(wgt.r_data[r]),
                lanes.valid.eq(act_issue.rows[r].valid),
                lanes.first.eq(act_issue.rows[r].first),
                lanes.last.eq(act_issue.rows[r].last),
                lanes.max_mode.eq(act_issue.max_mode),
                psums.w_en.eq(lanes.acc_valid),
                psums.w_slot.eq(psum_issue.slot),
                psums.w_addr.eq(psum_issue.group),
                psums.rd_en.eq(Mux(self.psum_rd_row == r, self.psum_rd_en, 0)),
                psums.rd_slot.eq(self.psum_rd_slot),
                psums.rd_addr.eq(self.psum_rd_addr),
            ]
            for i in range(cfg.pixels):
                m.d.comb += [
                    lanes.act[i].eq(path.act[i]),
                    lanes.zero[i].eq(path.zero[i]),
                    psums.w_data[i].eq(lanes.acc[i]),
                    self.psum[r][i].eq(psums.rd_data[i]),
                ]
        return m
