"""A simulated accelerator behind the driver."""

import numpy as np

from skimp_sim.driver.transport import Transport, TransportError

__all__ = ["SimTransport"]


class SimTransport(Transport):
    """A verilated accelerator with its DRAM in this process.

    Parameters
    ----------
    sim : object
        RtlSim, or a board's top level likewise: `dram` (uint8), `read(offset)` -> (response,
        value), `write(offset, value)` -> response, `run(max_cycles)` -> clocks, `irq`.
    on_event : callable or None
        Called when a watched write has happened (`RtlSim.watch`), with time standing still.
    """

    dram_base = 0

    def __init__(self, sim, *, on_event=None):
        self._sim = sim
        self._on_event = on_event
        self.dram_bytes = len(sim.dram)

    def read_register(self, offset: int) -> int:
        response, value = self._sim.read(offset)
        if response:
            raise TransportError(f"register {offset:#x} cannot be read (response {response})")
        return value

    def write_register(self, offset: int, value: int) -> None:
        response = self._sim.write(offset, value)
        if response:
            raise TransportError(f"register {offset:#x} cannot be written (response {response})")

    def read_memory(self, address: int, count: int) -> np.ndarray:
        self._check(address, count)
        return self._sim.dram[address : address + count].copy()

    def write_memory(self, address: int, data) -> None:
        data = np.frombuffer(bytes(data), np.uint8)
        self._check(address, len(data))
        self._sim.dram[address : address + len(data)] = data

    def wait(self, max_cycles: int) -> bool:
        while max_cycles > 0 and not self._sim.irq:
            max_cycles -= self._sim.run(max_cycles)
            if self._on_event is not None and self._sim.take_event():
                self._on_event()
        return self._sim.irq
