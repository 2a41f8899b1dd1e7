"""From operators to layers of the hardware: where each runs, why, and its commands."""

from dataclasses import replace

import numpy as np

from skimp.config import Config
from skimp.isa import MAX_SHIFT, MIN_SHIFT, CommandError, Rounding
from skimp_compiler.conv_layer import ConvSpec, emit_conv
from skimp_compiler.depthwise_layer import DepthwiseSpec, Region, emit_depthwise
from skimp_compiler.drain_store import Requant
from skimp_compiler.elementwise_layer import TABLE_ENTRIES, ElementwiseSpec, emit_elementwise
from skimp_compiler.emitter import ACTIVATION_BASE, Emitter
from skimp_compiler.geometry import Window
from skimp_compiler.graph import Graph, ModelError, Op
from skimp_compiler.layout import Layout, Layouts, axes_of
from skimp_compiler.memory_map import MemoryMap
from skimp_compiler.plane import Planes
from skimp_compiler.program import Layer, TensorPlace
from skimp_compiler.weights import check_packable, pack_conv, pack_depthwise, pack_params
from skimp_sim.golden.arithmetic import activation_range
from skimp_sim.golden.elementwise import scaled_input
from skimp_sim.golden.network import run_op
from skimp_sim.golden.params import (
    add_params,
    conv_requant,
    mean_axes,
    mean_params,
    pads,
    pool_window,
)

__all__ = ["Lowering", "exact_division"]

IDENTITY = (1 << 30, 1)
"""Multiplier and shift that leave a psum as it is."""

_MAX_PAD = 255
_IDENTITY_PERM = (0, 1, 2, 3)
_ROUNDING = {"double": Rounding.DOUBLE, "single": Rounding.SINGLE}


