"""Modules that stand in the Verilog once, however often they are used."""

from contextlib import contextmanager
from contextvars import ContextVar

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

__all__ = ["Shared", "collect_shared"]

_collected: ContextVar[dict | None] = ContextVar("collected", default=None)


@contextmanager
def collect_shared():
    """While Verilog is made: yields a dict that comes to hold the component of every name.

    Outside of this, `Shared` is its component, and everything is one design.
    """
    token = _collected.set({})
    try:
        yield _collected.get()
    finally:
        _collected.reset(token)


class Shared(wiring.Component):
    """A component that becomes a module of its own, common to all that use the same name.

    Elaboration, Verilog and simulation of hundreds of equal lanes then cost what one does.

    Parameters
    ----------
    component : wiring.Component
        Its registers are not reset by a `ResetInserter` around it.
    name : str
        Module name; the same name means the same contents.
    """

    def __init__(self, component: wiring.Component, *, name: str):
        self._component = component
        self._name = name
        super().__init__(component.signature)

    def elaborate(self, platform):
        m = Module()
        collected = _collected.get()
        ours = list(self.signature.flatten(self))
        if collected is None:
            m.submodules.inner = inner = self._component
            for (_, member, outer), (_, _, value) in zip(ours, inner.signature.flatten(inner)):
                if member.flow is Out:
                    m.d.comb += Value.cast(outer).eq(Value.cast(value))
                else:
                    m.d.comb += Value.cast(value).eq(Value.cast(outer))
            return m
        if collected.setdefault(self._name, self._component) is not self._component:
            self._component._MustUse__silence = True  # its twin is the one that is elaborated
        ports = {}
        for path, member, value in ours:
            direction = "o" if member.flow is Out else "i"
            ports[f"{direction}_{'__'.join(map(str, path))}"] = Value.cast(value)
        m.submodules.inner = Instance(self._name, i_clk=ClockSignal(), i_rst=ResetSignal(), **ports)
        return m
