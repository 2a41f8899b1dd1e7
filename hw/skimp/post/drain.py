"""Drain: psums of a finished tile through requantisation into the ofmap side of the GLB."""

from functools import reduce
from operator import or_

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.config import DW_SUM_BITS, Config
from skimp.ctrl.decode import COMMAND_BITS, view
from skimp.feed.pipe import delay
from skimp.isa import MASK_BITS, TABLE_ENTRIES, Opcode, Rounding, Semaphore
from skimp.post.add_tables import AddTables
from skimp.post.params import ParamSets
from skimp.post.requant import Requant
from skimp.prim.choose import choose

__all__ = ["EARLY_POSTS", "SETTLE_CYCLES", "DrainUnit"]

SETTLE_CYCLES = 8
"""Clocks after which the sums of the command before have taken their parameters."""

EARLY_POSTS = 1 << Semaphore.PSUM_FREE | 1 << Semaphore.DW_PSUM_FREE
"""Semaphores that a command posts with its last psum read; the others with its last pixel."""

_COMMANDS_UNDER_WAY = 8


class DrainUnit(wiring.Component):
    """Executes DRAIN: drain_pixels pixels of out_channels psums a clock, one where it adds.

    The first lanes requantise psums. With `add`, their result and a pixel of the residual buffer
    are table addresses, and the sum of the entries goes through the second lanes.

    Parameters
    ----------
    config : Config
    psum_read_latency : int
        Clocks from a psum read to its data, of the array and of the depthwise unit.

    Members
    -------
    command : In(stream), post : Out(MASK_BITS), idle : Out(1)
    param_w_en, param_w_addr, param_w_data : In
        Fills the parameter memory, as `ParamSets`.
    table_w_en, table_w_addr, table_w_data : In
        Fills the tables, as `AddTables`.
    psum_rd_en : Out(pixels)
        Lanes to read; psum_rd_slot, psum_rd_addr go to all of them.
    psum_rd_dw, psum_rd_row : Out(1)
        Of the depthwise unit, and of which row of it; else of the array.
    psum : In(ArrayLayout(signed(32), out_channels)).array(pixels)
        Of the array.
    dw_psum : In(ArrayLayout(signed(DW_SUM_BITS), out_channels)).array(dw_rows, pixels)
        Of the depthwise unit: 0 where it was not read.
    residual_r_en, residual_r_pixel : Out, residual_r_data : In(8 * out_channels)
        Data one clock later.
    ofmap_w_count, ofmap_w_pixel, ofmap_w_data : Out
        Requantised pixels.
    inc_drain : Out(1)

    Notes
    -----
    *Throughput*: drain_pixels a clock without a gap between commands, where a command lasts as
    long as it takes to read the next one's parameters; commands that differ in the second stage
    wait until the pipeline is empty. EARLY_POSTS go out with the last psum read, the other posts
    with the last pixel written. *Latency*: `latency` clocks from a psum read to its ofmap
    word, `add_latency` with a second stage.
    """

    def __init__(self, config: Config, *, psum_read_latency: int):
        self._config = config
        self._psum_read_latency = psum_read_latency
        self._steps = config.drain_pixels
        # Lanes of the second stage: the second pixel's, or lanes of their own.
        self._slots = max(2, self._steps)
        tag = {"pixel": 16, "residual": 16, "last": 1}
        self._tag = data.StructLayout(tag)
        self._acc_latency = psum_read_latency + 1
        self.latency = self._acc_latency + Requant.latency
        self.add_latency = self.latency + AddTables.latency + Requant.latency
        channels = config.out_channels
        self._group_bits = ceil_log2(max(config.psum_depth, config.dw_psum_depth))
        super().__init__(
            {
                "command": In(stream.Signature(COMMAND_BITS)),
                "post": Out(MASK_BITS),
                "idle": Out(1),
                "param_w_en": In(1),
                "param_w_addr": In(24),
                "param_w_data": In(config.bus_bits),
                "table_w_en": In(1),
                "table_w_addr": In(range(2 * TABLE_ENTRIES)),
                "table_w_data": In(32),
                "psum_rd_en": Out(config.pixels),
                "psum_rd_slot": Out(2),
                "psum_rd_addr": Out(self._group_bits),
                "psum_rd_dw": Out(1),
                "psum_rd_row": Out(1),
                "psum": In(data.ArrayLayout(signed(32), channels)).array(config.pixels),
                "dw_psum": In(data.ArrayLayout(signed(DW_SUM_BITS), channels)).array(
                    config.dw_rows, config.pixels
                ),
                "residual_r_en": Out(1),
                "residual_r_pixel": Out(16),
                "residual_r_data": In(8 * channels),
                "ofmap_w_count": Out(range(self._steps + 1)),
                "ofmap_w_pixel": Out(16),
                "ofmap_w_data": Out(8 * channels).array(self._steps),
                "inc_drain": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self._config
        channels, steps = cfg.out_channels, self._steps
        m.submodules.params = params = ParamSets(cfg)
        m.submodules.tables = tables = AddTables(cfg)
        m.d.comb += [
            params.w_en.eq(self.param_w_en),
            params.w_addr.eq(self.param_w_addr),
            params.w_data.eq(self.param_w_data),
            tables.w_en.eq(self.table_w_en),
            tables.w_addr.eq(self.table_w_addr),
            tables.w_data.eq(self.table_w_data),
        ]
        slots = []
        for k in range(self._slots):
            narrow = cfg.narrow_requant_lanes - (self._slots - 1 - k) * channels
            narrow = min(max(narrow, 0), channels)
            slots.append(Requant(cfg, tag_bits=self._tag.size, narrow=narrow))
            m.submodules[f"requant_{k}"] = slots[k]

        # Front: the next command, whose parameters come into the set that is not at work.
        command = Signal(COMMAND_BITS, reset_less=True)
        upcoming = Signal(COMMAND_BITS, reset_less=True)
        now, soon = view(command, Opcode.DRAIN), view(upcoming, Opcode.DRAIN)
        work_set = Signal()
        age = Signal(range(SETTLE_CYCLES + 1), init=SETTLE_CYCLES)
        ready, take = Signal(), Signal()
        with m.FSM(name="front"):
            with m.State("IDLE"):
                m.d.comb += self.command.ready.eq(1)
                with m.If(self.command.valid):
                    m.d.sync += upcoming.eq(self.command.payload)
                    m.next = "SETTLE"
            with m.State("SETTLE"):
                with m.If(age == SETTLE_CYCLES):
                    m.d.comb += [
                        params.load.eq(1),
                        params.load_block.eq(soon.param_block),
                        params.load_set.eq(~work_set),
                    ]
                    m.next = "LOAD"
            with m.State("LOAD"):
                with m.If(~params.loading):
                    m.next = "READY"
            with m.State("READY"):
                m.d.comb += ready.eq(1)
                with m.If(take):
                    m.next = "IDLE"

        # Back: one command's pixels.
        running = Signal()
        pixel = Signal(16, reset_less=True)
        # A group consists of parts of `steps` lanes, which are drained at once or place by place.
        parts = cfg.pixels // steps
        part = Signal(range(max(parts, 2)), reset_less=True)
        place = Signal(range(max(steps, 2)), reset_less=True)
        group = Signal(self._group_bits, reset_less=True)
        left = Signal(17, reset_less=True)
        step, last = Signal(range(steps + 1)), Signal()
        in_pipeline = Signal(range(self.add_latency + 2))
        same = Signal()
        second = ("add", "residual", "mult2", "out_zp2", "act_min2", "act_max2", "shift2")
        m.d.comb += [
            step.eq(Mux(now.add, 1, steps)),
            last.eq(left <= step),
            same.eq(
                (~now.add & ~soon.add)
                | Cat(getattr(now, name) == getattr(soon, name) for name in second).all()
            ),
            take.eq(ready & Mux(running, last & same, same | (in_pipeline == 0))),
        ]
        with m.If(running):
            m.d.sync += in_pipeline.eq(self.add_latency + 1)
        with m.Elif(in_pipeline != 0):
            m.d.sync += in_pipeline.eq(in_pipeline - 1)
        with m.If(age != SETTLE_CYCLES):
            m.d.sync += age.eq(age + 1)
        with m.If(take):
            m.d.sync += [
                command.eq(upcoming),
                running.eq(1),
                work_set.eq(~work_set),
                age.eq(0),
                pixel.eq(0),
                part.eq(0),
                place.eq(0),
                group.eq(0),
                left.eq(soon.num_pixels),
            ]
        with m.Elif(running):
            m.d.sync += [pixel.eq(pixel + step), left.eq(left - step)]
            with m.If(now.add & (place != steps - 1)):
                m.d.sync += place.eq(place + 1)
            with m.Else():
                m.d.sync += [place.eq(0), part.eq(part + 1)]
                with m.If(part == parts - 1):
                    m.d.sync += [part.eq(0), group.eq(group + 1)]
            with m.If(last):
                m.d.sync += running.eq(0)

        m.submodules.posts = posts = SyncFIFOBuffered(width=MASK_BITS, depth=_COMMANDS_UNDER_WAY)
        finished = Signal()
        m.d.comb += [
            posts.w_en.eq(running & last),
            posts.w_data.eq(now.post),
            posts.r_en.eq(finished),
            self.psum_rd_slot.eq(now.psum_slot),
            self.psum_rd_addr.eq(group),
            self.psum_rd_dw.eq(now.dw),
            self.psum_rd_row.eq(now.dw_row),
            self.inc_drain.eq(running),
        ]
        for i in range(cfg.pixels):
            its_place = ~now.add | (place == i % steps)
            m.d.comb += self.psum_rd_en[i].eq(running & (part == i // steps) & its_place)

        # First stage. A register parts the choice of the psums from the addition of the bias: one
        # behind the other they are ten levels.
        latency = self._acc_latency
        valid = Signal(steps)
        for k in range(steps):
            m.d.comb += valid[k].eq(running & (left > k) & (k < step))
        d_valid = delay(m, valid, latency, name="valid")
        # Part of the array's lanes, or none: the depthwise unit's come by an OR.
        array_part = Signal(range(parts + 1))
        m.d.comb += array_part.eq(Mux(now.dw, parts, part))
        read_latency = self._psum_read_latency
        d_part = delay(m, array_part, read_latency, name="part", reset_less=True)
        d_place = delay(m, place, read_latency, name="place", reset_less=True)
        tag = Signal(self._tag)
        m.d.comb += [
            tag.pixel.eq(pixel + now.ofmap_base),
            tag.residual.eq(pixel + now.residual_base),
            tag.last.eq(last),
        ]
        d_tag = delay(m, tag, latency, name="tag", reset_less=True)
        control = Signal(slots[0].control.shape())
        m.d.comb += [
            control.mode.eq(now.rounding),
            control.out_zp.eq(now.out_zp),
            control.act_min.eq(now.act_min),
            control.act_max.eq(now.act_max),
        ]
        d_control = delay(m, control, latency, name="control", reset_less=True)
        m.d.comb += params.select.eq(delay(m, work_set, latency, name="set", reset_less=True))
        psums = []
        for k in range(steps):
            found = Signal.like(self.psum[0], name=f"psum_{k}")
            lanes = range(k, cfg.pixels, steps)
            for c in range(channels):
                sources = [self.psum[i][c] for i in lanes] + [Const(0, signed(32))]
                of_rows = [row[i][c] for row in self.dw_psum for i in lanes]
                m.d.comb += found[c].eq(choose(d_part, sources) | reduce(or_, of_rows))
            psums.append(found)
        for k, slot in enumerate(slots[:steps]):
            acc = Signal.like(psums[k].as_value(), name=f"acc_{k}", reset_less=True)
            m.d.sync += acc.eq(choose(d_place, psums) if k == 0 else psums[k])
            m.d.comb += [
                slot.acc.eq(acc),
                slot.valid.eq(d_valid[k]),
                slot.tag.eq(d_tag.as_value()),
                slot.control.eq(d_control),
                slot.bias.eq(params.bias),
                slot.shift.eq(params.shift),
                slot.mult.eq(params.mult),
            ]

        # Second stage: all that is in the pipeline has the same second stage as `now`.
        front, behind = slots[0], slots[1]
        early_tag = self._tag(front.early_tag)
        m.d.comb += [
            self.residual_r_en.eq(front.early_valid & now.add & now.residual),
            self.residual_r_pixel.eq(early_tag.residual),
            tables.q.eq(front.ofmap.as_value()),
            tables.residual.eq(self.residual_r_data),
            tables.valid.eq(front.ofmap_valid & now.add),
            tables.use_residual.eq(now.residual),
        ]
        sum_tag = delay(m, front.ofmap_tag, tables.latency, name="sum_tag", reset_less=True)
        with m.If(now.add):
            m.d.comb += [
                behind.bias.eq(tables.sum),
                behind.control.bias_only.eq(1),
                behind.valid.eq(tables.sum_valid),
                behind.tag.eq(sum_tag),
                behind.control.mode.eq(Rounding.DOUBLE),
                behind.control.out_zp.eq(now.out_zp2),
                behind.control.act_min.eq(now.act_min2),
                behind.control.act_max.eq(now.act_max2),
            ]
            for c in range(channels):
                m.d.comb += [
                    behind.shift[c].eq(now.shift2),
                    behind.mult[c].eq(now.mult2.as_signed()),
                ]

        finished_tag = Signal(self._tag)
        with m.If(now.add):
            m.d.comb += [
                finished_tag.as_value().eq(behind.ofmap_tag),
                finished.eq(behind.ofmap_valid & finished_tag.last),
                self.ofmap_w_count.eq(behind.ofmap_valid),
                self.ofmap_w_data[0].eq(behind.ofmap.as_value()),
            ]
        with m.Else():
            there = [slot.ofmap_valid for slot in slots[:steps]]
            m.d.comb += [
                finished_tag.as_value().eq(front.ofmap_tag),
                finished.eq(front.ofmap_valid & finished_tag.last),
                self.ofmap_w_count.eq(sum(there[1:], there[0])),
            ]
            for k in range(steps):
                m.d.comb += self.ofmap_w_data[k].eq(slots[k].ofmap.as_value())
        m.d.comb += [
            self.ofmap_w_pixel.eq(finished_tag.pixel),
            self.idle.eq(self.command.ready & ~self.command.valid & ~running & (in_pipeline == 0)),
            self.post.eq(
                Mux(running & last, now.post & EARLY_POSTS, 0)
                | Mux(finished, posts.r_data & ~Const(EARLY_POSTS, MASK_BITS), 0)
            ),
        ]
        return m
