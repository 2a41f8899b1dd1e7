"""Average pool, max pool and mean in integers."""

import numpy as np

from skimp_compiler.graph import Graph, Op
from skimp_sim.golden.arithmetic import activation_range, multiply_double, wrap_int32
from skimp_sim.golden.conv import windows
from skimp_sim.golden.params import mean_axes, mean_params, pads, pool_window

__all__ = ["avg_pool", "max_pool", "mean"]


def _pool_range(graph: Graph, op: Op):
    ofmap = graph.tensors[op.outputs[0]]
    return activation_range(op.attrs["activation"], ofmap.scale, ofmap.zero_point)


def avg_pool(graph: Graph, op: Op, x: np.ndarray) -> np.ndarray:
    """TFLite's reference_integer_ops::AveragePool: real elements only, half away from zero."""
    top, bottom, left, right = pads(graph, op)
    around = ((0, 0), (top, bottom), (left, right), (0, 0))
    window = pool_window(graph, op)
    total = windows(np.pad(x.astype(np.int64), around), *window).sum(axis=(4, 5))
    ones = np.ones((1, *x.shape[1:3], 1), np.int64)
    count = windows(np.pad(ones, around), *window).sum(axis=(4, 5))
    out = np.sign(total) * ((np.abs(total) + count // 2) // count)
    return np.clip(out, *_pool_range(graph, op)).astype(np.int8)


def max_pool(graph: Graph, op: Op, x: np.ndarray) -> np.ndarray:
    """TFLite's reference_integer_ops::MaxPool; padding never wins."""
    top, bottom, left, right = pads(graph, op)
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=-128)
    out = windows(padded, *pool_window(graph, op)).max(axis=(4, 5))
    return np.clip(out, *_pool_range(graph, op)).astype(np.int8)


def mean(graph: Graph, op: Op, x: np.ndarray) -> np.ndarray:
    """TFLite's QuantizedMeanOrSum with 1 / count folded into the multiplier."""
    params = mean_params(graph, op)
    axes = mean_axes(graph, op)
    acc = x.astype(np.int64).sum(axis=axes) - params.count * params.in_zp
    out = multiply_double(wrap_int32(acc), params.multiplier, params.shift) + params.out_zp
    shape = graph.tensors[op.outputs[0]].shape
    return np.clip(out, -128, 127).astype(np.int8).reshape(shape)
