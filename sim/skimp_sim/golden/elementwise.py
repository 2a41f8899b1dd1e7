"""Sums and products of two tensors in integers."""

import numpy as np

from skimp_compiler.graph import Graph, Op
from skimp_sim.golden.arithmetic import activation_range, multiply_double, quantize_multiplier
from skimp_sim.golden.params import AddParams, add_params

__all__ = ["add", "mul", "scaled_input"]


def scaled_input(params: AddParams, operand: int, x: np.ndarray) -> np.ndarray:
    """Return what operand 0 or 1 adds to the sum: (x - zp) << 20, scaled, with its sign."""
    shifted = (x.astype(np.int64) - params.zp[operand]) << params.left_shift
    scaled = multiply_double(shifted, params.multiplier[operand], params.shift[operand])
    return scaled * (params.sign if operand else 1)


def add(graph: Graph, op: Op, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """TFLite's reference_integer_ops::Add and reference_ops::Sub (int8), broadcasting."""
    params = add_params(graph, op)
    total = scaled_input(params, 0, a) + scaled_input(params, 1, b)
    out = multiply_double(total, params.out_multiplier, params.out_shift) + params.out_zp
    return np.clip(out, params.act_min, params.act_max).astype(np.int8)


def mul(graph: Graph, op: Op, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """TFLite's reference_integer_ops::Mul, broadcasting."""
    first, second = (graph.tensors[i] for i in op.inputs)
    ofmap = graph.tensors[op.outputs[0]]
    # Unlike all others, TFLite's MulPrepare multiplies the scales in float32.
    real = np.float32(first.scale) * np.float32(second.scale) / np.float32(ofmap.scale)
    multiplier, shift = quantize_multiplier(float(real))
    product = (a.astype(np.int64) - first.zero_point) * (b.astype(np.int64) - second.zero_point)
    out = multiply_double(product, multiplier, shift) + ofmap.zero_point
    low, high = activation_range(op.attrs["activation"], ofmap.scale, ofmap.zero_point)
    return np.clip(out, low, high).astype(np.int8)
