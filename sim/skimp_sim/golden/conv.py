"""Convolution, depthwise convolution and fully connected layers in integers."""

import numpy as np

from skimp_compiler.graph import Graph, Op
from skimp_sim.golden.arithmetic import multiply_double, multiply_single, wrap_int32
from skimp_sim.golden.params import ConvParams, conv_requant, pads, pool_window

__all__ = ["conv", "depthwise", "fully_connected", "requantise", "windows"]


def windows(x: np.ndarray, r: int, s: int, stride_h: int, stride_w: int) -> np.ndarray:
    """Return a view [N, P, Q, C, R, S] of all kernel windows of a padded map [N, H, W, C]."""
    view = np.lib.stride_tricks.sliding_window_view(x, (r, s), axis=(1, 2))
    return view[:, ::stride_h, ::stride_w]


def _centred(x: np.ndarray, zero_point: int, amounts) -> np.ndarray:
    """Return x - zero_point with `amounts` of true zeros around it."""
    top, bottom, left, right = amounts
    centred = x.astype(np.int32) - zero_point
    return np.pad(centred, ((0, 0), (top, bottom), (left, right), (0, 0)))


def requantise(acc: np.ndarray, params: ConvParams) -> np.ndarray:
    """Return int8 results of accumulators whose last axis is the output channel.

    Sums and sums with bias are int32 and wrap; what a single rounding makes of them is clamped
    however large it is.
    """
    total = wrap_int32(acc.astype(np.int64) + params.bias)
    multiply = multiply_single if params.rounding == "single" else multiply_double
    scaled = multiply(total, params.multiplier, params.shift) + params.out_zp
    return np.clip(scaled, params.act_min, params.act_max).astype(np.int8)


def _exact_matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the integer product of |a| <= 255 and |b| <= 128 matrices.

    Floating point is exact here: float32 while every sum stays below 2**24 (514 products of at
    most 255 * 128), float64 (2**53) beyond. BLAS makes it fast.
    """
    exact32 = a.shape[-1] * 255 * 128 < 1 << 24
    kind = np.float32 if exact32 else np.float64
    return (a.astype(kind) @ b.astype(kind)).astype(np.int64)


def conv(graph: Graph, op: Op, x: np.ndarray) -> np.ndarray:
    """TFLite's reference_integer_ops::ConvPerChannel."""
    weights = graph.tensors[op.inputs[1]].data
    params = conv_requant(graph, op)
    r, s, stride_h, stride_w = pool_window(graph, op)
    centred = _centred(x, params.in_zp, pads(graph, op))
    taps = windows(centred, r, s, stride_h, stride_w)
    n, p, q, c = taps.shape[:4]
    matrix = weights.transpose(3, 1, 2, 0).reshape(c * r * s, -1)
    acc = _exact_matmul(taps.reshape(n * p * q, c * r * s), matrix)
    return requantise(acc.reshape(n, p, q, -1), params)


def depthwise(graph: Graph, op: Op, x: np.ndarray) -> np.ndarray:
    """TFLite's reference_integer_ops::DepthwiseConvPerChannel; output k reads channel k div m."""
    weights = graph.tensors[op.inputs[1]].data[0].astype(np.int32)
    params = conv_requant(graph, op)
    r, s, stride_h, stride_w = pool_window(graph, op)
    centred = _centred(x, params.in_zp, pads(graph, op))
    multiplier = weights.shape[2] // centred.shape[3]
    _, p, q, _ = graph.tensors[op.outputs[0]].shape
    acc = 0
    for i in range(r):
        for j in range(s):
            rows = slice(i, i + (p - 1) * stride_h + 1, stride_h)
            cols = slice(j, j + (q - 1) * stride_w + 1, stride_w)
            acc = acc + np.repeat(centred[:, rows, cols], multiplier, axis=3) * weights[i, j]
    return requantise(acc, params)


def fully_connected(graph: Graph, op: Op, x: np.ndarray) -> np.ndarray:
    """LiteRT's reference FullyConnected for int8: rounds once, half away from zero (measured)."""
    weights = graph.tensors[op.inputs[1]].data
    params = conv_requant(graph, op)
    flat = x.reshape(-1, weights.shape[1]).astype(np.int32) - params.in_zp
    acc = _exact_matmul(flat, weights.T)
    return requantise(acc, params).reshape(graph.tensors[op.outputs[0]].shape)
