"""What every kind of layer needs while it is lowered: places, padding, parameters."""

from dataclasses import replace

import numpy as np

from skimp.config import Config
from skimp.isa import MAX_SHIFT, MIN_SHIFT, Rounding
from skimp_compiler.drain_store import Requant
from skimp_compiler.emitter import ACTIVATION_BASE
from skimp_compiler.geometry import Window
from skimp_compiler.graph import Graph, Op
from skimp_compiler.layout import Layout, Layouts
from skimp_compiler.memory_map import MemoryMap
from skimp_compiler.plane import Planes
from skimp_compiler.program import TensorPlace
from skimp_compiler.weights import pack_params
from skimp_sim.golden.params import pads, pool_window

__all__ = ["IDENTITY_PERM", "MAX_PAD", "ROUNDING", "LoweringParts", "OnHost"]

IDENTITY = (1 << 30, 1)
"""Multiplier and shift that leave a psum as it is."""

MAX_PAD = 255
"""Rows or columns of padding that a command can hold."""

IDENTITY_PERM = (0, 1, 2, 3)
ROUNDING = {"double": Rounding.DOUBLE, "single": Rounding.SINGLE}


class OnHost(Exception):
    """The operator cannot run on the hardware; the text says why."""


class LoweringParts:
    """State and helpers of a lowering; the kinds of layers build on it.

    Parameters
    ----------
    graph : Graph
    config : Config
    """

    def __init__(self, graph: Graph, config: Config):
        self.graph = graph
        self.config = config
        self.constants = MemoryMap()
        self.activations = MemoryMap()
        self.layouts = Layouts(graph)
        self.places: dict[int, TensorPlace] = {}
        self._addresses: dict[int, int] = {}
        self._folded: dict[int, Op] = {}

    def place(self, index: int) -> TensorPlace:
        """Return (and reserve) the DRAM place of an activation."""
        if index not in self.places:
            tensor, layout = self.graph.tensors[index], self.layouts[index]
            place = TensorPlace(
                index=index,
                address=0,
                height=layout.height,
                width=layout.width,
                channels=layout.channels,
                block=self.config.in_channels,
                shape=tensor.shape,
                zero_point=tensor.zero_point,
                perm=layout.perm,
            )
            if layout.root not in self._addresses:
                name = f"activation {layout.root} {self.graph.tensors[layout.root].name}"
                self._addresses[layout.root] = ACTIVATION_BASE + self.activations.reserve(
                    place.size_bytes, name
                )
            self.places[index] = replace(place, address=self._addresses[layout.root])
        return self.places[index]

    def _planes(self, index: int) -> Planes:
        return Planes.of(self.place(index))

    def _window_layout(self, index: int) -> Layout:
        """Layout of a tensor whose height and width the operator looks at."""
        layout, shape = self.layouts[index], self.graph.tensors[index].shape
        if layout.perm != IDENTITY_PERM or tuple(shape) != layout.nhwc:
            raise OnHost("its input is a transposed view")
        return layout

    def _input(self, op: Op):
        """Return the input tensor that lies in DRAM, its padding (top, bottom, left, right)."""
        index = op.inputs[0]
        extra = (0, 0, 0, 0)
        if index in self._folded and self._folded[index].kind == "pad":
            pad_op = self._folded[index]
            amounts = self.graph.tensors[pad_op.inputs[1]].data
            extra = tuple(int(n) for n in (*amounts[1], *amounts[2]))
            index = pad_op.inputs[0]
        return index, extra

    def _window(self, op: Op) -> Window:
        r, s, stride_h, stride_w = pool_window(self.graph, op)
        out = self.layouts[op.outputs[0]]
        # A stride that is never taken is no stride (global pools).
        stride_h = stride_h if out.height > 1 else 1
        stride_w = stride_w if out.width > 1 else 1
        if max(stride_h, stride_w) > 15:
            raise OnHost(f"stride {stride_h}x{stride_w} is more than 15")
        return Window(r=r, s=s, stride_h=stride_h, stride_w=stride_w)

    def _pads(self, op: Op, extra) -> tuple[int, int, int, int]:
        return extra if any(extra) else pads(self.graph, op)

    def _requant(self, op, bias, mult, shift, *, lanes, rounding, out_zp, act) -> Requant:
        if np.max(shift) > MAX_SHIFT or np.min(shift) < MIN_SHIFT:
            raise OnHost(
                f"its output scale needs a shift by {np.max(shift)}; the hardware shifts "
                f"{MIN_SHIFT} to {MAX_SHIFT}"
            )
        words = pack_params(bias, mult, shift, lanes=lanes, config=self.config)
        return Requant(
            params_addr=self.constants.constant(
                words.astype("<i4"), f"parameters {self.graph.op_name(op)}"
            ),
            num_params=len(words),
            rounding=rounding,
            out_zp=out_zp,
            act_min=act[0],
            act_max=act[1],
        )

    def _requant_lanes(self, op, mult, shift, *, out_zp, act) -> Requant:
        lanes = self.config.in_channels
        return self._requant(
            op,
            np.zeros(lanes),
            np.full(lanes, mult),
            np.full(lanes, shift),
            lanes=lanes,
            rounding=Rounding.DOUBLE,
            out_zp=out_zp,
            act=act,
        )

    def _identity(self, op, *, out_zp, act=(-128, 127)) -> Requant:
        return self._requant_lanes(op, *IDENTITY, out_zp=out_zp, act=act)
