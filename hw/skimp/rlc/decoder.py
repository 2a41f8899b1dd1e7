"""Decoder: coded units on their way from DRAM, a frame of 64 bytes in 5 clocks."""

from types import SimpleNamespace

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from skimp.config import Config
from skimp.feed.pipe import delay
from skimp.mem.lut_ram import LutRam
from skimp.prim.choose import choose
from skimp.rlc.format import FRAME, GROUP, MASK_BYTES, RAW_FRAME, Code, payload_bytes
from skimp.rlc.network import CHUNK, count_levels, gather, lookup, moved_bases
from skimp.rlc.run_mask import RUN_BYTES, RunMask

__all__ = ["SLOT_CYCLES", "CodedUnitLayout", "Decoder", "PlainChunkLayout"]

CodedUnitLayout = data.StructLayout({"beats": 9, "num_bytes": 20, "bitmap": 1, "zero": 8})
"""A unit to decode: its beats; its bytes (at least one); which code; its zero."""

PlainChunkLayout = data.StructLayout({"data": 8 * CHUNK, "size": range(CHUNK + 1), "last": 1})
"""Up to 16 bytes of a unit; all but its last have 16."""

_CHUNKS = FRAME // CHUNK

SLOT_CYCLES = _CHUNKS + 1
"""Clocks of a frame, here and in the encoder: its chunks, and one for its header."""

_ROWS = 32
_FRAME_ROWS = 5  # at most: 65 bytes from anywhere in the first row on
_SIDE_BYTES = 13
_SIDE_PHASE = 3  # a header's bytes are there
_ROW_BITS = _ROWS.bit_length()

_FrameLayout = data.StructLayout(
    {
        "valid": 1,
        "size": range(FRAME + 1),
        "last": 1,
        "bitmap": 1,
        "zero": 8,
        "raw": 1,
        "empty": 1,  # all zeros, or broken
        "start": _ROW_BITS + 4,  # of the levels, in bytes
        "end": 7,
    }
)


