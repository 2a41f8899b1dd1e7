"""The least DRAM traffic of a convolution, whatever the schedule.

X. Chen, Y. Han, Y. Wang, "Communication lower bound in convolution accelerators", HPCA 2020 (arXiv
1911.05662). A block of u output pixels by z output channels costs K^2 N (u / R + z) reads, where
R = K^2 / s^2 is how often the sliding window uses an input; its psums have to stay on the chip,
u z <= S. The best block has u = R z, so that B images with M channels of P pixels need

    Q >= 2 B P M K^2 N / sqrt(R S) + B P M     words.

Blocks are not larger than the layer (u <= B P, z <= M) and an input is used at least once (R >= 1);
nothing needs less than every tensor once (*compulsory*).

The form is asymptotic: where a whole operand fits on the chip, a real schedule may need up to 4 %
less, since inputs stay beside the psums. There the compulsory traffic is the limit to look at.
"""

from math import sqrt

from skimp_sim.reproduce.layers import ConvLayer

__all__ = ["compulsory_words", "limit_words"]


def compulsory_words(layer: ConvLayer, *, batch: int) -> int:
    """Every tensor once."""
    return batch * (layer.ifmap_words + layer.ofmap_words) + layer.weight_words


def limit_words(layer: ConvLayer, *, batch: int, buffer_words: int) -> float:
    """Words that have to move with so many on the chip, without compression."""
    reuse = max(layer.taps / layer.stride**2, 1)
    pixels = batch * layer.rows * layer.columns
    # The best block, made longer where there are too few channels, then cut to the layer.
    block_pixels = min(pixels, max(sqrt(reuse * buffer_words), buffer_words / layer.group_out))
    block_channels = min(layer.group_out, buffer_words / block_pixels)
    reads_per_mac = 1 / (reuse * block_channels) + 1 / block_pixels
    words = batch * (layer.macs * reads_per_mac + layer.ofmap_words)
    return max(words, compulsory_words(layer, batch=batch))
