"""A unit behind a queue of commands."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from skimp.ctrl.decode import COMMAND_BITS

__all__ = ["Queued"]


class Queued(wiring.Component):
    """A unit with a queue of commands; all its other ports are those of the unit.

    Parameters
    ----------
    unit : wiring.Component
        Has a stream `command`.
    depth : int
        Commands that the queue holds.

    Members
    -------
    command : In(stream)
    offered : Out(1)
        The unit is offered a command.
    """

    def __init__(self, unit, *, depth: int):
        self.unit, self._depth = unit, depth
        members = dict(unit.signature.members)
        members["command"] = In(stream.Signature(COMMAND_BITS))
        super().__init__(members | {"offered": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.unit = unit = self.unit
        m.submodules.queue = queue = SyncFIFOBuffered(width=COMMAND_BITS, depth=self._depth)
        m.d.comb += [
            queue.w_data.eq(self.command.payload),
            queue.w_en.eq(self.command.valid),
            self.command.ready.eq(queue.w_rdy),
            unit.command.payload.eq(queue.r_data),
            unit.command.valid.eq(queue.r_rdy),
            queue.r_en.eq(unit.command.ready),
            self.offered.eq(queue.r_rdy),
        ]
        ours = {path: value for path, _, value in self.signature.flatten(self)}
        for path, member, value in unit.signature.flatten(unit):
            if path[0] != "command":
                out = member.flow == Out
                m.d.comb += ours[path].eq(value) if out else value.eq(ours[path])
        return m
