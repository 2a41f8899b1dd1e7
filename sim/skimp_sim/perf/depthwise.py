"""Depthwise unit: DEPTHWISE, in closed form."""

from skimp.config import Config
from skimp.isa import Semaphore
from skimp_sim.perf.kernel import CommandQueue, Semaphores
from skimp_sim.perf.taps import TapUnit
from skimp_sim.perf.timing import timing_of

__all__ = ["Depthwise"]


class Depthwise(TapUnit):
    """A group takes a clock for each tap of its walk, of one output row or of two.

    Parameters
    ----------
    config : Config
    queue : CommandQueue
    semaphores : Semaphores
    """

    def __init__(self, config: Config, queue: CommandQueue, semaphores: Semaphores):
        timing = timing_of(config)
        super().__init__(
            queue,
            semaphores,
            setup_cycles=timing.setup_cycles,
            flight_cycles=timing.dw_flight_cycles,
            read=(Semaphore.DW_IFMAP_FULL, Semaphore.DW_WGT_FULL),
            psum_free=Semaphore.DW_PSUM_FREE,
        )
        self._busy: list[tuple[int, int]] = []

    def _run(self, start: int, command) -> int:
        end = start + command.num_groups * command.num_r * command.num_s
        self._busy.append((start + 1, end + 1))
        return end - 1

    def busy(self) -> list[tuple[int, int]]:
        """Intervals in which taps are taken."""
        return self._busy
