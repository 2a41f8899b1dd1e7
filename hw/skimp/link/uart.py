"""Serial line with eight data bits, no parity and one stop bit: a receiver and a sender of bytes."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["MIN_DIVISOR", "ReceivedLayout", "UartReceiver", "UartSender"]

MIN_DIVISOR = 4
"""Clocks of a bit at least: the receiver looks at its middle, seen two clocks late."""

_DATA_BITS = 8

ReceivedLayout = data.StructLayout({"byte": 8, "damaged": 1})
"""A byte; damaged: no stop bit behind it, or the byte before it was not taken in time."""


def _checked(divisor: int) -> int:
    if divisor < MIN_DIVISOR:
        raise ValueError(f"divisor must be at least {MIN_DIVISOR}, not {divisor!r}")
    return divisor


class UartReceiver(wiring.Component):
    """Bytes from a line.

    Parameters
    ----------
    divisor : int
        Clocks of a bit.

    Members
    -------
    pin : In(1)
        Any clock; high where the line is silent.
    o : Out(stream(ReceivedLayout))
        A byte waits until the next one has arrived, which is then damaged.

    Notes
    -----
    *Latency*: a byte comes out in the middle of its stop bit, two clocks late.
    """

    def __init__(self, *, divisor: int):
        self._divisor = _checked(divisor)
        super().__init__({"pin": In(1), "o": Out(stream.Signature(ReceivedLayout))})

    def elaborate(self, platform):
        m = Module()
        pin = Signal(init=1)
        m.submodules.pin_sync = FFSynchronizer(self.pin, pin, init=1)
        timer = Signal(range(self._divisor))
        bits_left = Signal(range(_DATA_BITS + 1))
        shift = Signal(_DATA_BITS, reset_less=True)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.FSM():
            with m.State("SILENT"):
                m.d.sync += timer.eq(self._divisor // 2 - 1)
                with m.If(~pin):
                    m.next = "START"
            with m.State("START"):
                m.d.sync += [timer.eq(timer - 1), bits_left.eq(_DATA_BITS)]
                with m.If(timer == 0):
                    m.d.sync += timer.eq(self._divisor - 1)
                    with m.If(pin):
                        m.next = "SILENT"
                    with m.Else():
                        m.next = "BITS"
            with m.State("BITS"):
                m.d.sync += timer.eq(timer - 1)
                with m.If(timer == 0):
                    m.d.sync += timer.eq(self._divisor - 1)
                    with m.If(bits_left == 0):
                        missed = self.o.valid & ~self.o.ready
                        m.d.sync += [
                            self.o.valid.eq(1),
                            self.o.payload.byte.eq(shift),
                            self.o.payload.damaged.eq(~pin | missed),
                        ]
                        m.next = "RELEASE"
                    with m.Else():
                        m.d.sync += [shift.eq(Cat(shift[1:], pin)), bits_left.eq(bits_left - 1)]
            with m.State("RELEASE"):
                with m.If(pin):
                    m.next = "SILENT"
        return m


class UartSender(wiring.Component):
    """Bytes to a line.

    Parameters
    ----------
    divisor : int
        Clocks of a bit.

    Members
    -------
    i : In(stream(8))
    pin : Out(1)

    Notes
    -----
    *Throughput*: a byte in ten bits.
    """

    def __init__(self, *, divisor: int):
        self._divisor = _checked(divisor)
        super().__init__({"i": In(stream.Signature(8)), "pin": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        timer = Signal(range(self._divisor))
        bits_left = Signal(range(_DATA_BITS + 3))
        shift = Signal(_DATA_BITS + 1, init=-1)
        m.d.comb += self.i.ready.eq(bits_left == 0)
        m.d.sync += self.pin.eq(Mux(bits_left == 0, 1, shift[0]))
        with m.If(bits_left == 0):
            m.d.sync += timer.eq(self._divisor - 1)
            with m.If(self.i.valid):
                m.d.sync += [shift.eq(Cat(0, self.i.payload)), bits_left.eq(_DATA_BITS + 2)]
        with m.Elif(timer == 0):
            m.d.sync += [
                timer.eq(self._divisor - 1),
                shift.eq(Cat(shift[1:], 1)),
                bits_left.eq(bits_left - 1),
            ]
        with m.Else():
            m.d.sync += timer.eq(timer - 1)
        return m
