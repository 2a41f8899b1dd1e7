"""Load unit: executes LOAD_IFMAP and LOAD_RESIDUAL."""

from amaranth import *
from amaranth.lib import enum, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from skimp.config import Config
from skimp.ctrl.decode import COMMAND_BITS, view
from skimp.dma.axi import SegmentLayout
from skimp.dma.segments import LoadRequests, WordRunLayout
from skimp.dma.word_fifo import WordFifo
from skimp.feed.glb_address import BANK_BITS, ROW_BITS, GlbAddress, glb_add
from skimp.isa import Opcode

__all__ = ["LoadUnit", "LoadWriter"]

_RUNS = 4
_PENDING = 2


class _Run(enum.Enum, shape=2):
    """Part of a row: all of it padding, padding before, data, padding behind."""

    WHOLE = 0
    LEFT = 1
    DATA = 2
    RIGHT = 3


class LoadWriter(wiring.Component):
    """Second half: puts words and padding where they belong.

    Parameters
    ----------
    config : Config

    Members
    -------
    command : In(stream)
    level : In, words : In(word_bits).array(load_words), take : Out
        Words from the queue: how many there are, the oldest ones, how many are taken.
    post : Out(16)
        Semaphores of a command whose last word is being written.
    glb_w_count, glb_w_row, glb_w_bank, glb_w_data : Out
    glb_w2_count, glb_w2_row, glb_w2_bank, glb_w2_data : Out
        To the ifmap side of the GLB; the second run has the other column phase of stride 2.
    res_w_count, res_w_pixel, res_w_blocks, res_w_data : Out
        To the residual buffer: words of one channel block.

    Notes
    -----
    *Throughput*: up to load_words words of a row a clock, padding and data apart; `gap_cycles`
    clocks between commands. With stride_w = 2 an even number of words from an even column on, one
    less from an odd one (the phases lie half of the banks apart); one word with larger strides.
    """

    gap_cycles = 3

    def __init__(self, config: Config, *, fifo_words: int):
        self._config = config
        words = config.load_words
        self._pair_words = max(1, words // 2)
        super().__init__(
            {
                "command": In(stream.Signature(COMMAND_BITS)),
                "level": In(range(fifo_words + 1)),
                "words": In(config.word_bits).array(words),
                "take": Out(range(words + 1)),
                "post": Out(16),
                "glb_w_count": Out(range(words + 1)),
                "glb_w_row": Out(ROW_BITS),
                "glb_w_bank": Out(BANK_BITS),
                "glb_w_data": Out(config.word_bits).array(words),
                "glb_w2_count": Out(range(self._pair_words + 1)),
                "glb_w2_row": Out(ROW_BITS),
                "glb_w2_bank": Out(BANK_BITS),
                "glb_w2_data": Out(config.word_bits).array(self._pair_words),
                "res_w_count": Out(range(words + 1)),
                "res_w_pixel": Out(16),
                "res_w_blocks": Out(config.ofmap_blocks),
                "res_w_data": Out(config.word_bits).array(words),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self._config
        lanes = cfg.load_words
        command = Signal(COMMAND_BITS, reset_less=True)
        ifmap = view(command, Opcode.LOAD_IFMAP)
        residual = view(command, Opcode.LOAD_RESIDUAL)

        # A row is up to three runs: padding, data, padding. `left` counts down the present one.
        total_cols = Signal(17)
        data_row_end, last_row = Signal(17), Signal(17)
        row, block = Signal(17), Signal(16)
        left = Signal(17)
        phase_h, phase_w = Signal(4), Signal(4)
        addr = Signal(GlbAddress, reset_less=True)
        row_base = Signal(GlbAddress, reset_less=True)
        block_base = Signal(GlbAddress, reset_less=True)
        strided, halve, pairs = Signal(), Signal(), Signal()
        odd = Signal()  # halve: the next word is one to drop

        count, kept = Signal(range(lanes + 1)), Signal(range(lanes + 1))
        there, last = Signal(), Signal()
        most = Signal(range(lanes + 1))
        m.d.comb += [
            most.eq(lanes),
            count.eq(Mux(left < most, left, most)),
            last.eq(left <= most),
            there.eq(self.level >= count),
        ]

        even = lanes - lanes % 2
        with m.If(strided):
            m.d.comb += most.eq(1)
        with m.Elif(pairs):
            m.d.comb += most.eq(Mux(phase_w[0], max(1, even - 1), max(1, even)))
        with m.Elif(halve):
            m.d.comb += most.eq(max(1, even))

        wrap_w, wrap_h = Signal(), Signal()
        step_col, step_row = Signal(GlbAddress), Signal(GlbAddress)
        m.d.comb += [
            wrap_w.eq(phase_w + 1 == ifmap.stride_w),
            wrap_h.eq(phase_h + 1 == ifmap.stride_h),
            step_row.eq(Mux(wrap_h, ifmap.inc_row_wrap, ifmap.inc_row)),
        ]
        # The next column's word, in the other phase; from there or from here so many words on.
        m.d.comb += step_col.eq(Mux(wrap_w, ifmap.inc_col_wrap, ifmap.inc_col))
        beside = glb_add(m, "beside", addr, step_col, num_banks=cfg.pixels)
        start, step_words = Signal(GlbAddress), Signal(GlbAddress)
        onward = Signal(range(lanes + 1))
        m.d.comb += [
            start.eq(Mux(strided | (pairs & count[0]), beside, addr)),
            onward.eq(Mux(strided, 0, Mux(pairs, count >> 1, kept))),
        ]
        with m.Switch(onward):
            for n in range(lanes + 1):
                with m.Case(n):
                    m.d.comb += [
                        step_words.row.eq(n // cfg.pixels),
                        step_words.bank.eq(n % cfg.pixels),
                    ]
        next_col = glb_add(m, "next_col", start, step_words, num_banks=cfg.pixels)
        next_row = glb_add(m, "next_row", row_base, step_row, num_banks=cfg.pixels)
        next_block = glb_add(m, "next_block", block_base, ifmap.inc_block, num_banks=cfg.pixels)

        is_data = Signal()
        fill = ifmap.fill.as_unsigned().replicate(cfg.in_channels)
        m.d.sync += [
            self.glb_w_count.eq(0),
            self.glb_w2_count.eq(0),
            self.glb_w2_row.eq(beside.row),
            self.glb_w2_bank.eq(beside.bank),
            self.res_w_count.eq(0),
            self.post.eq(0),
            self.glb_w_row.eq(addr.row),
            self.glb_w_bank.eq(addr.bank),
        ]
        m.d.comb += kept.eq(count)
        for n in range(lanes):
            word = self.words[n]
            if lanes > 1 and 2 * n < lanes:
                word = Mux(halve | pairs, self.words[2 * n], word)
            m.d.sync += [
                self.glb_w_data[n].eq(Mux(is_data, word, fill)),
                self.res_w_data[n].eq(self.words[n]),
            ]
        for n in range(lanes // 2):
            m.d.sync += self.glb_w2_data[n].eq(Mux(is_data, self.words[2 * n + 1], fill))
        with m.If(halve):
            m.d.comb += kept.eq((count + 1) >> 1 if lanes > 1 else ~odd)

        next_is_data = Signal()
        next_row_nr = Signal(17)
        has_left, has_data, has_right = Signal(), Signal(), Signal()
        run = Signal(_Run)
        m.d.comb += [
            next_row_nr.eq(Mux(row == last_row, 0, row + 1)),
            next_is_data.eq((next_row_nr >= ifmap.pad_top) & (next_row_nr < data_row_end)),
            has_left.eq(ifmap.pad_left != 0),
            has_data.eq(ifmap.num_cols != 0),
            has_right.eq(ifmap.pad_right != 0),
            is_data.eq(run == _Run.DATA),
        ]
        go, row_end = Signal(), Signal()
        m.d.comb += row_end.eq(
            last
            & (
                (run == _Run.WHOLE)
                | (run == _Run.RIGHT)
                | ((run == _Run.DATA) & ~has_right)
                | ((run == _Run.LEFT) & ~has_data & ~has_right)
            )
        )

        def begin_row(data_row):
            """Set up the first run of a row."""
            with m.If(~data_row):
                m.d.sync += [left.eq(total_cols), run.eq(_Run.WHOLE)]
            with m.Elif(has_left):
                m.d.sync += [left.eq(ifmap.pad_left), run.eq(_Run.LEFT)]
            with m.Elif(has_data):
                m.d.sync += [left.eq(ifmap.num_cols), run.eq(_Run.DATA)]
            with m.Else():
                m.d.sync += [left.eq(ifmap.pad_right), run.eq(_Run.RIGHT)]

        with m.FSM(name="state"):
            with m.State("IDLE"):
                m.d.comb += self.command.ready.eq(1)
                with m.If(self.command.valid):
                    m.d.sync += command.eq(self.command.payload)
                    m.next = "SETUP"
            with m.State("SETUP"):
                m.d.sync += [
                    total_cols.eq(ifmap.pad_left + ifmap.num_cols + ifmap.pad_right),
                    data_row_end.eq(ifmap.pad_top + ifmap.num_rows),
                    last_row.eq(ifmap.pad_top + ifmap.num_rows + ifmap.pad_bottom - 1),
                    row.eq(0),
                    block.eq(0),
                    phase_h.eq(0),
                    phase_w.eq(0),
                    odd.eq(0),
                    addr.eq(ifmap.glb_base),
                    row_base.eq(ifmap.glb_base),
                    block_base.eq(ifmap.glb_base),
                ]
                with m.If(ifmap.opcode == Opcode.LOAD_RESIDUAL):
                    m.d.sync += [
                        strided.eq(0),
                        halve.eq(0),
                        pairs.eq(0),
                        left.eq(residual.num_pixels),
                        self.res_w_pixel.eq(residual.pixel_base),
                    ]
                    m.next = "RESIDUAL"
                with m.Else():
                    m.d.sync += [
                        strided.eq(ifmap.stride_w > (2 if lanes > 1 else 1)),
                        pairs.eq((ifmap.stride_w == 2) & (lanes > 1)),
                        halve.eq(ifmap.halve),
                    ]
                    m.next = "FIRST"
            with m.State("FIRST"):
                begin_row((ifmap.pad_top == 0) & (ifmap.num_rows != 0))
                m.next = "ROWS"
            with m.State("ROWS"):
                m.d.comb += [
                    go.eq(~is_data | there),
                    self.take.eq(Mux(is_data & there, count, 0)),
                ]
                with m.If(go):
                    m.d.sync += [
                        self.glb_w_count.eq(Mux(pairs, (count + 1) >> 1, kept)),
                        self.glb_w2_count.eq(Mux(pairs, count >> 1, 0)),
                    ]
                    with m.If(~last):
                        m.d.sync += left.eq(left - count)
                    with m.Elif((run == _Run.LEFT) & has_data):
                        m.d.sync += [left.eq(ifmap.num_cols), run.eq(_Run.DATA)]
                    with m.Else():
                        m.d.sync += [left.eq(ifmap.pad_right), run.eq(_Run.RIGHT)]
                    with m.If(~row_end):
                        m.d.sync += [
                            addr.eq(next_col),
                            phase_w.eq(Mux(pairs, phase_w ^ count[0], Mux(wrap_w, 0, phase_w + 1))),
                            odd.eq(~odd),
                        ]
                    with m.Else():
                        m.d.sync += [phase_w.eq(0), odd.eq(0), row.eq(next_row_nr)]
                        begin_row(next_is_data)
                        with m.If(row != last_row):
                            m.d.sync += [
                                addr.eq(next_row),
                                row_base.eq(next_row),
                                phase_h.eq(Mux(wrap_h, 0, phase_h + 1)),
                            ]
                        with m.Else():
                            m.d.sync += [
                                phase_h.eq(0),
                                block.eq(block + 1),
                                addr.eq(next_block),
                                row_base.eq(next_block),
                                block_base.eq(next_block),
                            ]
                            with m.If(block + 1 == ifmap.num_blocks):
                                m.d.sync += self.post.eq(ifmap.post)
                                m.next = "IDLE"
            with m.State("RESIDUAL"):
                m.d.comb += self.take.eq(Mux(there, count, 0))
                with m.If(self.res_w_count != 0):
                    m.d.sync += self.res_w_pixel.eq(self.res_w_pixel + self.res_w_count)
                with m.If(there):
                    m.d.sync += [
                        self.res_w_count.eq(count),
                        self.res_w_blocks.eq(1 << block[:3]),
                        left.eq(left - count),
                    ]
                    with m.If(last):
                        m.d.sync += [left.eq(residual.num_pixels), block.eq(block + 1)]
                        m.next = "NEXT_BLOCK"
            with m.State("NEXT_BLOCK"):
                m.d.sync += self.res_w_pixel.eq(residual.pixel_base)
                with m.If(block == residual.dma_blocks):
                    m.d.sync += self.post.eq(residual.post)
                    m.next = "IDLE"
                with m.Else():
                    m.next = "RESIDUAL"
        return m


class LoadUnit(wiring.Component):
    """Requests, the queue of words, and the writer.

    Parameters
    ----------
    config : Config

    Members
    -------
    command : In(stream), post : Out(16), idle : Out(1)
    segments : Out(stream(SegmentLayout)).array(2)
        To DRAM, to the activation store.
    dram_beats : In(stream(bus_bits)), chip_beats : In(stream(chip_bits))
    room : Out(16)
        Beats from DRAM that can come now.
    glb_w_*, res_w_* : Out
        As `LoadWriter`.
    """

    def __init__(self, config: Config):
        self._config = config
        self._fifo_beats = config.load_queue_beats
        self._writer = LoadWriter(config, fifo_words=self._fifo_beats * config.chip_words)
        writes = {
            name: member
            for name, member in self._writer.signature.members.items()
            if name.startswith(("glb_w", "res_w"))
        }
        self._writes = tuple(writes)
        super().__init__(
            {
                "command": In(stream.Signature(COMMAND_BITS)),
                "segments": Out(stream.Signature(SegmentLayout)).array(2),
                "dram_beats": In(stream.Signature(config.bus_bits)),
                "chip_beats": In(stream.Signature(config.chip_bits)),
                "room": Out(16),
                "post": Out(16),
                "idle": Out(1),
                **writes,
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self._config
        lanes = cfg.chip_words
        m.submodules.requests = requests = LoadRequests(cfg)
        m.submodules.writer = writer = self._writer
        m.submodules.fifo = fifo = WordFifo(cfg, num_beats=self._fifo_beats)
        m.submodules.runs = runs = SyncFIFOBuffered(
            width=Shape.cast(WordRunLayout(cfg)).width, depth=_RUNS
        )
        m.submodules.pending = pending = SyncFIFOBuffered(width=COMMAND_BITS, depth=_PENDING)
        wiring.connect(m, wiring.flipped(self.command), requests.command)
        for k in range(2):
            wiring.connect(m, requests.segments[k], wiring.flipped(self.segments[k]))
        m.d.comb += [
            pending.w_data.eq(requests.pending.payload),
            pending.w_en.eq(requests.pending.valid),
            requests.pending.ready.eq(pending.w_rdy),
            writer.command.payload.eq(pending.r_data),
            writer.command.valid.eq(pending.r_rdy),
            pending.r_en.eq(writer.command.ready),
            runs.w_data.eq(requests.runs.payload.as_value()),
            runs.w_en.eq(requests.runs.valid),
            requests.runs.ready.eq(runs.w_rdy),
        ]

        # From beats to words: the beats of a run hold its words from `skip` of the first one on.
        run = Signal(WordRunLayout(cfg))
        inside = Signal()  # behind the first beat of a run
        words_left = Signal(24)
        left, first = Signal(24), Signal(range(max(lanes, 2)))
        in_beat, count = Signal(range(lanes + 1)), Signal(range(lanes + 1))
        valid, take, last = Signal(), Signal(), Signal()
        beat = Signal(cfg.chip_bits)
        m.d.comb += [
            run.as_value().eq(runs.r_data),
            left.eq(Mux(inside, words_left, run.words)),
            first.eq(Mux(inside, 0, run.skip) if lanes > 1 else 0),
            in_beat.eq(Mux(run.chip, lanes, cfg.bus_words) - first),
            last.eq(left <= in_beat),
            count.eq(Mux(last, left, in_beat)),
            valid.eq(Mux(run.chip, self.chip_beats.valid, self.dram_beats.valid)),
            beat.eq(Mux(run.chip, self.chip_beats.payload, self.dram_beats.payload)),
            take.eq(runs.r_rdy & (fifo.room_words >= lanes)),
            self.dram_beats.ready.eq(take & ~run.chip),
            self.chip_beats.ready.eq(take & run.chip),
            fifo.w_first.eq(first),
            fifo.w_count.eq(Mux(take & valid, count, 0)),
            fifo.w_data.eq(beat),
            runs.r_en.eq(take & valid & last),
            self.room.eq(fifo.room_words >> (cfg.bus_words.bit_length() - 1)),
            writer.level.eq(fifo.level),
            fifo.r_count.eq(writer.take),
        ]
        with m.If(take & valid):
            m.d.sync += [inside.eq(~last), words_left.eq(left - count)]
        for n in range(cfg.load_words):
            m.d.comb += writer.words[n].eq(fifo.r_data[n])

        m.d.comb += self.post.eq(writer.post)
        for name in self._writes:
            ours, theirs = getattr(self, name), getattr(writer, name)
            if name.endswith("_data"):
                m.d.comb += [a.eq(b) for a, b in zip(ours, theirs)]
            else:
                m.d.comb += ours.eq(theirs)
        m.d.comb += self.idle.eq(
            requests.command.ready
            & ~self.command.valid
            & (pending.level == 0)
            & writer.command.ready
            & (writer.post == 0)
            & (writer.glb_w_count == 0)
            & (writer.res_w_count == 0)
        )
        return m