class Decoder(wiring.Component):
    """Brings coded units back, 16 bytes by 16.

    Frames go through in slots of 5 clocks, three at once: in the first slot a frame's header is
    read with what follows it, in the second one runs become a mask, in the third one its levels
    are read and come to their places. A damaged unit ends like any other: all its beats are taken,
    and as many bytes come as it should have; they mean nothing.

    Parameters
    ----------
    config : Config
        Its bus has 16 bytes at least.

    Members
    -------
    unit : In(stream(CodedUnitLayout))
    i : In(stream(bus_bits))
        Coded bytes; every unit begins at a beat.
    o : Out(stream(PlainChunkLayout))
    error : Out(1)
        For a clock, not behind the unit's last chunk: a header above 64 or with levels that do not
        shorten the frame; a mask with another number of levels; a level beyond the frame; beats
        that end inside a frame, or that are left over.
    idle : Out(1)
        No unit is inside.

    Notes
    -----
    *Throughput*: 5 clocks for a frame, none between units; but 16 bytes of the beats a clock, with
    what fills them up, and 1 more for a unit. *Latency*: 17 to 21 clocks from a unit's last beat, or
    from the one with the end of its first frame, to its first chunk, where nothing is before it.
    """

    def __init__(self, config: Config):
        if config.bus_bytes < CHUNK:
            raise ValueError(f"the bus must have {CHUNK} bytes at least, not {config.bus_bytes!r}")
        self._config = config
        super().__init__(
            {
                "unit": In(stream.Signature(CodedUnitLayout)),
                "i": In(stream.Signature(config.bus_bits)),
                "o": Out(stream.Signature(PlainChunkLayout)),
                "error": Out(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        coder = Module()
        going, failed, wrong_mask = Signal(), Signal(), Signal()
        m.submodules.coder = EnableInserter(going)(coder)
        m.d.comb += [
            going.eq(~self.o.valid | self.o.ready),
            self.error.eq((failed | wrong_mask) & going),
        ]
        lanes = []
        for n in range(CHUNK):
            m.submodules[f"lane_{n}"] = ram = LutRam(width=8, depth=_ROWS)
            lanes.append(ram)
        loaded = self._load(m, lanes, going)
        walk = self._walk(coder, loaded)
        places, flight = self._levels(coder, lanes, walk, wrong_mask)
        self._headers(coder, walk, loaded, places, failed)
        self._send(coder, places, flight)

        units = Signal(4)
        m.d.sync += units.eq(
            units
            + (self.unit.valid & self.unit.ready)
            - (self.o.valid & self.o.ready & self.o.payload.last)
        )
        m.d.comb += self.idle.eq(units == 0)
        return m

    def _load(self, m, lanes, going):
        """Write the beats of units to rows of 16 bytes; at most one unit waits for its turn."""
        rows = self._config.bus_bytes // CHUNK
        unit = Signal(CodedUnitLayout, reset_less=True)
        unit_valid, loading = Signal(), Signal()
        row, oldest = Signal(_ROW_BITS), Signal(_ROW_BITS)
        part, rows_left = Signal(range(max(rows, 2))), Signal(range(511 * rows + 1))
        room, take, accept, complete = Signal(), Signal(), Signal(), Signal()
        opened, closed = Signal(), Signal()
        # Units wholly loaded, from the one whose headers are read on.
        whole = Signal(range(3))
        m.d.comb += [
            self.unit.ready.eq(~unit_valid & ~loading),
            accept.eq(self.unit.valid & self.unit.ready),
            take.eq(loading & room & self.i.valid),
            self.i.ready.eq(loading & room & (part == rows - 1)),
            complete.eq((take & (rows_left == 1)) | (accept & (self.unit.payload.beats == 0))),
        ]
        # A row may be on its way when `room` is looked at.
        m.d.sync += [
            room.eq((row - oldest)[:_ROW_BITS] < _ROWS - 2),
            whole.eq(whole + complete - (closed & going)),
        ]
        with m.If(accept):
            m.d.sync += [
                unit.eq(self.unit.payload),
                unit_valid.eq(1),
                loading.eq(self.unit.payload.beats != 0),
                rows_left.eq(self.unit.payload.beats * rows),
            ]
        with m.Elif(opened & going):
            m.d.sync += unit_valid.eq(0)
        with m.If(take):
            m.d.sync += [
                row.eq(row + 1),
                part.eq(Mux(part == rows - 1, 0, part + 1)),
                rows_left.eq(rows_left - 1),
                loading.eq(rows_left != 1),
            ]
        chosen = choose(
            part[: (rows - 1).bit_length()],
            [self.i.payload.word_select(r, 8 * CHUNK) for r in range(rows)],
        )
        for n, lane in enumerate(lanes):
            m.d.comb += [
                lane.w_en.eq(take),
                lane.w_addr.eq(row),
                lane.w_data.eq(chosen.word_select(n, 8)),
            ]
        return SimpleNamespace(
            unit=unit, unit_valid=unit_valid, row=row, oldest=oldest, whole=whole, opened=opened,
            closed=closed,
        )  # fmt: skip

    def _walk(self, m, loaded):
        """Number the clocks of a slot; say whether a frame's header is read in it."""
        phase, last_phase = Signal(range(SLOT_CYCLES)), Signal()
        m.d.comb += last_phase.eq(phase == SLOT_CYCLES - 1)
        m.d.sync += phase.eq(Mux(last_phase, 0, phase + 1))
        walk = SimpleNamespace(
            phase=phase,
            last_phase=last_phase,
            valid=Signal(name="head_valid"),  # there is a unit
            broken=Signal(name="head_broken"),
            at=Signal(_ROW_BITS + 4, name="head_at"),
            frames_left=Signal(15, name="head_frames_left"),
            issued=Signal(name="head_issued"),
            second=Signal(_FrameLayout, name="second"),
            third=Signal(_FrameLayout, name="third"),
            levels=Signal(CHUNK, name="third_levels"),  # of the next chunk
        )
        there = (loaded.row - walk.at[4:])[:_ROW_BITS] >= _FRAME_ROWS
        with m.If(phase == 0):
            m.d.sync += walk.issued.eq(
                walk.valid & (walk.frames_left != 0) & (walk.broken | (loaded.whole != 0) | there)
            )
        return walk

    def _levels(self, m, lanes, walk, wrong):
        """Read 16 bytes in each clock: of a header, or as many as a chunk has levels of.

        Returns them at their places, 3 clocks later, and what there is to know of the chunk then.
        """
        third = walk.third
        at, next_at = Signal(_ROW_BITS + 4), Signal(_ROW_BITS + 4)
        # A clock ahead: which bytes of the next chunk are levels, and how many.
        place, rest = walk.phase, third.size[:4]
        full, partly = Signal(), Signal()
        header, last, size = Signal(init=1), Signal(), Signal(range(CHUNK + 1))
        there, outside = Signal(CHUNK), Signal()
        levels, mask = Signal(CHUNK), Signal(CHUNK, reset_less=True)
        m.d.comb += [
            full.eq(third.size[4:] > place),
            partly.eq(third.size[4:] == place),
            *(there[n].eq(full | (partly & (rest > n))) for n in range(CHUNK)),
            levels.eq((walk.levels & there) | (walk.last_phase | third.raw).replicate(CHUNK)),
        ]
        found = count_levels(levels)
        counts = [
            Signal(len(count), name=f"count_{n}", reset_less=True) for n, count in enumerate(found)
        ]
        m.d.sync += [
            header.eq(walk.last_phase),
            outside.eq(third.valid & ~third.raw & ~walk.last_phase & (walk.levels & ~there).any()),
            size.eq(Mux(full, CHUNK, Mux(partly, rest, 0))),
            last.eq(partly | ((third.size[4:] == place + 1) & (rest == 0))),
            mask.eq(levels),
            *(ours.eq(count) for ours, count in zip(counts, found)),
        ]
        m.d.comb += at.eq(Mux(header, walk.at, next_at))
        m.d.sync += next_at.eq(Mux(header, third.start, next_at + counts[-1]))

        ahead = at[4:] + 1
        window = []
        for n, ram in enumerate(lanes):
            byte = Signal(8, name=f"window_{n}", reset_less=True)
            m.d.comb += ram.r_addr.eq(Mux(at[:4] > n, ahead, at[4:]))
            m.d.sync += byte.eq(ram.r_data)
            window.append(byte)
        bases = [Signal(4, name=f"base_{n}", reset_less=True) for n in range(4)]
        m.d.sync += [ours.eq(base) for ours, base in zip(bases, moved_bases(at, counts))]
        mask_1 = delay(m, mask, 1, name="mask", reset_less=True)
        places = gather(m, window, mask_1, bases, name="levels")

        # A wrong mask has levels outside the frame, or they end elsewhere than they should.
        ended, end = Signal(), Signal(7, reset_less=True)
        m.d.sync += [
            ended.eq(walk.last_phase & third.valid & ~third.raw & ~third.empty),
            end.eq(third.end),
        ]
        m.d.comb += wrong.eq(outside | (ended & (next_at[:7] != end)))
        flight = SimpleNamespace(
            valid=delay(m, third.valid & ~header & (size != 0), 3, name="chunk_valid"),
            **{
                name: delay(m, signal, clocks, name=f"chunk_{name}", reset_less=True)
                for name, signal, clocks in (
                    ("mask", mask_1, 2),
                    ("size", size, 3),
                    ("last", last & third.last, 3),
                    ("zero", third.zero, 3),
                )
            },
        )
        return places, flight

    def _headers(self, m, walk, loaded, places, failed):
        """Read headers; hand frames from slot to slot, and open units."""
        unit = loaded.unit
        rows = self._config.bus_bytes // CHUNK
        phase, last_phase, at = walk.phase, walk.last_phase, walk.at
        bitmap, zero = Signal(), Signal(8, reset_less=True)
        tail = Signal(range(FRAME + 1), reset_less=True)
        coded_left = Signal(15, reset_less=True)
        start_row = Signal(_ROW_BITS)  # of the next unit

        # Clock 3: what the header says.
        header = places[0]
        side = Signal(8 * _SIDE_BYTES, reset_less=True)
        older_side = Signal(8 * MASK_BYTES, reset_less=True)
        payload, levels = Signal(7, reset_less=True), Signal(7, reset_less=True)
        beyond, raw = Signal(reset_less=True), Signal(reset_less=True)

        def length(code):
            return lookup(header[:6], lambda n: payload_bytes(code, n), 7)

        with m.If(phase == _SIDE_PHASE):
            m.d.sync += [
                side.eq(Cat(places[1 : 1 + _SIDE_BYTES])),
                older_side.eq(side),
                payload.eq(Mux(bitmap, length(Code.BITMAP), length(Code.RUN_LENGTH))),
                levels.eq(header),
                raw.eq(header == RAW_FRAME),
                beyond.eq(header > RAW_FRAME),
            ]

        # Clock 4: where its levels are and the next frame begins; whether that can be.
        last, none = Signal(), Signal()
        size = Signal(range(FRAME + 1), reset_less=True)
        coded, skipped = Signal(range(FRAME + 1)), Signal(range(_SIDE_BYTES + 1))
        left, next_at, plenty = Signal(15), Signal(len(at)), Signal()
        broken, done = Signal(), Signal()
        m.d.sync += [
            last.eq(walk.frames_left == 1),
            none.eq(walk.frames_left == 0),
            size.eq(Mux(walk.frames_left == 1, tail, FRAME)),
            plenty.eq(coded_left[7:].any()),
        ]
        short = ~plenty & (coded_left[:7] <= coded)
        m.d.comb += [
            coded.eq(Mux(raw, size, payload)),
            skipped.eq(
                Mux(
                    raw | (levels == 0),
                    0,
                    Mux(bitmap, MASK_BYTES, (levels[:6] + GROUP - 1)[2:]),
                )
            ),
            left.eq(coded_left - coded - 1),
            next_at.eq(at + coded + 1),
            broken.eq(walk.broken | (walk.issued & (beyond | (~raw & (payload >= size)) | short))),
            done.eq(Mux(walk.issued, last, none)),
            loaded.closed.eq(last_phase & walk.valid & done & (loaded.whole != 0)),
            loaded.opened.eq(last_phase & loaded.unit_valid & (~walk.valid | loaded.closed)),
        ]
        # A clock later: whether there are beats behind the last frame.
        good_end, unused = Signal(), Signal(15, reset_less=True)
        m.d.sync += [
            good_end.eq(last_phase & walk.issued & last & ~broken),
            unused.eq(left),
            failed.eq(
                (last_phase & walk.issued & ~walk.broken & broken)
                | (good_end & (unused >= self._config.bus_bytes))
            ),
        ]
        second, older_row = walk.second, Signal(_ROW_BITS)
        with m.If(last_phase):
            m.d.sync += [
                walk.broken.eq(broken),
                walk.frames_left.eq(walk.frames_left - walk.issued),
                walk.valid.eq(walk.valid & ~loaded.closed),
                older_row.eq(at[4:]),
                loaded.oldest.eq(older_row),
                second.valid.eq(walk.issued),
                second.size.eq(size),
                second.last.eq(last),
                second.bitmap.eq(bitmap),
                second.zero.eq(zero),
                second.raw.eq(raw & ~broken),
                second.empty.eq(broken | (levels == 0)),
                second.start.eq(at + skipped + 1),
                second.end.eq(next_at),
                walk.third.eq(second),
            ]
            with m.If(walk.issued):
                m.d.sync += coded_left.eq(left)
            with m.If(walk.valid & (loaded.whole == 0) & (broken | done)):
                # Nothing more is wanted of what has come, nor of what comes.
                m.d.sync += at.eq(loaded.row << 4)
            with m.Elif(walk.issued & ~broken):
                m.d.sync += at.eq(next_at)
        with m.If(loaded.opened):
            m.d.sync += [
                walk.valid.eq(1),
                walk.broken.eq(0),
                walk.frames_left.eq((unit.num_bytes + FRAME - 1) >> (FRAME - 1).bit_length()),
                tail.eq(Mux(unit.num_bytes[:6] == 0, FRAME, unit.num_bytes[:6])),
                at.eq(start_row << 4),
                start_row.eq(start_row + unit.beats * rows),
                coded_left.eq(unit.beats * self._config.bus_bytes),
                bitmap.eq(unit.bitmap),
                zero.eq(unit.zero),
            ]

        # Clocks 3 to 7: runs, 12 a clock. Clock 10: the mask of the frame whose slot begins.
        m.submodules.run_mask = run_mask = RunMask()
        runs_left, runs = Signal(6), Signal(6)
        step = 8 * RUN_BYTES
        m.d.sync += run_mask.first.eq(phase == _SIDE_PHASE - 1)
        m.d.comb += [
            runs.eq(Mux(run_mask.first, header[:6], runs_left)),
            run_mask.runs.eq(
                choose(
                    phase,
                    [
                        *(side[step * n :][:step] for n in (2, 3, 4)),
                        Cat(places[1 : 1 + RUN_BYTES]),
                        side[step:][:step],
                    ],
                )
            ),
            run_mask.valid.eq(lookup(runs, lambda n: (1 << n) - 1, GROUP * RUN_BYTES)),
        ]
        m.d.sync += runs_left.eq(lookup(runs, lambda n: max(0, n - GROUP * RUN_BYTES), len(runs)))
        third, mask = walk.third, Signal(FRAME)
        later_mask = Signal(FRAME - CHUNK, reset_less=True)
        m.d.comb += [
            mask.eq(
                Mux(
                    phase == 0,
                    Mux(third.empty, 0, Mux(third.bitmap, older_side, run_mask.mask)),
                    later_mask,
                )
            ),
            walk.levels.eq(mask),
        ]
        m.d.sync += later_mask.eq(mask[CHUNK:])

    def _send(self, m, places, flight):
        """Put the zeros between the levels."""
        out = self.o
        m.d.sync += [
            out.valid.eq(flight.valid),
            out.payload.size.eq(flight.size),
            out.payload.last.eq(flight.last),
            *(
                out.payload.data.word_select(n, 8).eq(Mux(flight.mask[n], byte, flight.zero))
                for n, byte in enumerate(places)
            ),
        ]
