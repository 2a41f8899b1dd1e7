"""Delays of control signals beside a rigid pipeline."""

from amaranth import *

__all__ = ["delay"]


def delay(m, signal, num_cycles, *, name, reset_less=False):
    """Return `signal` as it was `num_cycles` clocks ago.

    Parameters
    ----------
    m : Module
    signal : Signal or View
    num_cycles : int
        0 returns the signal itself.
    name : str
        Stages are called name_d1, name_d2 and so on.
    reset_less : bool
        True for data; control starts at 0.
    """
    for k in range(num_cycles):
        stage = Signal(signal.shape(), name=f"{name}_d{k + 1}", reset_less=reset_less)
        m.d.sync += stage.eq(signal)
        signal = stage
    return signal
