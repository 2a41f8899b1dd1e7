"""GoogLeNet and SqueezeNet: blocks whose branches are concatenated."""

from skimp_compiler.zoo.architectures.network import Network

__all__ = ["googlenet", "squeezenet"]

# Channels: 1x1; 3x3 and its reduction before it; 5x5 and its reduction; projection of the pool.
# fmt: off
_INCEPTIONS = {
    "3a": ( 64,  96, 128, 16,  32,  32),
    "3b": (128, 128, 192, 32,  96,  64),
    "4a": (192,  96, 208, 16,  48,  64),
    "4b": (160, 112, 224, 24,  64,  64),
    "4c": (128, 128, 256, 24,  64,  64),
    "4d": (112, 144, 288, 32,  64,  64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
# fmt: on


def _inception(net: Network, name: str, x: int) -> int:
    one, reduce3, three, reduce5, five, pooled = _INCEPTIONS[name]
    name = f"inception{name}"
    a = net.conv(f"{name}/1x1", x, one, 1)
    b = net.conv(f"{name}/3x3_reduce", x, reduce3, 1)
    b = net.conv(f"{name}/3x3", b, three, 3)
    c = net.conv(f"{name}/5x5_reduce", x, reduce5, 1)
    c = net.conv(f"{name}/5x5", c, five, 5)
    d = net.max_pool(f"{name}/pool", x, 3, 1)
    d = net.conv(f"{name}/pool_proj", d, pooled, 1)
    return net.concat(name, a, b, c, d)


def googlenet() -> Network:
    """GoogLeNet (C. Szegedy et al., CVPR 2015), 224 x 224: 1.58 GMAC.

    With the 5x5 convolutions of the paper; without local response normalisation and without the
    two classifiers that only help training.
    """
    net = Network("googlenet", (224, 224, 3))
    x = net.conv("conv1", 0, 64, 7, stride=2)
    x = net.max_pool("pool1", x, 3, 2)
    x = net.conv("conv2_reduce", x, 64, 1)
    x = net.conv("conv2", x, 192, 3)
    x = net.max_pool("pool2", x, 3, 2)
    for name in _INCEPTIONS:
        x = _inception(net, name, x)
        if name in ("3b", "4e"):
            x = net.max_pool(f"pool{name[0]}", x, 3, 2)
    x = net.mean("mean", x)
    return net.finish_softmax(net.logits("logits", x, 1000))


def squeezenet() -> Network:
    """SqueezeNet 1.1 (F. Iandola et al., 2016, and the authors' release 1.1), 224 x 224: 349 MMAC."""
    net = Network("squeezenet", (224, 224, 3))
    x = net.conv("conv1", 0, 64, 3, stride=2, padding="valid")
    squeezes = {2: 16, 3: 16, 4: 32, 5: 32, 6: 48, 7: 48, 8: 64, 9: 64}
    for fire, channels in squeezes.items():
        if fire in (2, 4, 6):
            x = net.max_pool(f"pool{fire - 1}", x, 3, 2, "valid")
        name = f"fire{fire}"
        squeezed = net.conv(f"{name}/squeeze", x, channels, 1)
        one = net.conv(f"{name}/expand1x1", squeezed, 4 * channels, 1)
        three = net.conv(f"{name}/expand3x3", squeezed, 4 * channels, 3)
        x = net.concat(name, one, three)
    # So wide that the means of the maps differ enough for a softmax over them.
    x = net.conv("conv10", x, 1000, 1, spread=30.0)
    return net.finish_softmax(net.global_pool("pool10", x))
