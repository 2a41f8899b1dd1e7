"""Choice of one of many values."""

from amaranth import *

__all__ = ["choose"]


def choose(select, values):
    """Return values[select] as a tree of Mux, of which a LUT does two levels.

    A Switch becomes ANDs and ORs of decoded selects, which take a third more. Beyond the last
    value, which one comes out is left open.

    Parameters
    ----------
    select : Value
        Unsigned.
    values : list of Value
        At least one.
    """
    values = [Value.cast(value) for value in values]
    for bit in select:
        if len(values) == 1:
            break
        pairs = zip(values[::2], values[1::2])
        values = [Mux(bit, odd, even) for even, odd in pairs] + values[len(values) & ~1 :]
    return values[0]
