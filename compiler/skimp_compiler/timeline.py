"""Estimated clocks of the units while commands are emitted: what is worth emitting next."""

import heapq
import itertools
import math
from collections import deque

from skimp.config import Config
from skimp.isa import Unit

__all__ = ["Timeline"]

LATENCY_CYCLES = 120
"""From the last drained pixel of a tile to the first load of it: pipelines, store, semaphores."""


class Timeline:
    """When each unit is free, if every task takes the clocks that it says.

    What follows a tile when it is computed (drain, store) is held back, so that commands of the
    drain come in the order in which the tiles of both units are complete.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config: Config):
        self.free = {Unit.ARRAY: 0, Unit.DEPTHWISE: 0, Unit.DRAIN: 0}
        # Clocks in which the slots are drained that are filled next, each in a list; inf: not
        # known yet.
        self._slots = {
            Unit.ARRAY: deque([0] for _ in range(config.psum_slots)),
            Unit.DEPTHWISE: deque([0] for _ in range(config.dw_psum_slots)),
        }
        self.now = 0
        """Clock of what is emitted at the moment."""
        self._held: list[tuple] = []
        self._number = itertools.count()

    def start(self, unit: Unit, ready: float) -> float:
        """Clock in which a task of the unit could begin that is ready in clock `ready`."""
        return max(self.free[unit], ready, self._slots[unit][0][0])

    def work(self, unit: Unit, ready: float, clocks: int) -> None:
        """Begin such a task."""
        self.now = self.start(unit, ready)
        self.free[unit] = self.now + clocks
        self._slots[unit].popleft()
        self._slots[unit].append([math.inf])

    def hold(self, unit: Unit, drain) -> None:
        """Call `drain` once what the unit computes now is complete.

        It is given a function of clocks that takes them from the drain unit and returns when
        what was drained can be loaded.
        """
        end, slot = self.free[unit], self._slots[unit][-1]

        def take(clocks: int) -> float:
            self.free[Unit.DRAIN] = slot[0] = max(self.free[Unit.DRAIN], end) + clocks
            return slot[0] + LATENCY_CYCLES

        heapq.heappush(self._held, (end, next(self._number), drain, take))

    @property
    def next_held(self) -> float:
        """When the next tile is complete that was not drained; inf: none."""
        return self._held[0][0] if self._held else math.inf

    def release(self) -> None:
        """Drain the next tile."""
        self.now, _, drain, take = heapq.heappop(self._held)
        drain(take)

    def release_until(self, clock: float) -> None:
        """Drain all tiles that are complete then."""
        while self._held and self.next_held <= clock:
            self.release()
