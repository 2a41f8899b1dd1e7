"""Integer parameters of an operator, as TFLite prepares them; one source for model and compiler."""

import math
from dataclasses import dataclass

import numpy as np

from skimp_compiler.graph import Graph, Op
from skimp_sim.golden.arithmetic import (
    INT32_MAX,
    INT32_MIN,
    activation_range,
    fit_single,
    quantize_multiplier,
)

__all__ = [
    "AddParams",
    "ConvParams",
    "MeanParams",
    "add_params",
    "conv_requant",
    "mean_axes",
    "mean_params",
    "pads",
    "pool_window",
    "sum_range",
]


@dataclass(frozen=True, kw_only=True)
class ConvParams:
    """Requantisation of a convolution or a fully connected layer.

    Parameters
    ----------
    multiplier, shift, bias : np.ndarray
        int64 arrays of K values; a positive shift goes left.
    in_zp, out_zp, act_min, act_max : int
    rounding : str
        "double" or "single" (fully connected).
    """

    multiplier: np.ndarray
    shift: np.ndarray
    bias: np.ndarray
    in_zp: int
    out_zp: int
    act_min: int
    act_max: int
    rounding: str


def conv_requant(graph: Graph, op: Op) -> ConvParams:
    """Parameters of conv, depthwise or fully_connected.

    Multipliers come from double(s_in) * double(s_w) / double(s_out)
    (TFLite's PopulateConvolutionQuantizationParams); those of fully connected layers are fitted to
    LiteRT's float64 result (`fit_single`).
    """
    ifmap, wgt = graph.tensors[op.inputs[0]], graph.tensors[op.inputs[1]]
    ofmap = graph.tensors[op.outputs[0]]
    num_k = wgt.shape[3] if op.kind == "depthwise" else wgt.shape[0]
    scales = np.asarray(wgt.quant.scale, np.float64)
    if scales.size == 1:
        scales = np.repeat(scales, num_k)
    reals = [ifmap.scale * float(s) / ofmap.scale for s in scales]
    bias = np.zeros(num_k, np.int64)
    if len(op.inputs) > 2 and op.inputs[2] >= 0:
        bias = graph.tensors[op.inputs[2]].data.astype(np.int64).reshape(-1)
    low, high = activation_range(op.attrs["activation"], ofmap.scale, ofmap.zero_point)
    if op.kind == "fully_connected":
        reach = sum_range(wgt.data, ifmap.zero_point, bias)
        if wgt.quant.scale.size == 1:
            reals, reach = reals[:1], (reach[0].min(keepdims=True), reach[1].max(keepdims=True))
        pairs = [
            fit_single(
                real,
                low=low - ofmap.zero_point,
                high=high - ofmap.zero_point,
                sum_min=int(sum_min),
                sum_max=int(sum_max),
            )
            for real, sum_min, sum_max in zip(reals, *reach)
        ]
        pairs *= num_k // len(pairs)
    else:
        pairs = [quantize_multiplier(real) for real in reals]
    return ConvParams(
        multiplier=np.array([m for m, _ in pairs], np.int64),
        shift=np.array([s for _, s in pairs], np.int64),
        bias=bias,
        in_zp=ifmap.zero_point,
        out_zp=ofmap.zero_point,
        act_min=low,
        act_max=high,
        rounding="single" if op.kind == "fully_connected" else "double",
    )


