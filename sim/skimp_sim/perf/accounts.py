"""From intervals of clocks to counters: every clock of a run goes to one of six causes."""

import numpy as np

__all__ = ["Intervals", "counts_before"]


class Intervals:
    """Values of several signals over time, from the intervals in which they are 1.

    Parameters
    ----------
    end : int
        Clocks of the run.
    marks : iterable of int
        Clocks at which sums are wanted (`upto`).
    signals : dict
        Name -> array of (begin, end) clocks, end not included; overlaps are allowed.
    """

    def __init__(self, end: int, marks, signals: dict):
        arrays = {}
        for name, intervals in signals.items():
            array = np.asarray(intervals, np.int64).reshape(-1, 2).clip(0, end)
            arrays[name] = array[array[:, 0] < array[:, 1]]
        edges = [np.asarray([0, end, *marks], np.int64), *(a.reshape(-1) for a in arrays.values())]
        self._edges = np.unique(np.concatenate(edges))
        self._lengths = np.diff(self._edges)
        self._values = {}
        for name, array in arrays.items():
            change = np.zeros(len(self._edges), np.int64)
            np.add.at(change, np.searchsorted(self._edges, array[:, 0]), 1)
            np.add.at(change, np.searchsorted(self._edges, array[:, 1]), -1)
            self._values[name] = np.cumsum(change)[:-1] > 0

    def __getitem__(self, name: str) -> np.ndarray:
        """Value of a signal between every two edges."""
        return self._values[name]

    def upto(self, value: np.ndarray, marks) -> np.ndarray:
        """Clocks before each mark in which `value` is true."""
        total = np.concatenate(([0], np.cumsum(self._lengths * value)))
        return total[np.searchsorted(self._edges, np.asarray(marks, np.int64))]


def counts_before(clocks, marks) -> np.ndarray:
    """Return how many of some clocks lie before each mark."""
    return np.searchsorted(np.sort(np.asarray(clocks, np.int64)), np.asarray(marks, np.int64))
