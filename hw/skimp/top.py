"""The accelerator: registers, sequencer and six units on one AXI4 master."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from skimp.config import Config
from skimp.ctrl.array_unit import ArrayUnit
from skimp.ctrl.csr import Csr
from skimp.ctrl.sequencer import UNIT_ORDER, Sequencer
from skimp.dma.axi import Axi4, AxiLite
from skimp.dma.axi_read import AxiReader
from skimp.dma.axi_write import AxiWriter
from skimp.dma.linear import LinearUnit
from skimp.dma.load import LoadUnit
from skimp.dma.store import StoreUnit
from skimp.dw.unit import DepthwiseUnit
from skimp.isa import MAX_UNIT_BEATS, RECORD_BYTES, Error, LoadTarget, Unit
from skimp.mem.act_store import ActStore
from skimp.mem.pixel_ram import PixelRam
from skimp.mem.ram import Ram1R1W
from skimp.post.drain import DrainUnit
from skimp.regs import COUNTERS

__all__ = ["Core", "Skimp"]

_CORE_CONTROL = {
    "start": In(1),
    "dram_base": In(32),
    "program_addr": In(32),
    "busy": Out(1),
    "done": Out(1),
    "error": Out(1),
    "event": Out(1),
    "error_code": Out(8),
    "error_info": Out(32),
    "layer_id": Out(16),
}


class Core(wiring.Component):
    """Everything but the registers; a soft reset resets it whole.

    Parameters
    ----------
    config : Config

    Members
    -------
    start, dram_base, program_addr : In
    busy, done, error, event, error_code, error_info, layer_id : Out
    halt : In(1)
        Begin no burst any more: the bus comes to rest whatever runs.
    bus_quiet : Out(1)
        No burst is under way.
    axi : Out(Axi4)
    inc_NAME : Out(16)
        What each counter of the register table adds in this clock.
    record : In
        Low halves of the counters.
    """

    def __init__(self, config: Config):
        self._config = config
        self._counters = [name for name, _ in COUNTERS]
        super().__init__(
            {
                **_CORE_CONTROL,
                "halt": In(1),
                "bus_quiet": Out(1),
                "axi": Out(Axi4(data_bits=config.bus_bits)),
                **{f"inc_{name}": Out(16) for name in self._counters},
                "record": In(32 * len(self._counters)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self._config
        m.submodules.sequencer = seq = Sequencer(cfg)
        m.submodules.reader = reader = AxiReader(cfg, num_clients=3)
        m.submodules.writer = writer = AxiWriter(cfg)
        m.submodules.load = load = LoadUnit(cfg)
        m.submodules.linear = linear = LinearUnit(cfg)
        m.submodules.array = array = ArrayUnit(cfg)
        m.submodules.depthwise = depthwise = DepthwiseUnit(cfg)
        assert array.psum_read_latency == depthwise.psum_read_latency
        m.submodules.drain = drain = DrainUnit(cfg, psum_read_latency=array.psum_read_latency)
        m.submodules.ofmap = ofmap = PixelRam(
            cfg,
            depth=cfg.ofmap_depth,
            write_pixels=cfg.drain_pixels,
            read_pixels=cfg.chip_words,
            read_words=True,
        )
        m.submodules.residual = residual = PixelRam(
            cfg,
            depth=cfg.ofmap_depth,
            write_pixels=cfg.load_words,
            read_pixels=1,
            read_words=False,
        )
        m.submodules.store = store = StoreUnit(cfg)

        # Control
        for name in ("start", "program_addr"):
            m.d.comb += getattr(seq, name).eq(getattr(self, name))
        for name in "busy done error event error_code error_info".split():
            m.d.comb += getattr(self, name).eq(getattr(seq, name))
        units = {
            Unit.LOAD: load,
            Unit.WGT: linear,
            Unit.ARRAY: array,
            Unit.DEPTHWISE: depthwise,
            Unit.DRAIN: drain,
            Unit.STORE: store,
        }
        for u, unit in enumerate(UNIT_ORDER):
            wiring.connect(m, seq.commands[u], units[unit].command)
            m.d.comb += [seq.posts[u].eq(units[unit].post), seq.idles[u].eq(units[unit].idle)]

        # Bus
        wiring.connect(m, seq.segments, reader.segments[0])
        wiring.connect(m, reader.beats[0], seq.beats)
        wiring.connect(m, load.segments[0], reader.segments[1])
        wiring.connect(m, reader.beats[1], load.dram_beats)
        wiring.connect(m, linear.segments, reader.segments[2])
        wiring.connect(m, reader.beats[2], linear.beats)
        plenty = (1 << 16) - 1
        m.d.comb += [
            reader.room[0].eq(plenty),
            reader.room[1].eq(load.room),
            reader.room[2].eq(plenty),
        ]
        if cfg.act_depth:
            m.submodules.act = act = ActStore(cfg)
            wiring.connect(m, load.segments[1], act.segments)
            wiring.connect(m, act.beats, load.chip_beats)
            m.d.comb += [
                act.w_en.eq(store.act_w_en),
                act.w_addr.eq(store.act_w_addr),
                act.w_data.eq(store.act_w_data),
            ]
        if cfg.tile_table_depth:
            m.submodules.tile_table = table = Ram1R1W(
                width=MAX_UNIT_BEATS.bit_length(), depth=cfg.tile_table_depth, ram_style="block"
            )
            m.d.comb += [
                table.r_en.eq(load.table_r_en),
                table.r_addr.eq(load.table_r_addr),
                load.table_r_data.eq(table.r_data),
                table.w_en.eq(store.table_w_en),
                table.w_addr.eq(store.table_w_addr),
                table.w_data.eq(store.table_w_data),
            ]
        wiring.connect(m, store.segments, writer.segments)
        wiring.connect(m, store.beats, writer.beats)
        for name, member in self.axi.signature.members.items():
            master = writer if name.startswith(("aw", "w", "b")) else reader
            ours, theirs = getattr(self.axi, name), getattr(master.axi, name)
            m.d.comb += ours.eq(theirs) if member.flow == Out else theirs.eq(ours)
        for master in (reader, writer):
            m.d.comb += [
                master.dram_base.eq(self.dram_base),
                master.stop.eq(seq.stop | self.halt),
            ]
        m.d.comb += [
            seq.bus_read_error.eq(reader.error),
            seq.bus_read_addr.eq(reader.error_addr),
            seq.bus_write_error.eq(writer.error),
            seq.bus_write_addr.eq(writer.error_addr),
            seq.damaged.eq(load.damaged),
            seq.progress.eq(reader.inc_beats | writer.inc_beats),
            self.bus_quiet.eq(reader.quiet & writer.quiet),
            store.writer_sent.eq(writer.sent),
            store.writer_answered.eq(writer.answered),
            seq.memory_post.eq(store.memory_post),
            self.layer_id.eq(store.layer_id),
            store.record.eq(self.record),
        ]
        assert len(self.record) + 32 <= 8 * RECORD_BYTES

        # Data
        for unit, is_its in ((array, ~load.glb_w_dw), (depthwise, load.glb_w_dw)):
            for port in ("glb_w", "glb_w2"):
                count = Mux(is_its, getattr(load, f"{port}_count"), 0)
                m.d.comb += getattr(unit, f"{port}_count").eq(count)
                for name in ("row", "bank"):
                    m.d.comb += getattr(unit, f"{port}_{name}").eq(getattr(load, f"{port}_{name}"))
                words = zip(getattr(unit, f"{port}_data"), getattr(load, f"{port}_data"))
                m.d.comb += [ours.eq(theirs) for ours, theirs in words]
            for name in ("en", "target", "addr", "data"):
                m.d.comb += getattr(unit, f"lin_w_{name}").eq(getattr(linear, f"w_{name}"))
        for n in range(cfg.load_words):
            m.d.comb += residual.w_data[n].eq(load.res_w_data[n])
        for n in range(cfg.chip_words):
            m.d.comb += store.ofmap_r_data[n].eq(ofmap.r_data[n])
        for n in range(cfg.drain_pixels):
            m.d.comb += ofmap.w_data[n].eq(drain.ofmap_w_data[n])
        m.d.comb += [
            depthwise.glb_w_blocks.eq(load.glb_w_blocks),
            drain.param_w_en.eq(linear.w_en & (linear.w_target == LoadTarget.PARAM)),
            drain.param_w_addr.eq(linear.w_addr),
            drain.param_w_data.eq(linear.w_data),
            drain.table_w_en.eq(linear.table_w_en),
            drain.table_w_addr.eq(linear.table_w_addr),
            drain.table_w_data.eq(linear.table_w_data),
            array.psum_rd_en.eq(Mux(drain.psum_rd_dw, 0, drain.psum_rd_en)),
            depthwise.psum_rd_en.eq(Mux(drain.psum_rd_dw, drain.psum_rd_en, 0)),
            depthwise.psum_rd_row.eq(drain.psum_rd_row),
            residual.w_count.eq(load.res_w_count),
            residual.w_pixel.eq(load.res_w_pixel),
            residual.w_blocks.eq(load.res_w_blocks),
            residual.r_en.eq(drain.residual_r_en),
            residual.r_pixel.eq(drain.residual_r_pixel),
            residual.r_lanes.eq(1),
            drain.residual_r_data.eq(residual.r_data[0]),
            ofmap.w_count.eq(drain.ofmap_w_count),
            ofmap.w_pixel.eq(drain.ofmap_w_pixel),
            ofmap.r_en.eq(store.ofmap_r_en),
            ofmap.r_pixel.eq(store.ofmap_r_pixel),
            ofmap.r_lanes.eq(store.ofmap_r_lanes),
            ofmap.r_block.eq(store.ofmap_r_block),
        ]
        for unit in (array, depthwise):
            m.d.comb += [
                unit.psum_rd_slot.eq(drain.psum_rd_slot),
                unit.psum_rd_addr.eq(drain.psum_rd_addr),
            ]
        for ours, theirs in zip((drain.psum, *drain.dw_psum), (array.psum, *depthwise.psum)):
            m.d.comb += [psum.eq(found) for psum, found in zip(ours, theirs)]

        # Counters: every clock of a run goes to exactly one of the first six causes.
        running = Signal()
        m.d.comb += running.eq(self.busy)
        waiting = Signal()
        m.d.comb += waiting.eq(array.waiting & depthwise.waiting)
        causes = (
            ("array", array.inc_array),
            ("depthwise", depthwise.inc_depthwise),
            (
                "stall_dram_write",
                waiting
                & (seq.wait_psum | seq.wait_read & load.idle & linear.idle)
                & (seq.wait_store | drain.idle & ~store.idle),
            ),
            (
                "stall_drain",
                waiting & (seq.wait_psum | seq.wait_read & load.idle & linear.idle & ~drain.idle),
            ),
            ("stall_dram_read", waiting & seq.wait_read & ~(load.idle & linear.idle)),
        )
        free = running
        for name, condition in causes:
            m.d.comb += getattr(self, f"inc_{name}").eq(free & condition)
            left = Signal(name=f"not_{name}")
            m.d.comb += left.eq(free & ~condition)
            free = left
        macs_gated = Signal.like(array.inc_macs_gated)
        m.d.sync += macs_gated.eq(array.inc_macs_gated + depthwise.inc_macs_gated)
        m.d.comb += [
            self.inc_stall_other.eq(free),
            self.inc_cycles.eq(running),
            self.inc_drain.eq(drain.inc_drain),
            self.inc_read_beats.eq(reader.inc_beats),
            self.inc_write_beats.eq(writer.inc_beats),
            self.inc_commands.eq(seq.inc_command),
            self.inc_macs_gated.eq(macs_gated),
            self.inc_beside.eq(running & array.inc_array & depthwise.inc_depthwise),
        ]
        return m


class Skimp(wiring.Component):
    """The accelerator as a board sees it.

    Parameters
    ----------
    config : Config

    Members
    -------
    axil : In(AxiLite)
        Registers (docs/registers.md).
    axi : Out(Axi4)
        DRAM.
    irq : Out(1)
    core_reset : Out(1)
        A soft reset is done in this clock: the answers to bursts that are still under way mean
        nothing to anyone.

    Notes
    -----
    A soft reset lets no burst begin and waits until none is under way, unless the bus itself hung.
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "axil": In(AxiLite()),
                "axi": Out(Axi4(data_bits=config.bus_bits)),
                "irq": Out(1),
                "core_reset": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        core = Core(self._config)
        m.submodules.csr = csr = Csr(self._config)
        reset_wanted, reset_core = Signal(), Signal()
        m.submodules.core = ResetInserter(reset_core)(core)
        with m.If(csr.reset):
            m.d.sync += reset_wanted.eq(1)
        with m.Elif(reset_core):
            m.d.sync += reset_wanted.eq(0)
        watchdog = csr.error & (csr.error_code == Error.WATCHDOG)
        m.d.comb += [
            core.halt.eq(reset_wanted),
            reset_core.eq(reset_wanted & (core.bus_quiet | watchdog)),
        ]

        wiring.connect(m, wiring.flipped(self.axil), csr.axil)
        wiring.connect(m, core.axi, wiring.flipped(self.axi))
        m.d.comb += [self.irq.eq(csr.irq), self.core_reset.eq(reset_core)]
        for name, member in _CORE_CONTROL.items():
            ours, theirs = getattr(csr, name), getattr(core, name)
            m.d.comb += theirs.eq(ours) if member.flow == In else ours.eq(theirs)
        m.d.comb += core.record.eq(csr.record)
        for name in core._counters:
            m.d.comb += getattr(csr, f"inc_{name}").eq(getattr(core, f"inc_{name}"))
        return m
