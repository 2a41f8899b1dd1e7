"""What every kind of layer needs while it is lowered: places, padding, parameters."""

from dataclasses import replace

import numpy as np

from skimp.config import Config
from skimp.isa import CHIP_BASE, MAX_SHIFT, MIN_SHIFT, RECORD_BYTES, Rounding
from skimp_compiler.conv_layer import ConvLayer, ConvParts
from skimp_compiler.depthwise_layer import DepthwiseLayer
from skimp_compiler.drain_store import Requant
from skimp_compiler.emitter import ACTIVATION_BASE
from skimp_compiler.geometry import Window
from skimp_compiler.graph import Graph, Op
from skimp_compiler.layout import Layout, Layouts
from skimp_compiler.memory_map import ChipMap, MemoryMap
from skimp_compiler.plane import Planes
from skimp_compiler.program import Fold, TensorPlace
from skimp_compiler.region import Region
from skimp_compiler.weights import pack_params
from skimp_sim.golden.params import conv_requant, pads, pool_window

__all__ = ["IDENTITY_PERM", "MAX_PAD", "LoweringParts", "OnHost"]

IDENTITY = (1 << 30, 1)
"""Multiplier and shift that leave a psum as it is."""

MAX_PAD = 255
"""Rows or columns of padding that a command can hold."""

IDENTITY_PERM = (0, 1, 2, 3)
_ROUNDING = {"double": Rounding.DOUBLE, "single": Rounding.SINGLE}


class OnHost(Exception):
    """The operator cannot run on the hardware; the text says why."""


class LoweringParts:
    """State and helpers of a lowering; the kinds of layers build on it.

    Parameters
    ----------
    graph : Graph
    config : Config
    in_dram, depthwise
        As of Lowering.
    """

    def __init__(self, graph: Graph, config: Config, *, in_dram=frozenset(), depthwise="unit"):
        if depthwise not in ("unit", "array"):
            raise ValueError(f'depthwise must be "unit" or "array", not {depthwise!r}')
        self._depthwise = depthwise
        self._layer: ConvLayer | ConvParts | DepthwiseLayer | None = None  # what an operator became
        self._beside = False  # it is emitted beside its neighbours
        self.graph = graph
        self.config = config
        self.constants = MemoryMap()
        self.activations = MemoryMap()
        self.records = ACTIVATION_BASE + self.activations.reserve(
            RECORD_BYTES * len(graph.ops), "counters of the layers"
        )
        self.layouts = Layouts(graph)
        self.places: dict[int, TensorPlace] = {}
        self.wanted_in_dram: set[int] = set()
        self._in_dram = in_dram
        self._chip = ChipMap(config.act_bytes)
        self._addresses: dict[int, int] = {}
        self._regions: dict[int, Region] = {}
        self._once_there: list[tuple[int, int, Region]] = []
        self._last_use = _last_uses(graph)
        self._folded: dict[int, Op] = {}
        self._fused: Op | None = None

    def place(self, index: int) -> TensorPlace:
        """Return (and reserve) the place of an activation: on the chip where it fits."""
        if index not in self.places:
            tensor, layout = self.graph.tensors[index], self.layouts[index]
            fold = self._fold(index)
            height, width, channels = layout.height, layout.width, layout.channels
            if fold is not None:
                user = self.graph.consumers(index)[0]
                width = self.layouts[user.outputs[0]].width
                channels *= fold.num_s
            words = self.config.chip_words
            place = TensorPlace(
                index=index,
                address=0,
                height=height,
                width=width,
                channels=channels,
                block=self.config.in_channels,
                plane_words=-(-height * width // words) * words,
                shape=tensor.shape,
                zero_point=tensor.zero_point,
                perm=layout.perm,
                fold=fold,
            )
            if layout.root not in self._addresses:
                self._reserve(layout.root, place)
            self.places[index] = replace(place, address=self._addresses[layout.root])
        return self.places[index]

    def _reserve(self, root: int, place: TensorPlace) -> None:
        """Find room for an activation, and who had it before."""
        graph = self.graph
        older = []
        made_here = graph.producer(root) is not None and place.fold is None
        address = None
        if made_here and root not in self._in_dram:
            address = self._chip.reserve(place.size_bytes)
            while address is None and self._make_room():
                address = self._chip.reserve(place.size_bytes)
        if address is not None:
            low, high = address, address + place.size_bytes
            for entry in self._once_there:
                if entry[0] < high and low < entry[1]:
                    older.append(entry[2])
            self._once_there = [e for e in self._once_there if not (low <= e[0] and e[1] <= high)]
            address += CHIP_BASE
        else:
            name = f"activation {root} {graph.tensors[root].name}"
            address = ACTIVATION_BASE + self.activations.reserve(place.size_bytes, name)
        region = Region(num_blocks=place.num_blocks, older=older)
        if address >= CHIP_BASE:
            self._once_there.append((low, high, region))
        self._addresses[root], self._regions[root] = address, region

    def _make_room(self) -> bool:
        """Give places back that layers under way still need; False: there are none."""
        raise NotImplementedError

    def release_unused(self, op_index: int) -> None:
        """Give back what no operator from this one on reads."""
        for root, address in list(self._addresses.items()):
            if address >= CHIP_BASE and self._last_use.get(root, -1) < op_index:
                self._chip.release(address - CHIP_BASE)
                self._addresses[root] = -1

    def _fold(self, index: int) -> Fold | None:
        """Kernel columns as channels, where the host makes the input of a convolution.

        The convolution then has a window of one column, and fewer channel blocks to go through.
        """
        graph, tensor = self.graph, self.graph.tensors[index]
        consumers = graph.consumers(index)
        producer = graph.producer(index)
        by_host = producer is None or (
            producer.kind == "quantize" and graph.tensors[producer.inputs[0]].dtype != np.int8
        )
        if len(consumers) != 1 or consumers[0].kind != "conv" or not by_host:
            return None
        if index in graph.outputs or len(tensor.shape) != 4 or tensor.dtype != np.int8:
            return None
        op = consumers[0]
        channels = tensor.shape[3]
        _, s, _, stride_w = pool_window(graph, op)
        lanes = self.config.in_channels
        if s == 1 or -(-s * channels // lanes) >= s * -(-channels // lanes):
            return None
        return Fold(num_s=s, stride=stride_w, pad_left=pads(graph, op)[2])

    def _planes(self, index: int) -> Planes:
        place = self.place(index)
        return Planes.of(place, self._regions[self.layouts[index].root])

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

    def _conv_requant(self, op, *, lanes) -> Requant:
        """Requantisation of conv, depthwise or fully connected."""
        params = conv_requant(self.graph, op)
        return self._requant(
            op,
            params.bias,
            params.multiplier,
            params.shift,
            lanes=lanes,
            rounding=_ROUNDING[params.rounding],
            out_zp=params.out_zp,
            act=(params.act_min, params.act_max),
        )

    def _requant_lanes(self, op, mult, shift, *, out_zp, act) -> Requant:
        lanes = self.config.out_channels
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


def _last_uses(graph: Graph) -> dict[int, int]:
    """Return, for every activation, the last operator that reads it or a view of it."""
    last: dict[int, int] = {}
    for op in reversed(graph.ops):
        latest = op.index
        if op.kind in ("reshape", "transpose", "pad"):
            latest = max([latest, *(last.get(i, -1) for i in op.outputs)])
        for index in op.inputs:
            if index >= 0:
                last[index] = max(last.get(index, -1), latest)
    for index in graph.outputs:
        last[index] = len(graph.ops)
    return last
