"""Counting semaphores between the units."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from skimp.isa import MASK_BITS, MAX_COUNT, Semaphore

__all__ = ["NUM_SEMAPHORES", "Semaphores"]

NUM_SEMAPHORES = len(Semaphore)


class Semaphores(wiring.Component):
    """All semaphores: units ask for a set of them, take it, and post sets.

    Parameters
    ----------
    num_units : int

    Members
    -------
    asks : In(num_units)
        The unit has a next command.
    wait : In(MASK_BITS).array(num_units)
        Mask that the unit's next command waits for.
    granted : Out(num_units)
        Every semaphore of the mask is above 0.
    take : In(num_units)
        The granted command starts: one is taken from each of the mask.
    post : In(MASK_BITS).array(num_units)
        Masks to give one to.
    clear : In(1)
        All counts to 0, and no grants.
    available : Out(MASK_BITS)
        Semaphores above 0.

    Notes
    -----
    *Latency*: `granted` is a register: it follows `asks` one clock and a post two clocks later;
    `available` follows a post one clock later. Two units never wait for the same semaphore, so a
    grant stays until it is taken or cleared.
    """

    def __init__(self, *, num_units):
        self._num_units = num_units
        super().__init__(
            {
                "asks": In(num_units),
                "wait": In(MASK_BITS).array(num_units),
                "granted": Out(num_units),
                "take": In(num_units),
                "post": In(MASK_BITS).array(num_units),
                "clear": In(1),
                "available": Out(MASK_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        units = range(self._num_units)
        for s in range(NUM_SEMAPHORES):
            count = Signal(range(MAX_COUNT + 1), name=f"count_{Semaphore(s).name.lower()}")
            posts = Signal(range(self._num_units + 1), name=f"posts_{s}")
            taken = Signal(range(self._num_units + 1), name=f"taken_{s}")
            posted = [self.post[u][s] for u in units]
            takes = [self.take[u] & self.wait[u][s] for u in units]
            m.d.comb += [
                posts.eq(sum(posted[1:], posted[0])),
                taken.eq(sum(takes[1:], takes[0])),
                self.available[s].eq(count != 0),
            ]
            m.d.sync += count.eq(count + posts - taken)
            with m.If(self.clear):
                m.d.sync += count.eq(0)
        for u in units:
            there = (self.wait[u] & ~self.available) == 0
            m.d.sync += self.granted[u].eq(self.asks[u] & there & ~self.take[u] & ~self.clear)
        return m
