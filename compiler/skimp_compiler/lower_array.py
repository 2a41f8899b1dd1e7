"""Layers of the array: convolutions and fully connected layers."""

from dataclasses import replace

import numpy as np

from skimp_compiler.conv_layer import ConvLayer, ConvParts
from skimp_compiler.conv_tiling import ConvSpec
from skimp_compiler.drain_store import Requant
from skimp_compiler.emitter import Emitter
from skimp_compiler.geometry import Window
from skimp_compiler.graph import ModelError, Op
from skimp_compiler.layout import Layout
from skimp_compiler.lower_elementwise import ElementwiseLayers
from skimp_compiler.lower_parts import IDENTITY_PERM, OnHost
from skimp_compiler.weights import check_packable, dense_parts, pack_conv

__all__ = ["ArrayLayers"]


class ArrayLayers(ElementwiseLayers):
    """conv and fully_connected; other layers that become a convolution use `_emit_conv`."""

    def _lower_conv(self, op: Op, emitter: Emitter):
        index, extra = self._input(op)
        self._window_layout(index)
        weights = self.graph.tensors[op.inputs[1]].data
        self._emit_conv(op, emitter, index, weights, self._window(op), self._pads(op, extra))
        return "array", "convolution: channels side by side on the packed array"

    def _lower_fully_connected(self, op: Op, emitter: Emitter):
        weights = self.graph.tensors[op.inputs[1]].data
        num_k, num_c = weights.shape
        index = op.inputs[0]
        if index in self._folded:
            index = self._folded[index].inputs[0]
        layout = self.layouts[index]
        if layout.perm != IDENTITY_PERM and layout.height * layout.width > 1:
            raise OnHost("its input is a transposed view")
        if layout.channels == num_c:
            window, shaped = Window(), weights.reshape(num_k, 1, 1, num_c)
            reason = "fully connected: a 1x1 convolution, weights straight from DRAM"
        elif layout.height * layout.width * layout.channels == num_c:
            window = Window(r=layout.height, s=layout.width)
            shaped = weights.reshape(num_k, layout.height, layout.width, layout.channels)
            reason = "fully connected over a map: a convolution as large as the map"
        else:
            raise OnHost(f"its input of {layout.nhwc} is not a row of {num_c} values")
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
        requant = self._packed_requant(op, weights)
        weights, window, left = self._fold_weights(index, weights, window, amounts[2])
        pads = amounts[0], left
        (spec,) = self._conv_specs(op, index, [(0, 0, weights)], window, pads, requant)
        self._layer = ConvLayer(emitter, self.config, spec, band=self._band(op))

    def _emit_dense(self, op, emitter, index, weights, window: Window, amounts) -> None:
        """Depthwise weights [1, R, S, C * m] on the array."""
        parts = list(dense_parts(weights, self.layouts[index].channels, self.config))
        requant = self._packed_requant(op, *(dense for _, _, dense in parts))
        pads = amounts[0], amounts[2]
        specs = self._conv_specs(op, index, parts, window, pads, requant)
        self._layer = ConvParts(emitter, self.config, specs)

    def _packed_requant(self, op, *weights) -> Requant:
        """Requantisation of a layer whose weights fit the packed operand."""
        if not all(check_packable(part) for part in weights):
            raise ModelError(
                f"{self.graph.name}: {self.graph.op_name(op)}: a weight of -128 beside a negative "
                "one does not fit the packed operand; quantise the weights to [-127, 127]"
            )
        return self._conv_requant(op, lanes=self.config.out_channels)

    def _conv_specs(self, op, index, parts, window: Window, pads, requant) -> list[ConvSpec]:
        """Return the convolutions of a layer.

        Parameters
        ----------
        parts : list of (int, int, np.ndarray)
            First input block, first output block and weights of each.
        pads : (int, int)
            Rows above, columns on the left.
        """
        second, made = self._fuse(op)
        packed = [pack_conv(weights, self.config).reshape(-1) for _, _, weights in parts]
        wgt_addr = self.constants.constant(
            np.concatenate(packed), f"weights {self.graph.op_name(op)}"
        )
        specs = []
        for (first_input, first_output, weights), data in zip(parts, packed):
            spec = ConvSpec(
                window=window,
                pad_top=pads[0],
                pad_left=pads[1],
                num_channels=weights.shape[3],
                num_outputs=weights.shape[0],
                input=self._planes(index),
                output=self._planes(made),
                wgt_addr=wgt_addr,
                in_zp=self.graph.tensors[op.inputs[0]].zero_point,
                requant=requant,
                second=second,
                first_input=first_input,
                first_output=first_output,
            )
            specs.append(spec)
            wgt_addr += data.nbytes
        return specs

    def _fold_weights(self, index: int, weights, window: Window, left: int):
        """Weights and window over an input whose kernel columns the host folds into channels."""
        if self.place(index).fold is None:
            return weights, window, left
        k, r, s, c = weights.shape
        folded = np.ascontiguousarray(weights.reshape(k, r, 1, s * c))
        return folded, replace(window, s=1, stride_w=1), 0
