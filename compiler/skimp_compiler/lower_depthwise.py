"""Layers of the depthwise unit: depthwise convolution, pools, means, padding, concatenation."""

from dataclasses import replace

import numpy as np

from skimp.isa import Rounding
from skimp_compiler.depthwise_layer import DepthwiseLayer, DepthwiseSpec, Region
from skimp_compiler.emitter import Emitter
from skimp_compiler.geometry import Window
from skimp_compiler.graph import ModelError, Op
from skimp_compiler.layout import Layout, axes_of
from skimp_compiler.lower_array import ArrayLayers
from skimp_compiler.lower_parts import IDENTITY_PERM, MAX_PAD, OnHost
from skimp_compiler.weights import pack_depthwise
from skimp_sim.golden.arithmetic import activation_range
from skimp_sim.golden.params import mean_axes, mean_params

__all__ = ["DepthwiseLayers", "exact_division"]


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


class DepthwiseLayers(ArrayLayers):
    """depthwise, avg_pool, max_pool, mean, pad, concat."""

    def _on_unit(self, op: Op) -> bool:
        """A depthwise convolution for the depthwise unit."""
        if op.kind != "depthwise" or self._depthwise != "unit":
            return False
        tensors = self.graph.tensors
        return tensors[op.inputs[1]].shape[3] == tensors[op.inputs[0]].shape[3]

    def _lower_depthwise(self, op: Op, emitter: Emitter):
        index, extra = self._input(op)
        layout = self._window_layout(index)
        weights = self.graph.tensors[op.inputs[1]].data
        if not self._on_unit(op):
            self._emit_dense(op, emitter, index, weights, self._window(op), self._pads(op, extra))
            why = (
                "depthwise on the array, as asked for"
                if weights.shape[3] == layout.channels
                else "depth multiplier above 1"
            )
            return "array", f"{why}: convolutions of channel blocks, with zeros between"
        tensor = self.graph.tensors[index]
        top, _, left, _ = self._pads(op, extra)
        wgt_addr = self.constants.constant(
            pack_depthwise(weights, self.config), f"weights {self.graph.op_name(op)}"
        )
        requant = self._conv_requant(op, lanes=self.config.out_channels)
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
        lanes = self.config.out_channels
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
            raise OnHost("its input is a view that the compiler cannot follow") from error
        reduced = {axes[a] for a in mean_axes(graph, op)}
        if not reduced <= {0, 1, 2}:
            raise OnHost("it averages over channels, which lie side by side in a word")
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
        lanes = self.config.out_channels
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
            raise OnHost("it pads channels")
        if amounts.max() > MAX_PAD or tensor.zero_point != ofmap.zero_point:
            raise OnHost(f"more than {MAX_PAD} rows or columns, or another zero point")
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
            raise OnHost("it does not concatenate channels")
        if any(part.shape[-1] % block for part in parts[:-1]):
            raise OnHost(f"a part's channels are not a multiple of {block}")
        if any(part.is_const or part.dtype != np.int8 for part in parts):
            raise OnHost("a part is constant or not int8")
        same = (ofmap.scale, ofmap.zero_point)
        if any((part.scale, part.zero_point) != same for part in parts):
            raise OnHost("its parts have other scales")
        if op.attrs["activation"] != "none":
            raise OnHost("it has a fused activation")
        layouts = [self.layouts[index] for index in op.inputs]
        if any(layout.perm != IDENTITY_PERM for layout in layouts):
            raise OnHost("a part is a transposed view")
        first = layouts[0]
        if any((part.height, part.width) != (first.height, first.width) for part in layouts):
            raise OnHost("its parts lie differently")
        # As the parts lie, which may be views of another shape.
        self.layouts.set(
            op.outputs[0], replace(first, root=op.outputs[0], channels=ofmap.shape[-1])
        )
        self._emit_depthwise(
            op,
            emitter,
            *op.inputs,
            in_zp=ofmap.zero_point,
            fill=ofmap.zero_point,
            requant=self._identity(op, out_zp=ofmap.zero_point),
            window=Window(),
        )
        return "depthwise", "channels put behind each other: copies of whole channel blocks"

    def _emit_depthwise(
        self,
        op,
        emitter,
        *indices,
        in_zp,
        fill,
        requant,
        pad=(0, 0),
        wgt_addr=None,
        regions=None,
        max_mode=False,
        window=None,
        params_per_block=False,
    ) -> None:
        second, made = self._fuse(op)
        output = self._planes(made)
        if regions is None:
            regions = (Region(y0=0, x0=0, rows=output.height, cols=output.width),)
        spec = DepthwiseSpec(
            window=self._window(op) if window is None else window,
            pad_top=pad[0],
            pad_left=pad[1],
            num_channels=sum(self.layouts[index].channels for index in indices),
            inputs=tuple(self._planes(index) for index in indices),
            output=output,
            wgt_addr=wgt_addr,
            max_mode=max_mode,
            in_zp=in_zp,
            fill=fill,
            requant=requant,
            params_per_block=params_per_block,
            regions=regions,
            second=second,
        )
        self._layer = DepthwiseLayer(emitter, self.config, spec, beside=self._beside)


def _real(size: int, kernel: int, stride: int, before: int, out: int) -> np.ndarray:
    """Return how many real elements each window along one axis holds."""
    starts = np.arange(out) * stride - before
    return np.minimum(starts + kernel, size) - np.maximum(starts, 0)


def _runs(values: np.ndarray):
    """Yield (start, length) of runs of equal values."""
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    for start, end in zip(edges, edges[1:]):
        yield start, end - start
