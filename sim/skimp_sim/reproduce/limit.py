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

__all__ = ["block_words", "compulsory_words", "limit_words"]


def compulsory_words(layer: ConvLayer, *, batch: int) -> int:
    """Every tensor once."""
    return batch * (layer.ifmap_words + layer.ofmap_words) + layer.weight_words


def limit_words(layer: ConvLayer, *, batch: int, buffer_words: int) -> float:
    """Words that have to move with so many on the chip, without compression."""
    words = block_words(
        macs=batch * layer.macs,
        pixels=batch * layer.rows * layer.columns,
        channels=layer.group_out,
        ofmap_words=batch * layer.ofmap_words,
        reuse=layer.taps / layer.stride**2,
        buffer_words=buffer_words,
    )
    return max(words, compulsory_words(layer, batch=batch))


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
