"""Device steps on an accelerator behind the driver, for the executor."""

from collections import Counter
from itertools import chain

from skimp.isa import RECORD_BYTES
from skimp_compiler.program import DeviceStep, Program
from skimp_sim.counting import LayerCounts, commands_of, count_layers
from skimp_sim.driver.device import Device
from skimp_sim.rlc.units import beats_taken

__all__ = ["DeviceEngine"]

_WRAP = 1 << 32


class DeviceEngine:
    """A board's accelerator with a program's DRAM.

    Its on-chip memories cannot be read and time does not stand still between layers: run it with
    `keep=False`.

    Parameters
    ----------
    program : Program
    device : Device
    on_poll : callable or None
        Called with clocks so far.
    limit_cycles : int or None
        For each step.

    Raises
    ------
    DeviceError
        The program does not fit into the DRAM.
    """

    chip = None

    def __init__(
        self, program: Program, device: Device, *, on_poll=None, limit_cycles: int | None = None
    ):
        self.program = program
        self._device = device
        self._on_poll, self._limit_cycles = on_poll, limit_cycles
        self._buffer = self.dram = device.allocate(program.dram_bytes)
        self.counters: dict[int, dict[str, int]] = {}
        self.counts: dict[int, LayerCounts] = {}
        self.unit_beats: dict[int, int] = {}
        self.toggles: dict[int, Counter] = {}

    def run(self, step: DeviceStep, on_layer) -> None:
        """Run a device step; `on_layer` is called for its layers behind it."""
        self._finish(step, self._start(step))
        for number in step.layers:
            on_layer(number)

    def _start(self, step: DeviceStep) -> dict[str, int]:
        """Run a device step; note what its layers counted, and return the counts at their end."""
        self._device.run(
            step.address,
            dram=self._buffer,
            on_poll=self._on_poll,
            limit_cycles=self._limit_cycles,
        )
        before: dict[str, int] = {}
        for number in step.layers:
            where = self.program.records_addr + RECORD_BYTES * number
            layer_id, counters = self._device.record(where, dram=self._buffer)
            if layer_id != number:
                raise RuntimeError(f"layer {number} left no record of its counters")
            self.counters[number] = {
                name: (value - before.get(name, 0)) % _WRAP for name, value in counters.items()
            }
            before = counters
        return before

    def _finish(self, step: DeviceStep, before: dict[str, int]) -> None:
        """Give the last layer what was counted behind its end, and count accesses."""
        rest = self._device.counters()
        last = self.counters[step.layers[-1]]
        for name, value in rest.items():
            last[name] += value - before[name]
        steps = [one for one in self.program.steps if isinstance(one, DeviceStep)]
        if step == steps[-1]:
            self._count(steps)

    def _count(self, steps: list[DeviceStep]) -> None:
        """Count what these steps accessed, with the beats that coded units took in DRAM."""
        program = self.program
        self.unit_beats = {}
        for place in program.tensors.values():
            if place.coding is not None:
                self.unit_beats |= beats_taken(place, self.dram, program.config.bus_bytes)
        commands = chain.from_iterable(commands_of(program, step) for step in steps)
        self.counts = count_layers(program.config, commands, self.unit_beats)

    def close(self) -> None:
        """Give the DRAM back."""
        self._buffer.free()
        self.dram = None
