"""YOLOv3-tiny: a detector with two scales."""

from skimp_compiler.zoo.architectures.network import Network

__all__ = ["yolov3_tiny"]


def yolov3_tiny() -> Network:
    """YOLOv3-tiny (J. Redmon, A. Farhadi, 2018), 416 x 416, 80 classes: 2.78 GMAC.

    Two changes for hardware with ReLU and ReLU6: every leaky ReLU is a ReLU, and the outputs are
    the raw maps (three boxes of 85 numbers a cell) in front of sigmoid and box decoding.
    """
    net = Network("yolov3_tiny", (416, 416, 3))
    x = 0
    for number, channels in enumerate((16, 32, 64, 128), start=1):
        x = net.conv(f"conv{number}", x, channels, 3)
        x = net.max_pool(f"pool{number}", x, 2, 2)
    fine = net.conv("conv5", x, 256, 3)
    x = net.max_pool("pool5", fine, 2, 2)
    x = net.conv("conv6", x, 512, 3)
    x = net.max_pool("pool6", x, 2, 1)
    x = net.conv("conv7", x, 1024, 3)
    coarse = net.conv("conv8", x, 256, 1)
    x = net.conv("conv9", coarse, 512, 3)
    boxes13 = net.conv("boxes13", x, 255, 1, activation="none")
    x = net.conv("conv11", coarse, 128, 1)
    x = net.concat("scales", net.upsample("upsample", x), fine)
    x = net.conv("conv12", x, 256, 3)
    boxes26 = net.conv("boxes26", x, 255, 1, activation="none")
    return net.finish(boxes13, boxes26)
