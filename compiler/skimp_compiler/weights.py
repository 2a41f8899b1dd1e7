"""Weights and requantisation parameters in the order in which the hardware takes them."""

from collections.abc import Iterator
from itertools import groupby

import numpy as np

from skimp.config import CHAIN, Config

__all__ = ["check_packable", "dense_parts", "pack_conv", "pack_depthwise", "pack_params"]


def pack_conv(weights: np.ndarray, config: Config) -> np.ndarray:
    """Return int8 blocks of weights [K, R, S, C]: [k block, c block, R, S, slice, co, chain].

    The weights of slice k of chain g belong to input channel g * CHAIN + k; what one slice position
    of all chains takes lies together, because it is loaded in one clock.
    """
    k, r, s, c = weights.shape
    co, ci = config.out_channels, config.in_channels
    kb, cb = -(-k // co), -(-c // ci)
    padded = np.zeros((kb * co, r, s, cb * ci), np.int8)
    padded[:k, :, :, :c] = weights
    blocks = padded.reshape(kb, co, r, s, cb, ci // CHAIN, CHAIN)
    return np.ascontiguousarray(blocks.transpose(0, 4, 2, 3, 6, 1, 5))


def dense_parts(
    weights: np.ndarray, channels: int, config: Config
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield convolutions that together do what depthwise weights [1, R, S, channels * m] do.

    Each has output blocks that look at the same input blocks, and only those input blocks: what
    is multiplied with zeros stays within them.

    Yields
    ------
    (int, int, np.ndarray)
        First block of in_channels inputs, first block of out_channels outputs, weights
        [K, R, S, C].
    """
    ci, co = config.in_channels, config.out_channels
    _, r, s, num_k = weights.shape
    sources = np.arange(num_k) * channels // num_k
    firsts = range(0, num_k, co)

    def inputs(first):
        return sources[first] // ci, sources[min(first + co, num_k) - 1] // ci

    for (low, high), members in groupby(firsts, key=inputs):
        members = list(members)
        outputs = np.arange(members[0], min(members[-1] + co, num_k))
        num_c = min((high + 1) * ci, channels) - low * ci
        dense = np.zeros((len(outputs), r, s, num_c), np.int8)
        taps = weights[0][:, :, outputs].transpose(2, 0, 1)
        dense[np.arange(len(outputs)), :, :, sources[outputs] - low * ci] = taps
        yield int(low), members[0] // co, dense


def pack_depthwise(weights: np.ndarray, config: Config) -> np.ndarray:
    """Return int8 [word, taps up to whole beats, out_channels] of weights [1, R, S, C]."""
    _, r, s, c = weights.shape
    lanes, beat = config.out_channels, max(1, config.dw_wgt_beat_words)
    num = -(-c // lanes)
    padded = np.zeros((-(-r * s // beat) * beat, num * lanes), np.int8)
    padded[: r * s, :c] = weights[0].reshape(r * s, c)
    return np.ascontiguousarray(padded.reshape(-1, num, lanes).transpose(1, 0, 2))


def pack_params(bias, multiplier, shift, *, lanes: int, config: Config) -> np.ndarray:
    """Return int32 [block, 3, out_channels]: bias, multiplier and shift of `lanes` channels a block.

    Channels beyond the last get zeros, so that their outputs are the zero point.
    """
    co = config.out_channels
    num = -(-len(bias) // lanes)
    words = np.zeros((num, 3, co), np.int32)
    for row, values in enumerate((bias, multiplier, shift)):
        padded = np.zeros(num * lanes, np.int64)
        padded[: len(bias)] = values
        words[:, row, :lanes] = padded.reshape(num, lanes)
    return words


def check_packable(weights: np.ndarray) -> bool:
    """True where every pair of output channels fits the packed operand.

    -128 in the upper field beside a negative weight in the lower one needs 28 bits
    (`design`: w1 * 2^19 + w0 >= -2^26).
    """
    if not (weights == -128).any():
        return True
    k = weights.shape[0] & ~1
    upper, lower = weights[1:k:2], weights[0:k:2]
    return not ((upper == -128) & (lower < 0)).any()
