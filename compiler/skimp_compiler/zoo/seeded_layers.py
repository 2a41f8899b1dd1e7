"""Sums of products and pools of one int8 picture, exact in float64."""

import numpy as np

from skimp_compiler.zoo.architectures.network import LayerSpec

__all__ = ["layer_sums", "max_pool"]

# Values of one piece of the matrix of windows: 64 MB.
_PIECE = 1 << 23


def _padded(layer: LayerSpec, x: np.ndarray, fill) -> np.ndarray:
    """Pad as TensorFlow does: the odd row and column go to the bottom and the right."""
    amounts = []
    for size, out in zip(x.shape[:2], layer.shape[:2]):
        total = max((out - 1) * layer.stride + layer.kernel - size, 0)
        if layer.padding == "valid":
            total = 0
        amounts.append((total // 2, total - total // 2))
    return np.pad(x, (*amounts, (0, 0)), constant_values=fill)


def _windows(layer: LayerSpec, x: np.ndarray) -> np.ndarray:
    """Return a view [P, Q, C, R, S] of all windows of a padded map."""
    view = np.lib.stride_tricks.sliding_window_view(x, (layer.kernel, layer.kernel), axis=(0, 1))
    return view[:: layer.stride, :: layer.stride]


def _conv(layer: LayerSpec, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    height, width, channels = layer.shape
    taps = _windows(layer, _padded(layer, x, 0.0)).transpose(0, 1, 3, 4, 2)
    matrix = weights.reshape(channels, -1).T.astype(np.float64)
    sums = np.empty((height, width, channels))
    rows = max(_PIECE // (width * len(matrix)), 1)
    for top in range(0, height, rows):
        piece = taps[top : top + rows].reshape(-1, len(matrix))
        np.matmul(piece, matrix, out=sums[top : top + rows].reshape(-1, channels))
    return sums


def _depthwise(layer: LayerSpec, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    height, width, _ = layer.shape
    padded, sums = _padded(layer, x, 0.0), np.zeros(layer.shape)
    for r, s in np.ndindex(layer.kernel, layer.kernel):
        rows = slice(r, r + (height - 1) * layer.stride + 1, layer.stride)
        cols = slice(s, s + (width - 1) * layer.stride + 1, layer.stride)
        sums += padded[rows, cols] * weights[0, r, s].astype(np.float64)
    return sums


def _fully_connected(layer: LayerSpec, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    sums = np.empty(layer.shape)
    rows = max(_PIECE // len(x), 1)
    for start in range(0, len(sums), rows):
        sums[start : start + rows] = weights[start : start + rows].astype(np.float64) @ x
    return sums


_SUMS = {"conv": _conv, "depthwise": _depthwise, "fully_connected": _fully_connected}


def layer_sums(layer: LayerSpec, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the sums of a layer with weights, without bias, as float64 integers.

    Parameters
    ----------
    layer : LayerSpec
    x : np.ndarray
        float64 [H, W, C] or [C], zero point taken off.
    weights : np.ndarray
        int8, `layer.weight_shape`.
    """
    return _SUMS[layer.kind](layer, x, weights)


def max_pool(layer: LayerSpec, x: np.ndarray) -> np.ndarray:
    """Return the largest value of every window of an int8 map; padding never wins."""
    return _windows(layer, _padded(layer, x, -128)).max(axis=(3, 4))
