"""Bytes of an activation in DRAM or in the activation store: which store wrote what."""

import numpy as np

__all__ = ["Region"]


class Region:
    """One activation's place, and the commands that filled it.

    Parameters
    ----------
    num_blocks : int
    older : list of Region
        Activations whose bytes these were before.
    """

    def __init__(self, *, num_blocks: int, older=()):
        # Per channel block: (first pixel, pixel behind the last, store), in program order.
        self._stores: list[list[tuple]] = [[] for _ in range(num_blocks)]
        self._last_load = None
        self.older_loads = [r._last_load for r in older if r._last_load is not None]
        """Loads of what lay here before: they must be over before anything is stored."""
        self._available: np.ndarray | None = None

    def expect(self, num_pixels: int) -> None:
        """From now on, pixels are there once `filled` says so."""
        self._available = np.full((len(self._stores), num_pixels), np.inf)

    def filled(self, clock: float, block0: int, num_blocks: int, pixels) -> None:
        """Note when pixels (an index of the flat plane) of some blocks can be loaded."""
        if self._available is not None:
            self._available[block0 : block0 + num_blocks, pixels] = clock

    def ready(self, block0: int, num_blocks: int, first: int, behind: int) -> float:
        """Clock from which pixels [first, behind) of some blocks are there; inf: not known yet."""
        if self._available is None:
            return 0
        return self._available[block0 : block0 + num_blocks, first:behind].max(initial=0)

    def store(self, command, block0: int, num_blocks: int, first: int, behind: int) -> None:
        """Note a store of pixels [first, behind) of some blocks."""
        for block in range(block0, min(block0 + num_blocks, len(self._stores))):
            stores = self._stores[block]
            if stores and stores[-1][1] == first and stores[-1][2] is command:
                stores[-1] = (stores[-1][0], behind, command)
            else:
                stores.append((first, behind, command))

    def writers(self, block0: int, num_blocks: int, first: int, behind: int) -> list:
        """Return the last store of each block that touches pixels [first, behind)."""
        found = {}
        for block in range(block0, min(block0 + num_blocks, len(self._stores))):
            for low, high, command in reversed(self._stores[block]):
                if low < behind and first < high:
                    found[id(command)] = command
                    break
        return list(found.values())

    def loaded(self, command) -> None:
        """Note a load."""
        self._last_load = command
