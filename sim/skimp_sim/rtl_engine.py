"""Device steps on the RTL, for the executor."""

import dataclasses
from collections import Counter

from skimp.config import Config
from skimp.isa import RECORD_BYTES
from skimp_compiler.program import DeviceStep, Program
from skimp_sim.bench.rtl import RtlSim
from skimp_sim.device_engine import DeviceEngine
from skimp_sim.dram.params import Ddr4Params
from skimp_sim.driver.device import Device
from skimp_sim.driver.simulated import SimTransport

__all__ = ["RtlEngine", "ddr4_of"]

_SLOWEST_MHZ = 60
"""The DRAM model wants to see a read before its data: slower clocks get its times at this one."""


def ddr4_of(config: Config) -> Ddr4Params:
    """Return the DRAM that a configuration is simulated with: DDR4-2400 behind its clock."""
    return dataclasses.replace(Ddr4Params(), fabric_mhz=max(config.clock_mhz, _SLOWEST_MHZ))


class RtlEngine(DeviceEngine):
    """The verilated accelerator with a program's DRAM; time stands still behind each layer.

    Parameters
    ----------
    program : Program
    waves : str or None
    on_poll : callable or None
        Called with clocks so far.
    toggles : bool
        Count what registers and memories do.
    quick : str or None
        For short runs: built sooner, with this level of g++ (`build_shared`).
    """

    def __init__(
        self,
        program: Program,
        *,
        waves=None,
        on_poll=None,
        toggles: bool = False,
        quick: str | None = None,
    ):
        self.sim = RtlSim(
            program.config,
            dram_bytes=-(-program.dram_bytes // 4096) * 4096,
            waves=waves,
            ddr4=ddr4_of(program.config),
            toggles=toggles,
            quick=quick,
        )
        device = Device(
            SimTransport(self.sim, on_event=self._event), program.config, exclusive=True
        )
        super().__init__(program, device, on_poll=on_poll)
        self._layers: list[int] = []
        self._on_layer = None
        self.dram = self.sim.dram
        self.chip = self.sim.chip
        self._counts_toggles, self._toggles_so_far = toggles, Counter()

    def run(self, step: DeviceStep, on_layer) -> None:
        """Run a device step; `on_layer` is called while time stands still behind each layer."""
        self._layers = list(step.layers)
        if self._counts_toggles:
            self.toggles |= {number: Counter() for number in step.layers}
        self._on_layer = on_layer
        records = self.program.records_addr
        self.sim.watch(records, records + RECORD_BYTES * len(self.program.layers))
        before = self._start(step)
        self._note_toggles(step.layers[-1])
        self._finish(step, before)

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
        super().close()
        self.sim.close()
        self.chip = None
