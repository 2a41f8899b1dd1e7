"""Synthesisable ends of streams for tests: queues, counting sources, sinks that stall at random."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

__all__ = ["CountingSource", "Feeder", "Stall", "word_of"]


def word_of(number: int, *, width: int, tag: int = 0) -> int:
    """Return the `number`-th word of a CountingSource."""
    return number | tag << width - 8


class Stall(wiring.Component):
    """One bit that is 0 in about `eighths` of eight clocks (a linear feedback shift register).

    Parameters
    ----------
    seed : Value
        Taken in the first clock; a port, so that one build serves for all seeds.
    eighths : Value
    """

    go: Out(1)

    def __init__(self, *, seed: Value, eighths: Value):
        self._seed, self._eighths = seed, eighths
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        started, kept, state = Signal(), Signal(16), Signal(16)
        spread = ((self._seed + 1) * 40503)[:16]
        m.d.comb += state.eq(Mux(started, kept, Mux(spread == 0, 1, spread)))
        bit = state[0] ^ state[2] ^ state[3] ^ state[5]
        m.d.sync += [kept.eq(Cat(state[1:], bit)), started.eq(1)]
        m.d.comb += self.go.eq(state[:3] >= self._eighths)
        return m


class CountingSource(wiring.Component):
    """Sends 0, 1, 2, ...; valid stays once it came.

    Parameters
    ----------
    width : int
        Bits of the payload.
    seed, eighths : Value
        Of the pauses.
    words : int
        Numbers in a payload: 0 ... words - 1 in the first one, and so on.
    tag : int
        Highest 8 bits of every word, to tell one source from another.
    """

    def __init__(self, *, width: int, seed: Value, eighths: Value, words: int = 1, tag: int = 0):
        self._seed, self._eighths = seed, eighths
        self._width, self._words, self._tag = width // words, words, tag
        super().__init__({"o": Out(stream.Signature(width)), "enable": In(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.stall = stall = Stall(seed=self._seed, eighths=self._eighths)
        held = Signal()
        bits = self._width - 8 if self._tag else self._width
        first = Signal(bits)
        m.d.comb += self.o.valid.eq(self.enable & (held | stall.go))
        m.d.sync += held.eq(self.o.valid & ~self.o.ready)
        for n in range(self._words):
            word = Cat((first + n)[:bits], Const(self._tag, self._width - bits))
            m.d.comb += self.o.payload.word_select(n, self._width).eq(word)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += first.eq(first + self._words)
        return m


class Feeder(wiring.Component):
    """Stream that sends what was pushed, so that a list of vectors need not wait for `ready`."""

    def __init__(self, *, width: int, depth: int = 32):
        self._width, self._depth = width, depth
        super().__init__({"push": In(1), "word": In(width), "o": Out(stream.Signature(width))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=self._width, depth=self._depth)
        m.d.comb += [
            fifo.w_en.eq(self.push),
            fifo.w_data.eq(self.word),
            self.o.payload.eq(fifo.r_data),
            self.o.valid.eq(fifo.r_rdy),
            fifo.r_en.eq(self.o.ready),
        ]
        return m
