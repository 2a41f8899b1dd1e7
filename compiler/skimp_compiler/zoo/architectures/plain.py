"""AlexNet and VGG16: chains of convolutions with large fully connected layers behind them."""

from skimp_compiler.zoo.architectures.network import Network

__all__ = ["alexnet", "vgg16"]


def alexnet() -> Network:
    """AlexNet (A. Krizhevsky et al., NIPS 2012), 227 x 227, both towers: 724 MMAC.

    The grouped convolutions (second, fourth, fifth) are kept as what they are, two convolutions
    that each see the maps of their own tower; the third sees both towers. So MACs and parameters
    are the published ones, 666 MMAC in the convolutions. Local response normalisation is left out.
    """
    net = Network("alexnet", (227, 227, 3))
    towers = []
    for tower in "ab":
        x = net.conv(f"conv1{tower}", 0, 48, 11, stride=4, padding="valid")
        x = net.max_pool(f"pool1{tower}", x, 3, 2, "valid")
        x = net.conv(f"conv2{tower}", x, 128, 5)
        towers.append(net.max_pool(f"pool2{tower}", x, 3, 2, "valid"))
    both = net.concat("towers2", *towers)
    towers = []
    for tower in "ab":
        x = net.conv(f"conv3{tower}", both, 192, 3)
        x = net.conv(f"conv4{tower}", x, 192, 3)
        x = net.conv(f"conv5{tower}", x, 128, 3)
        towers.append(net.max_pool(f"pool5{tower}", x, 3, 2, "valid"))
    x = net.flatten("flat", net.concat("towers5", *towers))
    x = net.dense("fc6", x, 4096)
    x = net.dense("fc7", x, 4096)
    return net.finish_softmax(net.logits("fc8", x, 1000))


def vgg16() -> Network:
    """VGG16, configuration D (K. Simonyan, A. Zisserman, ICLR 2015), 224 x 224: 15.47 GMAC."""
    net = Network("vgg16", (224, 224, 3))
    x = 0
    for stage, (channels, count) in enumerate(
        ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), start=1
    ):
        for number in range(1, count + 1):
            x = net.conv(f"conv{stage}_{number}", x, channels, 3)
        x = net.max_pool(f"pool{stage}", x, 2, 2)
    x = net.flatten("flat", x)
    x = net.dense("fc6", x, 4096)
    x = net.dense("fc7", x, 4096)
    return net.finish_softmax(net.logits("fc8", x, 1000))
