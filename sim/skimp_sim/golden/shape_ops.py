"""Operators that move values: pad, concat, resize."""

import numpy as np

from skimp_compiler.graph import Graph, Op
from skimp_sim.golden.convert import quantize

__all__ = ["concat", "pad", "resize_nearest"]


def pad(graph: Graph, op: Op, x: np.ndarray) -> np.ndarray:
    """TFLite's Pad: the zero point around the tensor."""
    ofmap = graph.tensors[op.outputs[0]]
    amounts = graph.tensors[op.inputs[1]].data.reshape(-1, 2)
    return np.pad(x, amounts, constant_values=ofmap.zero_point)


def concat(graph: Graph, op: Op, parts: list[np.ndarray]) -> np.ndarray:
    """Concatenation of tensors that share scale and zero point; others are rescaled first."""
    ofmap = graph.tensors[op.outputs[0]]
    scaled = []
    for index, part in zip(op.inputs, parts):
        ifmap = graph.tensors[index]
        same = (ifmap.scale, ifmap.zero_point) == (ofmap.scale, ofmap.zero_point)
        scaled.append(part if same else quantize(ifmap, ofmap, part))
    return np.concatenate(scaled, axis=op.attrs["axis"])


def resize_nearest(graph: Graph, op: Op, x: np.ndarray) -> np.ndarray:
    """TFLite's ResizeNearestNeighbor."""
    _, out_h, out_w, _ = graph.tensors[op.outputs[0]].shape
    align, half = op.attrs["align_corners"], op.attrs["half_pixel_centers"]

    def source(size, out):
        step = (size - 1) / (out - 1) if align and out > 1 else size / out
        position = (np.arange(out, dtype=np.float32) + np.float32(0.5 if half else 0)) * np.float32(
            step
        )
        index = np.floor(position + np.float32(0.5)) if align else np.floor(position)
        return np.minimum(index.astype(np.int64), size - 1)

    return x[:, source(x.shape[1], out_h)][:, :, source(x.shape[2], out_w)]
