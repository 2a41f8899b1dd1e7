"""The published architectures that skimp builds without their weights, one function each."""

from collections.abc import Callable

from skimp_compiler.graph import ModelError
from skimp_compiler.zoo.architectures.branching import googlenet, squeezenet
from skimp_compiler.zoo.architectures.detection import yolov3_tiny
from skimp_compiler.zoo.architectures.mobile import mobilenet_v1, mobilenet_v2
from skimp_compiler.zoo.architectures.network import LayerSpec, Network
from skimp_compiler.zoo.architectures.plain import alexnet, vgg16
from skimp_compiler.zoo.architectures.residual import resnet50

__all__ = ["ARCHITECTURES", "LayerSpec", "Network", "architecture"]

ARCHITECTURES: dict[str, Callable[[], Network]] = {
    "alexnet": alexnet,
    "vgg16": vgg16,
    "googlenet": googlenet,
    "squeezenet": squeezenet,
    "resnet50": resnet50,
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "yolov3_tiny": yolov3_tiny,
}


def architecture(name: str) -> Network:
    """Return the layers of a network by name."""
    if name not in ARCHITECTURES:
        raise ModelError(f"{name}: no such architecture; there are {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]()
