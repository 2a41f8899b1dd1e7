"""How a driver reaches an accelerator: registers and DRAM."""

from abc import ABC, abstractmethod

import numpy as np

from skimp_sim.bench.rtl import RtlSim

__all__ = ["SimTransport", "Transport"]


class Transport(ABC):
    """Registers and DRAM of one accelerator, simulated or on a board."""

    dram: np.ndarray
    """uint8; what the accelerator sees from DRAM_BASE on."""
    dram_base: int
    """Bus address of dram[0]."""

    @abstractmethod
    def read_register(self, offset: int) -> int: ...

    @abstractmethod
    def write_register(self, offset: int, value: int) -> None: ...

    @abstractmethod
    def wait(self, max_cycles: int) -> bool:
        """Wait for the interrupt, about that many clocks at most; say whether it came."""


class SimTransport(Transport):
    """A verilated accelerator.

    Parameters
    ----------
    sim : RtlSim
    on_event : callable or None
        Called when a watched write has happened (`RtlSim.watch`), with time standing still.
    """

    dram_base = 0

    def __init__(self, sim: RtlSim, *, on_event=None):
        self._sim = sim
        self._on_event = on_event
        self.dram = sim.dram

    def read_register(self, offset: int) -> int:
        return self._sim.read(offset)[1]

    def write_register(self, offset: int, value: int) -> None:
        self._sim.write(offset, value)

    def wait(self, max_cycles: int) -> bool:
        while max_cycles > 0 and not self._sim.irq:
            max_cycles -= self._sim.run(max_cycles)
            if self._sim.take_event() and self._on_event is not None:
                self._on_event()
        return self._sim.irq
