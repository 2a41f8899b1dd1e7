"""Where tiles lie in DRAM: runs of consecutive bytes.

*Row-major*: tensors as programs know them, [channels][rows][columns] and [output channels][input
channels][taps], so a tile is gathered from many short runs. *Tile by tile*: every tile is one run,
in the order in which it is first used; a tile of the ifmap holds its halo, so pixels of two tiles
lie in DRAM twice (`halo_copies`), and whoever made the ifmap had to write them twice.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

import numpy as np

from skimp_sim.reproduce.layers import ConvLayer
from skimp_sim.reproduce.schedule import Box, Move, tensor_sizes

__all__ = ["Runs", "row_major", "tile_by_tile"]

_ALIGNMENT = 4096
"""Tensors begin at multiples of so many bytes."""


@dataclass(frozen=True)
class Runs:
    """Runs of bytes in the order in which they move.

    Attributes
    ----------
    start, length : np.ndarray
        Byte addresses and bytes.
    is_write : np.ndarray
    halo_copies : int
        Bytes of the ifmap that lie in DRAM more than once.
    """

    start: np.ndarray
    length: np.ndarray
    is_write: np.ndarray
    halo_copies: int = 0


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _box_runs(sizes: tuple[int, ...], box: Box) -> tuple[np.ndarray, int]:
    """First bytes of the runs of a box in a row-major tensor, and the bytes of each."""
    sizes, box = list(sizes), list(box)
    while len(sizes) > 1 and box[-1] == (0, sizes[-1]):
        # Whole rows follow one another: one direction less.
        row = sizes.pop()
        box.pop()
        sizes[-1] *= row
        box[-1] = box[-1][0] * row, box[-1][1] * row
    starts = np.array([box[-1][0]])
    stride = 1
    for inner, (first, end) in zip(sizes[:0:-1], box[-2::-1]):
        stride *= inner
        starts = (np.arange(first, end)[:, None] * stride + starts).ravel()
    return starts, box[-1][1] - box[-1][0]


def row_major(layer: ConvLayer, tiles: Iterable[Move]) -> Runs:
    """Runs of tiles in row-major tensors of bytes."""
    sizes = tensor_sizes(layer)
    base, end = {}, 0
    for tensor, size in sizes.items():
        base[tensor] = end
        end += _aligned(prod(size))
    known = {}
    starts, lengths, writes = [], [], []
    for tensor, box, is_write in tiles:
        if (tensor, box) not in known:
            first, length = _box_runs(sizes[tensor], box)
            known[tensor, box] = first + base[tensor], length
        first, length = known[tensor, box]
        starts.append(first)
        lengths.append(np.full(first.size, length))
        writes.append(np.full(first.size, is_write))
    return Runs(np.concatenate(starts), np.concatenate(lengths), np.concatenate(writes))


def tile_by_tile(layer: ConvLayer, tiles: Iterable[Move]) -> Runs:
    """Runs of tiles that each lie in one piece, bytes."""
    tiles = list(tiles)
    length = {move[:2]: prod(end - first for first, end in move.box) for move in tiles}
    size = dict.fromkeys(tensor_sizes(layer), 0)
    place = {}
    for (tensor, box), of_tile in length.items():
        place[tensor, box] = size[tensor]
        size[tensor] += of_tile
    base, end = {}, 0
    for tensor in size:
        base[tensor] = end
        end += _aligned(size[tensor])
    return Runs(
        np.array([base[tensor] + place[tensor, box] for tensor, box, _ in tiles]),
        np.array([length[move[:2]] for move in tiles]),
        np.array([move.is_write for move in tiles]),
        halo_copies=max(0, size["ifmap"] - layer.ifmap_words),
    )
