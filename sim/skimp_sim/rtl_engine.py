"""Device steps on the RTL, for the executor."""

import dataclasses
from collections import Counter
from itertools import chain

from skimp.config import Config
from skimp.isa import RECORD_BYTES
from skimp_compiler.program import DeviceStep, Program
from skimp_sim.bench.rtl import RtlSim
from skimp_sim.counting import LayerCounts, commands_of, count_layers
from skimp_sim.dram.params import Ddr4Params
from skimp_sim.driver.device import Device
from skimp_sim.driver.transport import SimTransport
from skimp_sim.rlc.units import beats_taken

__all__ = ["RtlEngine", "ddr4_of"]

_WRAP = 1 << 32


_SLOWEST_MHZ = 60
"""The DRAM model wants to see a read before its data: slower clocks get its times at this one."""


def ddr4_of(config: Config) -> Ddr4Params:
    """Return the DRAM that a configuration is simulated with: DDR4-2400 behind its clock."""
    return dataclasses.replace(Ddr4Params(), fabric_mhz=max(config.clock_mhz, _SLOWEST_MHZ))


class RtlEngine:
    """The verilated accelerator with a program's DRAM.

    Parameters
    ----------
    program : Program
    waves : str or None
    on_poll : callable or None
        Called with clocks so far.
    toggles : bool
        Count what registers and memories do.
    """

    def __init__(self, program: Program, *, waves=None, on_poll=None, toggles: bool = False):
        self.program = program
        self.sim = RtlSim(
            program.config,
            dram_bytes=-(-program.dram_bytes // 4096) * 4096,
            waves=waves,
            ddr4=ddr4_of(program.config),
            toggles=toggles,
        )
        self._device = Device(SimTransport(self.sim, on_event=self._event), program.config)
        self._on_poll = on_poll
        self._layers: list[int] = []
        self._on_layer = None
        self.dram = self.sim.dram
        self.chip = self.sim.chip
        self.counters: dict[int, dict[str, int]] = {}
        self.counts: dict[int, LayerCounts] = {}
        self.unit_beats: dict[int, int] = {}
        self.toggles: dict[int, Counter] = {}
        self._counts_toggles, self._toggles_so_far = toggles, Counter()

    def run(self, step: DeviceStep, on_layer) -> None:
        """Run a device step; `on_layer` is called while time stands still behind each layer."""
        self._layers = list(step.layers)
        if self._counts_toggles:
            self.toggles |= {number: Counter() for number in step.layers}
        self._on_layer = on_layer
        records = self.program.records_addr
        self.sim.watch(records, records + RECORD_BYTES * len(self.program.layers))
        self._device.run(step.address, on_poll=self._on_poll)
        before: dict[str, int] = {}
        for number in step.layers:
            layer_id, counters = self._device.record(records + RECORD_BYTES * number)
            if layer_id != number:
                raise RuntimeError(f"layer {number} left no record of its counters")
            self.counters[number] = {
                name: (value - before.get(name, 0)) % _WRAP for name, value in counters.items()
            }
            before = counters
        self._note_toggles(step.layers[-1])
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

    def _event(self) -> None:
        number = self._layers.pop(0)
        self._note_toggles(number)
        self._on_layer(number)

    def _note_toggles(self, number: int) -> None:
        """Add what was counted since the last time to a layer."""
        if self._counts_toggles:
            so_far = self.sim.toggles
            self.toggles[number] += so_far - self._toggles_so_far
            self._toggles_so_far = so_far

    def close(self) -> None:
        self.sim.close()
        self.dram = self.chip = None
