"""What skimp accepts: every operator that passes here runs exactly, all others are named.

Refused is also what LiteRT refuses or aborts on: there is nothing to be exact to.
A graph that passes has consistent shapes, so that nobody downstream has to look again.
"""

import math

import numpy as np

from skimp_compiler.graph import WEIGHTED, Graph, ModelError, Op, Tensor
from skimp_sim.golden.params import mean_axes

__all__ = ["KINDS", "check_supported"]

_ARITY = {
    "conv": (2, 3),
    "depthwise": (2, 3),
    "fully_connected": (2, 3),
    "add": (2, 2),
    "sub": (2, 2),
    "mul": (2, 2),
    "avg_pool": (1, 1),
    "max_pool": (1, 1),
    "mean": (2, 2),
    "pad": (2, 2),
    "reshape": (1, 2),
    "concat": (1, 1 << 16),
    "softmax": (1, 1),
    "logistic": (1, 1),
    "resize_nearest": (2, 2),
    "quantize": (1, 1),
    "dequantize": (1, 1),
    "transpose": (2, 2),
    "hard_swish": (1, 1),
}
"""Least and largest number of inputs."""

KINDS = frozenset(_ARITY)
"""Operators that skimp runs, on the hardware or on the host."""

_MOVING = frozenset("pad reshape concat transpose resize_nearest".split())
"""Operators that move values of any type that a network's border may have."""

_CONVERTING = frozenset("quantize dequantize".split())
_ACTIVATIONS = frozenset("none relu relu6 relu_n1_to_1".split())
_TWO_OPERANDS = frozenset("add sub mul".split())
_WITH_CONSTANT = frozenset("mean pad transpose resize_nearest".split())
"""Operators whose second input says how and has to be a constant."""

_BORDER = (np.dtype(np.int8), np.dtype(np.uint8), np.dtype(np.float32))


class _Refused(Exception):
    """Why an operator is not supported; `check_supported` says where."""


def check_supported(graph: Graph) -> None:
    """Raise ModelError with the first operator that skimp cannot run exactly, and what to do."""
    known = set(graph.inputs)
    for index in graph.inputs:
        _check_refers(graph, index, "an input")
    for op in graph.ops:
        try:
            _check(graph, op, known)
        except _Refused as reason:
            where = f"{graph.name}: operator {graph.op_name(op)}"
            raise ModelError(f"{where}: {reason}") from None
        known.update(op.outputs)
    for index in graph.outputs:
        _check_refers(graph, index, "an output")
        if index not in known:
            raise ModelError(f"{graph.name}: nothing computes output tensor {index}: damaged?")


def _check_refers(graph: Graph, index: int, what: str) -> None:
    if not 0 <= index < len(graph.tensors):
        raise ModelError(f"{graph.name}: {what} of the network is tensor {index}, which is missing")


def _require(condition, reason: str) -> None:
    if not condition:
        raise _Refused(reason)


def _check(graph: Graph, op: Op, known: set[int]) -> None:
    if op.kind in _TWO_OPERANDS:
        _require(
            len(op.inputs) == 2,
            f"{len(op.inputs)} inputs; skimp takes two: split it into a chain of {op.kind}s",
        )
    _require(op.kind in KINDS, f"not supported; skimp runs {', '.join(sorted(KINDS))}")
    least, most = _ARITY[op.kind]
    _require(least <= len(op.inputs) <= most, f"{len(op.inputs)} inputs; it takes {least}")
    _require(len(op.outputs) == 1, f"{len(op.outputs)} outputs; it has one")
    no_bias = op.kind in WEIGHTED and op.inputs[2:] == (-1,)
    for index in (op.inputs[:2] if no_bias else op.inputs) + op.outputs:
        _require(0 <= index < len(graph.tensors), f"tensor {index} is missing: damaged?")
    inputs = [graph.tensors[i] for i in op.inputs if i >= 0]
    for tensor in inputs:
        computed = tensor.is_const or tensor.index in known
        _require(computed, f"nothing computes tensor {tensor.index}; make it a constant")
    ofmap = graph.tensors[op.outputs[0]]
    _require(not ofmap.is_const and ofmap.index not in known, f"tensor {ofmap.index} is made twice")
    activation = op.attrs.get("activation", "none")
    _require(activation in _ACTIVATIONS, f"fused {activation} is not supported; unfuse it")
    _check_types(op, inputs, ofmap)
    if op.kind in _WITH_CONSTANT:
        constant = inputs[1]
        _require(
            constant.is_const and constant.dtype in (np.int32, np.int64),
            f"tensor {constant.index} must be constant integers; export with fixed shapes",
        )
    if op.kind in WEIGHTED:
        _check_weights(op, inputs)
    shape = _SHAPES[op.kind](graph, op, inputs)
    _require(
        shape == ofmap.shape, f"makes shape {shape}, but the file says {ofmap.shape}: damaged?"
    )
    _check_numbers(graph, op, inputs, ofmap)


