"""The tiles that a schedule moves, one after another: the loops whose traffic `tiles` counts.

A tensor is a box of [channels, rows, columns] (weights: [output channels, input channels, taps])
and a tile of it a smaller one, so that a layout can say at which addresses it lies.
"""

from collections.abc import Iterator
from typing import NamedTuple

from skimp_sim.reproduce.layers import ConvLayer
from skimp_sim.reproduce.tiles import Choice

__all__ = ["Box", "Move", "moves", "tensor_sizes"]

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""First index and index behind the last, in every direction."""


class Move(NamedTuple):
    """A tile on its way between DRAM and chip."""

    tensor: str
    box: Box
    is_write: bool


def tensor_sizes(layer: ConvLayer) -> dict[str, tuple[int, int, int]]:
    """Sizes of the tensors of one image, row-major (of weights: output channels first)."""
    return {
        "ifmap": (layer.in_channels, layer.in_rows, layer.in_columns),
        "weights": (layer.out_channels, layer.group_in, layer.taps),
        "ofmap": (layer.out_channels, layer.rows, layer.columns),
    }


def _cut(size: int, tile: int) -> list[tuple[int, int]]:
    return [(first, min(first + tile, size)) for first in range(0, size, tile)]


def moves(layer: ConvLayer, choice: Choice) -> Iterator[Move]:
    """Go through the loops of one image and say what has to move, in order.

    What the chip holds already does not move again: the last tile of weights and of ifmap, and
    psums as long as no others come between.
    """
    m, n, r, c = choice.tile
    inputs = [(i, j) for i in layer.row_spans(r) for j in layer.column_spans(c)]
    outputs = [(i, j) for i in _cut(layer.rows, r) for j in _cut(layer.columns, c)]
    for group in range(layer.groups):
        filters = _shifted(_cut(layer.group_out, m), group * layer.group_out)
        channels = _cut(layer.group_in, n)
        reads = _shifted(channels, group * layer.group_in)
        held = {}
        for f, p, ch in _loops(choice.order, len(filters), len(outputs), len(channels)):
            last = ch == len(channels) - 1
            tiles = {
                "weights": (filters[f], channels[ch], (0, layer.taps)),
                "ifmap": (reads[ch], *inputs[p]),
            }
            for tensor, box in tiles.items():
                if held.get(tensor) != box:
                    held[tensor] = box
                    yield Move(tensor, box, False)
            psums = filters[f], *outputs[p]
            if held.get("ofmap") != psums:
                held["ofmap"] = psums
                if ch:
                    yield Move("ofmap", psums, False)
            if last or not choice.order.startswith("psum"):
                yield Move("ofmap", psums, True)
                held["ofmap"] = None


def _shifted(ranges: list[tuple[int, int]], by: int) -> list[tuple[int, int]]:
    return [(first + by, end + by) for first, end in ranges]


def _loops(order: str, filters: int, pixels: int, channels: int) -> Iterator[tuple[int, int, int]]:
    """Numbers of the tiles of output channels, pixels and input channels, in an order's loops."""
    if order in ("psum", "psum, weights kept"):
        return ((f, p, c) for f in range(filters) for p in range(pixels) for c in range(channels))
    if order == "psum, ifmap kept":
        return ((f, p, c) for p in range(pixels) for f in range(filters) for c in range(channels))
    if order == "weight":
        return ((f, p, c) for f in range(filters) for c in range(channels) for p in range(pixels))
    return ((f, p, c) for p in range(pixels) for c in range(channels) for f in range(filters))
