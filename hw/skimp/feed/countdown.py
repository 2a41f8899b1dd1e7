"""Loop counters that know a clock ahead that they stand at their last count."""

from amaranth import *

__all__ = ["countdown"]


def countdown(m, last, total, *, start, step):
    """Drive the register `last`: 1 at the last of `total` counts.

    Parameters
    ----------
    m : Module
    last : Signal
    total : Value
        Counts, 1 or more; looked at when the first one comes.
    start : Value
        Next clock stands at the first count.
    step : Value
        Next clock stands at the next count; behind the last one at the first again.
    """
    left = Signal.like(total, name=f"{last.name}_left", reset_less=True)
    with m.If(start | (step & last)):
        m.d.sync += [left.eq(total), last.eq(total == 1)]
    with m.Elif(step):
        m.d.sync += [left.eq(left - 1), last.eq(left == 2)]
