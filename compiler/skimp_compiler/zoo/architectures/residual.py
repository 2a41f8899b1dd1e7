"""ResNet-50: bottleneck blocks with a sum behind each."""

from skimp_compiler.zoo.architectures.network import Network

__all__ = ["resnet50"]


def _bottleneck(net: Network, name: str, x: int, channels: int, stride: int) -> int:
    """Append 1x1 (it has the stride), 3x3, 1x1 and the sum with x, projected where it must be."""
    y = net.conv(f"{name}/reduce", x, channels, 1, stride=stride)
    y = net.conv(f"{name}/3x3", y, channels, 3)
    # What the shortcut carries is seldom negative, so the branch has to be for the sum to be.
    y = net.conv(f"{name}/expand", y, 4 * channels, 1, activation="none", zeros=0.65)
    if net.shape(x) != net.shape(y):
        x = net.conv(f"{name}/project", x, 4 * channels, 1, stride=stride, activation="none")
    return net.add(f"{name}/add", x, y, "relu")


def resnet50() -> Network:
    """ResNet-50 as first published (K. He et al., CVPR 2016), 224 x 224: 3.86 GMAC.

    The stride of a stage is in its first 1x1 convolution; later versions move it to the 3x3 and
    need 4.1 GMAC.
    """
    net = Network("resnet50", (224, 224, 3))
    x = net.conv("conv1", 0, 64, 7, stride=2)
    x = net.max_pool("pool1", x, 3, 2)
    for stage, (channels, count) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), start=2):
        for block in range(count):
            stride = 2 if stage > 2 and block == 0 else 1
            x = _bottleneck(net, f"conv{stage}_{block + 1}", x, channels, stride)
    x = net.mean("mean", x)
    return net.finish_softmax(net.logits("logits", x, 1000))
