"""The accelerator: registers, sequencer and four units on one AXI4 master."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from skimp.config import Config
from skimp.ctrl.compute_unit import ComputeUnit
from skimp.ctrl.csr import Csr
from skimp.ctrl.sequencer import UNIT_ORDER, Sequencer
from skimp.dma.axi import Axi4, AxiLite
from skimp.dma.axi_read import AxiReader
from skimp.dma.axi_write import AxiWriter
from skimp.dma.load import LoadUnit
from skimp.dma.store import StoreUnit
from skimp.isa import Error, LoadTarget, Unit
from skimp.mem.ofmap_glb import OfmapGlb
from skimp.post.drain import DrainUnit
from skimp.regs import COUNTERS

__all__ = ["Core", "Skimp"]

_CORE_CONTROL = {
    "start": In(1),
    "step": In(1),
    "resume": In(1),
    "dram_base": In(32),
    "program_addr": In(32),
    "busy": Out(1),
    "done": Out(1),
    "paused": Out(1),
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
    start, step, resume, dram_base, program_addr : In
    busy, done, paused, error, event, error_code, error_info, layer_id : Out
    bus_quiet : Out(1)
        No burst is under way.
    axi : Out(Axi4)
    inc_NAME : Out(16)
        What each counter of the register table adds in this clock.
    """

    def __init__(self, config: Config):
        self._config = config
        self._counters = [name for name, _ in COUNTERS]
        super().__init__(
            {
                **_CORE_CONTROL,
                "bus_quiet": Out(1),
                "axi": Out(Axi4(data_bits=config.bus_bits)),
                **{f"inc_{name}": Out(16) for name in self._counters},
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self._config
        m.submodules.sequencer = seq = Sequencer(cfg)
        m.submodules.reader = reader = AxiReader(cfg)
        m.submodules.writer = writer = AxiWriter(cfg)
        m.submodules.load = load = LoadUnit(cfg)
        m.submodules.compute = compute = ComputeUnit(cfg)
        m.submodules.drain = drain = DrainUnit(cfg, psum_read_latency=compute.psum_read_latency)
        m.submodules.ofmap = ofmap = OfmapGlb(cfg)
        m.submodules.store = store = StoreUnit(cfg)

        # Control
        for name in ("start", "step", "resume", "program_addr"):
            m.d.comb += getattr(seq, name).eq(getattr(self, name))
        for name in "busy done paused error event error_code error_info layer_id".split():
            m.d.comb += getattr(self, name).eq(getattr(seq, name))
        units = {Unit.LOAD: load, Unit.COMPUTE: compute, Unit.DRAIN: drain, Unit.STORE: store}
        for u, unit in enumerate(UNIT_ORDER):
            wiring.connect(m, seq.commands[u], units[unit].command)
            m.d.comb += [seq.posts[u].eq(units[unit].post), seq.idles[u].eq(units[unit].idle)]

        # Bus
        wiring.connect(m, seq.segments, reader.segments[0])
        wiring.connect(m, reader.beats[0], seq.beats)
        wiring.connect(m, load.segments, reader.segments[1])
        wiring.connect(m, reader.beats[1], load.beats)
        wiring.connect(m, store.segments, writer.segments)
        wiring.connect(m, store.beats, writer.beats)
        for name, member in self.axi.signature.members.items():
            master = writer if name.startswith(("aw", "w", "b")) else reader
            ours, theirs = getattr(self.axi, name), getattr(master.axi, name)
            m.d.comb += ours.eq(theirs) if member.flow == Out else theirs.eq(ours)
        for master in (reader, writer):
            m.d.comb += [master.dram_base.eq(self.dram_base), master.stop.eq(seq.stop)]
        m.d.comb += [
            seq.bus_read_error.eq(reader.error),
            seq.bus_read_addr.eq(reader.error_addr),
            seq.bus_write_error.eq(writer.error),
            seq.bus_write_addr.eq(writer.error_addr),
            seq.progress.eq(reader.inc_beats | writer.inc_beats),
            self.bus_quiet.eq(reader.quiet & writer.quiet),
            store.writer_idle.eq(writer.idle),
        ]

        # Data
        for name in ("glb_w_en", "glb_w_row", "glb_w_bank", "glb_w_data"):
            m.d.comb += getattr(compute, name).eq(getattr(load, name))
        for name in ("lin_w_en", "lin_w_target", "lin_w_word", "lin_w_lane", "lin_w_data"):
            m.d.comb += getattr(compute, name).eq(getattr(load, name))
        m.d.comb += [
            drain.param_w_en.eq(load.lin_w_en & (load.lin_w_target == LoadTarget.PARAM)),
            drain.param_w_addr.eq(load.lin_w_word),
            drain.param_w_lane.eq(load.lin_w_lane),
            drain.param_w_data.eq(load.lin_w_data),
            compute.psum_rd_en.eq(drain.psum_rd_en),
            compute.psum_rd_half.eq(drain.psum_rd_half),
            compute.psum_rd_addr.eq(drain.psum_rd_addr),
            ofmap.w_en.eq(drain.ofmap_w_en),
            ofmap.w_addr.eq(drain.ofmap_w_addr),
            ofmap.w_data.eq(drain.ofmap_w_data),
            ofmap.r_en.eq(store.ofmap_r_en),
            ofmap.r_addr.eq(store.ofmap_r_addr),
            ofmap.r_block.eq(store.ofmap_r_block),
            store.ofmap_r_data.eq(ofmap.r_data),
        ]
        for i in range(cfg.pixels):
            m.d.comb += drain.psum[i].eq(compute.psum[i])

        # Counters: every clock of a run goes to exactly one of the first seven causes.
        running = Signal()
        m.d.comb += running.eq(self.busy & ~self.paused)
        waiting = Signal()
        m.d.comb += waiting.eq(compute.waiting)
        causes = (
            ("array", compute.inc_array),
            ("depthwise", compute.inc_depthwise),
            ("elementwise", compute.inc_elementwise),
            (
                "stall_dram_write",
                waiting
                & (seq.wait_psum | seq.wait_read & load.idle)
                & (seq.wait_store | drain.idle & ~store.idle),
            ),
            ("stall_drain", waiting & (seq.wait_psum | seq.wait_read & load.idle & ~drain.idle)),
            ("stall_dram_read", waiting & seq.wait_read & ~load.idle),
        )
        free = running
        for name, condition in causes:
            m.d.comb += getattr(self, f"inc_{name}").eq(free & condition)
            left = Signal(name=f"not_{name}")
            m.d.comb += left.eq(free & ~condition)
            free = left
        m.d.comb += [
            self.inc_stall_other.eq(free),
            self.inc_cycles.eq(running),
            self.inc_drain.eq(drain.inc_drain),
            self.inc_read_beats.eq(reader.inc_beats),
            self.inc_write_beats.eq(writer.inc_beats),
            self.inc_commands.eq(seq.inc_command),
            self.inc_macs_gated.eq(compute.inc_macs_gated),
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

    Notes
    -----
    A soft reset waits until no burst is under way, unless the bus itself hung.
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "axil": In(AxiLite()),
                "axi": Out(Axi4(data_bits=config.bus_bits)),
                "irq": Out(1),
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
        m.d.comb += reset_core.eq(reset_wanted & (core.bus_quiet | watchdog))

        wiring.connect(m, wiring.flipped(self.axil), csr.axil)
        wiring.connect(m, core.axi, wiring.flipped(self.axi))
        m.d.comb += self.irq.eq(csr.irq)
        for name, member in _CORE_CONTROL.items():
            ours, theirs = getattr(csr, name), getattr(core, name)
            m.d.comb += theirs.eq(ours) if member.flow == In else ours.eq(theirs)
        for name in core._counters:
            m.d.comb += getattr(csr, f"inc_{name}").eq(getattr(core, f"inc_{name}"))
        return m
