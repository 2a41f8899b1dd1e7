"""Commands that wait for their unit, without the bits that it never looks at."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from skimp.ctrl.decode import COMMAND_BITS
from skimp.isa import COMMANDS, Unit

__all__ = ["CommandQueue"]


def _used_runs(unit: Unit) -> list[tuple[int, int]]:
    """Return the runs of bits, (first, last + 1), that a unit's commands have fields in."""
    used = {
        bit
        for command in COMMANDS.values()
        if command.unit == unit
        for field in command.all_fields
        for bit in range(field.offset, field.offset + field.width)
    }
    starts = sorted(bit for bit in used if bit - 1 not in used)
    ends = sorted(bit + 1 for bit in used if bit + 1 not in used)
    return list(zip(starts, ends))


class CommandQueue(wiring.Component):
    """Queue of a unit's commands.

    Parameters
    ----------
    unit : Unit
    depth : int

    Members
    -------
    w_en : In(1), w_data : In(COMMAND_BITS), w_rdy : Out(1)
    r_en : In(1), r_data : Out(COMMAND_BITS), r_rdy : Out(1)
        Bits that are in no field of the unit's commands are 0.
    empty : Out(1)

    Notes
    -----
    *Latency*: 2 clocks. *Resources*: LUT RAM of the fields' bits: 144 (weights) to 496 (loads) a
    command.
    """

    def __init__(self, *, unit: Unit, depth: int):
        self._runs = _used_runs(unit)
        self._depth = depth
        super().__init__(
            {
                "w_en": In(1),
                "w_data": In(COMMAND_BITS),
                "w_rdy": Out(1),
                "r_en": In(1),
                "r_data": Out(COMMAND_BITS),
                "r_rdy": Out(1),
                "empty": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        width = sum(end - start for start, end in self._runs)
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=width, depth=self._depth)
        m.d.comb += [
            fifo.w_en.eq(self.w_en),
            fifo.w_data.eq(Cat(self.w_data[start:end] for start, end in self._runs)),
            self.w_rdy.eq(fifo.w_rdy),
            fifo.r_en.eq(self.r_en),
            self.r_rdy.eq(fifo.r_rdy),
            self.empty.eq(fifo.level == 0),
        ]
        first = 0
        for start, end in self._runs:
            m.d.comb += self.r_data[start:end].eq(fifo.r_data[first : first + end - start])
            first += end - start
        return m
