"""Device steps on the RTL, for the executor."""

from skimp_compiler.program import Program
from skimp_sim.bench.rtl import RtlSim
from skimp_sim.driver.device import Device
from skimp_sim.driver.transport import SimTransport

__all__ = ["RtlEngine"]


class RtlEngine:
    """The verilated accelerator with a program's DRAM.

    Parameters
    ----------
    program : Program
    waves : str or None
    on_poll : callable or None
        Called with clocks so far.
    """

    def __init__(self, program: Program, *, waves=None, on_poll=None):
        self.sim = RtlSim(
            program.config, dram_bytes=-(-program.dram_bytes // 4096) * 4096, waves=waves
        )
        self._device = Device(SimTransport(self.sim), program.config)
        self._on_poll = on_poll
        self.dram = self.sim.dram
        self.counts: dict = {}
        self.counters: dict[int, dict[str, int]] = {}

    def run(self, address: int, on_layer) -> None:
        before: dict[str, int] = {}

        def layer_done(layer_id, counters):
            self.counters[layer_id] = {
                name: value - before.get(name, 0) for name, value in counters.items()
            }
            before.update(counters)
            if on_layer is not None:
                on_layer(layer_id)

        self._device.run(address, on_layer=layer_done, on_poll=self._on_poll)

    def close(self) -> None:
        self.sim.close()
        self.dram = None