def exact_division(divisor: int) -> tuple[int, int]:
    """Return (multiplier, shift) with floor(n / d) = (n * multiplier) >> (31 - shift).

    Exact for 0 <= n < 129 * d, which holds the sum of d int8 values plus d / 2: with
    M = (2^k + e) / d, 0 <= e < d, the error n * e / (d * 2^k) stays below 1 / d when
    129 * d * d <= 2^k.
    """
    bits = max(30, (129 * divisor * divisor - 1).bit_length())
    multiplier = -(-(1 << bits) // divisor)
    if multiplier >= 1 << 31:
        raise ModelError(f"an average over {divisor} values is too large (limit 2^22)")
    return multiplier, 31 - bits


class _OnHost(Exception):
    """The operator cannot run on the hardware; the text says why."""


class Lowering:
    """Walks the graph in order and emits what the hardware can run.

    Parameters
    ----------
    graph : Graph
    config : Config

    Attributes
    ----------
    layers : list of Layer
    segments : list of (Emitter, list of layer ids) or Layer
        Device steps and host layers in order.
    """

    def __init__(self, graph: Graph, config: Config):
        self.graph = graph
        self.config = config
        self.constants = MemoryMap()
        self.activations = MemoryMap()
        self.layouts = Layouts(graph)
        self.places: dict[int, TensorPlace] = {}
        self.layers: list[Layer] = []
        self.segments: list = []
        self._addresses: dict[int, int] = {}
        self._folded: dict[int, Op] = {}
        self._pending: list[Op] = []

    def run(self) -> None:
        """Lower every operator.

        Raises
        ------
        ModelError
            Where a layer fits neither hardware nor host.
        """
        for op in self.graph.ops:
            self._lower(op)

    # Tensors

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
        if layout.perm != _IDENTITY_PERM or tuple(shape) != layout.nhwc:
            raise _OnHost("its input is a transposed view")
        return layout

    def _need_int8(self, op: Op) -> None:
        for index in (op.inputs[0], *op.outputs):
            if self.graph.tensors[index].dtype != np.int8:
                raise _OnHost(f"{self.graph.tensors[index].dtype} at the network's border")

    # Walk

    def _lower(self, op: Op) -> None:
        graph = self.graph
        if op.kind in ("reshape", "transpose"):
            if self._try_fold_flatten(op):
                return
            if graph.tensors[op.outputs[0]].dtype == np.int8 and self.layouts.try_view(op):
                self._note(op, "none", "a view: the same bytes in DRAM")
                return
        if op.kind == "pad" and self._try_fold_pad(op):
            return
        lower = getattr(self, f"_lower_{op.kind}", None)
        emitter = None
        try:
            if lower is None:
                raise _OnHost(f"the hardware has no {op.kind}; the golden model's code runs it")
            self._need_int8(op)
            emitter, ids = self._segment()
            mark = len(emitter)
            unit, reason = lower(op, emitter)
        except _OnHost as why:
            if emitter is not None and len(emitter) != mark:
                raise AssertionError("a layer was emitted in part") from why
            if emitter is not None and not ids:
                self.segments.pop()
            self.segments.append(self._note(op, "host", str(why)))
            for index in (*op.inputs[: 1 if op.kind != "concat" else None], *op.outputs):
                self._host_tensor(index)
            return
        except CommandError as error:
            raise ModelError(
                f"{graph.name}: {graph.op_name(op)}: too large for a command field ({error})"
            ) from error
        layer = self._note(op, unit, reason)
        ids.append(layer.layer_id)
        emitter.end_layer(layer.layer_id)

    def _host_tensor(self, index: int) -> None:
        """Activations that both sides touch need a place; others stay in the host's memory."""
        tensor = self.graph.tensors[index]
        if index in self.places or tensor.is_const or tensor.dtype != np.int8:
            return
        if tensor.quant is not None and len(tensor.shape) >= 1:
            try:
                self.place(index)
            except ModelError:
                return

    def _segment(self):
        if not self.segments or isinstance(self.segments[-1], Layer):
            self.segments.append((Emitter(self.config), []))
        return self.segments[-1]

    def _note(self, op: Op, unit: str, reason: str) -> Layer:
        graph = self.graph
        indices = (op.index,)
        if op.inputs[0] in self._folded:
            indices = (self._folded[op.inputs[0]].index, op.index)
        layer = Layer(
            layer_id=len(self.layers),
            name=graph.op_name(op),
            op=op.kind,
            unit=unit,
            op_indices=indices,
            output=op.outputs[0],
            macs=graph.macs(op),
            shape=self._shape(op),
            reason=reason,
        )
        self.layers.append(layer)
        return layer

    def _shape(self, op: Op) -> dict:
        out = self.layouts[op.outputs[0]] if self._describable(op.outputs[0]) else None
        source = self.layouts[op.inputs[0]] if self._describable(op.inputs[0]) else None
        shape = {"N": 1}
        if out is not None:
            shape |= {"K": out.channels, "P": out.height, "Q": out.width}
        if source is not None:
            shape["C"] = source.channels
        if op.kind in ("conv", "depthwise", "avg_pool", "max_pool"):
            r, s, stride, _ = pool_window(self.graph, op)
            shape |= {"R": r, "S": s, "stride": stride}
        return shape

    def _describable(self, index: int) -> bool:
        try:
            return self.layouts[index] is not None
        except ModelError:
            return False

    # Folding

    def _try_fold_pad(self, op: Op) -> bool:
        """Let the only consumer, a window operator without padding, do the padding."""
        graph = self.graph
        source, padded = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
        consumers = graph.consumers(op.outputs[0])
        if len(consumers) != 1 or op.outputs[0] in graph.outputs or source.dtype != np.int8:
            return False
        user = consumers[0]
        if user.kind not in ("conv", "depthwise", "avg_pool", "max_pool"):
            return False
        amounts = graph.tensors[op.inputs[1]].data
        if user.attrs["padding"] != "valid" or amounts.shape != (4, 2) or amounts.max() > _MAX_PAD:
            return False
        same = (source.scale, source.zero_point) == (padded.scale, padded.zero_point)
        if amounts[0].any() or amounts[3].any() or not same or op.inputs[0] in self._folded:
            return False
        layout = self.layouts[op.inputs[0]]
        if layout.perm != _IDENTITY_PERM or tuple(source.shape) != layout.nhwc:
            return False
        self._folded[op.outputs[0]] = op
        self._note(op, "none", f"folded: {graph.op_name(user)} pads while it loads")
        return True

    def _try_fold_flatten(self, op: Op) -> bool:
        """A map flattened for a fully connected layer: that layer takes the map as it lies."""
        graph = self.graph
        consumers = graph.consumers(op.outputs[0])
        source = self.layouts[op.inputs[0]]
        plain = source.perm == _IDENTITY_PERM and source.height * source.width > 1
        if op.kind != "reshape" or len(consumers) != 1 or op.outputs[0] in graph.outputs:
            return False
        user = consumers[0]
        if user.kind != "fully_connected" or not plain or op.inputs[0] in self._folded:
            return False
        if graph.tensors[user.inputs[1]].shape[1] != np.prod(source.nhwc):
            return False
        if graph.tensors[op.inputs[0]].dtype != np.int8:
            return False
        self._folded[op.outputs[0]] = op
        self._note(op, "none", f"folded: {graph.op_name(user)} reads the map as it lies")
        return True

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

    # Array

    def _lower_conv(self, op: Op, emitter: Emitter):
        index, extra = self._input(op)
        self._window_layout(index)
        weights = self.graph.tensors[op.inputs[1]].data
        self._emit_conv(op, emitter, index, weights, self._window(op), self._pads(op, extra))
        return "array", "convolution: channels side by side on the packed array"

    def _lower_depthwise(self, op: Op, emitter: Emitter):
        index, extra = self._input(op)
        layout = self._window_layout(index)
        weights = self.graph.tensors[op.inputs[1]].data
        if weights.shape[3] != layout.channels:
            self._emit_conv(
                op,
                emitter,
                index,
                _dense(weights, layout.channels),
                self._window(op),
                self._pads(op, extra),
            )
            return "array", "depth multiplier above 1: a convolution with zeros between"
        params = conv_requant(self.graph, op)
        tensor = self.graph.tensors[index]
        top, _, left, _ = self._pads(op, extra)
        wgt_addr = self.constants.constant(
            pack_depthwise(weights, self.config), f"weights {self.graph.op_name(op)}"
        )
        requant = self._requant(
            op,
            params.bias,
            params.multiplier,
            params.shift,
            lanes=self.config.in_channels,
            rounding=_ROUNDING[params.rounding],
            out_zp=params.out_zp,
            act=(params.act_min, params.act_max),
        )
        self._emit_depthwise(
            op,
            emitter,
            index,
            wgt_addr=wgt_addr,
            in_zp=tensor.zero_point,
            pad=(top, left),
            fill=tensor.zero_point,
            requant=requant,
            params_per_block=True,
        )
        return "depthwise", "one filter per channel: the depthwise unit"

    def _lower_fully_connected(self, op: Op, emitter: Emitter):
        weights = self.graph.tensors[op.inputs[1]].data
        num_k, num_c = weights.shape
        index = op.inputs[0]
        if index in self._folded:
            index = self._folded[index].inputs[0]
        layout = self.layouts[index]
        if layout.perm != _IDENTITY_PERM and layout.height * layout.width > 1:
            raise _OnHost("its input is a transposed view")
        if layout.channels == num_c:
            window, shaped = Window(), weights.reshape(num_k, 1, 1, num_c)
            reason = "fully connected: a 1x1 convolution, weights straight from DRAM"
        elif layout.height * layout.width * layout.channels == num_c:
            window = Window(r=layout.height, s=layout.width)
            shaped = weights.reshape(num_k, layout.height, layout.width, layout.channels)
            reason = "fully connected over a map: a convolution as large as the map"
        else:
            raise _OnHost(f"its input of {layout.nhwc} is not a row of {num_c} values")
        if window == Window():
            out = Layout(
                root=op.outputs[0], height=layout.height, width=layout.width, channels=num_k
            )
        else:
            out = Layout(root=op.outputs[0], height=1, width=1, channels=num_k)
        self.layouts.set(op.outputs[0], out)
        self._emit_conv(op, emitter, index, shaped, window, (0, 0, 0, 0))
        return "array", reason

    def _emit_conv(self, op, emitter, index, weights, window: Window, amounts) -> None:
        name = self.graph.op_name(op)
        if not check_packable(weights):
            raise ModelError(
                f"{self.graph.name}: {name}: a weight of -128 beside a negative one does not fit "
                "the packed operand; quantise the weights to [-127, 127]"
            )
        params = conv_requant(self.graph, op)
        requant = self._requant(
            op,
            params.bias,
            params.multiplier,
            params.shift,
            lanes=self.config.out_channels,
            rounding=_ROUNDING[params.rounding],
            out_zp=params.out_zp,
            act=(params.act_min, params.act_max),
        )
        spec = ConvSpec(
            name=f"{self.graph.name}: {name}",
            window=window,
            pad_top=amounts[0],
            pad_left=amounts[2],
            num_channels=weights.shape[3],
            num_outputs=weights.shape[0],
            input=self._planes(index),
            output=self._planes(op.outputs[0]),
            wgt_addr=self.constants.constant(pack_conv(weights, self.config), f"weights {name}"),
            in_zp=params.in_zp,
            requant=requant,
        )
        emit_conv(emitter, self.config, spec)

    # Depthwise unit

    def _lower_avg_pool(self, op: Op, emitter: Emitter):
        index, extra = self._input(op)
        layout = self._window_layout(index)
        window = self._window(op)
        top, _, left, _ = amounts = self._pads(op, extra)
        out = self.layouts[op.outputs[0]]
        if any(extra):
            counts_y = np.full(out.height, window.r)
            counts_x = np.full(out.width, window.s)
        else:
            counts_y = _real(layout.height, window.r, window.stride_h, top, out.height)
            counts_x = _real(layout.width, window.s, window.stride_w, left, out.width)
        counts = sorted({int(a) * int(b) for a in counts_y for b in counts_x})
        regions = tuple(
            Region(
                y0=y0,
                x0=x0,
                rows=rows,
                cols=cols,
                param_block=counts.index(int(counts_y[y0]) * int(counts_x[x0])),
            )
            for y0, rows in _runs(counts_y)
            for x0, cols in _runs(counts_x)
        )
        lanes = self.config.in_channels
        divisions = [exact_division(n) for n in counts]
        ofmap = self.graph.tensors[op.outputs[0]]
        requant = self._requant(
            op,
            np.repeat([n // 2 for n in counts], lanes),
            np.repeat([m for m, _ in divisions], lanes),
            np.repeat([s for _, s in divisions], lanes),
            lanes=lanes,
            rounding=Rounding.AWAY,
            out_zp=0,
            act=activation_range(op.attrs["activation"], ofmap.scale, ofmap.zero_point),
        )
        # TFLite averages the stored values: zero point 0 here; padding adds nothing.
        fill = self.graph.tensors[index].zero_point if any(extra) else 0
        self._emit_depthwise(
            op,
            emitter,
            index,
            in_zp=0,
            pad=(amounts[0], amounts[2]),
            fill=fill,
            requant=requant,
            regions=regions,
        )
        return "depthwise", "average pool: a sum of stored values, divided by their number"

    def _lower_max_pool(self, op: Op, emitter: Emitter):
        index, extra = self._input(op)
        self._window_layout(index)
        top, _, left, _ = self._pads(op, extra)
        ofmap = self.graph.tensors[op.outputs[0]]
        requant = self._identity(
            op,
            out_zp=-128,
            act=activation_range(op.attrs["activation"], ofmap.scale, ofmap.zero_point),
        )
        fill = self.graph.tensors[index].zero_point if any(extra) else -128
        self._emit_depthwise(
            op,
            emitter,
            index,
            in_zp=-128,
            pad=(top, left),
            fill=fill,
            requant=requant,
            max_mode=True,
        )
        return "depthwise", "max pool: the largest of x + 128, so padding never wins"

    def _lower_mean(self, op: Op, emitter: Emitter):
        graph = self.graph
        index = op.inputs[0]
        layout = self.layouts[index]
        try:
            axes = axes_of(layout, graph.tensors[index].shape)
        except ValueError as error:
            raise _OnHost("its input is a view that the compiler cannot follow") from error
        reduced = {axes[a] for a in mean_axes(graph, op)}
        if not reduced <= {0, 1, 2}:
            raise _OnHost("it averages over channels, which lie side by side in a word")
        params = mean_params(graph, op)
        window = Window(
            r=layout.height if 1 in reduced else 1, s=layout.width if 2 in reduced else 1
        )
        out = Layout(
            root=op.outputs[0],
            height=1 if 1 in reduced else layout.height,
            width=1 if 2 in reduced else layout.width,
            channels=layout.channels,
            perm=layout.perm,
        )
        self.layouts.set(op.outputs[0], out)
        lanes = self.config.in_channels
        requant = self._requant(
            op,
            np.zeros(lanes),
            np.full(lanes, params.multiplier),
            np.full(lanes, params.shift),
            lanes=lanes,
            rounding=Rounding.DOUBLE,
            out_zp=params.out_zp,
            act=(-128, 127),
        )
        self._emit_depthwise(
            op,
            emitter,
            index,
            in_zp=params.in_zp,
            fill=params.in_zp,
            requant=requant,
            window=window,
        )
        return "depthwise", "mean over pixels: a sum, the count folded into the multiplier"

    def _lower_pad(self, op: Op, emitter: Emitter):
        graph = self.graph
        tensor = graph.tensors[op.inputs[0]]
        self._window_layout(op.inputs[0])
        amounts = graph.tensors[op.inputs[1]].data
        ofmap = graph.tensors[op.outputs[0]]
        if amounts.shape != (4, 2) or amounts[0].any() or amounts[3].any():
            raise _OnHost("it pads channels")
        if amounts.max() > _MAX_PAD or tensor.zero_point != ofmap.zero_point:
            raise _OnHost(f"more than {_MAX_PAD} rows or columns, or another zero point")
        requant = self._identity(op, out_zp=tensor.zero_point)
        self._emit_depthwise(
            op,
            emitter,
            op.inputs[0],
            in_zp=tensor.zero_point,
            fill=tensor.zero_point,
            pad=(int(amounts[1][0]), int(amounts[2][0])),
            requant=requant,
            window=Window(),
        )
        return "depthwise", "padding that no consumer can fold: a copy"

    def _lower_concat(self, op: Op, emitter: Emitter):
        graph = self.graph
        ofmap = graph.tensors[op.outputs[0]]
        rank = len(ofmap.shape)
        block = self.config.in_channels
        parts = [graph.tensors[i] for i in op.inputs]
        if op.attrs["axis"] % rank != rank - 1:
            raise _OnHost("it does not concatenate channels")
        if any(part.shape[-1] % block for part in parts[:-1]):
            raise _OnHost(f"a part's channels are not a multiple of {block}")
        if any(part.is_const or part.dtype != np.int8 for part in parts):
            raise _OnHost("a part is constant or not int8")
        same = (ofmap.scale, ofmap.zero_point)
        if any((part.scale, part.zero_point) != same for part in parts):
            raise _OnHost("its parts have other scales")
        if op.attrs["activation"] != "none":
            raise _OnHost("it has a fused activation")
        for index in op.inputs:
            if self.layouts[index].perm != _IDENTITY_PERM:
                raise _OnHost("a part is a transposed view")
        output = self._planes(op.outputs[0])
        requant = self._identity(op, out_zp=ofmap.zero_point)
        first = 0
        for index in op.inputs:
            num = self._planes(index).num_blocks
            self._emit_depthwise(
                op,
                emitter,
                index,
                in_zp=ofmap.zero_point,
                fill=ofmap.zero_point,
                requant=requant,
                window=Window(),
                output=replace(
                    output, address=output.address + first * output.plane_bytes, num_blocks=num
                ),
                # Each part is a layer of its own to the semaphores.
                fence=index != op.inputs[-1],
            )
            first += num
        return "depthwise", "channels put behind each other: copies of whole channel blocks"

    def _emit_depthwise(
        self,
        op,
        emitter,
        index,
        *,
        in_zp,
        fill,
        requant,
        pad=(0, 0),
        wgt_addr=None,
        regions=None,
        max_mode=False,
        window=None,
        params_per_block=False,
        output=None,
        fence=False,
    ) -> None:
        source = self.layouts[index]
        output = self._planes(op.outputs[0]) if output is None else output
        if regions is None:
            regions = (Region(y0=0, x0=0, rows=output.height, cols=output.width),)
        spec = DepthwiseSpec(
            name=f"{self.graph.name}: {self.graph.op_name(op)}",
            window=self._window(op) if window is None else window,
            pad_top=pad[0],
            pad_left=pad[1],
            num_channels=source.channels,
            input=self._planes(index),
            output=output,
            wgt_addr=wgt_addr,
            max_mode=max_mode,
            in_zp=in_zp,
            fill=fill,
            requant=requant,
            params_per_block=params_per_block,
            regions=regions,
        )
        emit_depthwise(emitter, self.config, spec)
        if fence:
            emitter.end_layer(len(self.layers))

    # Elementwise unit

    def _lower_add(self, op: Op, emitter: Emitter):
        graph = self.graph
        tensors = [graph.tensors[i] for i in op.inputs]
        if any(t.is_const for t in tensors):
            return self._lower_table(op, emitter)
        first, second = (self.layouts[i] for i in op.inputs)
        if tensors[0].shape != tensors[1].shape or tensors[1].dtype != np.int8:
            raise _OnHost("its operands differ in shape or type")
        if replace(first, root=0) != replace(second, root=0):
            raise _OnHost("its operands lie differently")
        params = add_params(graph, op)
        values = np.arange(TABLE_ENTRIES, dtype=np.uint8).view(np.int8)
        tables = np.stack([scaled_input(params, n, values) for n in (0, 1)])
        self.layouts.set(op.outputs[0], replace(first, root=op.outputs[0]))
        requant = self._requant_lanes(
            op,
            params.out_multiplier,
            params.out_shift,
            out_zp=params.out_zp,
            act=(params.act_min, params.act_max),
        )
        self._emit_elementwise(op, emitter, op.inputs, tables, requant)
        return "post", "sum of two maps: scaled inputs from tables, one requantisation"

    _lower_sub = _lower_add

    def _lower_mul(self, op: Op, emitter: Emitter):
        if not any(self.graph.tensors[i].is_const for i in op.inputs):
            raise _OnHost("a product of two maps; the golden model's code runs it")
        return self._lower_table(op, emitter)

    def _lower_table(self, op: Op, emitter: Emitter):
        """An operator of one int8 tensor: every result is in a table of 256."""
        graph = self.graph
        operands = [i for i in op.inputs if i >= 0 and not graph.tensors[i].is_const]
        constants = [graph.tensors[i] for i in op.inputs if i >= 0 and graph.tensors[i].is_const]
        if len(operands) != 1 or any(c.data.size != 1 for c in constants):
            raise _OnHost("its constant operand is not a single value")
        index = operands[0]
        values = np.arange(TABLE_ENTRIES, dtype=np.uint8).view(np.int8)
        out_zp = graph.tensors[op.outputs[0]].zero_point
        (results,) = run_op(graph, op, {index: values})
        table = results.astype(np.int32).reshape(-1) - out_zp
        tables = np.stack([table, np.zeros_like(table)])
        self.layouts.set(op.outputs[0], replace(self.layouts[index], root=op.outputs[0]))
        requant = self._identity(op, out_zp=out_zp)
        self._emit_elementwise(op, emitter, (index,), tables, requant)
        return "post", "one int8 tensor in, one out: a table of 256 results"

    _lower_logistic = _lower_table
    _lower_hard_swish = _lower_table
    _lower_quantize = _lower_table

    def _emit_elementwise(self, op, emitter, inputs, tables, requant) -> None:
        spec = ElementwiseSpec(
            name=f"{self.graph.name}: {self.graph.op_name(op)}",
            num_channels=self.layouts[inputs[0]].channels,
            inputs=tuple(self._planes(i) for i in inputs),
            output=self._planes(op.outputs[0]),
            tables_addr=self.constants.constant(
                tables.astype("<i4"), f"tables {self.graph.op_name(op)}"
            ),
            requant=requant,
        )
        emit_elementwise(emitter, self.config, spec)

    # Parts

    def _window(self, op: Op) -> Window:
        r, s, stride_h, stride_w = pool_window(self.graph, op)
        out = self.layouts[op.outputs[0]]
        # A stride that is never taken is no stride (global pools).
        stride_h = stride_h if out.height > 1 else 1
        stride_w = stride_w if out.width > 1 else 1
        if max(stride_h, stride_w) > 15:
            raise _OnHost(f"stride {stride_h}x{stride_w} is more than 15")
        return Window(r=r, s=s, stride_h=stride_h, stride_w=stride_w)

    def _pads(self, op: Op, extra) -> tuple[int, int, int, int]:
        return extra if any(extra) else pads(self.graph, op)

    def _requant(self, op, bias, mult, shift, *, lanes, rounding, out_zp, act) -> Requant:
        if np.max(shift) > MAX_SHIFT or np.min(shift) < MIN_SHIFT:
            raise _OnHost(
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


def _dense(weights: np.ndarray, channels: int) -> np.ndarray:
    """Return conv weights [K, R, S, C] that do what depthwise ones [1, R, S, C * m] do."""
    _, r, s, num_k = weights.shape
    dense = np.zeros((num_k, r, s, channels), np.int8)
    for k in range(num_k):
        dense[k, :, :, k * channels // num_k] = weights[0, :, :, k]
    return dense


def _real(size: int, kernel: int, stride: int, before: int, out: int) -> np.ndarray:
    """Return how many real elements each window along one axis holds."""
    starts = np.arange(out) * stride - before
    return np.minimum(starts + kernel, size) - np.maximum(starts, 0)


def _runs(values: np.ndarray):
    """Yield (start, length) of runs of equal values."""
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    for start, end in zip(edges, edges[1:]):
        yield start, end - start
