"""INT8 networks from an architecture and a seed, with numbers as trained networks have them.

Weights are drawn; scales, zero points and biases follow from one run of the network on a seeded
picture, layer by layer on the quantised values. A layer's bias puts the wanted share of a channel's
sums below zero, its weight scale gives every channel about the same spread, as a batch norm would.
The answers mean nothing, but ranges, zeros and rounding are those of a real run.

Sums of products are integers below 2**53, so that float64 holds them exactly in whatever order a
matrix product adds them; all that follows is order statistics and single operations. The file is
therefore the same on every machine.
"""

import math
from collections.abc import Callable

import numpy as np

from skimp_compiler.graph import Graph, Quant
from skimp_compiler.zoo.architectures import LayerSpec, Network, architecture
from skimp_compiler.zoo.graph_maker import GraphMaker, make_quant
from skimp_compiler.zoo.quantise import activation_quant
from skimp_compiler.zoo.seeded_layers import layer_sums, max_pool
from skimp_compiler.zoo.seeded_numbers import RandomIntegers, seeded_picture, seeded_weights
from skimp_compiler.zoo.seeded_statistics import bias_and_spread, scale_groups, value_range

__all__ = ["INPUT_SCALE", "INPUT_ZERO_POINT", "build_seeded", "quantise_seeded"]

# real = (pixel - 128) / 128.
INPUT_SCALE = 1 / 128
INPUT_ZERO_POINT = 0


def build_seeded(name: str, progress: Callable[..., None]) -> Graph:
    """Return the graph of an architecture by its name; see `quantise_seeded`."""
    return quantise_seeded(architecture(name), progress)


def quantise_seeded(
    network: Network, progress: Callable[..., None] = lambda text, share=None: None
) -> Graph:
    """Return the INT8 graph of an architecture.

    Parameters
    ----------
    network : Network
    progress : callable
        Called as progress(text, share of the work that is done).
    """
    maker = _Maker(network)
    layers, done, total = network.layers, 0, sum(_work(layer) for layer in network.layers)
    last_use = {x: number for number, layer in enumerate(layers) for x in layer.inputs}
    for number, layer in enumerate(layers):
        progress(f"{layer.name}, layer {number} of {len(layers) - 1}", done / total)
        maker.add(number, layer)
        done += _work(layer)
        for x in [x for x in maker.values if last_use.get(x, number) <= number]:
            del maker.values[x]
    return maker.graph(network.name, [maker.index[0]], [maker.index[x] for x in network.outputs])


def _work(layer: LayerSpec) -> int:
    """About what a layer costs: MACs, weights to draw, values to round."""
    return layer.macs + 50 * layer.parameters + 500 * math.prod(layer.shape)


