"""Layers of the networks: MACs as published, AlexNet's towers as groups, halos without padding."""

import numpy as np
import pytest

from skimp_sim.reproduce.layers import ConvLayer, conv_layers


@pytest.mark.parametrize(
    ("network", "count", "macs"),
    [
        # Convolutions alone: AlexNet 666 M (2.66 G for four images), VGG-16 15.35 G, MobileNet
        # 568 M, ResNet-50 with the stride in the first 1x1 3.856 G.
        ("alexnet", 5, 665_784_864),
        ("vgg16", 13, 15_346_630_656),
        ("mobilenet_v1", 27, 567_716_352),
        ("resnet50", 53, 3_855_925_248),
    ],
)
def test_macs_as_published(network, count, macs):
    layers = conv_layers(network)
    assert len(layers) == count
    assert sum(layer.macs for layer in layers) == macs


def test_alexnet_is_grouped_as_published():
    found = [
        (x.name, x.out_channels, x.in_channels, x.groups, x.rows, x.kernel, x.stride)
        for x in conv_layers("alexnet")
    ]
    assert found == [
        ("conv1", 96, 3, 1, 55, 11, 4),
        ("conv2", 256, 96, 2, 27, 5, 1),
        ("conv3", 384, 256, 1, 13, 3, 1),
        ("conv4", 384, 384, 2, 13, 3, 1),
        ("conv5", 256, 384, 2, 13, 3, 1),
    ]


def plain(size, outputs, kernel, stride, padding) -> ConvLayer:
    return ConvLayer(
        name="x", out_channels=1, in_channels=1, in_rows=size, in_columns=size, rows=outputs,
        columns=outputs, kernel=kernel, stride=stride, padding=padding,
    )  # fmt: skip


def test_halo_is_read_again_and_padding_is_not():
    layer = plain(6, 6, 3, 1, 1)
    assert layer.row_spans(6) == [(0, 6)]
    assert layer.row_spans(2) == [(0, 3), (1, 5), (3, 6)]
    assert list(layer.rows_read(np.array([6, 2]))) == [6, 10]


def test_pixels_that_no_kernel_sees_are_not_compulsory():
    assert plain(8, 4, 1, 2, 0).ifmap_words == 16
    assert plain(8, 4, 3, 2, 0).ifmap_words == 64
