"""The convolutions of a network as the published tables have them."""

from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np

from skimp_compiler.zoo.architectures import architecture

__all__ = ["ConvLayer", "conv_layers", "dense_layer"]


@dataclass(frozen=True, kw_only=True)
class ConvLayer:
    """One convolution; a depthwise one has as many groups as channels. Names do not compare.

    Attributes
    ----------
    name : str
    out_channels, in_channels, groups : int
        Channels of all groups together.
    in_rows, in_columns : int
        Map that is read, without padding.
    rows, columns : int
        Map that is written.
    kernel, stride : int
    padding : int
        Rows above, and columns to the left, that are zeros and never come from DRAM.
    """

    name: str = field(compare=False)
    out_channels: int
    in_channels: int
    in_rows: int
    in_columns: int
    rows: int
    columns: int
    kernel: int
    stride: int
    padding: int
    groups: int = 1

    @property
    def group_out(self) -> int:
        """Output channels of a group."""
        return self.out_channels // self.groups

    @property
    def group_in(self) -> int:
        """Input channels of a group."""
        return self.in_channels // self.groups

    @property
    def taps(self) -> int:
        """Weights between one input and one output channel."""
        return self.kernel * self.kernel

    @property
    def weight_words(self) -> int:
        return self.out_channels * self.group_in * self.taps

    @property
    def ofmap_words(self) -> int:
        """Of one image."""
        return self.out_channels * self.rows * self.columns

    @property
    def ifmap_words(self) -> int:
        """Of one image, and only those that are used: a 1x1 kernel with stride 2 leaves three of
        four pixels."""
        used = [
            size if self.kernel >= self.stride else self.kernel * outputs
            for size, outputs in (
                (self.in_rows, self.rows),
                (self.in_columns, self.columns),
            )
        ]
        return self.in_channels * used[0] * used[1]

    @property
    def macs(self) -> int:
        """Of one image, padding counted as if it were pixels."""
        return self.ofmap_words * self.group_in * self.taps

    def window(self, outputs):
        """Inputs under a tile of so many outputs, padding included."""
        return self.stride * outputs + self.kernel - self.stride

    def row_spans(self, tile: int) -> list[tuple[int, int]]:
        """First row and row behind the last, of the inputs of every tile of so many rows."""
        return self._spans(self.rows, self.in_rows, tile)

    def column_spans(self, tile: int) -> list[tuple[int, int]]:
        """The same of columns."""
        return self._spans(self.columns, self.in_columns, tile)

    def rows_read(self, tiles: np.ndarray) -> np.ndarray:
        """Rows that all tiles of a map read together, halos again and again, by tile size."""
        return _read_in_all(tiles, self.row_spans)

    def columns_read(self, tiles: np.ndarray) -> np.ndarray:
        """The same of columns."""
        return _read_in_all(tiles, self.column_spans)

    def _spans(self, outputs: int, inputs: int, tile: int) -> list[tuple[int, int]]:
        spans = []
        for first in range(0, outputs, tile):
            last = min(first + tile, outputs) - 1
            begin = first * self.stride - self.padding
            end = last * self.stride - self.padding + self.kernel
            spans.append((max(begin, 0), min(end, inputs)))
        return spans


def _read_in_all(tiles: np.ndarray, spans) -> np.ndarray:
    sums = {int(tile): sum(end - first for first, end in spans(int(tile))) for tile in tiles.flat}
    return np.array([sums[int(tile)] for tile in tiles.flat], np.int64).reshape(tiles.shape)


@cache
def conv_layers(network: str) -> tuple[ConvLayer, ...]:
    """Return the convolutions of a network of the zoo, in order, without fully connected layers.

    The zoo has AlexNet's two towers as convolutions of their own; here they are one layer again:
    two groups where each tower sees its own maps (second, fourth, fifth), else one.
    """
    net = architecture(network)
    layers: dict[str, ConvLayer] = {}
    inputs: dict[str, tuple[int, ...]] = {}
    for spec in net.layers:
        if spec.kind not in ("conv", "depthwise"):
            continue
        in_rows, in_columns, in_channels = net.shape(spec.inputs[0])
        rows, columns, out_channels = spec.shape
        same = max((rows - 1) * spec.stride + spec.kernel - in_rows, 0) // 2
        layer = ConvLayer(
            name=spec.name, out_channels=out_channels, in_channels=in_channels, in_rows=in_rows,
            in_columns=in_columns, rows=rows, columns=columns, kernel=spec.kernel,
            stride=spec.stride, padding=same if spec.padding == "same" else 0,
            groups=in_channels if spec.is_depthwise else 1,
        )  # fmt: skip
        tower, name = spec.name[-1], spec.name[:-1]
        if network == "alexnet":
            layer = replace(layer, name=name)
            if tower == "b":
                layer = _joined(layers[name], shared=inputs[name] == spec.inputs)
        layers[layer.name] = layer
        inputs[layer.name] = spec.inputs
    return tuple(layers.values())


def dense_layer(name: str, in_channels: int, out_channels: int, kernel: int = 1) -> ConvLayer:
    """A fully connected layer: a convolution whose kernel is as large as its map."""
    return ConvLayer(
        name=name, out_channels=out_channels, in_channels=in_channels, in_rows=kernel,
        in_columns=kernel, rows=1, columns=1, kernel=kernel, stride=1, padding=0,
    )  # fmt: skip


def _joined(tower: ConvLayer, *, shared: bool) -> ConvLayer:
    """Two equal towers as one layer; `shared`: both see the same maps."""
    out_channels = 2 * tower.out_channels
    if shared:
        return replace(tower, out_channels=out_channels)
    return replace(
        tower, out_channels=out_channels, in_channels=2 * tower.in_channels, groups=2
    )  # fmt: skip
