"""Builds a graph tensor by tensor and operator by operator."""

import numpy as np

from skimp_compiler.graph import Graph, Op, Quant, Tensor

__all__ = ["GraphMaker", "make_quant"]


def make_quant(scale, zero_point: int = 0, axis: int = 0) -> Quant:
    """Return a quantisation of one scale, or of one per channel, and one zero point."""
    scale = np.atleast_1d(np.asarray(scale, dtype=np.float32))
    return Quant(scale=scale, zero_point=np.full(scale.size, zero_point, np.int64), axis=axis)


class GraphMaker:
    """Collects tensors and operators."""

    def __init__(self):
        self.tensors: list[Tensor] = []
        self.ops: list[Op] = []

    def tensor(self, name: str, shape, dtype, quant=None, data=None) -> int:
        index = len(self.tensors)
        tensor = Tensor(
            index=index,
            name=name,
            shape=tuple(int(size) for size in shape),
            dtype=np.dtype(dtype),
            quant=quant,
            data=data,
        )
        self.tensors.append(tensor)
        return index

    def constant(self, name: str, data: np.ndarray, quant: Quant | None = None) -> int:
        return self.tensor(name, data.shape, data.dtype, quant, data)

    def op(self, kind: str, inputs, output: int, **attrs) -> None:
        op = Op(
            index=len(self.ops), kind=kind, inputs=tuple(inputs), outputs=(output,), attrs=attrs
        )
        self.ops.append(op)

    def graph(self, name: str, inputs, outputs) -> Graph:
        return Graph(
            name=name,
            tensors=self.tensors,
            ops=self.ops,
            inputs=tuple(inputs),
            outputs=tuple(outputs),
        )
