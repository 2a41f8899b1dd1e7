"""Estimated clocks of the units while commands are emitted: what is worth emitting next."""

from collections import deque

from skimp.config import Config
from skimp.isa import Unit

__all__ = ["Timeline"]

LATENCY_CYCLES = 120
"""From the last drained pixel of a tile to the first load of it: pipelines, store, semaphores."""


class Timeline:
    """When each unit is free, if every task takes the clocks that it says.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config: Config):
        self.free = {Unit.ARRAY: 0, Unit.DEPTHWISE: 0, Unit.DRAIN: 0, Unit.WGT: 0}
        # Clocks in which the slots were drained that are filled next.
        self._slots = {
            Unit.ARRAY: deque([0] * config.psum_slots),
            Unit.DEPTHWISE: deque([0] * config.dw_psum_slots),
        }

    def start(self, unit: Unit, ready: float) -> float:
        """Clock in which a task of the unit could begin that is ready in clock `ready`."""
        return max(self.free[unit], ready, self._slots[unit][0])

    def work(self, unit: Unit, ready: float, clocks: int) -> None:
        """Begin such a task."""
        self.free[unit] = self.start(unit, ready) + clocks
        self._slots[unit].popleft()
        self._slots[unit].append(self.free[unit])

    def drain(self, unit: Unit, clocks: int) -> float:
        """Drain what the unit made last; return when it can be loaded."""
        end = max(self.free[Unit.DRAIN], self.free[unit]) + clocks
        self.free[Unit.DRAIN] = self._slots[unit][-1] = end
        return end + LATENCY_CYCLES
