"""The communication lower bound of a convolution: the least DRAM traffic, whatever the schedule.

X. Chen, Y. Han, Y. Wang, "Communication lower bound in convolution accelerators", HPCA 2020 (arXiv
1911.05662). A block of u output pixels by z output channels costs K^2 N (u / R + z) reads, where
R = K^2 / s^2 is how often the sliding window uses an input; its psums have to stay on the chip,
u z <= S. The best block has u = R z, so that B images with M channels of P pixels need

    Q >= 2 B P M K^2 N / sqrt(R S) + B P M     words.

Blocks are not larger than the layer (u <= B P, z <= M) and an input is used at least once (R >= 1).
"""

from math import sqrt

__all__ = ["block_words"]


def block_words(
    *, macs: int, pixels: int, channels: int, ofmap_words: int, reuse: float, buffer_words: int
) -> float:
    """Words of the best blocks, for a convolution given by its numbers.

    Parameters
    ----------
    macs : int
        Of the whole batch, as everything here.
    pixels, channels : int
        Outputs of a group; a block is not larger.
    ofmap_words : int
    reuse : float
        R: taps of the kernel by pixels that it moves on.
    buffer_words : int
    """
    reuse = max(reuse, 1)
    # The best block, made longer where there are too few channels, then cut to the layer.
    block_pixels = min(pixels, max(sqrt(reuse * buffer_words), buffer_words / channels))
    block_channels = min(channels, buffer_words / block_pixels)
    return macs * (1 / (reuse * block_channels) + 1 / block_pixels) + ofmap_words
