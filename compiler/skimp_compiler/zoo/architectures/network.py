"""A network as a list of layers with their shapes, MACs and parameters, but no numbers yet."""

import math
from dataclasses import dataclass

__all__ = ["LayerSpec", "Network"]


@dataclass(frozen=True, kw_only=True)
class LayerSpec:
    """One layer.

    Parameters
    ----------
    kind : str
        input, conv, depthwise, fully_connected, add, concat (of channels), max_pool, avg_pool,
        mean (over height and width), reshape, resize_nearest, softmax
    name : str
    inputs : tuple of int
        Numbers of the layers that feed it.
    shape : tuple of int
        Of its output, without the batch: [H, W, C] or [C].
    weight_shape : tuple of int or None
        As a .tflite holds it: conv [K, R, S, C], depthwise [1, R, S, C], fully_connected [K, C].
    kernel, stride : int
        Of convolutions and pools, same in both directions.
    padding : str
        "same" or "valid", as TensorFlow means them.
    activation : str
        "none", "relu" or "relu6".
    zeros : float
        Share of the pre-activations that the biases put below zero, mean over the channels.
    spread : float
        Of the pre-activations in real numbers (about their standard deviation).
    """

    kind: str
    name: str
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    weight_shape: tuple[int, ...] | None = None
    kernel: int = 1
    stride: int = 1
    padding: str = "same"
    activation: str = "none"
    zeros: float = 0.5
    spread: float = 1.0

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return math.prod(self.weight_shape) + self.shape[-1] if self.weight_shape else 0

    @property
    def macs(self) -> int:
        """Multiply-accumulates, padding counted as if it were pixels."""
        if self.weight_shape is None:
            return 0
        taps = math.prod(self.weight_shape[1:])
        return math.prod(self.shape) * (taps // self.shape[-1] if self.is_depthwise else taps)

    @property
    def is_depthwise(self) -> bool:
        return self.kind == "depthwise"


class Network:
    """Layers in order; the methods append one and return its number, 0 is the input.

    Parameters
    ----------
    name : str
    shape : tuple of int
        Of the input, [H, W, C].
    """

    def __init__(self, name: str, shape: tuple[int, int, int]):
        self.name = name
        self.layers = [LayerSpec(kind="input", name="input", inputs=(), shape=shape)]
        self.outputs: list[int] = []

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)

    def _append(self, kind: str, name: str, inputs: tuple[int, ...], shape, **facts) -> int:
        self.layers.append(LayerSpec(kind=kind, name=name, inputs=inputs, shape=shape, **facts))
        return len(self.layers) - 1

    def shape(self, x: int) -> tuple[int, ...]:
        return self.layers[x].shape

    def _window(self, x: int, kernel: int, stride: int, padding: str) -> tuple[int, int]:
        height, width, _ = self.shape(x)
        lost = 0 if padding == "same" else kernel - 1
        return tuple(-(-(size - lost) // stride) for size in (height, width))

    def conv(
        self, name: str, x: int, channels: int, kernel: int, *, stride: int = 1,
        padding: str = "same", activation: str = "relu", zeros: float = 0.5, spread: float = 1.0,
    ) -> int:  # fmt: skip
        shape = *self._window(x, kernel, stride, padding), channels
        weight_shape = channels, kernel, kernel, self.shape(x)[2]
        return self._append(
            "conv", name, (x,), shape, weight_shape=weight_shape, kernel=kernel, stride=stride,
            padding=padding, activation=activation, zeros=zeros, spread=spread,
        )  # fmt: skip

    def depthwise(
        self, name: str, x: int, kernel: int, *, stride: int, activation: str, spread: float = 1.0
    ) -> int:
        channels = self.shape(x)[2]
        shape = *self._window(x, kernel, stride, "same"), channels
        return self._append(
            "depthwise", name, (x,), shape, weight_shape=(1, kernel, kernel, channels),
            kernel=kernel, stride=stride, activation=activation, spread=spread,
        )  # fmt: skip

    def max_pool(self, name: str, x: int, kernel: int, stride: int, padding: str = "same") -> int:
        shape = *self._window(x, kernel, stride, padding), self.shape(x)[2]
        return self._append(
            "max_pool", name, (x,), shape, kernel=kernel, stride=stride, padding=padding
        )

    def global_pool(self, name: str, x: int) -> int:
        """Average of the whole map by a pool, as a vector."""
        height, _, channels = self.shape(x)
        y = self._append(
            "avg_pool", name, (x,), (1, 1, channels), kernel=height, padding="valid"
        )  # fmt: skip
        return self._append("reshape", f"{name}/flat", (y,), (channels,))

    def mean(self, name: str, x: int) -> int:
        """Average of the whole map by a reduction, as a vector."""
        return self._append("mean", name, (x,), self.shape(x)[2:])

    def flatten(self, name: str, x: int) -> int:
        return self._append("reshape", name, (x,), (math.prod(self.shape(x)),))

    def dense(self, name: str, x: int, channels: int) -> int:
        return self._append(
            "fully_connected", name, (x,), (channels,),
            weight_shape=(channels, self.shape(x)[0]), activation="relu",
        )  # fmt: skip

    def logits(self, name: str, x: int, classes: int) -> int:
        """A fully connected layer in front of a softmax: some classes stand out."""
        return self._append(
            "fully_connected", name, (x,), (classes,),
            weight_shape=(classes, self.shape(x)[0]), spread=3.0,
        )  # fmt: skip

    def add(self, name: str, x: int, y: int, activation: str = "none") -> int:
        return self._append("add", name, (x, y), self.shape(x), activation=activation)

    def concat(self, name: str, *parts: int) -> int:
        height, width, _ = self.shape(parts[0])
        channels = sum(self.shape(part)[2] for part in parts)
        return self._append("concat", name, parts, (height, width, channels))

    def upsample(self, name: str, x: int) -> int:
        """Twice the height and the width by the nearest pixel."""
        height, width, channels = self.shape(x)
        return self._append("resize_nearest", name, (x,), (2 * height, 2 * width, channels))

    def finish(self, *outputs: int) -> "Network":
        self.outputs = list(outputs)
        return self

    def finish_softmax(self, x: int) -> "Network":
        return self.finish(self._append("softmax", "softmax", (x,), self.shape(x)))
