"""Runs a graph, operator by operator, in the golden arithmetic."""

import numpy as np

from skimp_compiler.graph import Graph, ModelError, Op
from skimp_sim.golden import activations, conv, convert, elementwise, pool, shape_ops
from skimp_sim.golden.softmax import softmax

__all__ = ["run_graph", "run_op"]


def run_op(graph: Graph, op: Op, values: dict[int, np.ndarray]) -> list[np.ndarray]:
    """Return the outputs of one operator.

    Parameters
    ----------
    graph : Graph
    op : Op
    values : dict
        Activations by tensor number; constants come from the graph.
    """

    def tensor(position):
        index = op.inputs[position]
        constant = graph.tensors[index].data
        return constant if constant is not None else values[index]

    ifmap, ofmap = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    x = tensor(0)
    match op.kind:
        case "conv":
            out = conv.conv(graph, op, x)
        case "depthwise":
            out = conv.depthwise(graph, op, x)
        case "fully_connected":
            out = conv.fully_connected(graph, op, x)
        case "add" | "sub":
            out = elementwise.add(graph, op, x, tensor(1))
        case "mul":
            out = elementwise.mul(graph, op, x, tensor(1))
        case "avg_pool":
            out = pool.avg_pool(graph, op, x)
        case "max_pool":
            out = pool.max_pool(graph, op, x)
        case "mean":
            out = pool.mean(graph, op, x)
        case "pad":
            out = shape_ops.pad(graph, op, x)
        case "reshape":
            out = x.reshape(ofmap.shape)
        case "transpose":
            out = shape_ops.transpose(graph, op, x)
        case "concat":
            out = shape_ops.concat(graph, op, [tensor(i) for i in range(len(op.inputs))])
        case "resize_nearest":
            out = shape_ops.resize_nearest(graph, op, x)
        case "softmax":
            out = softmax(x, scale=ifmap.scale, beta=op.attrs["beta"])
        case "logistic":
            out = activations.logistic(ifmap, ofmap, x)
        case "hard_swish":
            out = activations.hard_swish(ifmap, ofmap, x)
        case "quantize":
            out = convert.quantize(ifmap, ofmap, x)
        case "dequantize":
            out = convert.dequantize(ifmap, x)
        case _:
            raise ModelError(f"{graph.name}: operator {graph.op_name(op)} is not supported")
    return [out]


def _listed(tensors) -> str:
    return ", ".join(f"{dtype} {shape}" for shape, dtype in tensors) or "no input"


def run_graph(graph: Graph, inputs: list[np.ndarray], progress=None) -> dict[int, np.ndarray]:
    """Return every activation of a network by tensor number.

    Parameters
    ----------
    graph : Graph
    inputs : list of np.ndarray
        In the order of graph.inputs, in the tensors' own types.
    progress : callable or None
        Called with the operator before it runs.

    Raises
    ------
    ModelError
        Inputs of another number, shape or type than the network's.
    """
    wanted = [(graph.tensors[i].shape, graph.tensors[i].dtype) for i in graph.inputs]
    given = [(x.shape, x.dtype) for x in inputs]
    if given != wanted:
        raise ModelError(f"{graph.name}: takes {_listed(wanted)}, not {_listed(given)}")
    values = dict(zip(graph.inputs, inputs))
    for op in graph.ops:
        if progress is not None:
            progress(op)
        values.update(zip(op.outputs, run_op(graph, op, values)))
    return values
