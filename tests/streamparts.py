"""Synthesisable ends of streams for tests: counting sources and sinks that stall at random."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["CountingSource", "Stall"]


class Stall(wiring.Component):
    """One bit that is 1 in about `eighths` of eight clocks (a linear feedback shift register)."""

    go: Out(1)

    def __init__(self, *, seed: int, eighths: int):
        self._seed = seed * 40503 % 65535 + 1
        self._eighths = eighths
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        state = Signal(16, init=self._seed)
        bit = state[0] ^ state[2] ^ state[3] ^ state[5]
        m.d.sync += state.eq(Cat(state[1:], bit))
        m.d.comb += self.go.eq(state[:3] >= self._eighths)
        return m


class CountingSource(wiring.Component):
    """Sends 0, 1, 2, ...; valid stays once it came."""

    def __init__(self, *, width: int, seed: int, eighths: int):
        self._seed, self._eighths = seed, eighths
        super().__init__({"o": Out(stream.Signature(width)), "enable": In(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.stall = stall = Stall(seed=self._seed, eighths=self._eighths)
        held = Signal()
        m.d.comb += self.o.valid.eq(self.enable & (held | stall.go))
        m.d.sync += held.eq(self.o.valid & ~self.o.ready)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += self.o.payload.eq(self.o.payload + 1)
        return m
