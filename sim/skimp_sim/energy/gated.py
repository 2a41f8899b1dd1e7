"""MACs whose activation is zero, from the golden model's values: what the hardware gates."""

import numpy as np

from skimp_compiler.graph import Graph
from skimp_compiler.program import Layer, Program
from skimp_sim.golden.conv import windows
from skimp_sim.golden.params import pads, pool_window

__all__ = ["fill_gated", "gated_macs", "gated_share"]


def gated_macs(graph: Graph, layer: Layer, values: dict) -> int:
    """Return the MACs of a layer whose ifmap value equals the zero point, padding included.

    Parameters
    ----------
    graph : Graph
    layer : Layer
    values : dict
        Activations by tensor number.
    """
    op = graph.weighted_op(layer.op_indices)
    if op is None:
        return 0
    zero = values[op.inputs[0]] == graph.tensors[op.inputs[0]].zero_point
    weights = graph.tensors[op.inputs[1]]
    if op.kind == "fully_connected":
        return int(zero.sum()) * weights.shape[0]
    top, bottom, left, right = pads(graph, op)
    r, s, stride_h, stride_w = pool_window(graph, op)
    around = ((0, 0), (top, bottom), (left, right), (0, 0))
    # Zeros of all channels of a pixel, then of a window.
    pixels = np.pad(zero, around, constant_values=True).sum(axis=3, keepdims=True)
    zeros = int(windows(pixels, r, s, stride_h, stride_w).sum())
    copies = weights.shape[0] if op.kind == "conv" else weights.shape[3] // zero.shape[3]
    return zeros * copies


def gated_share(graph: Graph, layer: Layer, values: dict) -> float:
    """Return the share of a layer's MACs that is gated."""
    return gated_macs(graph, layer, values) / layer.macs if layer.macs else 0.0


def fill_gated(graph: Graph, program: Program, counts: dict, values: dict) -> None:
    """Set macs_gated of the counts of all layers that the hardware runs, from values."""
    for layer in program.layers:
        if layer.layer_id in counts and layer.unit in ("array", "depthwise"):
            counts[layer.layer_id].macs_gated = gated_macs(graph, layer, values)
