"""Load unit: executes LOAD_IFMAP and LOAD_LINEAR."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from skimp.config import Config
from skimp.ctrl.decode import COMMAND_BITS, view
from skimp.dma.axi import SegmentLayout
from skimp.feed.glb_address import BANK_BITS, ROW_BITS, GlbAddress, glb_add
from skimp.isa import LoadTarget, Opcode

__all__ = ["LoadRequests", "LoadUnit", "LoadWriter"]


class LoadRequests(wiring.Component):
    """First half of the load unit: turns commands into segments to read.

    A command passes on to the writer as its first segment is asked for, so that the next command's
    segments are under way while this one's words arrive.

    Parameters
    ----------
    config : Config

    Members
    -------
    command : In(stream), segments : Out(stream(SegmentLayout)), pending : Out(stream)
        `pending` hands the command to the writer.
    """

    def __init__(self, config: Config):
        super().__init__(
            {
                "command": In(stream.Signature(COMMAND_BITS)),
                "segments": Out(stream.Signature(SegmentLayout)),
                "pending": Out(stream.Signature(COMMAND_BITS)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        command = Signal(COMMAND_BITS, reset_less=True)
        ifmap, linear = view(command, Opcode.LOAD_IFMAP), view(command, Opcode.LOAD_LINEAR)
        is_ifmap = Signal()
        segment, block = Signal(16), Signal(16)
        block_addr = Signal(32, reset_less=True)
        m.d.comb += [
            is_ifmap.eq(ifmap.opcode == Opcode.LOAD_IFMAP),
            self.pending.payload.eq(command),
        ]
        out = self.segments
        last_segment, last_block, empty = Signal(), Signal(), Signal()
        m.d.comb += [
            last_segment.eq(~is_ifmap | (segment + 1 == ifmap.seg_count)),
            last_block.eq(~is_ifmap | (block + 1 == ifmap.dma_blocks)),
            empty.eq(is_ifmap & (ifmap.seg_beats == 0)),
            out.payload.beats.eq(Mux(is_ifmap, ifmap.seg_beats, linear.num_beats)),
        ]
        addr = Signal(32, reset_less=True)
        m.d.comb += out.payload.addr.eq(addr)

        with m.FSM(name="state"):
            with m.State("IDLE"):
                m.d.comb += self.command.ready.eq(1)
                with m.If(self.command.valid):
                    m.d.sync += command.eq(self.command.payload)
                    m.next = "HAND"
            with m.State("HAND"):
                m.d.comb += self.pending.valid.eq(1)
                m.d.sync += [
                    addr.eq(ifmap.dram_addr),
                    block_addr.eq(ifmap.dram_addr),
                    segment.eq(0),
                    block.eq(0),
                ]
                with m.If(self.pending.ready):
                    with m.If(empty):
                        m.next = "IDLE"
                    with m.Else():
                        m.next = "SEGMENTS"
            with m.State("SEGMENTS"):
                m.d.comb += out.valid.eq(1)
                with m.If(out.ready):
                    m.d.sync += [segment.eq(segment + 1), addr.eq(addr + ifmap.seg_stride)]
                    with m.If(last_segment):
                        m.d.sync += [
                            segment.eq(0),
                            block.eq(block + 1),
                            addr.eq(block_addr + ifmap.block_stride),
                            block_addr.eq(block_addr + ifmap.block_stride),
                        ]
                        with m.If(last_block):
                            m.next = "IDLE"
        return m


class LoadWriter(wiring.Component):
    """Second half: puts words and padding where they belong.

    Parameters
    ----------
    config : Config

    Members
    -------
    command : In(stream), beats : In(stream(bus_bits))
    post : Out(16)
        Semaphores of a command whose last word is being written.
    glb_w_en, glb_w_row, glb_w_bank, glb_w_data : Out
    lin_w_en, lin_w_target, lin_w_word, lin_w_lane, lin_w_data : Out

    Notes
    -----
    *Throughput*: a word a clock, padding too; 3 clocks between commands.
    """

    def __init__(self, config: Config):
        self._config = config
        bits = config.bus_bits
        super().__init__(
            {
                "command": In(stream.Signature(COMMAND_BITS)),
                "beats": In(stream.Signature(bits)),
                "post": Out(16),
                "glb_w_en": Out(1),
                "glb_w_row": Out(ROW_BITS),
                "glb_w_bank": Out(BANK_BITS),
                "glb_w_data": Out(bits),
                "lin_w_en": Out(1),
                "lin_w_target": Out(2),
                "lin_w_word": Out(16),
                "lin_w_lane": Out(7),
                "lin_w_data": Out(bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self._config
        command = Signal(COMMAND_BITS, reset_less=True)
        ifmap, linear = view(command, Opcode.LOAD_IFMAP), view(command, Opcode.LOAD_LINEAR)

        # Bounds of the tile, registered once per command.
        data_row_end, data_col_end = Signal(17), Signal(17)
        last_row, last_col = Signal(17), Signal(17)
        row, col, block = Signal(17), Signal(17), Signal(16)
        phase_h, phase_w = Signal(4), Signal(4)
        addr = Signal(GlbAddress, reset_less=True)
        row_base = Signal(GlbAddress, reset_less=True)
        block_base = Signal(GlbAddress, reset_less=True)

        wrap_w, wrap_h = Signal(), Signal()
        step_col, step_row = Signal(GlbAddress), Signal(GlbAddress)
        m.d.comb += [
            wrap_w.eq(phase_w + 1 == ifmap.stride_w),
            wrap_h.eq(phase_h + 1 == ifmap.stride_h),
            step_col.eq(Mux(wrap_w, ifmap.inc_col_wrap, ifmap.inc_col)),
            step_row.eq(Mux(wrap_h, ifmap.inc_row_wrap, ifmap.inc_row)),
        ]
        next_col = glb_add(m, "next_col", addr, step_col, num_banks=cfg.pixels)
        next_row = glb_add(m, "next_row", row_base, step_row, num_banks=cfg.pixels)
        next_block = glb_add(m, "next_block", block_base, ifmap.inc_block, num_banks=cfg.pixels)

        in_rows, in_cols, is_data, go = Signal(), Signal(), Signal(), Signal()
        fill = Signal(cfg.bus_bits)
        m.d.comb += [
            in_rows.eq((row >= ifmap.pad_top) & (row < data_row_end)),
            in_cols.eq((col >= ifmap.pad_left) & (col < data_col_end)),
            is_data.eq(in_rows & in_cols),
            fill.eq(ifmap.fill.as_unsigned().replicate(cfg.in_channels)),
        ]
        m.d.sync += [
            self.glb_w_en.eq(0),
            self.lin_w_en.eq(0),
            self.post.eq(0),
            self.glb_w_row.eq(addr.row),
            self.glb_w_bank.eq(addr.bank),
            self.glb_w_data.eq(Mux(is_data, self.beats.payload, fill)),
            self.lin_w_data.eq(self.beats.payload),
        ]

        word, lane, beats_left = Signal(16), Signal(7), Signal(24)
        last_lane = Signal(7)
        with m.Switch(linear.target):
            with m.Case(LoadTarget.WGT):
                m.d.comb += last_lane.eq(cfg.wgt_block_beats - 1)
            with m.Case(LoadTarget.PARAM):
                m.d.comb += last_lane.eq(cfg.param_block_beats - 1)
            with m.Default():
                m.d.comb += last_lane.eq(0)

        with m.FSM(name="state"):
            with m.State("IDLE"):
                m.d.comb += self.command.ready.eq(1)
                with m.If(self.command.valid):
                    m.d.sync += command.eq(self.command.payload)
                    m.next = "SETUP"
            with m.State("SETUP"):
                m.d.sync += [
                    data_row_end.eq(ifmap.pad_top + ifmap.num_rows),
                    data_col_end.eq(ifmap.pad_left + ifmap.num_cols),
                    last_row.eq(ifmap.pad_top + ifmap.num_rows + ifmap.pad_bottom - 1),
                    last_col.eq(ifmap.pad_left + ifmap.num_cols + ifmap.pad_right - 1),
                    row.eq(0),
                    col.eq(0),
                    block.eq(0),
                    phase_h.eq(0),
                    phase_w.eq(0),
                    addr.eq(ifmap.glb_base),
                    row_base.eq(ifmap.glb_base),
                    block_base.eq(ifmap.glb_base),
                    word.eq(linear.word_addr),
                    lane.eq(0),
                    beats_left.eq(linear.num_beats),
                ]
                with m.If(ifmap.opcode == Opcode.LOAD_IFMAP):
                    m.next = "TILE"
                with m.Else():
                    m.next = "LINEAR"
            with m.State("TILE"):
                m.d.comb += [self.beats.ready.eq(is_data), go.eq(~is_data | self.beats.valid)]
                with m.If(go):
                    m.d.sync += self.glb_w_en.eq(1)
                    with m.If(col != last_col):
                        m.d.sync += [
                            col.eq(col + 1),
                            addr.eq(next_col),
                            phase_w.eq(Mux(wrap_w, 0, phase_w + 1)),
                        ]
                    with m.Else():
                        m.d.sync += [col.eq(0), phase_w.eq(0)]
                        with m.If(row != last_row):
                            m.d.sync += [
                                row.eq(row + 1),
                                addr.eq(next_row),
                                row_base.eq(next_row),
                                phase_h.eq(Mux(wrap_h, 0, phase_h + 1)),
                            ]
                        with m.Else():
                            m.d.sync += [
                                row.eq(0),
                                phase_h.eq(0),
                                block.eq(block + 1),
                                addr.eq(next_block),
                                row_base.eq(next_block),
                                block_base.eq(next_block),
                            ]
                            with m.If(block + 1 == ifmap.num_blocks):
                                m.d.sync += self.post.eq(ifmap.post)
                                m.next = "IDLE"
            with m.State("LINEAR"):
                m.d.comb += self.beats.ready.eq(1)
                m.d.sync += [
                    self.lin_w_target.eq(linear.target),
                    self.lin_w_word.eq(word),
                    self.lin_w_lane.eq(lane),
                ]
                with m.If(self.beats.valid):
                    m.d.sync += [self.lin_w_en.eq(1), beats_left.eq(beats_left - 1)]
                    with m.If(lane == last_lane):
                        m.d.sync += [lane.eq(0), word.eq(word + 1)]
                    with m.Else():
                        m.d.sync += lane.eq(lane + 1)
                    with m.If(beats_left == 1):
                        m.d.sync += self.post.eq(linear.post)
                        m.next = "IDLE"
        return m


class LoadUnit(wiring.Component):
    """Requests and writer, one behind the other.

    Parameters
    ----------
    config : Config

    Members
    -------
    command : In(stream), segments : Out(stream), beats : In(stream), post : Out(16)
    idle : Out(1)
    glb_w_*, lin_w_* : Out
        As `LoadWriter`.
    """

    def __init__(self, config: Config):
        self._config = config
        self._writer = LoadWriter(config)
        writes = {
            name: member
            for name, member in self._writer.signature.members.items()
            if name.startswith(("glb_w_", "lin_w_"))
        }
        self._writes = tuple(writes)
        super().__init__(
            {
                "command": In(stream.Signature(COMMAND_BITS)),
                "segments": Out(stream.Signature(SegmentLayout)),
                "beats": In(stream.Signature(config.bus_bits)),
                "post": Out(16),
                "idle": Out(1),
                **writes,
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.requests = requests = LoadRequests(self._config)
        m.submodules.writer = writer = self._writer
        wiring.connect(m, wiring.flipped(self.command), requests.command)
        wiring.connect(m, requests.segments, wiring.flipped(self.segments))
        wiring.connect(m, requests.pending, writer.command)
        wiring.connect(m, wiring.flipped(self.beats), writer.beats)
        m.d.comb += self.post.eq(writer.post)
        for name in self._writes:
            m.d.comb += getattr(self, name).eq(getattr(writer, name))
        m.d.comb += self.idle.eq(
            requests.command.ready
            & ~self.command.valid
            & writer.command.ready
            & ~requests.pending.valid
            & (writer.post == 0)
            & ~writer.glb_w_en
            & ~writer.lin_w_en
        )
        return m
