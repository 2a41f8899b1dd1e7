"""Array unit: CONV, in closed form."""

import numpy as np

from skimp.config import Config
from skimp.isa import Semaphore
from skimp_sim.perf.kernel import CommandQueue, Semaphores
from skimp_sim.perf.taps import TapUnit
from skimp_sim.perf.timing import timing_of

__all__ = ["Array"]

_LONG_AGO = -(1 << 40)


class Array(TapUnit):
    """CONV takes max(groups, min_pass_cycles) clocks a tap.

    The first weights of a command that was taken in clock t are read from t + 1 on, from the first
    clock of the last pass before on, and min_pass_cycles behind another read; it can start
    min_pass_cycles later, and three clocks later at the earliest.

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
            flight_cycles=timing.array_flight_cycles,
            read=(Semaphore.IFMAP_FULL, Semaphore.WGT_FULL),
            psum_free=Semaphore.PSUM_FREE,
        )
        self._min_pass = config.min_pass_cycles
        self._registers_free = 0  # weights can be read from this clock on
        self._read = _LONG_AGO  # begin of the last weight read
        self._passes: list[tuple[int, int, int, int]] = []  # start, passes, clocks of one, groups

    def _prepare(self, t: int, command, ready: int) -> int:
        self._read = max(t + 1, self._read + self._min_pass, self._registers_free)
        return max(ready, self._read + max(1, self._min_pass - 2))

    def _run(self, start: int, command) -> int:
        passes = command.num_c * command.num_r * command.num_s
        clocks = max(command.num_groups, self._min_pass)
        self._registers_free = start + (passes - 1) * clocks  # the last pass
        if passes > 1:
            self._read = self._registers_free - clocks
        self._passes.append((start + 1, passes, clocks, command.num_groups))
        return self._registers_free + clocks - 1

    def busy(self) -> np.ndarray:
        """Intervals in which groups are taken: of all passes, the first num_groups clocks."""
        if not self._passes:
            return np.zeros((0, 2), np.int64)
        start, passes, clocks, groups = np.asarray(self._passes, np.int64).T
        dense = groups >= clocks
        whole = np.stack([start, start + passes * clocks], 1)[dense]
        start, passes, clocks, groups = (a[~dense] for a in (start, passes, clocks, groups))
        nth = np.arange(passes.sum()) - np.repeat(np.cumsum(passes) - passes, passes)
        begin = np.repeat(start, passes) + nth * np.repeat(clocks, passes)
        return np.concatenate([whole, np.stack([begin, begin + np.repeat(groups, passes)], 1)])