class _Maker(GraphMaker):
    """Adds layers to a graph and runs each at once."""

    def __init__(self, network: Network):
        super().__init__()
        self._network = network
        self._group = scale_groups(network)
        self._group_quant: dict[int, Quant] = {}
        self.index: list[int] = []
        """Tensor number of every layer's output."""
        self.values: dict[int, np.ndarray] = {}
        """int8 output of the layers that are still needed, without the batch."""

    def add(self, number: int, layer: LayerSpec) -> None:
        getattr(self, f"_{layer.kind}")(number, layer)

    def _output(self, number: int, layer: LayerSpec, quant: Quant, values: np.ndarray) -> None:
        self.index.append(self.tensor(layer.name, (1, *layer.shape), "i1", quant))
        self.values[number] = values

    def _step(self, layer: LayerSpec, *constants: int, **attrs) -> None:
        """Append the operator whose output was added last."""
        inputs = [self.index[x] for x in layer.inputs]
        self.op(layer.kind, [*inputs, *constants], self.index[-1], **attrs)

    def _quant_of(self, x: int) -> Quant:
        return self.tensors[self.index[x]].quant

    def _centred(self, x: int) -> np.ndarray:
        """Values minus zero point, float64."""
        return self.values[x].astype(np.float64) - float(self._quant_of(x).zero_point[0])

    def _scale(self, x: int) -> float:
        return float(self._quant_of(x).scale[0])

    def _pass(self, number: int, layer: LayerSpec, values: np.ndarray) -> None:
        """Add an output that keeps scale and zero point of the input."""
        self._output(number, layer, self._quant_of(layer.inputs[0]), values.reshape(layer.shape))

    def _rounded(self, real: np.ndarray, quant: Quant, activation: str = "none") -> np.ndarray:
        """Return int8; `real` is overwritten."""
        scale, zero_point = float(quant.scale[0]), int(quant.zero_point[0])
        real /= scale
        real += 0.5
        stored = np.floor(real, out=real)
        stored += zero_point
        low = -128 if activation == "none" else zero_point
        return np.clip(stored, low, 127, out=stored).astype(np.int8)

    # Layers with weights

    def _weighted(self, number: int, layer: LayerSpec, **attrs) -> None:
        (x,), channels = layer.inputs, layer.shape[-1]
        axis = len(layer.weight_shape) - 1 if layer.is_depthwise else 0
        random = RandomIntegers(self._network.name, layer.name)
        stored = seeded_weights(random, layer.weight_shape, axis)
        sums = layer_sums(layer, self._centred(x), stored).reshape(-1, channels)
        bias, spread = bias_and_spread(layer, sums, random)
        sums += bias
        # Channels differ: from half to one and a half of the layer's spread.
        wanted = layer.spread * random.between(128, 384, channels) / 256
        scale = (wanted / spread / self._scale(x)).astype(np.float32)
        scale, quant = self._output_quant(number, layer, scale, sums)
        sums *= self._scale(x) * scale.astype(np.float64)
        bias_scale = (np.float32(self._scale(x)) * scale).astype(np.float32)
        constants = (
            self.constant(f"{layer.name}/weight", stored, make_quant(scale, axis=axis)),
            self.constant(f"{layer.name}/bias", bias.astype(np.int32), make_quant(bias_scale)),
        )
        values = self._rounded(sums, quant, layer.activation).reshape(layer.shape)
        self._output(number, layer, quant, values)
        self._step(layer, *constants, activation=layer.activation, **attrs)

    def _output_quant(self, number, layer, scale, sums) -> tuple[np.ndarray, Quant]:
        """Choose the output's scale; fit the weights' scale to it, so that parts that share it do."""
        if layer.activation == "relu6":
            return scale, self._shared_quant(number, 0.0, 6.0)
        low, high = value_range(sums * (self._scale(layer.inputs[0]) * scale.astype(np.float64)))
        quant = self._shared_quant(number, 0.0 if layer.activation == "relu" else low, high)
        largest = (127 - int(quant.zero_point[0])) * float(quant.scale[0])
        return (scale.astype(np.float64) * (largest / high)).astype(np.float32), quant

    def _shared_quant(self, number: int, low: float, high: float) -> Quant:
        """The quantisation of a layer's scale group; its first layer decides."""
        group = self._group[number]
        if group not in self._group_quant:
            self._group_quant[group] = activation_quant(low, high)
        return self._group_quant[group]

    def _conv(self, number: int, layer: LayerSpec, **attrs) -> None:
        self._weighted(
            number, layer, stride_h=layer.stride, stride_w=layer.stride, dilation_h=1,
            dilation_w=1, padding=layer.padding, **attrs,
        )  # fmt: skip

    def _depthwise(self, number: int, layer: LayerSpec) -> None:
        self._conv(number, layer, multiplier=1)

    def _fully_connected(self, number: int, layer: LayerSpec) -> None:
        self._weighted(number, layer, keep_num_dims=False)

    # Layers without

    def _input(self, number: int, layer: LayerSpec) -> None:
        quant = make_quant(INPUT_SCALE, INPUT_ZERO_POINT)
        self._output(number, layer, quant, seeded_picture(layer.shape[0]))

    def _add(self, number: int, layer: LayerSpec) -> None:
        x, y = layer.inputs
        real = self._centred(x) * self._scale(x)
        real += self._centred(y) * self._scale(y)
        low, high = value_range(real)
        quant = self._shared_quant(number, 0.0 if layer.activation == "relu" else low, high)
        self._output(number, layer, quant, self._rounded(real, quant, layer.activation))
        self._step(layer, activation=layer.activation)

    def _mean(self, number: int, layer: LayerSpec) -> None:
        (x,) = layer.inputs
        pixels = self._centred(x).reshape(-1, layer.shape[0])
        real = pixels.sum(axis=0) / len(pixels) * self._scale(x)
        quant = self._shared_quant(number, *value_range(real))
        self._output(number, layer, quant, self._rounded(real, quant))
        axes = self.constant(f"{layer.name}/axes", np.array([1, 2], np.int32))
        self._step(layer, axes, keep_dims=False)

    def _pool_attrs(self, layer: LayerSpec) -> dict:
        return {
            "filter_h": layer.kernel, "filter_w": layer.kernel, "stride_h": layer.stride,
            "stride_w": layer.stride, "padding": layer.padding, "activation": "none",
        }  # fmt: skip

    def _max_pool(self, number: int, layer: LayerSpec) -> None:
        self._pass(number, layer, max_pool(layer, self.values[layer.inputs[0]]))
        self._step(layer, **self._pool_attrs(layer))

    def _avg_pool(self, number: int, layer: LayerSpec) -> None:
        pixels = self.values[layer.inputs[0]].astype(np.int64).reshape(-1, layer.shape[2])
        total, count = pixels.sum(axis=0), len(pixels)
        mean = np.sign(total) * ((np.abs(total) + count // 2) // count)
        self._pass(number, layer, mean.astype(np.int8))
        self._step(layer, **self._pool_attrs(layer))

    def _reshape(self, number: int, layer: LayerSpec) -> None:
        self._pass(number, layer, self.values[layer.inputs[0]])
        shape = np.array([1, *layer.shape], np.int32)
        self._step(layer, self.constant(f"{layer.name}/shape", shape))

    def _resize_nearest(self, number: int, layer: LayerSpec) -> None:
        values = self.values[layer.inputs[0]].repeat(2, axis=0).repeat(2, axis=1)
        self._pass(number, layer, values)
        size = self.constant(f"{layer.name}/size", np.array(layer.shape[:2], np.int32))
        self._step(layer, size, align_corners=False, half_pixel_centers=False)

    def _concat(self, number: int, layer: LayerSpec) -> None:
        parts = [self.values[x] for x in layer.inputs]
        self._pass(number, layer, np.concatenate(parts, axis=2))
        self._step(layer, axis=3, activation="none")

    def _softmax(self, number: int, layer: LayerSpec) -> None:
        # Nothing follows, so its values are not needed; TFLite fixes its quantisation.
        self._output(number, layer, make_quant(1 / 256, -128), np.zeros(layer.shape, np.int8))
        self._step(layer, beta=1.0)