def _check_types(op: Op, inputs: list[Tensor], ofmap: Tensor) -> None:
    sources = inputs if op.kind in _TWO_OPERANDS or op.kind == "concat" else inputs[:1]
    # All computing is int8; float32 and uint8 stand where values are moved or converted.
    any_type = op.kind in _MOVING or op.kind in _CONVERTING
    for tensor in (*sources, ofmap):
        if tensor.dtype == np.float32:
            _require(
                any_type,
                f"float32 tensor {tensor.index}; skimp runs INT8 networks: quantise this one "
                "(post-training, full integer) first",
            )
            continue
        _require(
            tensor.dtype in _BORDER,
            f"{tensor.dtype} activations (tensor {tensor.index}); skimp runs int8",
        )
        _require(
            tensor.dtype == np.int8 or any_type,
            f"uint8 tensor {tensor.index}; skimp computes in int8: convert the network again "
            "with int8 activations",
        )
        quant, ends = tensor.quant, np.iinfo(tensor.dtype)
        _require(
            quant is not None
            and not quant.per_channel
            and np.isfinite(tensor.scale)
            and tensor.scale > 0
            and ends.min <= tensor.zero_point <= ends.max,
            f"tensor {tensor.index} needs one scale and zero point",
        )
    if op.kind in _MOVING:
        alike = all(tensor.dtype == ofmap.dtype for tensor in sources)
        _require(alike, "its tensors differ in type: damaged?")
    if op.kind == "quantize":
        _require(ofmap.dtype != np.float32, "makes float32; use a dequantize")
    if op.kind == "dequantize":
        down = sources[0].dtype != np.float32 and ofmap.dtype == np.float32
        _require(down, "does not go from int8 to float32: damaged?")


def _check_weights(op: Op, inputs: list[Tensor]) -> None:
    wgt = inputs[1]
    _require(
        wgt.is_const and wgt.dtype == np.int8,
        f"weights must be constant int8, not {wgt.dtype}; quantise the network fully",
    )
    axis = len(wgt.shape) - 1 if op.kind == "depthwise" else 0
    num_k = wgt.shape[axis] if wgt.shape else 0
    quant = wgt.quant
    _require(
        quant is not None
        and (quant.scale.size == 1 or (quant.scale.size == num_k and quant.axis == axis))
        and np.isfinite(quant.scale).all()
        and (quant.scale >= 0).all(),
        "weights need one scale, or one per output channel",
    )
    _require(
        (quant.zero_point == 0).all(),
        "weights must have zero point 0; quantise them symmetrically",
    )
    _require(
        op.attrs.get("dilation_h", 1) == 1 and op.attrs.get("dilation_w", 1) == 1,
        "dilation is not supported; train with dilation 1",
    )
    if len(inputs) > 2:
        bias = inputs[2]
        _require(bias.is_const, "the bias must be constant")
        fits = bias.dtype == np.int32 and bias.data.size == num_k
        _require(fits, f"the bias must be {num_k} int32 values, not {bias.shape} {bias.dtype}")


def _check_numbers(graph: Graph, op: Op, inputs: list[Tensor], ofmap: Tensor) -> None:
    """Refuse scales for which LiteRT's kernels have no result."""
    if op.kind == "add":
        largest = max(inputs[0].scale, inputs[1].scale)
        _require(
            2 * largest / ((1 << 20) * ofmap.scale) < 1,
            "its output scale is far too small for its inputs: quantise again",
        )
    elif op.kind == "hard_swish":
        ratio = np.float32(1 / 128) * np.float32(inputs[0].scale) / np.float32(ofmap.scale)
        _require(
            math.frexp(float(ratio))[1] <= 0,
            "its output scale is far too small for its input: quantise again",
        )
    elif op.kind in ("softmax", "logistic"):
        exact = ofmap.scale == 1 / 256 and (op.kind == "logistic" or ofmap.zero_point == -128)
        _require(exact, "its output must have scale 1/256 and zero point -128: quantise again")
    elif op.kind == "concat":
        _require(op.attrs["activation"] == "none", "fused activation; unfuse it")
        if ofmap.dtype != np.float32:
            same = (ofmap.scale, ofmap.zero_point)
            _require(
                all((t.scale, t.zero_point) == same for t in inputs),
                "its parts have other scales than its output; put a quantize in front of them",
            )


def _map_shape(tensor: Tensor) -> tuple[int, int, int, int]:
    _require(len(tensor.shape) == 4, f"tensor {tensor.index} {tensor.shape} is not N, H, W, C")
    return tensor.shape


