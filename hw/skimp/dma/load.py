"""Load unit: executes LOAD_IFMAP and LOAD_RESIDUAL."""

from amaranth import *
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from skimp.config import Config
from skimp.ctrl.decode import COMMAND_BITS, view
from skimp.dma.axi import SegmentLayout
from skimp.dma.segments import LoadRequests, WordRunLayout
from skimp.dma.word_fifo import WordFifo, at_most
from skimp.feed.glb_address import BANK_BITS, ROW_BITS, GlbAddress, glb_add
from skimp.isa import MASK_BITS, MAX_TABLE_UNITS, MAX_UNIT_BEATS, Opcode
from skimp.rlc.unit_reader import UnitReader

__all__ = ["LoadUnit", "LoadWriter"]

_RUNS = 4
_PENDING = 2


class _Rows(enum.Enum, shape=2):
    """Part of a block: rows of padding above, rows with data, rows of padding below."""

    TOP = 0
    DATA = 1
    BOTTOM = 2


class LoadWriter(wiring.Component):
    """Second half: puts words and padding where they belong.

    Parameters
    ----------
    config : Config

    Members
    -------
    command : In(stream)
    level : In, lead : Out, words : In(word_bits).array(load_words), take_en : Out(1), take : Out
        Words from the queue: how many there are; the oldest ones, behind `lead` words that mean
        nothing; how many are taken.
    post : Out(MASK_BITS)
        Semaphores of a command whose last word is being written.
    glb_w_count, glb_w_row, glb_w_bank, glb_w_data : Out
    glb_w2_count, glb_w2_row, glb_w2_bank, glb_w2_data : Out
        To an ifmap buffer; the second run has the other column phase of stride 2.
    glb_w_dw : Out(1), glb_w_blocks : Out(ofmap_blocks)
        With both runs: the buffer is the depthwise unit's, and the part of its words (one hot).
    res_w_count, res_w_pixel, res_w_blocks, res_w_data : Out
        To the residual buffer: words of one channel block.

    Notes
    -----
    *Throughput*: up to load_words words of a row a clock, padding and data together; 3 clocks
    between commands. With stride_w = 2 an even number of words (the phases lie half of the banks
    apart); one word with larger strides.
    """

    def __init__(self, config: Config, *, fifo_words: int):
        self._config = config
        words = config.load_words
        self._pair_words = max(1, words // 2)
        super().__init__(
            {
                "command": In(stream.Signature(COMMAND_BITS)),
                "level": In(range(fifo_words + 1)),
                "lead": Out(range(words + 1)),
                "words": In(config.word_bits).array(words),
                "take_en": Out(1),
                "take": Out(range(words + 1)),
                "post": Out(MASK_BITS),
                "glb_w_count": Out(range(words + 1)),
                "glb_w_row": Out(ROW_BITS),
                "glb_w_bank": Out(BANK_BITS),
                "glb_w_data": Out(config.word_bits).array(words),
                "glb_w2_count": Out(range(self._pair_words + 1)),
                "glb_w2_row": Out(ROW_BITS),
                "glb_w2_bank": Out(BANK_BITS),
                "glb_w2_data": Out(config.word_bits).array(self._pair_words),
                "glb_w_dw": Out(1),
                "glb_w_blocks": Out(config.ofmap_blocks),
                "res_w_count": Out(range(words + 1)),
                "res_w_pixel": Out(16),
                "res_w_blocks": Out(config.ofmap_blocks),
                "res_w_data": Out(config.word_bits).array(words),
            }
        )

    def elaborate(self, platform):
        m = Module()
        step = Signal(self._step_layout(), reset_less=True)
        valid, go = Signal(), Signal()  # `step` is one to write, is written
        self._plan(m, step, valid, go)
        self._write(m, step, valid, go)
        return m

    def _step_layout(self):
        """What is written in a clock.

        lead: words of padding before data; end: words in front of padding behind data; take: words
        between the two; count, count2: words to write, here and in the other phase; wrap: the next
        column is in phase 0; first: begins a row at `row`, whose second column lies at `row2`;
        final: ends the command.
        """
        words = range(self._config.load_words + 1)
        return data.StructLayout(
            {
                "lead": words, "end": words, "take": words, "count": words, "count2": words,
                "wrap": 1, "first": 1, "final": 1,
                "row": GlbAddress, "row2": GlbAddress, "blocks": self._config.ofmap_blocks,
            }
        )  # fmt: skip

    def _plan(self, m, step, valid, go):
        """Walk over blocks, rows, steps; a step is planned while the one before it is written."""
        cfg = self._config
        lanes = cfg.load_words
        even = max(1, lanes - lanes % 2)
        self._fields = command = Signal(COMMAND_BITS, reset_less=True)
        ifmap = view(command, Opcode.LOAD_IFMAP)
        incoming = view(self.command.payload, Opcode.LOAD_IFMAP)
        incoming_residual = view(self.command.payload, Opcode.LOAD_RESIDUAL)

        # A residual is a row of words for each block, without padding.
        self._is_residual = is_residual = Signal()
        rows, data_end, total_cols = Signal(16), Signal(17), Signal(17)
        has_top, has_rows, has_bottom = (
            Signal(name=name) for name in ("has_top", "has_rows", "has_bottom")
        )
        strided, halve, pairs = (Signal(name=name) for name in ("strided", "halve", "pairs"))

        # Words of the row up to the end of padding before data, of data, and of all.
        lead_left, end_left, left = (
            Signal(n, name=name) for n, name in ((8, "lead_left"), (17, "end_left"), (17, "left"))
        )
        part = Signal(_Rows)
        rows_left, blocks_left = (Signal(16, name=name) for name in ("rows_left", "blocks_left"))
        last_of_part, last_block = (Signal(name=name) for name in ("last_of_part", "last_block"))
        one_row = Signal(3)  # a part has one row, by part
        # Phases until the next one is phase 0.
        phase_h, phase_w = (Signal(4, name=name) for name in ("phase_h", "phase_w"))
        odd = Signal()  # halve, one lane: the next word is one to drop
        first = Signal()
        row, block = (Signal(GlbAddress, reset_less=True, name=name) for name in ("row", "block"))
        # One hot: the block of a residual, the part of the depthwise unit's words.
        blocks = Signal(cfg.ofmap_blocks)

        most, lead, end, count, kept = (
            Signal(range(lanes + 1), name=n) for n in ("most", "lead", "end", "count", "kept")
        )
        few = len(most)
        every_second = Signal()  # every second word goes to the first run
        self._strided, self._every_second = strided, every_second
        m.d.comb += [
            every_second.eq(pairs | halve),
            most.eq(Mux(strided, 1, Mux(every_second, even, lanes))),
        ]

        def in_step(counter, words):
            """Set `words` to those of a counter in this step; return whether they are all."""
            low, last = (Signal(name=f"{words.name}_{name}") for name in ("low", "last"))
            by_limit = [at_most(counter[:few], limit) for limit in (1, even, lanes)]
            m.d.comb += [
                low.eq(Mux(strided, by_limit[0], Mux(every_second, *by_limit[1:]))),
                last.eq((counter[few:] == 0) & low),
                words.eq(Mux(last, counter[:few], most)),
            ]
            return last

        lead_last, end_last = in_step(lead_left, lead), in_step(end_left, end)
        row_end = in_step(left, count)
        m.d.comb += kept.eq(count)
        with m.If(halve):
            m.d.comb += kept.eq((count + 1) >> 1 if lanes > 1 else ~odd)

        def begin_row(data_row):
            m.d.sync += [
                lead_left.eq(Mux(data_row & ~is_residual, ifmap.pad_left, 0)),
                end_left.eq(Mux(data_row, data_end, 0)),
                left.eq(total_cols),
            ]

        # Rows of a block.
        last_part = Signal()
        first_part, next_part = (Signal(_Rows, name=n) for n in ("first_part", "next_part"))
        m.d.comb += [
            first_part.eq(Mux(has_top, _Rows.TOP, Mux(has_rows, _Rows.DATA, _Rows.BOTTOM))),
            last_part.eq(
                (part == _Rows.BOTTOM) | (~has_bottom & ((part == _Rows.DATA) | ~has_rows))
            ),
            next_part.eq(part),
        ]
        with m.If(last_of_part & last_part):
            m.d.comb += next_part.eq(first_part)
        with m.Elif(last_of_part):
            m.d.comb += next_part.eq(Mux(has_rows & (part == _Rows.TOP), _Rows.DATA, _Rows.BOTTOM))

        def rows_of(which):
            return Mux(
                which == _Rows.TOP,
                ifmap.pad_top,
                Mux(which == _Rows.DATA, rows, ifmap.pad_bottom),
            )

        def has_one_row(which):
            return one_row.bit_select(which.as_value(), 1)

        wrap_w, wrap_h, block_end = (
            Signal(name=name) for name in ("wrap_w", "wrap_h", "block_end")
        )
        step_row, step_block = (Signal(GlbAddress, name=n) for n in ("step_row", "step_block"))
        m.d.comb += [
            wrap_w.eq(phase_w == 0),
            wrap_h.eq(phase_h == 0),
            block_end.eq(last_of_part & last_part),
            step_row.eq(Mux(wrap_h, ifmap.inc_row_wrap, ifmap.inc_row)),
            step_block.eq(Mux(ifmap.dw & ~blocks[-1], 0, ifmap.inc_block)),
        ]
        next_row = glb_add(m, "next_row", row, step_row, num_banks=cfg.pixels)
        next_block = glb_add(m, "next_block", block, step_block, num_banks=cfg.pixels)
        beside = glb_add(m, "beside", row, ifmap.inc_col, num_banks=cfg.pixels)

        with m.If(go):
            m.d.sync += valid.eq(0)
        with m.FSM(name="state"):
            with m.State("IDLE"):
                # A command's fields stay until its last step is written.
                m.d.comb += self.command.ready.eq(~valid)
                a_residual = incoming.opcode == Opcode.LOAD_RESIDUAL
                with m.If(~valid):
                    m.d.sync += [
                        command.eq(self.command.payload),
                        is_residual.eq(a_residual),
                        rows.eq(Mux(a_residual, 1, incoming.num_rows)),
                        blocks_left.eq(Mux(a_residual, incoming.dma_blocks, incoming.num_blocks)),
                        data_end.eq(
                            Mux(
                                a_residual,
                                incoming_residual.num_pixels,
                                incoming.pad_left + incoming.num_cols,
                            )
                        ),
                        total_cols.eq(
                            Mux(
                                a_residual,
                                incoming_residual.num_pixels,
                                incoming.pad_left + incoming.num_cols + incoming.pad_right,
                            )
                        ),
                        has_top.eq(~a_residual & (incoming.pad_top != 0)),
                        has_rows.eq(a_residual | (incoming.num_rows != 0)),
                        has_bottom.eq(~a_residual & (incoming.pad_bottom != 0)),
                        strided.eq(~a_residual & (incoming.stride_w > (2 if lanes > 1 else 1))),
                        pairs.eq(~a_residual & (incoming.stride_w == 2) & (lanes > 1)),
                        halve.eq(~a_residual & incoming.halve),
                        row.eq(incoming.glb_base),
                        block.eq(incoming.glb_base),
                        one_row.eq(
                            Cat(
                                incoming.pad_top == 1,
                                a_residual | (incoming.num_rows == 1),
                                incoming.pad_bottom == 1,
                            )
                        ),
                        blocks.eq(1),
                        phase_h.eq(incoming.stride_h - 1),
                        phase_w.eq(incoming.stride_w - 1),
                        odd.eq(0),
                        first.eq(1),
                    ]
                with m.If(self.command.valid & ~valid):
                    m.next = "SETUP"
            with m.State("SETUP"):
                m.d.sync += [
                    part.eq(first_part),
                    rows_left.eq(rows_of(first_part)),
                    last_of_part.eq(has_one_row(first_part)),
                    last_block.eq(blocks_left == 1),
                ]
                begin_row(first_part == _Rows.DATA)
                m.next = "ROWS"
            with m.State("ROWS"):
                with m.If(~valid | go):
                    m.d.sync += [
                        valid.eq(1),
                        step.lead.eq(lead),
                        step.end.eq(end),
                        step.take.eq(end - lead),
                        step.count.eq(Mux(pairs, (count + 1) >> 1, kept)),
                        step.count2.eq(Mux(pairs, count >> 1, 0)),
                        step.wrap.eq(wrap_w),
                        step.first.eq(first),
                        step.final.eq(row_end & block_end & last_block),
                        step.row.eq(row),
                        step.row2.eq(beside),
                        step.blocks.eq(blocks),
                        first.eq(row_end),
                    ]
                    with m.If(~row_end):
                        m.d.sync += [
                            lead_left.eq(Mux(lead_last, 0, lead_left - most)),
                            end_left.eq(Mux(end_last, 0, end_left - most)),
                            left.eq(left - most),
                            phase_w.eq(Mux(wrap_w, ifmap.stride_w, phase_w) - 1),
                            odd.eq(~odd),
                        ]
                    with m.Else():
                        m.d.sync += [
                            phase_w.eq(ifmap.stride_w - 1),
                            odd.eq(0),
                            row.eq(next_row),
                            phase_h.eq(Mux(wrap_h, ifmap.stride_h, phase_h) - 1),
                            part.eq(next_part),
                            rows_left.eq(Mux(last_of_part, rows_of(next_part), rows_left - 1)),
                            last_of_part.eq(
                                Mux(last_of_part, has_one_row(next_part), rows_left == 2)
                            ),
                        ]
                        begin_row(next_part == _Rows.DATA)
                        with m.If(block_end):
                            m.d.sync += [
                                row.eq(next_block),
                                block.eq(next_block),
                                phase_h.eq(ifmap.stride_h - 1),
                                blocks.eq(blocks.rotate_left(1)),
                                blocks_left.eq(blocks_left - 1),
                                last_block.eq(blocks_left == 2),
                            ]
                            with m.If(last_block):
                                m.next = "IDLE"

    def _write(self, m, step, valid, go):
        """Write a step once its words are there."""
        cfg = self._config
        lanes = cfg.load_words
        ifmap = view(self._fields, Opcode.LOAD_IFMAP)
        residual = view(self._fields, Opcode.LOAD_RESIDUAL)
        is_residual, strided, every_second = self._is_residual, self._strided, self._every_second
        few = len(step.take)
        there = Signal()
        m.d.comb += [
            there.eq(
                (self.level[few:] != 0)
                | Cat(at_most(step.take, n) for n in range(1 << few)).bit_select(
                    self.level[:few], 1
                )
            ),
            go.eq(valid & there),
            self.take_en.eq(go),
            self.take.eq(step.take),
            self.lead.eq(step.lead),
        ]

        # Where the next column and the one behind it go.
        addr, addr2 = (Signal(GlbAddress, reset_less=True, name=name) for name in ("addr", "addr2"))
        here, here2 = (Signal(GlbAddress, name=name) for name in ("here", "here2"))
        step_col = Signal(GlbAddress)
        m.d.comb += [
            here.eq(Mux(step.first, step.row, addr)),
            here2.eq(Mux(step.first, step.row2, addr2)),
            step_col.eq(Mux(step.wrap, ifmap.inc_col_wrap, ifmap.inc_col)),
        ]

        # As an offset between addresses; with two phases, count words in either (but at the end).
        onward, offset = (Signal(GlbAddress, name=name) for name in ("onward", "offset"))
        with m.Switch(step.count):
            for n in range(lanes + 1):
                with m.Case(n):
                    m.d.comb += [onward.row.eq(n // cfg.pixels), onward.bank.eq(n % cfg.pixels)]
        m.d.comb += offset.eq(Mux(strided, step_col, onward))
        next_addr = glb_add(m, "next_addr", here, offset, num_banks=cfg.pixels)
        next_addr2 = glb_add(m, "next_addr2", here2, onward, num_banks=cfg.pixels)
        pixel, next_pixel = Signal(16, reset_less=True), Signal(16)
        m.d.comb += next_pixel.eq(Mux(step.first, residual.pixel_base, pixel))
        m.d.sync += [
            self.glb_w_count.eq(0),
            self.glb_w2_count.eq(0),
            self.res_w_count.eq(0),
            self.post.eq(0),
            self.glb_w_row.eq(here.row),
            self.glb_w_bank.eq(here.bank),
            self.glb_w2_row.eq(here2.row),
            self.glb_w2_bank.eq(here2.bank),
            self.res_w_pixel.eq(next_pixel),
            self.res_w_blocks.eq(step.blocks),
            self.glb_w_dw.eq(ifmap.dw),
        ]
        m.d.comb += self.glb_w_blocks.eq(self.res_w_blocks)
        with m.If(go):
            m.d.sync += [addr.eq(next_addr), addr2.eq(next_addr2), pixel.eq(next_pixel + step.take)]
            with m.If(is_residual):
                m.d.sync += self.res_w_count.eq(step.count)
            with m.Else():
                m.d.sync += [
                    self.glb_w_count.eq(step.count),
                    self.glb_w2_count.eq(step.count2),
                ]
            with m.If(step.final):
                m.d.sync += self.post.eq(ifmap.post)

        # Both buffers get the same data.
        fill = ifmap.fill.as_unsigned().replicate(cfg.in_channels)
        is_data = Signal(lanes)
        m.d.comb += is_data.eq(
            Cat(at_most(step.lead, n) & ~at_most(step.end, n) for n in range(lanes))
        )
        for n in range(lanes):
            word, real = self.words[n], is_data[n]
            if lanes > 1 and 2 * n < lanes:
                word = Mux(every_second, self.words[2 * n], word)
                real = Mux(every_second, is_data[2 * n], real)
            m.d.sync += self.glb_w_data[n].eq(Mux(real, word, fill))
            m.d.comb += self.res_w_data[n].eq(self.glb_w_data[n])
        for n in range(lanes // 2):
            real = is_data[2 * n + 1]
            m.d.sync += self.glb_w2_data[n].eq(Mux(real, self.words[2 * n + 1], fill))


class LoadUnit(wiring.Component):
    """Requests, the queue of words, and the writer.

    Parameters
    ----------
    config : Config

    Members
    -------
    command : In(stream), post : Out(MASK_BITS), idle : Out(1)
    segments : Out(stream(SegmentLayout)).array(2)
        To DRAM, to the activation store.
    dram_beats : In(stream(bus_bits)), chip_beats : In(stream(chip_bits))
    room : Out(16)
        Beats from DRAM that can come now.
    table_r_en, table_r_addr : Out, table_r_data : In
        Tile table; data one clock later.
    damaged : Out(1)
        A coded unit is damaged.
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
                "table_r_en": Out(1),
                "table_r_addr": Out(range(MAX_TABLE_UNITS)),
                "table_r_data": In(range(MAX_UNIT_BEATS + 1)),
                "damaged": Out(1),
                "post": Out(MASK_BITS),
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
        inside, inside_last = Signal(), Signal()  # behind the first beat of a run, in its last one
        beats_left, left = (Signal(24, name=name) for name in ("beats_left", "left"))
        whole, count = Signal(range(lanes + 1)), Signal(range(lanes + 1))
        valid, take, last = (Signal(name=name) for name in ("valid", "take", "last"))
        halves = self.dram_beats.payload.replicate(lanes // cfg.bus_words)
        m.d.comb += [
            run.as_value().eq(runs.r_data),
            left.eq(Mux(inside, beats_left, run.beats)),
            last.eq(Mux(inside, inside_last, run.single)),
            whole.eq(Mux(run.chip, lanes, cfg.bus_words)),
            count.eq(Mux(inside, Mux(inside_last, run.tail, whole), run.count)),
            valid.eq(Mux(run.chip, self.chip_beats.valid, self.dram_beats.valid)),
            take.eq(runs.r_rdy & (fifo.room_words >= lanes)),
            self.dram_beats.ready.eq(take & ~run.chip),
            self.chip_beats.ready.eq(take & run.chip),
            fifo.w_first.eq(Mux(inside, 0, run.skip)),
            fifo.w_count.eq(Mux(take & valid, count, 0)),
            fifo.w_data.eq(Mux(run.chip, self.chip_beats.payload, halves)),
            runs.r_en.eq(take & valid & last),
            self.room.eq(fifo.room_words >> (cfg.bus_words.bit_length() - 1)),
            requests.runs_over.eq(runs.level == 0),
            writer.level.eq(fifo.level),
            fifo.r_en.eq(writer.take_en),
            fifo.r_count.eq(writer.take),
            fifo.r_lead.eq(writer.lead),
        ]
        with m.If(take & valid):
            m.d.sync += [inside.eq(~last), inside_last.eq(left == 2), beats_left.eq(left - 1)]
        for n in range(cfg.load_words):
            m.d.comb += writer.words[n].eq(fifo.r_data[n])
        units_idle = self._units(m, requests, fifo) if cfg.tile_table_depth else 1

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
            & units_idle
        )
        return m

    def _units(self, m, requests, fifo):
        """Let words of coded units into the queue; return whether all are through."""
        cfg = self._config
        m.submodules.units = units = UnitReader(cfg)
        wiring.connect(m, requests.units, units.units)
        m.d.comb += [
            self.table_r_en.eq(requests.table_r_en),
            self.table_r_addr.eq(requests.table_r_addr),
            requests.table_r_data.eq(self.table_r_data),
            requests.units_over.eq(units.idle),
            units.beats.payload.eq(self.dram_beats.payload),
            units.beats.valid.eq(self.dram_beats.valid & requests.coded),
            units.w_ready.eq(fifo.room_words >= cfg.chip_words),
            self.damaged.eq(units.error),
        ]
        # There are no runs while there are units.
        with m.If(requests.coded):
            m.d.comb += [
                self.dram_beats.ready.eq(units.beats.ready),
                self.room.eq(units.room),
                fifo.w_first.eq(units.w_first),
                fifo.w_count.eq(units.w_count),
                fifo.w_data.eq(units.w_data),
            ]
        return units.idle
