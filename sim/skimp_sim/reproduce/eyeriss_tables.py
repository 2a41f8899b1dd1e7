"""Tables of the Eyeriss papers.

Y.-H. Chen, T. Krishna, J. Emer, V. Sze, "Eyeriss: an energy-efficient reconfigurable accelerator
for deep convolutional neural networks", IEEE JSSC 52(1), 2017: tables III, V and VI. Y.-H. Chen,
J. Emer, V. Sze, "Eyeriss: a spatial architecture for energy-efficient dataflow for convolutional
neural networks", ISCA 2016: figure 10.

Tables V and VI were read from the copies in https://github.com/cucapra/fodlam; their totals close.
CONV5-1 has 168 active PEs here as the other layers of its stage; the copy has 163.
"""

from typing import NamedTuple

__all__ = ["ALEXNET", "ALEXNET_IMAGES", "FIGURE_10", "VGG16", "VGG16_IMAGES", "Measured"]


class Measured(NamedTuple):
    """A layer on the chip, all images: 200 MHz; MB are 10^6 bytes; zeros are those of the ifmap."""

    mw: float
    total_ms: float
    processing_ms: float
    active_pes: int
    zeros: float
    glb_mb: float
    dram_mb: float


ALEXNET_IMAGES = 4

# fmt: off
ALEXNET = {
    "conv1": Measured(332, 20.9, 16.5, 154, 0.0001, 18.5, 5.0),
    "conv2": Measured(288, 41.9, 39.2, 135, 0.387, 77.6, 4.0),
    "conv3": Measured(266, 23.6, 21.8, 156, 0.725, 50.2, 3.0),
    "conv4": Measured(235, 18.4, 16.0, 156, 0.793, 37.4, 2.1),
    "conv5": Measured(236, 10.5, 10.0, 156, 0.776, 24.9, 1.3),
}
"""Table V."""

VGG16_IMAGES = 3

VGG16 = {
    "conv1_1": Measured(247,  76.2,  38.0, 156, 0.016,  112.6, 15.4),
    "conv1_2": Measured(218, 910.3, 810.6, 156, 0.477, 2402.8, 54.0),
    "conv2_1": Measured(242, 470.3, 405.3, 156, 0.248, 1201.4, 33.4),
    "conv2_2": Measured(231, 894.3, 810.8, 156, 0.387, 2402.8, 48.5),
    "conv3_1": Measured(254, 241.1, 204.0, 156, 0.397,  607.4, 20.2),
    "conv3_2": Measured(235, 460.9, 408.1, 156, 0.581, 1214.8, 32.2),
    "conv3_3": Measured(233, 457.7, 408.1, 156, 0.587, 1214.8, 30.8),
    "conv4_1": Measured(278, 135.8, 105.1, 168, 0.643,  321.8, 17.8),
    "conv4_2": Measured(261, 254.8, 210.0, 168, 0.747,  643.7, 28.6),
    "conv4_3": Measured(240, 246.3, 210.0, 168, 0.854,  643.7, 22.8),
    "conv5_1": Measured(258,  54.3,  48.3, 168, 0.794,   90.0,  6.3),
    "conv5_2": Measured(236,  53.7,  48.5, 168, 0.874,   90.0,  5.7),
    "conv5_3": Measured(230,  53.7,  48.5, 168, 0.885,   90.0,  5.6),
}
"""Table VI."""

FIGURE_10 = {
    "conv1": (1.69, 2.46,  6.75),
    "conv2": (3.58, 2.27, 14.33),
    "conv3": (2.39, 2.02,  9.57),
    "conv4": (1.79, 1.57,  7.18),
    "conv5": (1.20, 1.05,  4.78),
    "fc1":   (0.60, 7.78,  2.42),
    "fc2":   (0.27, 3.39,  1.07),
    "fc3":   (0.07, 0.84,  0.26),
}
"""ISCA 2016, AlexNet, 16 images: energy of ALU, DRAM and RF in 10^9 MACs, as nn-dataflow's test of
it quotes the figure."""
# fmt: on