def _window(op: Op, size: tuple[int, int], kernel: tuple[int, int]) -> tuple[int, int]:
    strides = op.attrs["stride_h"], op.attrs["stride_w"]
    _require(min(*strides, *kernel) >= 1, "strides and windows start at 1: damaged?")
    if op.attrs["padding"] == "same":
        return tuple(-(-n // stride) for n, stride in zip(size, strides))
    fits = size[0] >= kernel[0] and size[1] >= kernel[1]
    _require(fits, "its window is larger than the map: damaged?")
    return tuple((n - k) // stride + 1 for n, k, stride in zip(size, kernel, strides))


def _conv_shape(graph: Graph, op: Op, inputs: list[Tensor]) -> tuple[int, ...]:
    n, height, width, c = _map_shape(inputs[0])
    first, r, s, last = _map_shape(inputs[1])
    if op.kind == "conv":
        _require(last == c, "grouped convolution is not supported; split it by group")
        num_k = first
    else:
        fits = first == 1 and last % c == 0 and op.attrs["multiplier"] in (0, last // c)
        _require(fits, f"weights {inputs[1].shape} do not fit {c} channels: damaged?")
        num_k = last
    return n, *_window(op, (height, width), (r, s)), num_k


def _pool_shape(graph: Graph, op: Op, inputs: list[Tensor]) -> tuple[int, ...]:
    n, height, width, c = _map_shape(inputs[0])
    return n, *_window(op, (height, width), (op.attrs["filter_h"], op.attrs["filter_w"])), c


def _fully_connected_shape(graph: Graph, op: Op, inputs: list[Tensor]) -> tuple[int, ...]:
    _require(len(inputs[1].shape) == 2, f"weights {inputs[1].shape} are not K, C: damaged?")
    k, c = inputs[1].shape
    shape = inputs[0].shape
    _require(math.prod(shape) % c == 0, f"{shape} does not divide into rows of {c}: damaged?")
    if op.attrs["keep_num_dims"]:
        _require(shape[-1:] == (c,), f"the last axis of {shape} is not {c}: damaged?")
        return *shape[:-1], k
    return math.prod(shape) // c, k


def _broadcast_shape(graph: Graph, op: Op, inputs: list[Tensor]) -> tuple[int, ...]:
    shapes = [tensor.shape for tensor in inputs]
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise _Refused(f"{shapes[0]} and {shapes[1]} do not go together: damaged?") from None


def _mean_shape(graph: Graph, op: Op, inputs: list[Tensor]) -> tuple[int, ...]:
    shape, axes = inputs[0].shape, inputs[1].data.reshape(-1)
    within = all(-len(shape) <= axis < len(shape) for axis in axes)
    _require(within, f"axes {axes.tolist()} of {shape}: damaged?")
    reduced = mean_axes(graph, op)
    if op.attrs["keep_dims"]:
        return tuple(1 if axis in reduced else n for axis, n in enumerate(shape))
    return tuple(n for axis, n in enumerate(shape) if axis not in reduced)


def _pad_shape(graph: Graph, op: Op, inputs: list[Tensor]) -> tuple[int, ...]:
    shape, amounts = inputs[0].shape, inputs[1].data
    fits = amounts.shape == (len(shape), 2) and (amounts >= 0).all()
    _require(fits, f"pads {shape} by {amounts.tolist()}: damaged?")
    return tuple(n + int(a) + int(b) for n, (a, b) in zip(shape, amounts))


def _reshape_shape(graph: Graph, op: Op, inputs: list[Tensor]) -> tuple[int, ...]:
    before, after = inputs[0].shape, graph.tensors[op.outputs[0]].shape
    _require(math.prod(before) == math.prod(after), f"{before} into {after}: damaged?")
    return after


def _concat_shape(graph: Graph, op: Op, inputs: list[Tensor]) -> tuple[int, ...]:
    shapes, axis = [tensor.shape for tensor in inputs], op.attrs["axis"]
    rank = len(shapes[0])
    _require(-rank <= axis < rank, f"axis {axis} of {shapes[0]}: damaged?")
    axis %= rank
    rest = {(shape[:axis], shape[axis + 1 :]) for shape in shapes}
    _require(len(rest) == 1, "its parts differ in shape: damaged?")
    ((before, behind),) = rest
    return *before, sum(shape[axis] for shape in shapes), *behind


def _transpose_shape(graph: Graph, op: Op, inputs: list[Tensor]) -> tuple[int, ...]:
    shape, order = inputs[0].shape, inputs[1].data.reshape(-1).tolist()
    _require(sorted(order) == list(range(len(shape))), f"order {order} of {shape}: damaged?")
    return tuple(shape[axis] for axis in order)


def _resize_shape(graph: Graph, op: Op, inputs: list[Tensor]) -> tuple[int, ...]:
    n, _, _, c = _map_shape(inputs[0])
    size = inputs[1].data.reshape(-1).tolist()
    _require(len(size) == 2 and min(size) >= 1, f"size {size}: damaged?")
    return n, *size, c


def _same_shape(graph: Graph, op: Op, inputs: list[Tensor]) -> tuple[int, ...]:
    return inputs[0].shape


_SHAPES = {
    "conv": _conv_shape,
    "depthwise": _conv_shape,
    "fully_connected": _fully_connected_shape,
    "add": _broadcast_shape,
    "sub": _broadcast_shape,
    "mul": _broadcast_shape,
    "avg_pool": _pool_shape,
    "max_pool": _pool_shape,
    "mean": _mean_shape,
    "pad": _pad_shape,
    "reshape": _reshape_shape,
    "concat": _concat_shape,
    "transpose": _transpose_shape,
    "resize_nearest": _resize_shape,
} | dict.fromkeys("softmax logistic hard_swish quantize dequantize".split(), _same_shape)
"""Shape of the output of each kind."""
