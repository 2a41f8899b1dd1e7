"""Networks that bring stored bytes together and apart again, 16 a clock.

Both move bytes between places 0 ... 15 and a stream of bytes whose byte n is in lane n mod 16: one
network both picks and turns. The stream's bytes are consecutive, so no two meet on their way, the
lowest digit (to the base of 4) of a lane first.
"""

from types import SimpleNamespace

from amaranth import *

from skimp.prim.choose import choose
from skimp.rlc.format import CODEC_BYTES

__all__ = ["CHUNK", "count_levels", "gather", "lookup", "moved_bases", "scatter"]

CHUNK = CODEC_BYTES
"""Bytes that move in a clock."""

_GROUP = 4
_GROUPS = CHUNK // _GROUP


def lookup(index, function, bits):
    """Return function(index), `bits` wide, as a table: a LUT for each bit up to 6 bits of index.

    Parameters
    ----------
    index : Value
    function : callable
    bits : int
    """
    values = [function(n) for n in range(1 << len(index))]
    columns = (
        sum((value >> bit & 1) << n for n, value in enumerate(values)) for bit in range(bits)
    )
    return Cat(Const(column, len(values)).bit_select(index, 1) for column in columns)


def count_levels(mask):
    """Return how many bits are set in the first 4, 8, 12 and 16 of a mask."""
    ones = [
        lookup(mask[first : first + _GROUP], int.bit_count, 3) for first in range(0, CHUNK, _GROUP)
    ]

    def both(a, b, bits):
        return lookup(Cat(a, b), lambda n: (n & (1 << len(a)) - 1) + (n >> len(a)), bits)

    half = both(*ones[:2], 4)
    return [ones[0], half, both(half, ones[2], 4), both(half, both(*ones[2:], 4), 5)]


def moved_bases(base, counts):
    """Return the lane of each group's first byte in the stream.

    Parameters
    ----------
    base : Value
        Lane of the first byte of all.
    counts : list of Value
        As `count_levels` returns them.
    """
    return [base[:4], *((base + count)[:4] for count in counts[:-1])]


def _further(base, lane):
    """Return the highest digit of the stream's bytes of a group in lanes of a lowest digit."""
    return lookup(base, lambda n: (n >> 2) + (lane < n & 3) & 3, 2)


def _kth(lane):
    """Return a function of (mask, lowest digit of the base): which of a group goes to a lane.

    Bits 0 and 1 say which one, bit 2 whether there is one.
    """

    def which(index):
        places = [n for n in range(_GROUP) if index >> n & 1]
        k = lane - (index >> _GROUP) & 3
        return places[k] | 4 if k < len(places) else 0

    return which


def scatter(m, payloads, mask, bases, *, name):
    """Bring the bytes of the places that a mask names into their lanes, 2 clocks later.

    What comes in the other lanes is left open.

    Parameters
    ----------
    m : Module
    payloads : list of Value
        CHUNK of them.
    mask : Value
    bases : list of Value
        As `moved_bases` returns them.
    name : str
        Prefix of the signals' names.
    """
    width = len(payloads[0])
    middle = []
    for group in range(_GROUPS):
        first = group * _GROUP
        row = []
        for lane in range(_GROUP):
            which = lookup(Cat(mask[first : first + _GROUP], bases[group][:2]), _kth(lane), 3)
            at = f"{name}_{group}_{lane}"
            way = SimpleNamespace(
                byte=Signal(width, name=f"{at}_byte", reset_less=True),
                there=Signal(name=f"{at}_there", reset_less=True),
                digit=Signal(2, name=f"{at}_digit", reset_less=True),
            )
            m.d.sync += [
                way.byte.eq(choose(which[:2], payloads[first : first + _GROUP])),
                way.there.eq(which[2]),
                way.digit.eq(_further(bases[group], lane)),
            ]
            row.append(way)
        middle.append(row)
    lanes = []
    for n in range(CHUNK):
        high, low = divmod(n, _GROUP)
        ways = [middle[group][low] for group in range(_GROUPS)]
        comes = [way.there & (way.digit == high) for way in ways]
        select = Cat(comes[1] | comes[3], comes[2] | comes[3])
        lane = Signal(width, name=f"{name}_lane_{n}", reset_less=True)
        m.d.sync += lane.eq(choose(select, [way.byte for way in ways]))
        lanes.append(lane)
    return lanes


def gather(m, lanes, mask, bases, *, name):
    """Bring bytes from their lanes to the places that a mask names, 2 clocks later.

    What comes to the other places is left open. Parameters are those of `scatter`.
    """
    width = len(lanes[0])
    later = Signal(CHUNK, name=f"{name}_mask", reset_less=True)
    m.d.sync += later.eq(mask)
    places = []
    for group in range(_GROUPS):
        base = Signal(2, name=f"{name}_{group}_base", reset_less=True)
        m.d.sync += base.eq(bases[group])
        row = []
        for lane in range(_GROUP):
            byte = Signal(width, name=f"{name}_{group}_{lane}", reset_less=True)
            m.d.sync += byte.eq(choose(_further(bases[group], lane), lanes[lane::_GROUP]))
            row.append(byte)
        first = group * _GROUP
        for n in range(_GROUP):
            before = Cat(base, later[first : first + n])
            digit = lookup(before, lambda i: (i & 3) + (i >> 2).bit_count() & 3, 2)
            place = Signal(width, name=f"{name}_place_{first + n}", reset_less=True)
            m.d.sync += place.eq(choose(digit, row))
            places.append(place)
    return places
