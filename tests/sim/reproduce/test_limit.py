"""The limit of DRAM traffic against its published form."""

from math import sqrt

import pytest

from skimp_sim.reproduce.layers import conv_layers
from skimp_sim.reproduce.limit import compulsory_words, limit_words
from skimp_sim.reproduce.tiles import best_of, search


def test_published_form_where_nothing_is_cut():
    """2 B P M K^2 N / sqrt(R S) + B P M, in a layer larger than any block."""
    layer = conv_layers("vgg16")[5]
    words = 54 * 1024
    published = 2 * layer.macs / sqrt(9 * words) + layer.ofmap_words
    assert limit_words(layer, batch=1, buffer_words=words) == pytest.approx(published)


def test_a_stride_reuses_less():
    """11 x 11 with stride 4: an input is in 121 / 16 windows."""
    layer = conv_layers("alexnet")[0]
    published = 2 * layer.macs / sqrt(121 / 16 * 1024) + layer.ofmap_words
    assert limit_words(layer, batch=1, buffer_words=1024) == pytest.approx(published)


def test_never_below_every_tensor_once():
    for network in ("mobilenet_v1", "resnet50"):
        for layer in conv_layers(network):
            compulsory = compulsory_words(layer, batch=1)
            assert limit_words(layer, batch=1, buffer_words=65536) >= compulsory
            if layer.groups > 1:
                assert limit_words(layer, batch=1, buffer_words=65536) == compulsory


@pytest.mark.parametrize("network", ["alexnet", "vgg16", "mobilenet_v1", "resnet50"])
def test_schedules_keep_to_it(network):
    """But for the few per cent of layers with an operand that fits the chip."""
    for words in (54 * 1024, 64 * 1024, 108 * 1024):
        needed = limit = 0
        for layer in conv_layers(network):
            best = best_of(search(layer, batch=1, buffer_words=words, any_columns=True))
            needed += best.words
            limit += limit_words(layer, batch=1, buffer_words=words)
        assert needed >= 0.96 * limit
