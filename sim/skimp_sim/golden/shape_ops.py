"""Operators that move values without changing them: pad, concat, transpose, resize."""

import numpy as np

from skimp_compiler.graph import Graph, Op

__all__ = ["concat", "pad", "resize_nearest", "transpose"]


def pad(graph: Graph, op: Op, x: np.ndarray) -> np.ndarray:
    """TFLite's Pad: real zeros around the tensor, the output's zero point where it is quantised."""
    ofmap = graph.tensors[op.outputs[0]]
    amounts = graph.tensors[op.inputs[1]].data.reshape(-1, 2)
    return np.pad(x, amounts, constant_values=0 if ofmap.quant is None else ofmap.zero_point)


def concat(graph: Graph, op: Op, parts: list[np.ndarray]) -> np.ndarray:
    """TFLite's Concatenation of parts that share scale and zero point.

    LiteRT refuses int8 parts with other scales than the output's, and so does `check_supported`:
    converters put a quantize in front of such a part.
    """
    return np.concatenate(parts, axis=op.attrs["axis"])


def transpose(graph: Graph, op: Op, x: np.ndarray) -> np.ndarray:
    """TFLite's Transpose; output axis i is input axis order[i]."""
    order = graph.tensors[op.inputs[1]].data.reshape(-1)
    return np.ascontiguousarray(x.transpose(order))


def resize_nearest(graph: Graph, op: Op, x: np.ndarray) -> np.ndarray:
    """TFLite's ResizeNearestNeighbor, with positions in float32 as there."""
    _, out_h, out_w, _ = graph.tensors[op.outputs[0]].shape
    align, half = op.attrs["align_corners"], op.attrs["half_pixel_centers"]

    def source(size, out):
        step = np.float32((size - 1) / (out - 1) if align and out > 1 else size / out)
        position = (np.arange(out, dtype=np.float32) + np.float32(0.5 if half else 0)) * step
        index = np.floor(position + np.float32(0.5)) if align else np.floor(position)
        return np.minimum(index.astype(np.int64), size - 1)

    return x[:, source(x.shape[1], out_h)][:, :, source(x.shape[2], out_w)]
