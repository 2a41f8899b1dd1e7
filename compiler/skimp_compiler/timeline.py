"""Estimated clocks of the units while commands are emitted: what is worth emitting next."""

import heapq
import itertools
import math
from collections import deque

from skimp.config import Config
from skimp.isa import Unit

__all__ = ["Timeline"]

LATENCY_CYCLES = 160
"""From the last drained pixel of a tile to the first load of it: pipelines, store, semaphores."""

START_CYCLES = 30
"""From the last word of a load to the first product."""

AHEAD_CYCLES = 200
"""How long before a unit is free its next task is loaded."""


class Timeline:
    """When each unit is free, if every task takes the clocks that it says.

    What follows a tile when it is computed (drain, store) is held back, so that commands of the
    drain come in the order in which the tiles of both units are complete.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config: Config):
        self.free = {Unit.LOAD: 0, Unit.ARRAY: 0, Unit.DEPTHWISE: 0, Unit.DRAIN: 0}
        # Of the slots that are filled next: when they are drained (inf: not known yet), and parts
        # that are not yet.
        self._slots = {
            Unit.ARRAY: deque([0, 0] for _ in range(config.psum_slots)),
            Unit.DEPTHWISE: deque([0, 0] for _ in range(config.dw_psum_slots)),
        }
        self.now = 0
        """Clock of what is emitted at the moment."""
        self._held: list[tuple] = []
        self._number = itertools.count()

    @property
    def end(self) -> float:
        """When all units are through."""
        return max(self.free.values())

    def begin(self, unit: Unit, ready: float) -> float:
        """Clock in which the loads of a task could begin whose data is there in clock `ready`.

        They come no more than some clocks before the unit is free.
        """
        first = max(self.free[unit], self._slots[unit][0][0])
        return max(self.free[Unit.LOAD], ready, first - AHEAD_CYCLES)

    def load(self, unit: Unit, ready: float, load_cycles: int) -> None:
        """Load a part of a tile, if there is something to load."""
        self.now = self.begin(unit, ready)
        if load_cycles:
            self.free[Unit.LOAD] = self.now + load_cycles

    def work(self, unit: Unit, ready: float, load_cycles: int, cycles: int) -> None:
        """Load and compute a task."""
        self.load(unit, ready, load_cycles)
        loaded = self.free[Unit.LOAD] + START_CYCLES if load_cycles else ready
        self.free[unit] = max(self.free[unit], self._slots[unit][0][0], loaded) + cycles
        self._slots[unit].popleft()
        self._slots[unit].append([math.inf, 0])

    def hold(self, unit: Unit, drain) -> None:
        """Call `drain` once what the unit computes now is complete.

        It is given a function of clocks that takes them from the drain unit and returns when
        what was drained can be loaded.
        """
        end, slot = self.free[unit], self._slots[unit][-1]
        slot[1] += 1

        def take(clocks: int) -> float:
            drained = self.free[Unit.DRAIN] = max(self.free[Unit.DRAIN], end) + clocks
            slot[1] -= 1
            if not slot[1]:
                slot[0] = drained
            return drained + LATENCY_CYCLES

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
