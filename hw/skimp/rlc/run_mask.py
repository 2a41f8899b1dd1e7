"""Runs of zeros as a mask of levels, 12 runs a clock."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from skimp.feed.pipe import delay
from skimp.prim.choose import choose
from skimp.rlc.format import FRAME, GROUP, RUN_BITS
from skimp.rlc.network import CHUNK, lookup

__all__ = ["RUN_BYTES", "RunMask"]

RUN_BYTES = 3
"""Bytes of runs in a clock."""

_PAIR = 2


def _pair_mask(index):
    """Bits 0 to 7: the levels of a pair of codes. Above: its places. Index: 2 runs, 2 valid bits."""
    mask, place = 0, 0
    for n in range(_PAIR):
        if index >> 2 * RUN_BITS + n & 1:
            place += 1 + (index >> RUN_BITS * n & 3)
            mask |= 1 << place - 1
    return mask | place << 8


class RunMask(wiring.Component):
    """Marks the places of a frame's levels, in steps of three bytes of runs.

    Members
    -------
    first : In(1)
        The runs are the first of a frame.
    runs : In
        Twelve of them.
    valid : In
        Those that belong to levels; the others follow them.
    mask : Out(FRAME)
        Levels up to this step. Those beyond the frame are missing.

    Notes
    -----
    *Latency*: 3 clocks. *Throughput*: a step a clock.
    """

    first: In(1)
    runs: In(8 * RUN_BYTES)
    valid: In(GROUP * RUN_BYTES)
    mask: Out(FRAME)

    latency = 3

    def elaborate(self, platform):
        m = Module()

        # Clock 0: pairs of codes, and the places of each byte.
        pairs, lengths = [], []
        for n in range(_PAIR * RUN_BYTES):
            runs, valid = self.runs.word_select(n, 4), self.valid.word_select(n, _PAIR)
            pair = Signal(12, name=f"pair_{n}", reset_less=True)
            found = lookup(Cat(runs, valid), _pair_mask, 12)
            m.d.sync += pair.eq(found)
            pairs.append(pair)
            if n % _PAIR == 0:
                low = found[8:]
            else:
                length = Signal(5, name=f"length_{n // _PAIR}", reset_less=True)
                m.d.sync += length.eq(lookup(Cat(low, found[8:]), lambda n: (n & 15) + (n >> 4), 5))
                lengths.append(length)

        # Clock 1: bytes, each with the place where it begins.
        place = Signal(range(4 * GROUP * 16))
        start = Mux(delay(m, self.first, 1, name="first"), 0, place)
        masks, starts, before = [], [], Const(0)
        for n in range(RUN_BYTES):
            low, high = pairs[_PAIR * n : _PAIR * (n + 1)]
            mask = Signal(CHUNK, name=f"byte_{n}", reset_less=True)
            begin = Signal(len(place), name=f"start_{n}", reset_less=True)
            # Eight places are 0 here: with fewer than two the second pair is empty.
            moved = [
                choose(
                    low[8:11],
                    [high[k - by] if 0 <= k - by < 8 else Const(0, 1) for by in (8, *range(1, 8))],
                )
                for k in range(CHUNK)
            ]
            m.d.sync += [mask.eq(low[:8] | Cat(moved)), begin.eq(start + before)]
            before = before + lengths[n]
            masks.append(mask)
            starts.append(begin)
        m.d.sync += place.eq(start + before)

        # Clock 2: turned to their lanes, into this row and the next one.
        rows = FRAME // CHUNK
        placed = [Const(0, CHUNK)] * rows
        for n, (mask, begin) in enumerate(zip(masks, starts)):
            for digit in (0, 2):
                by = begin[digit : digit + 2]
                mask = choose(by, [mask.rotate_left(k << digit) for k in range(4)])
            turned = Signal(CHUNK, name=f"turned_{n}")
            next_row = Signal(CHUNK, name=f"next_row_{n}")
            m.d.comb += [
                turned.eq(mask),
                next_row.eq(lookup(begin[:4], lambda lane: (1 << lane) - 1, CHUNK)),
            ]
            for row in range(rows):
                here, over = begin[4:] == row, begin[4:] == row - 1
                if row == 0:
                    over = Const(0)
                placed[row] = placed[row] | Cat(
                    turned[t] & Mux(next_row[t], over, here) for t in range(CHUNK)
                )
        again = delay(m, self.first, 2, name="again")
        m.d.sync += self.mask.eq(Mux(again, 0, self.mask) | Cat(placed))
        return m
