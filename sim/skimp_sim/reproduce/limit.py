"""The least DRAM traffic of a convolution, whatever the schedule.

The communication lower bound of `skimp_sim.bound`; and nothing needs less than every tensor once
(*compulsory*).

The form is asymptotic: where a whole operand fits on the chip, a real schedule may need up to 4 %
less, since inputs stay beside the psums. There the compulsory traffic is the limit to look at.
"""

from skimp_sim.bound import block_words
from skimp_sim.reproduce.layers import ConvLayer

__all__ = ["compulsory_words", "limit_words"]


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
