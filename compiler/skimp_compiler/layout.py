"""Which tensors of a graph are the same bytes in DRAM, and how their axes lie."""

from dataclasses import dataclass, replace

from skimp_compiler.graph import Graph, ModelError, Op

__all__ = ["Layout", "Layouts", "axes_of"]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a graph tensor lies as height x width x channels.

    Parameters
    ----------
    root : int
        Tensor whose bytes these are (a view of another one names that one).
    height, width, channels : int
    perm : tuple of int
        As in TensorPlace: graph tensor = transpose(nhwc, perm).reshape(shape).
    """

    root: int
    height: int
    width: int
    channels: int
    perm: tuple[int, ...] = (0, 1, 2, 3)

    @property
    def nhwc(self) -> tuple[int, int, int, int]:
        return 1, self.height, self.width, self.channels


def axes_of(layout: Layout, shape: tuple[int, ...]) -> list[int]:
    """Return, for every axis of a graph shape, its axis in N, height, width, channels.

    The graph's shape is the permuted one with some axes of length 1 left out or put in.
    """
    permuted = [(axis, layout.nhwc[axis]) for axis in layout.perm]
    found = []
    position = 0
    for size in shape:
        while position < 4 and permuted[position][1] != size and permuted[position][1] == 1:
            position += 1
        if position < 4 and permuted[position][1] == size:
            found.append(permuted[position][0])
            position += 1
        elif size == 1:
            found.append(0)
        else:
            raise ValueError(f"shape {shape} is not a view of {permuted}")
    return found


class Layouts:
    """Layout of every activation, found while walking the graph in order.

    Parameters
    ----------
    graph : Graph
    """

    def __init__(self, graph: Graph):
        self._graph = graph
        self._layouts: dict[int, Layout] = {}

    def __getitem__(self, index: int) -> Layout:
        if index not in self._layouts:
            self._layouts[index] = self._plain(index)
        return self._layouts[index]

    def set(self, index: int, layout: Layout) -> None:
        self._layouts[index] = layout

    def _plain(self, index: int) -> Layout:
        """Last axis channels, the one before width, all others height."""
        tensor = self._graph.tensors[index]
        shape = tensor.shape
        if len(shape) == 4 and shape[0] != 1:
            raise ModelError(
                f"{self._graph.name}: tensor {index} ({tensor.name}) has batch {shape[0]}: "
                "skimp runs batch 1; export the network with batch 1"
            )
        height = 1
        for size in shape[:-2]:
            height *= size
        return Layout(
            root=index,
            height=height,
            width=shape[-2] if len(shape) > 1 else 1,
            channels=shape[-1] if shape else 1,
        )

    def try_view(self, op: Op) -> bool:
        """Make the output of a reshape or transpose a view of its input where the bytes allow."""
        source = self[op.inputs[0]]
        in_shape = self._graph.tensors[op.inputs[0]].shape
        out_shape = self._graph.tensors[op.outputs[0]].shape
        if op.kind == "transpose":
            order = [int(a) for a in self._graph.tensors[op.inputs[1]].data.reshape(-1)]
            try:
                axes = axes_of(source, in_shape)
            except ValueError:
                return False
            # Axes of length 1 may stand anywhere: what counts is the order of the others.
            real = [axes[a] for a in order if source.nhwc[axes[a]] != 1]
            rest = [a for a in range(4) if a not in real]
            perm = (0, 1, 2, 3) if real == sorted(real) else (*rest, *real)
            self.set(op.outputs[0], replace(source, perm=perm))
            return True
        # A reshape that only adds or drops axes of length 1.
        if [n for n in in_shape if n != 1] == [n for n in out_shape if n != 1]:
            self.set(op.outputs[0], source)
            return True
        return False
