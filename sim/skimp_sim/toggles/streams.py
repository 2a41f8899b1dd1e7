"""Bits that change in the slices while a stream of operands runs through them, as plain numpy.

Streams are arrays whose first axis is the clock. Registers are those of `skimp.pe.chain`,
`skimp.prim.dsp48e2` and `skimp.prim.lut_pair`.
"""

from collections import Counter

import numpy as np

from skimp.config import CHAIN, Config
from skimp.prim.dsp48e2 import PACK_SHIFT, PAIR_SHIFT, PackedSlice

__all__ = ["array_toggles", "changes", "depthwise_toggles"]

ACT_BITS, WGT_BITS, FIELD_BITS = 9, 8, PACK_SHIFT
_PRODUCT_BITS, _AD_BITS, _P_BITS = 36, 27, 48


def changes(values: np.ndarray, bits: int) -> int:
    """Return how many bits of two's complement change from each row to the next."""
    values = np.asarray(values, np.int64)
    mask = np.uint64((1 << bits) - 1)
    return int(np.bitwise_count((values[1:] ^ values[:-1]).astype(np.uint64) & mask).sum())


def _held(values: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """Return what registers hold that take a value only where `taken`; 0 before the first one."""
    clocks = np.arange(1, len(values) + 1).reshape(-1, *[1] * (taken.ndim - 1))
    latest = np.maximum.accumulate(np.where(taken, clocks, 0), axis=0)
    padded = np.concatenate([np.zeros_like(values[:1]), values])
    return np.take_along_axis(padded, latest, axis=0)


def array_toggles(config: Config, acts: np.ndarray, wgts: np.ndarray) -> Counter:
    """Return the bits that change in the array, by TOGGLE_UNITS, for some pairs of channels.

    Parameters
    ----------
    config : Config
    acts : np.ndarray
        ifmap value minus zero point [clock, pixel, in_channels].
    wgts : np.ndarray
        Working weights [clock, in_channels, pair, 2].

    Returns
    -------
    Counter
        Scaled from the pairs that were given to all of them.
    """
    pairs = config.out_channels // 2
    found = Counter()
    taken = (acts != 0) if config.gating else np.ones(acts.shape, bool)
    operand = _held(acts, taken)
    found["operands_ifmap"] = pairs * changes(operand, ACT_BITS)
    # Slice k sees its activation k clocks late; one more register lies in the feed.
    depth = 1 + np.arange(acts.shape[2]) % CHAIN
    found["links"] = sum(int(d) * changes(acts[:, :, k], ACT_BITS) for k, d in enumerate(depth))
    scale = pairs / wgts.shape[2]
    packed = (wgts[..., 1].astype(np.int64) << PACK_SHIFT) + wgts[..., 0]
    loads = 2 * changes(wgts, WGT_BITS) // 2 + changes(packed, _AD_BITS)
    found["operands_wgt"] = scale * config.pixels * loads
    # [clock, pixel, in_channels, pair]
    products = packed[:, None] * operand[..., None]
    products = _held(products, np.broadcast_to(taken[..., None], products.shape))
    found["products"] = scale * changes(products, _PRODUCT_BITS)
    added = np.where(taken[..., None], products, 0)
    chained = added.reshape(*added.shape[:2], -1, CHAIN, added.shape[3])
    sums = np.cumsum(chained, axis=3) + PackedSlice.offset
    dots = sums[:, :, :, -1]
    lower = dots & ((1 << FIELD_BITS) - 1)
    upper = (dots >> FIELD_BITS) & ((1 << FIELD_BITS) - 1)
    total = changes(sums, _P_BITS) + changes(lower, FIELD_BITS) + changes(upper, FIELD_BITS)
    if chained.shape[2] > 1:
        half = 1 << (FIELD_BITS - 1)
        low = (lower ^ half) - half * 0
        low = np.where(low >= half, low - 2 * half, low)
        high = np.where(upper >= half, upper - 2 * half, upper)
        total += changes(low.sum(axis=2), FIELD_BITS + 1)
        total += changes(high.sum(axis=2), FIELD_BITS + 1)
    found["sums"] = scale * total
    return found


def depthwise_toggles(
    config: Config, acts: np.ndarray, wgts: np.ndarray, first: np.ndarray
) -> Counter:
    """Return the bits that change in lanes of the depthwise unit, by TOGGLE_UNITS.

    Parameters
    ----------
    config : Config
    acts : np.ndarray
        ifmap value minus zero point [clock, pixel, channel].
    wgts : np.ndarray
        [clock, channel].
    first : np.ndarray
        Of bool [clock]: the sum starts again.

    Returns
    -------
    Counter
        Of the channels that were given.
    """
    found = Counter()
    clocks, pixels, channels = acts.shape
    if pixels % 2:
        acts = np.concatenate([acts, np.zeros((clocks, 1, channels), acts.dtype)], axis=1)
    pair = acts.reshape(clocks, -1, 2, channels)
    wgt = np.broadcast_to(wgts[:, None], pair[:, :, 0].shape)
    taken = np.ones(wgt.shape, bool)
    if config.gating:
        taken = (wgt != 0) & (pair != 0).any(axis=2)
    both = np.broadcast_to(taken[:, :, None], pair.shape)
    operand, weight = _held(pair, both), _held(wgt, taken)
    product = np.where(both, operand * weight[:, :, None], 0).astype(np.int64)
    found["links"] = changes(acts, ACT_BITS)
    ifmap, weights = changes(operand, ACT_BITS), changes(weight, WGT_BITS)
    if config.dw_slices and config.packed:
        packed = (operand[:, :, 1].astype(np.int64) << PAIR_SHIFT) + operand[:, :, 0]
        found["operands_ifmap"] = ifmap + changes(packed, _AD_BITS)
        found["operands_wgt"] = 2 * weights
        held = _held(packed * weight, taken)
        offset = 1 << (PAIR_SHIFT - 1)
        found["products"] = changes(held, _PRODUCT_BITS)
        found["products"] += changes(np.where(taken, held, 0) + offset, _P_BITS)
    else:
        found["operands_ifmap"] = 2 * ifmap
        found["operands_wgt"] = 2 * weights
        found["products"] = 2 * changes(product, 17)
    summed = _running(product, first)
    found["sums"] = changes(summed, 28)
    return found


def _running(product: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return sums that start again where `first` is set."""
    total = np.cumsum(product, axis=0)
    starts = np.maximum.accumulate(np.where(first, np.arange(len(first)), 0))
    before = np.concatenate([np.zeros_like(total[:1]), total])[starts]
    return total - before
