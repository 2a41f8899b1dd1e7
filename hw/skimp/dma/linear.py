"""Weight load unit: executes LOAD_LINEAR."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from skimp.config import Config
from skimp.ctrl.decode import COMMAND_BITS, view
from skimp.dma.axi import SegmentLayout
from skimp.isa import MASK_BITS, TABLE_ENTRIES, LoadTarget, Opcode
from skimp.mem.ram import MOST_LUT_RAM_WORDS, Ram1R1W

__all__ = ["LinearUnit"]

_PENDING = 2
_ENTRIES = 2 * TABLE_ENTRIES


class LinearUnit(wiring.Component):
    """Reads contiguous beats into the weight, parameter or table memories.

    Parameters
    ----------
    config : Config

    Members
    -------
    command : In(stream), post : Out(MASK_BITS), idle : Out(1)
    segments : Out(stream(SegmentLayout)), beats : In(stream(bus_bits))
        Beats are always taken.
    w_en : Out(1), w_target : Out(2), w_addr : Out(24), w_data : Out(bus_bits)
        A beat for a memory of beats.
    table_w_en : Out(1), table_w_addr : Out(9), table_w_data : Out(32)
        An entry of the tables.

    Notes
    -----
    *Throughput*: a beat a clock, without a gap between commands. Tables come into a small buffer
    and leave it an entry a clock: 2 * TABLE_ENTRIES clocks more, in which nothing else is asked for.
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "command": In(stream.Signature(COMMAND_BITS)),
                "post": Out(MASK_BITS),
                "idle": Out(1),
                "segments": Out(stream.Signature(SegmentLayout)),
                "beats": In(stream.Signature(config.bus_bits)),
                "w_en": Out(1),
                "w_target": Out(2),
                "w_addr": Out(24),
                "w_data": Out(config.bus_bits),
                "table_w_en": Out(1),
                "table_w_addr": Out(range(_ENTRIES)),
                "table_w_data": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self._config
        m.submodules.pending = pending = SyncFIFOBuffered(width=COMMAND_BITS, depth=_PENDING)
        asked = view(self.command.payload, Opcode.LOAD_LINEAR)
        command = view(pending.r_data, Opcode.LOAD_LINEAR)
        busy = Signal()  # a table is under way

        # Ask: a command's beats come as one segment; its place in the queue says where they go.
        is_table = Signal()
        ask = Signal()
        m.d.comb += [
            is_table.eq(asked.target == LoadTarget.TABLE),
            ask.eq(self.command.valid & pending.w_rdy & ~busy),
            self.segments.valid.eq(ask),
            self.segments.payload.addr.eq(asked.dram_addr),
            self.segments.payload.beats.eq(asked.num_beats),
            self.command.ready.eq(pending.w_rdy & ~busy & self.segments.ready),
            pending.w_data.eq(self.command.payload),
            pending.w_en.eq(ask & self.segments.ready),
        ]
        with m.If(pending.w_en & is_table):
            m.d.sync += busy.eq(1)

        # Write
        beat = Signal(24)
        last, to_table = Signal(), Signal()
        m.d.comb += [
            self.beats.ready.eq(pending.r_rdy),
            last.eq(beat + 1 == command.num_beats),
            to_table.eq(command.target == LoadTarget.TABLE),
        ]
        m.d.sync += [
            self.w_en.eq(0),
            self.post.eq(0),
            self.w_target.eq(command.target),
            self.w_addr.eq(command.beat_addr + beat),
            self.w_data.eq(self.beats.payload),
        ]
        per_beat = cfg.bus_bytes // 4
        depth = _ENTRIES // per_beat
        style = "distributed" if depth <= MOST_LUT_RAM_WORDS else "block"
        m.submodules.table = table = Ram1R1W(width=cfg.bus_bits, depth=depth, ram_style=style)
        entry = Signal(range(_ENTRIES))
        copying = Signal()
        table_post = Signal(MASK_BITS, reset_less=True)
        m.d.comb += [
            table.w_addr.eq(beat),
            table.w_data.eq(self.beats.payload),
            table.r_addr.eq(entry // per_beat),
            table.r_en.eq(copying),
            self.table_w_data.eq(table.r_data.word_select(self.table_w_addr % per_beat, 32)),
        ]
        m.d.sync += [self.table_w_en.eq(copying), self.table_w_addr.eq(entry)]
        with m.If(self.beats.valid & pending.r_rdy):
            m.d.sync += [self.w_en.eq(~to_table), beat.eq(beat + 1)]
            m.d.comb += table.w_en.eq(to_table)
            with m.If(last):
                m.d.sync += beat.eq(0)
                m.d.comb += pending.r_en.eq(1)
                with m.If(to_table):
                    m.d.sync += [copying.eq(1), entry.eq(0), table_post.eq(command.post)]
                with m.Else():
                    m.d.sync += self.post.eq(command.post)
        with m.If(copying):
            m.d.sync += entry.eq(entry + 1)
            with m.If(entry == _ENTRIES - 1):
                m.d.sync += [copying.eq(0), busy.eq(0), self.post.eq(table_post)]

        m.d.comb += self.idle.eq(
            ~self.command.valid
            & (pending.level == 0)
            & ~copying
            & ~busy
            & (self.post == 0)
            & ~self.w_en
            & ~self.table_w_en
        )
        return m