def sum_range(wgt: np.ndarray, in_zp: int, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the largest sum, bias included, of each row of weights [K, C]."""
    ends = [wgt.astype(np.int64) * (end - in_zp) for end in (-128, 127)]
    low, high = np.minimum(*ends).sum(axis=1) + bias, np.maximum(*ends).sum(axis=1) + bias
    # Sums that leave int32 wrap, so that all of int32 is reachable.
    wraps = (low < INT32_MIN) | (high > INT32_MAX)
    return np.where(wraps, INT32_MIN, low), np.where(wraps, INT32_MAX, high)


def pool_window(graph: Graph, op: Op) -> tuple[int, int, int, int]:
    """Return R, S, stride_h, stride_w of a conv, depthwise conv or pool."""
    if op.kind in ("avg_pool", "max_pool"):
        r, s = op.attrs["filter_h"], op.attrs["filter_w"]
    else:
        _, r, s, _ = graph.tensors[op.inputs[1]].shape
    return r, s, op.attrs["stride_h"], op.attrs["stride_w"]


def pads(graph: Graph, op: Op) -> tuple[int, int, int, int]:
    """Return top, bottom, left, right padding of a conv, depthwise conv or pool.

    SAME puts the odd one behind (TFLite's ComputePaddingWithOffset).
    """
    if op.attrs["padding"] == "valid":
        return 0, 0, 0, 0
    _, height, width, _ = graph.tensors[op.inputs[0]].shape
    r, s, stride_h, stride_w = pool_window(graph, op)

    def amount(size, kernel, stride):
        out = -(-size // stride)
        total = max(0, (out - 1) * stride + kernel - size)
        return total // 2, total - total // 2

    return *amount(height, r, stride_h), *amount(width, s, stride_w)


@dataclass(frozen=True, kw_only=True)
class AddParams:
    """Requantisation of add and sub: both inputs to a common scale, sum, to the output.

    Parameters
    ----------
    left_shift : int
        20: bits gained before the inputs are scaled.
    zp, multiplier, shift : tuple of int
        Of input 1 and input 2.
    out_zp, out_multiplier, out_shift, act_min, act_max : int
    sign : int
        Of the second operand: 1 for add, -1 for sub.
    """

    left_shift: int
    zp: tuple[int, int]
    multiplier: tuple[int, int]
    shift: tuple[int, int]
    out_zp: int
    out_multiplier: int
    out_shift: int
    act_min: int
    act_max: int
    sign: int


def add_params(graph: Graph, op: Op) -> AddParams:
    """Parameters of add or sub (TFLite's PrepareGeneralAdd / Sub, int8)."""
    a, b = (graph.tensors[i] for i in op.inputs)
    out = graph.tensors[op.outputs[0]]
    left_shift = 20
    twice_max = 2.0 * max(a.scale, b.scale)
    (m1, s1), (m2, s2) = (quantize_multiplier(t.scale / twice_max) for t in (a, b))
    m_out, s_out = quantize_multiplier(twice_max / ((1 << left_shift) * out.scale))
    low, high = activation_range(op.attrs["activation"], out.scale, out.zero_point)
    return AddParams(
        left_shift=left_shift,
        zp=(a.zero_point, b.zero_point),
        multiplier=(m1, m2),
        shift=(s1, s2),
        out_zp=out.zero_point,
        out_multiplier=m_out,
        out_shift=s_out,
        act_min=low,
        act_max=high,
        sign=-1 if op.kind == "sub" else 1,
    )


@dataclass(frozen=True, kw_only=True)
class MeanParams:
    """Mean: sum of (x - in_zp), then multiplier and shift that hold 1 / count too."""

    count: int
    in_zp: int
    out_zp: int
    multiplier: int
    shift: int


def mean_axes(graph: Graph, op: Op) -> tuple[int, ...]:
    """Return the reduced axes, not negative, sorted."""
    rank = len(graph.tensors[op.inputs[0]].shape)
    return tuple(sorted({int(a) % rank for a in graph.tensors[op.inputs[1]].data.reshape(-1)}))


def mean_params(graph: Graph, op: Op) -> MeanParams:
    """Parameters of mean: 1 / count folded into the multiplier as the reference kernel does.

    shift' = floor(log2 count), at most 32 and 31 + shift; M' = (M << shift') / count.
    """
    ifmap, ofmap = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    count = math.prod(ifmap.shape[axis] for axis in mean_axes(graph, op))
    multiplier, shift = quantize_multiplier(ifmap.scale / ofmap.scale)
    extra = min(count.bit_length() - 1, 32, 31 + shift)
    return MeanParams(
        count=count,
        in_zp=ifmap.zero_point,
        out_zp=ofmap.zero_point,
        multiplier=(multiplier << extra) // count,
        shift=shift - extra,
    )
