"""Encoder: plain bytes on their way to DRAM, a frame of 64 in 5 clocks."""

from types import SimpleNamespace

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from skimp.config import Config
from skimp.feed.pipe import delay
from skimp.mem.lut_ram import LutRam
from skimp.prim.choose import choose
from skimp.rlc.format import FRAME, GROUP, MASK_BYTES, RAW_FRAME, RUN_BITS, Code, payload_bytes
from skimp.rlc.network import CHUNK, count_levels, lookup, moved_bases, scatter

__all__ = ["Encoder", "PlainLayout"]

PlainLayout = data.StructLayout(
    {"data": 8 * CHUNK, "size": range(CHUNK + 1), "last": 1, "bitmap": 1, "zero": 8}
)
"""Up to 16 bytes of a unit; all but its last have 16. bitmap and zero do not change in a unit."""

_CHUNKS = FRAME // CHUNK
_FRAMES = 8
_UNITS = 16
_MAX_LEVELS = 50  # of a frame whose runs are shorter than its bytes
_RUN_BYTES = -(-_MAX_LEVELS // GROUP)

_FrameLayout = data.StructLayout(
    {
        "filled": _CHUNKS,  # chunks with a byte that is not zero
        "chunks": range(_CHUNKS),  # all but the last one
        "size": range(CHUNK + 1),  # bytes of the last one
        "last": 1,
        "bitmap": 1,
    }
)


class Encoder(wiring.Component):
    """Writes the coded bytes of units, each from a beat on.

    Frames go through in slots of 5 clocks, three at once: in its first slot a frame's levels are
    counted and its runs brought together; the second one passes; in the third one come its header
    with what follows it, and then its four chunks of levels.

    Parameters
    ----------
    config : Config
        Its bus has 16 bytes at least.

    Members
    -------
    i : In(stream(PlainLayout))
    o : Out(stream)
        data: coded bytes, with zeros behind the last one; last: the unit's last beat.
    idle : Out(1)
        No part of a unit is inside.

    Notes
    -----
    *Throughput*: 5 clocks for a frame, 1 more for a unit. *Latency*: 24 to 28 clocks from a unit's
    last bytes to its last beat, where nothing is before it.
    """

    def __init__(self, config: Config):
        if config.bus_bytes < CHUNK:
            raise ValueError(f"the bus must have {CHUNK} bytes at least, not {config.bus_bytes!r}")
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(PlainLayout)),
                "o": Out(stream.Signature(data.StructLayout({"data": config.bus_bits, "last": 1}))),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        coder, planner = Module(), Module()
        going, flush = Signal(), Signal()
        m.submodules.coder = EnableInserter(going)(coder)
        coder.submodules.planner = EnableInserter(~flush)(planner)

        m.submodules.bytes = bytes_ = LutRam(width=8 * CHUNK, depth=_FRAMES * _CHUNKS)
        m.submodules.filled = filled = LutRam(width=CHUNK, depth=_FRAMES * _CHUNKS)
        m.submodules.frames = frames = LutRam(width=_FrameLayout.size, depth=_FRAMES)
        coming, taken, left = (Signal(name=name) for name in ("coming", "taken", "left"))
        self._collect(m, bytes_, filled, frames, coming, left & going)

        waiting = Signal(range(_FRAMES + 1))
        m.d.sync += waiting.eq(waiting + coming - (taken & going))
        slots = self._slots(coder, frames, waiting, taken, left, flush)
        plan = self._plan(planner, filled, slots)
        chunk = self._choose(coder, bytes_, slots, plan, flush)
        self._send(m, coder, chunk, going)

        units = Signal(range(_UNITS))
        begun, sent = Signal(), Signal()
        m.d.comb += [
            sent.eq(self.o.valid & self.o.ready & self.o.payload.last),
            self.idle.eq((units == 0) & ~begun),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += begun.eq(~self.i.payload.last)
        m.d.sync += units.eq(units + (self.i.valid & self.i.ready & self.i.payload.last) - sent)
        return m

    def _collect(self, m, bytes_, filled, frames, coming, left):
        """Write chunks, and which of their bytes are not zero; a frame is there with `coming`."""
        chunk = self.i.payload
        free = Signal(range(_FRAMES + 1), init=_FRAMES)
        begin, ready = Signal(init=1), Signal(init=1)
        take, room = Signal(), Signal(range(_FRAMES + 1))
        place = Signal(range(_CHUNKS))
        m.d.comb += [
            self.i.ready.eq(ready),
            take.eq(self.i.valid & ready),
            room.eq(free + left - (take & begin)),
        ]
        m.d.sync += [
            free.eq(room),
            ready.eq((room != 0) | Mux(take, ~chunk.last & (place != _CHUNKS - 1), ~begin)),
        ]
        with m.If(take):
            m.d.sync += [
                place.eq(Mux(chunk.last, 0, place + 1)),
                begin.eq(chunk.last | (place == _CHUNKS - 1)),
            ]

        # What lies behind the last byte becomes 0: a raw frame sends it, too.
        there = Signal(CHUNK)
        plain = Signal(8 * CHUNK, reset_less=True)
        other = [Signal(3, name=f"other_{n}", reset_less=True) for n in range(CHUNK)]
        for n in range(CHUNK):
            byte = chunk.data.word_select(n, 8)
            differ = byte ^ chunk.zero
            m.d.comb += there[n].eq(lookup(chunk.size, lambda size, n=n: size > n, 1))
            m.d.sync += [
                plain.word_select(n, 8).eq(Mux(there[n], byte, 0)),
                other[n].eq(
                    Mux(there[n], Cat(differ[0:3].any(), differ[3:6].any(), differ[6:8].any()), 0)
                ),
            ]
        info = Signal(_FrameLayout)
        written, ends = Signal(), Signal()
        frame, at = Signal(range(_FRAMES)), Signal(range(_CHUNKS))
        before = Signal(_CHUNKS)
        m.d.sync += [
            written.eq(take),
            at.eq(place),
            ends.eq(chunk.last | (place == _CHUNKS - 1)),
            info.chunks.eq(place),
            info.size.eq(chunk.size),
            info.last.eq(chunk.last),
            info.bitmap.eq(chunk.bitmap),
        ]
        m.d.comb += [
            bytes_.w_en.eq(written),
            bytes_.w_addr.eq(Cat(at, frame)),
            bytes_.w_data.eq(plain),
            filled.w_en.eq(written),
            filled.w_addr.eq(Cat(at, frame)),
            filled.w_data.eq(Cat(differ.any() for differ in other)),
            info.filled.eq(before | (filled.w_data.any() << at)),
            frames.w_en.eq(written & ends),
            frames.w_addr.eq(frame),
            frames.w_data.eq(info.as_value()),
            coming.eq(written & ends),
        ]
        with m.If(written):
            m.d.sync += before.eq(Mux(ends, 0, info.filled))
        with m.If(coming):
            m.d.sync += frame.eq(frame + 1)

    def _slots(self, m, frames, waiting, taken, left, flush):
        """Number the clocks of a slot; hand frames from slot to slot."""
        phase, last_phase = Signal(range(_CHUNKS + 2)), Signal()
        first, second, third = (
            SimpleNamespace(
                valid=Signal(name=f"{name}_valid"),
                frame=Signal(range(_FRAMES), name=f"{name}_frame"),
                info=Signal(_FrameLayout, name=f"{name}_info"),
            )
            for name in ("first", "second", "third")
        )
        m.d.comb += [
            flush.eq(phase == _CHUNKS + 1),
            last_phase.eq(flush | ((phase == _CHUNKS) & ~(third.valid & third.info.last))),
            first.valid.eq(waiting != 0),
            frames.r_addr.eq(first.frame),
            first.info.eq(frames.r_data),
            left.eq(last_phase & third.valid),
        ]
        m.d.sync += phase.eq(Mux(last_phase, 0, phase + 1))
        # A frame that comes within a slot waits for the next one.
        here = Signal()
        with m.If(phase == 0):
            m.d.sync += here.eq(first.valid)
        m.d.comb += taken.eq(last_phase & here)
        with m.If(last_phase):
            m.d.sync += [
                first.frame.eq(first.frame + here),
                second.valid.eq(here),
                third.valid.eq(second.valid),
                *(
                    getattr(after, name).eq(getattr(before, name))
                    for after, before in ((second, first), (third, second))
                    for name in ("frame", "info")
                ),
            ]
        return SimpleNamespace(
            phase=phase, last_phase=last_phase, first=first, second=second, third=third
        )

    def _plan(self, m, filled, slots):
        """Find the levels of each chunk, count them, and collect the frame's runs or mask."""

        def later(signal, clocks, name):
            return delay(m, signal, clocks, name=name, reset_less=True)

        phase, info = slots.phase, slots.first.info
        # Clock 0: which bytes are not zero, and whether one follows in a later chunk.
        ones, follows, start, bitmap = (
            Signal(CHUNK, name="ones", reset_less=True),
            Signal(reset_less=True),
            Signal(reset_less=True),
            Signal(reset_less=True),
        )
        m.d.comb += [filled.r_addr.eq(Cat(phase[:2], slots.first.frame))]
        m.d.sync += [
            ones.eq(Mux(phase[2] | (phase[:2] > info.chunks), 0, filled.r_data)),
            follows.eq(
                ~phase[2]
                & lookup(Cat(info.filled, phase[:2]), lambda n: (n & 15) >> (n >> 4) + 1 != 0, 1)
            ),
            start.eq(phase == 0),
            bitmap.eq(info.bitmap),
        ]

        # Clock 1: runs, modulo 4: a zero behind three of them is a level if a byte follows.
        state = Signal(RUN_BITS)
        levels, runs = Signal(CHUNK, reset_less=True), Signal(2 * CHUNK, reset_less=True)
        run = Mux(start, 0, state)
        for first in range(0, CHUNK, 4):
            group = ones[first : first + 4]
            behind = ones[first + 4 :].any() | follows

            def run_of(n):
                def value(index, n=n):
                    run = index & 3
                    for place in range(n):
                        run = 0 if index >> 2 + place & 1 else run + 1 & 3
                    return run

                return value

            for n in range(4):
                length = lookup(Cat(run, group[:n]), run_of(n), 2)
                m.d.sync += [
                    runs.word_select(first + n, 2).eq(length),
                    levels[first + n].eq(
                        group[n] | ((length == 3) & (group[n + 1 :].any() | behind) & ~bitmap)
                    ),
                ]
            run = lookup(Cat(run, group), run_of(4), 2)
        m.d.sync += state.eq(run)

        # Clock 2: their number up to every fourth place.
        counts = [
            Signal(len(count), name=f"count_{n}", reset_less=True)
            for n, count in enumerate(count_levels(levels))
        ]
        m.d.sync += [ours.eq(count) for ours, count in zip(counts, count_levels(levels))]
        # The mask is whole when the clock without a chunk comes by.
        mask, whole_mask = Signal(FRAME, reset_less=True), Signal(FRAME, reset_less=True)
        none_2 = later(phase[2], 2, "none")
        with m.If(none_2):
            m.d.sync += whole_mask.eq(mask)
        with m.Else():
            m.d.sync += mask.eq(Cat(mask[CHUNK:], levels))

        # Clock 3: and up to each chunk. Kept until the frame's levels go.
        total, chosen = Signal(range(FRAME + 1)), Signal(range(FRAME + 1))
        levels_3, runs_3 = later(levels, 1, "levels"), later(runs, 1, "runs")
        start_3 = later(start, 2, "start")
        m.submodules.plans = plans = LutRam(
            width=CHUNK + sum(map(len, counts)), depth=_FRAMES * _CHUNKS
        )
        where = later(Cat(phase[:2], slots.first.frame), 3, "where")
        none_3 = later(none_2, 1, "none_2")
        m.d.comb += [
            chosen.eq(Mux(start_3, 0, total)),
            plans.w_en.eq(~none_3),
            plans.w_addr.eq(where),
            plans.w_data.eq(Cat(levels_3, *counts)),
        ]
        m.d.sync += total.eq(chosen + counts[-1])
        bases = [Signal(4, name=f"base_{n}", reset_less=True) for n in range(len(counts))]
        m.d.sync += [
            ours.eq(base) for ours, base in zip(bases, moved_bases(chosen, counts), strict=True)
        ]
        first_run = later(chosen, 1, "first_run")

        # Clocks 4 and 5: runs side by side. Clock 6: those that were not there before are written;
        # what is behind the levels is overwritten, and at last not taken.
        levels_4, runs_4 = later(levels_3, 1, "levels_2"), later(runs_3, 1, "runs_2")
        lanes = scatter(
            m,
            [runs_4.word_select(n, 2) for n in range(CHUNK)],
            levels_4,
            bases,
            name="runs",
        )
        first_6 = later(first_run, 2, "first_run_2")
        packed = Signal(8 * _RUN_BYTES, reset_less=True)
        beyond = Signal(GROUP * _RUN_BYTES)
        for n in range(GROUP * _RUN_BYTES):
            m.d.comb += beyond[n].eq(lookup(first_6[:6], lambda first, n=n: n >= first, 1))
            with m.If(beyond[n]):
                m.d.sync += packed.word_select(n, 2).eq(lanes[n % CHUNK])

        # When the clock without a chunk has come here, all levels are counted: is the code shorter?
        second = slots.second.info
        size = Signal(range(FRAME + 1), reset_less=True)
        payload, number = Signal(7, reset_less=True), Signal(7, reset_less=True)
        raw = Signal(reset_less=True)

        def length(code):
            return lookup(total[:6], lambda n: payload_bytes(code, n), 7)

        lengths = Mux(second.bitmap, length(Code.BITMAP), length(Code.RUN_LENGTH))
        with m.If(none_3):
            m.d.sync += [payload.eq(Mux(total[6], FRAME, lengths)), number.eq(total)]
        m.d.sync += [size.eq((second.chunks << 4) + second.size), raw.eq(payload >= size)]
        return SimpleNamespace(
            plans=plans, counts=counts, packed=packed, beyond=beyond, mask=whole_mask,
            number=number, raw=raw,
        )  # fmt: skip

    def _choose(self, m, bytes_, slots, plan, flush):
        """Return what goes to the network: header and what follows it, then the chunks."""
        phase, third = slots.phase, slots.third
        raw, number = Signal(), Signal(range(FRAME + 1))
        with m.If(slots.last_phase):
            m.d.sync += [raw.eq(plan.raw), number.eq(plan.number)]
        header, place = Signal(), Signal(2)
        levels, counts = plan.plans.r_data[:CHUNK], []
        at = CHUNK
        for count in plan.counts:
            counts.append(plan.plans.r_data[at : at + len(count)])
            at += len(count)
        m.d.comb += [
            header.eq(phase == 0),
            place.eq(phase - 1),
            bytes_.r_addr.eq(Cat(place, third.frame)),
            plan.plans.r_addr.eq(Cat(place, third.frame)),
        ]

        side = [Cat(Mux(raw, RAW_FRAME, number), Const(0, 1))]
        for n in range(_RUN_BYTES):
            runs = Cat(
                plan.packed.word_select(k, 2) & ~plan.beyond[k].replicate(2)
                for k in range(GROUP * n, GROUP * (n + 1))
            )
            mask = plan.mask.word_select(n, 8) if n < MASK_BYTES else Const(0, 8)
            side.append(Mux(third.info.bitmap, mask, runs))
        side_bytes = Mux(
            raw | (number == 0),
            0,
            Mux(third.info.bitmap, MASK_BYTES, (number + GROUP - 1)[2:6]),
        )
        size = Mux(
            place == third.info.chunks, third.info.size, Mux(place < third.info.chunks, CHUNK, 0)
        )
        chosen, size_q = Signal(8 * CHUNK, reset_less=True), Signal(range(CHUNK + 1))
        levels_q = Signal(CHUNK, reset_less=True)
        counts_q = [
            Signal(len(count), name=f"going_{n}", reset_less=True) for n, count in enumerate(counts)
        ]
        valid, flush_q = Signal(), Signal()
        whole = header | raw
        with m.If(flush):  # zeros behind the last byte
            m.d.sync += chosen.eq(0)
        with m.Else():
            m.d.sync += chosen.eq(Mux(header, Cat(side), bytes_.r_data))
        with m.If(flush | ~third.valid):
            m.d.sync += size_q.eq(0)
        with m.Else():
            m.d.sync += size_q.eq(Mux(header, side_bytes + 1, Mux(raw, size, counts[-1])))
        m.d.sync += [
            levels_q.eq(levels | whole.replicate(CHUNK)),
            *(
                ours.eq(Mux(whole, 4 * n + 4, count))
                for n, (ours, count) in enumerate(zip(counts_q, counts))
            ),
            valid.eq(third.valid),
            flush_q.eq(flush),
        ]
        return SimpleNamespace(
            data=chosen, size=size_q, levels=levels_q, counts=counts_q, valid=valid, flush=flush_q
        )

    def _send(self, top, m, chunk, going):
        """Join the chunks' levels to rows of 16 bytes, and these to beats."""
        rows = self._config.bus_bytes // CHUNK
        depth = max(2, rows)

        def later(signal, clocks, name):
            return delay(m, signal, clocks, name=name, reset_less=True)

        # Clock 0: where the chunk begins.
        offset, row = Signal(range(CHUNK)), Signal(range(depth))
        end = Signal(range(2 * CHUNK))
        m.d.comb += end.eq(offset + chunk.size)
        with m.If(chunk.flush):
            m.d.sync += [offset.eq(0), row.eq(0)]
        with m.Else():
            m.d.sync += [offset.eq(end), row.eq(row + end[4])]
        bases = [Signal(4, name=f"base_{n}", reset_less=True) for n in range(4)]
        m.d.sync += [ours.eq(base) for ours, base in zip(bases, moved_bases(offset, chunk.counts))]

        # Clocks 1 and 2: levels to their lanes. Clock 3: into this row or the next one.
        moved = later(chunk.data, 1, "data")
        lanes = scatter(
            m,
            [moved.word_select(n, 8) for n in range(CHUNK)],
            later(chunk.levels, 1, "levels"),
            bases,
            name="levels",
        )
        offset_3, row_3 = later(offset, 3, "offset"), later(row, 3, "row")
        valid_3 = delay(m, chunk.valid, 3, name="valid")
        done, more, flush = Signal(), Signal(), Signal()
        m.d.comb += [
            done.eq(end[4] | (chunk.flush & (offset != 0))),
            more.eq(chunk.size != 0),
            flush.eq(chunk.flush),
        ]
        held = [Signal(8 * CHUNK, name=f"held_{r}", reset_less=True) for r in range(depth)]
        for lane, byte in enumerate(lanes):
            here = Signal(name=f"here_{lane}")
            m.d.comb += here.eq(offset_3 <= lane)
            for r, bytes_ in enumerate(held):
                with m.If(valid_3 & (row_3 == Mux(here, r, (r - 1) % depth))):
                    m.d.sync += bytes_.word_select(lane, 8).eq(byte)

        # Clock 4: a row that is full, or the last one, goes to the beat. A full beat waits for
        # another byte or for the unit's end, to say whether it is the last one.
        done_4, more_4, flush_4 = (
            delay(m, signal, 4, name=name)
            for signal, name in ((done, "done"), (more, "more"), (flush, "flush"))
        )
        row_4 = later(row_3, 1, "row_3")
        beat = Signal(self._config.bus_bits, reset_less=True)
        parts = [beat.word_select(r, 8 * CHUNK) for r in range(rows)]
        if rows == 1:
            with m.If(done_4):
                m.d.sync += beat.eq(choose(row_4, held))
            last_row = Const(1)
        else:
            for r, part in enumerate(parts):
                with m.If(done_4 & (row_4 == r)):
                    m.d.sync += part.eq(held[r])
                if r > 0:
                    with m.Elif(done_4 & (row_4 == 0)):
                        m.d.sync += part.eq(0)
            last_row = row_4 == rows - 1
        full, ending = Signal(), Signal()
        out = self.o
        m.d.sync += [
            full.eq((done_4 & last_row & ~flush_4) | (full & ~out.valid)),
            ending.eq(flush_4 & done_4),
        ]
        top.d.comb += [
            out.valid.eq(ending | (full & more_4) | (flush_4 & (full | ~done_4))),
            out.payload.data.eq(beat),
            out.payload.last.eq(ending | (flush_4 & ~done_4)),
            going.eq(~out.valid | out.ready),
        ]
