"""A float network as a list of layers, and its forward pass in numpy.

Layers carry their weights in the layout of a .tflite file and their batch norm already folded in,
so that the quantiser only has to choose scales. The pass is for calibration: it runs in the dtype
of the picture, and calibration asks for float64, whose sums agree between machines to far more
digits than a scale keeps.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["Layer", "forward", "output_shapes"]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer; its number is its place in the list, and -1 is the picture.

    Parameters
    ----------
    kind : str
        conv, depthwise, add, mean (over height and width), fully_connected
    name : str
    inputs : tuple of int
        Numbers of the layers that feed it.
    weight : np.ndarray or None
        float64; conv [K, R, S, C], depthwise [1, R, S, C], fully_connected [K, C].
    bias : np.ndarray or None
        float64, [K].
    stride : int
        Same in both directions; padding is always "same".
    relu6 : bool
        Clamp the result to [0, 6].
    """

    kind: str
    name: str
    inputs: tuple[int, ...]
    weight: np.ndarray | None = None
    bias: np.ndarray | None = None
    stride: int = 1
    relu6: bool = False


def _pad_same(x: np.ndarray, kernel: int, stride: int) -> np.ndarray:
    """Pad as TensorFlow's SAME: the odd row and column go to the bottom and the right."""
    pads = []
    for size in x.shape[:2]:
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        pads.append((total // 2, total - total // 2))
    return np.pad(x, (*pads, (0, 0)))


def _taps(x: np.ndarray, kernel: int, stride: int):
    """Yield (row, column, the pixels under that weight) of a padded map."""
    height, width = ((size - kernel) // stride + 1 for size in x.shape[:2])
    for r in range(kernel):
        for s in range(kernel):
            rows = slice(r, r + (height - 1) * stride + 1, stride)
            cols = slice(s, s + (width - 1) * stride + 1, stride)
            yield r, s, x[rows, cols]


def _conv(x: np.ndarray, weight: np.ndarray, stride: int) -> np.ndarray:
    kernel = weight.shape[1]
    if kernel == 1:
        return x[::stride, ::stride] @ weight[:, 0, 0].T
    padded = _pad_same(x, kernel, stride)
    columns = np.concatenate([tap for _, _, tap in _taps(padded, kernel, stride)], axis=-1)
    return columns @ weight.reshape(weight.shape[0], -1).T


def _depthwise(x: np.ndarray, weight: np.ndarray, stride: int) -> np.ndarray:
    total, product = None, None
    kernel = weight.shape[1]
    for r, s, tap in _taps(_pad_same(x, kernel, stride), kernel, stride):
        if total is None:
            total, product = tap * weight[0, r, s], np.empty_like(tap)
        else:
            total += np.multiply(tap, weight[0, r, s], out=product)
    return total


def _run(layer: Layer, inputs: list[np.ndarray]) -> np.ndarray:
    x = inputs[0]
    if layer.kind == "add":
        return x + inputs[1]
    if layer.kind == "mean":
        return x.mean(axis=(0, 1))
    weight = layer.weight.astype(x.dtype, copy=False)
    if layer.kind == "conv":
        y = _conv(x, weight, layer.stride)
    elif layer.kind == "depthwise":
        y = _depthwise(x, weight, layer.stride)
    else:
        y = weight @ x
    y += layer.bias.astype(x.dtype, copy=False)
    return np.clip(y, 0, 6, out=y) if layer.relu6 else y


def forward(layers: list[Layer], picture: np.ndarray, visit=None) -> np.ndarray:
    """Run the network on one picture and return the last layer's output.

    Parameters
    ----------
    layers : list of Layer
    picture : np.ndarray
        [H, W, C], float32 or float64.
    visit : callable or None
        Called as visit(number, output) for every layer, and with number -1 for the picture; an
        array that it returns replaces the output (so a quantiser can be tried out in place).
    """
    last_use = {i: number for number, layer in enumerate(layers) for i in layer.inputs}
    alive = {}
    for number, layer in enumerate([None, *layers], start=-1):
        y = picture if layer is None else _run(layer, [alive[i] for i in layer.inputs])
        replaced = visit(number, y) if visit else None
        alive[number] = y if replaced is None else replaced
        for i in [i for i in alive if i != number and last_use.get(i, -1) <= number]:
            del alive[i]
    return alive[len(layers) - 1]


def output_shapes(layers: list[Layer], picture_shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Shapes of all layers' outputs without a batch: [H, W, C], or [C] behind the mean."""
    shapes: dict[int, tuple[int, ...]] = {-1: picture_shape}
    for number, layer in enumerate(layers):
        shape = shapes[layer.inputs[0]]
        if layer.kind in ("conv", "depthwise"):
            height, width = (-(-size // layer.stride) for size in shape[:2])
            shape = (height, width, layer.bias.size)
        elif layer.kind == "mean":
            shape = shape[2:]
        elif layer.kind == "fully_connected":
            shape = (layer.bias.size,)
        shapes[number] = shape
    return [shapes[number] for number in range(len(layers))]
