"""MobileNet v1 and v2: depthwise separable convolutions."""

from skimp_compiler.zoo.architectures.network import Network

__all__ = ["mobilenet_v1", "mobilenet_v2"]

# Stride of the depthwise convolution, channels behind the 1x1.
_V1_BLOCKS = (
    *((1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512)),
    *((1, 512),) * 5,
    *((2, 1024), (1, 1024)),
)

# Expansion, channels, blocks, stride of the first block.
# fmt: off
_V2_STAGES = (
    (1,  16, 1, 1),
    (6,  24, 2, 2),
    (6,  32, 3, 2),
    (6,  64, 4, 2),
    (6,  96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
# fmt: on

# Some hundredths of the values reach 6.
_RELU6 = {"activation": "relu6", "spread": 2.0}


def mobilenet_v1() -> Network:
    """MobileNet v1, width 1.0 (A. Howard et al., 2017), 224 x 224: 569 MMAC."""
    net = Network("mobilenet_v1", (224, 224, 3))
    x = net.conv("conv1", 0, 32, 3, stride=2, **_RELU6)
    for number, (stride, channels) in enumerate(_V1_BLOCKS, start=1):
        x = net.depthwise(f"block{number}/depthwise", x, 3, stride=stride, **_RELU6)
        x = net.conv(f"block{number}/pointwise", x, channels, 1, **_RELU6)
    x = net.global_pool("pool", x)
    return net.finish_softmax(net.logits("logits", x, 1000))


def mobilenet_v2() -> Network:
    """MobileNet v2, width 1.0 (M. Sandler et al., CVPR 2018), 224 x 224: 301 MMAC.

    1001 classes, a background first, as in the authors' trained files.
    """
    net = Network("mobilenet_v2", (224, 224, 3))
    x = net.conv("conv1", 0, 32, 3, stride=2, **_RELU6)
    number = 0
    for expansion, channels, count, first_stride in _V2_STAGES:
        for repeat in range(count):
            name, shortcut = f"block{number}", x
            if expansion > 1:
                wide = expansion * net.shape(x)[2]
                x = net.conv(f"{name}/expand", x, wide, 1, **_RELU6)
            stride = first_stride if repeat == 0 else 1
            x = net.depthwise(f"{name}/depthwise", x, 3, stride=stride, **_RELU6)
            x = net.conv(f"{name}/project", x, channels, 1, activation="none")
            if repeat > 0:
                x = net.add(f"{name}/add", shortcut, x)
            number += 1
    x = net.conv("head", x, 1280, 1, **_RELU6)
    x = net.mean("mean", x)
    return net.finish_softmax(net.logits("logits", x, 1001))
