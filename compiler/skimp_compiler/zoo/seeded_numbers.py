"""Weights and pictures from a seed: the same integers on every machine.

Only the raw output of PCG64 is used, which numpy promises never to change, and integer or exactly
rounded arithmetic behind it.
"""

import math
import zlib
from itertools import accumulate
from operator import mul

import numpy as np

__all__ = ["RandomIntegers", "seeded_picture", "seeded_weights"]

_SEED = 20_260_722
_CHUNK = 1 << 20

# Ratio of the frequencies of neighbouring magnitudes: spread 127 / 4.5, 2.5 % zeros.
_DECAY = 0.951
_MAX = 127

_DISCS = 1500


def _weight_table() -> np.ndarray:
    """int8 of which a uniform draw has two-sided geometric frequencies (a Laplace in steps)."""
    # Products one after another: they are rounded alike everywhere, powers are not.
    falling = list(accumulate([_DECAY] * _MAX, mul, initial=1.0))
    magnitudes = [*falling[:0:-1], *falling]
    total, reached, table = math.fsum(magnitudes), 0.0, []
    for value, share in zip(range(-_MAX, _MAX + 1), magnitudes):
        reached += share
        table += [value] * (math.floor(reached / total * (1 << 16)) - len(table))
    return np.array(table + [_MAX] * ((1 << 16) - len(table)), np.int8)


_TABLE = _weight_table()


class RandomIntegers:
    """A stream of random integers of its own for every name.

    Parameters
    ----------
    *names : str
        What the stream is for.
    """

    def __init__(self, *names: str):
        self._bits = np.random.PCG64([_SEED, *(zlib.crc32(name.encode()) for name in names)])

    def uint16(self, count: int) -> np.ndarray:
        raw = self._bits.random_raw(-(-count // 4))
        return np.asarray(raw, "<u8").view("<u2")[:count]

    def between(self, low: int, high: int, count: int) -> np.ndarray:
        """Return int64 from low to high, both included; the span is far below 2**16."""
        return low + self.uint16(count).astype(np.int64) * (high - low + 1) // (1 << 16)


def seeded_weights(random: RandomIntegers, shape: tuple[int, ...], axis: int) -> np.ndarray:
    """Return int8 weights as a quantiser leaves them: every channel reaches 127 or -127.

    Parameters
    ----------
    random : RandomIntegers
    shape : tuple of int
    axis : int
        Of the output channels: the first or the last.
    """
    flat = np.empty(math.prod(shape), np.int8)
    for start in range(0, flat.size, _CHUNK):
        part = flat[start : start + _CHUNK]
        np.take(_TABLE, random.uint16(part.size), out=part)
    weights = flat.reshape(shape)
    rows = flat.reshape(shape[0], -1) if axis == 0 else flat.reshape(-1, shape[-1]).T
    largest = np.abs(rows).argmax(axis=1)
    channels = np.arange(rows.shape[0])
    rows[channels, largest] = np.where(rows[channels, largest] < 0, -_MAX, _MAX)
    return weights


def _enlarged(grid: np.ndarray, size: int) -> np.ndarray:
    """Return an integer grid [n + 1, n + 1] drawn as [size, size], linear between its points.

    The result is scaled by 2**16.
    """
    cells = grid.shape[0] - 1
    position = np.arange(size, dtype=np.int64) * cells * 256 // size
    cell, weight = position // 256, position % 256
    rows = grid[cell] * (256 - weight)[:, None] + grid[cell + 1] * weight[:, None]
    return rows[:, cell] * (256 - weight) + rows[:, cell + 1] * weight


def _noise(random: RandomIntegers, size: int) -> np.ndarray:
    """Return int64 [size, size], noise on grids of 4 to 256 cells, half as high at half the size."""
    plane = 0
    for octave in range(2, 9):
        points = (1 << octave) + 1
        grid = random.between(-4096, 4096, points * points).reshape(points, points)
        plane = plane + (_enlarged(grid, size) >> octave + 16)
    return plane


def seeded_picture(size: int) -> np.ndarray:
    """Return int8 [size, size, 3] with the edges and the shades of a photograph.

    Discs cover each other, a disc of twice the radius being an eighth as frequent ("dead leaves",
    whose spectrum is that of natural pictures); a smooth noise shades and colours all.
    """
    random = RandomIntegers("picture")
    colours = np.zeros((size, size, 3), np.int64)
    smallest, largest = (max(size // 100, 1)) ** 2, (size // 3) ** 2
    span = largest - smallest
    grey = random.between(-1600, 1600, _DISCS)
    tint = random.between(-500, 500, 3 * _DISCS).reshape(_DISCS, 3)
    place = random.between(0, size - 1, 2 * _DISCS).reshape(_DISCS, 2)
    # The inverse of the distribution of the squared radius.
    draw = random.between(0, 65535, _DISCS)
    squared = smallest * largest * 65536 // (largest * 65536 - draw * span)
    axis = np.arange(size)
    for number in range(_DISCS):
        rows, cols = ((axis - centre) ** 2 for centre in place[number])
        inside = rows[:, None] + cols <= squared[number]
        colours[inside] = grey[number] + tint[number]
    colours += _noise(random, size)[:, :, None]
    colours += np.stack([_noise(random, size) for _ in range(3)], axis=-1) // 2
    # The middle 98 % of the values spread over int8.
    ordered = np.sort(colours, axis=None)
    low, high = (int(ordered[(ordered.size - 1) * share // 100]) for share in (1, 99))
    return np.clip((colours - low) * 256 // (high - low) - 128, -128, 127).astype(np.int8)
