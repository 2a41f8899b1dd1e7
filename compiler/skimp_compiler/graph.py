"""The quantised network as a typed graph: what the reader makes and everyone else takes.

A graph is a list of operators in execution order over a list of tensors, both numbered as in the
file they came from. Nothing here knows hardware: placement and tiling live in their own modules.
"""

from dataclasses import dataclass, field

import numpy as np

__all__ = ["WEIGHTED", "Graph", "ModelError", "Op", "Quant", "Tensor"]

WEIGHTED = frozenset(("conv", "depthwise", "fully_connected"))
"""Kinds of operators whose second input is their weights."""


class ModelError(ValueError):
    """A network that cannot be read, run or placed; its text is one line: what, where, what to do."""


@dataclass(frozen=True, kw_only=True)
class Quant:
    """Affine quantisation of a tensor: real = scale * (stored - zero_point).

    Parameters
    ----------
    scale : np.ndarray
        float32, one value, or one per channel along `axis`.
    zero_point : np.ndarray
        int64, as many values as `scale`.
    axis : int
        Quantised dimension where `scale` has more than one value.
    """

    scale: np.ndarray
    zero_point: np.ndarray
    axis: int = 0

    @property
    def per_channel(self) -> bool:
        return self.scale.size > 1


@dataclass(kw_only=True)
class Tensor:
    """One tensor; `data` holds the contents of a constant, None for an activation.

    Parameters
    ----------
    index : int
        Number in the file (and in LiteRT's interpreter).
    name : str
    shape : tuple of int
        As in the file: activations NHWC; conv weights [K, R, S, C]; depthwise [1, R, S, K];
        fully connected [K, C].
    dtype : np.dtype
    quant : Quant or None
    data : np.ndarray or None
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    quant: Quant | None = None
    data: np.ndarray | None = None

    @property
    def is_const(self) -> bool:
        return self.data is not None

    @property
    def scale(self) -> float:
        """The only scale of a per-tensor quantised tensor (float32 widened)."""
        return float(self.quant.scale[0])

    @property
    def zero_point(self) -> int:
        return int(self.quant.zero_point[0])


@dataclass(kw_only=True)
class Op:
    """One operator.

    Parameters
    ----------
    index : int
        Place in the file's operator list.
    kind : str
        conv, depthwise, fully_connected, add, sub, mul, avg_pool, max_pool, mean, pad, reshape,
        concat, softmax, logistic, resize_nearest, quantize, dequantize, transpose, hard_swish;
        any other operator keeps its TFLite name in lower case and is refused by who meets it.
    inputs, outputs : tuple of int
        Tensor numbers; -1 for an absent optional input.
    attrs : dict
        conv/depthwise: stride_h, stride_w, dilation_h, dilation_w, padding ("same", "valid"),
        activation ("none", "relu", "relu6", "relu_n1_to_1"), multiplier (depthwise);
        pools: filter_h, filter_w, stride_h, stride_w, padding, activation;
        fully_connected: activation, keep_num_dims; add/sub/mul: activation; concat: axis,
        activation; mean: keep_dims; softmax: beta; resize_nearest: align_corners,
        half_pixel_centers. Explicit amounts that the file keeps in constant tensors (pads, mean
        axes, new shapes, permutations) stay in those tensors.
    """

    index: int
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    attrs: dict = field(default_factory=dict)


@dataclass(kw_only=True)
class Graph:
    """A network: tensors by number, operators in order, its own inputs and outputs."""

    name: str
    tensors: list[Tensor]
    ops: list[Op]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def op_name(self, op: Op) -> str:
        """Name for tables and messages: number, kind and the output tensor's number."""
        return f"{op.index}:{op.kind}"

    def weighted_op(self, indices: tuple[int, ...]) -> Op | None:
        """Return the first of some operators that has weights; None: none has."""
        return next((self.ops[i] for i in indices if self.ops[i].kind in WEIGHTED), None)

    def consumers(self, tensor_index: int) -> list[Op]:
        return [op for op in self.ops if tensor_index in op.inputs]

    def producer(self, tensor_index: int) -> Op | None:
        return next((op for op in self.ops if tensor_index in op.outputs), None)

    def macs(self, op: Op) -> int:
        """Multiply-accumulates of one operator (0 where it has none)."""
        out = self.tensors[op.outputs[0]].shape
        if op.kind in ("conv", "depthwise"):
            wgt = self.tensors[op.inputs[1]].shape
            per_output = wgt[1] * wgt[2] * (wgt[3] if op.kind == "conv" else 1)
            return int(np.prod(out)) * per_output
        if op.kind == "fully_connected":
            return int(np.prod(out)) * self.tensors[op.inputs[1]].shape[-1]
        return 0
