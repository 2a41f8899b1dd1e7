"""Bits that change in the slices while a stream of operands runs through them, as plain numpy.

Streams are arrays whose first axis is the clock. Registers are those of `skimp.pe.array`,
`skimp.pe.chain`, `skimp.prim.dsp48e2` and `skimp.prim.lut_pair`; tests count them in RTL.
"""

from collections import Counter

import numpy as np

from skimp.config import CHAIN, DW_SUM_BITS, Config
from skimp.prim.dsp48e2 import PACK_SHIFT, PAIR_SHIFT, PackedPair, PackedSlice

__all__ = ["array_toggles", "changes", "depthwise_toggles", "held"]

ACT_BITS, WGT_BITS, FIELD_BITS = 9, 8, PACK_SHIFT
_PRODUCT_BITS, _PLAIN_BITS, _AD_BITS, _P_BITS = 36, 17, 27, 48


def changes(values: np.ndarray, bits: int) -> int:
    """Return how many bits of two's complement change from each row to the next."""
    values = np.asarray(values, np.int64)
    mask = np.uint64((1 << bits) - 1)
    return int(np.bitwise_count((values[1:] ^ values[:-1]).astype(np.uint64) & mask).sum())


def held(values: np.ndarray, taken: np.ndarray) -> np.ndarray:
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
    scale = config.out_channels // 2 / wgts.shape[2]
    found = Counter()
    taken = (acts != 0) if config.gating else np.ones(acts.shape, bool)
    operand = held(acts, taken)
    found["operands_ifmap"] = config.out_channels // 2 * changes(operand, ACT_BITS)
    # Slice k sees its activation k clocks late, and whether it is 0; one more register of the
    # activation lies in the feed.
    for k in range(acts.shape[2]):
        late = k % CHAIN
        found["links"] += (1 + late) * changes(acts[:, :, k], ACT_BITS)
        found["links"] += late * changes(taken[:, :, k], 1)
    wgts = wgts.astype(np.int64)
    multiplied = wgts
    loads = 2 * changes(wgts, WGT_BITS)  # next and working ones
    product_bits, sum_bits, offset = _PLAIN_BITS, FIELD_BITS, 0
    if config.packed:
        multiplied = (wgts[..., 1:] << PACK_SHIFT) + wgts[..., :1]
        loads = changes(wgts, WGT_BITS) + changes(multiplied, _AD_BITS)
        product_bits, sum_bits, offset = _PRODUCT_BITS, _P_BITS, PackedSlice.offset
    found["operands_wgt"] = scale * config.pixels * loads
    # [clock, pixel, in_channels, pair, what a multiplier takes]
    products = multiplied[:, None] * operand[..., None, None]
    works = np.broadcast_to(taken[..., None, None], products.shape)
    products = held(products, works)
    found["products"] = scale * changes(products, product_bits)
    added = np.where(works, products, 0)
    chained = added.reshape(*added.shape[:2], -1, CHAIN, *added.shape[3:])
    sums = changes(np.cumsum(chained, axis=3) + offset, sum_bits)
    # The lower field's top bit is inverted, which changes as often.
    dots = np.einsum(
        "tigk,tgkpf->tigpf",
        acts.astype(np.int64).reshape(*acts.shape[:2], -1, CHAIN),
        wgts.reshape(len(wgts), -1, CHAIN, *wgts.shape[2:]),
    )
    sums += changes(dots, FIELD_BITS)
    if dots.shape[2] > 1:
        sums += changes(dots.sum(axis=2), FIELD_BITS + 1)
    found["sums"] = scale * sums
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
    operand, weight = held(pair, both).astype(np.int64), held(wgt, taken)
    multiplied = operand * weight[:, :, None]
    product = np.where(both, multiplied, 0)
    found["links"] = changes(acts, ACT_BITS)
    ifmap, weights = changes(operand, ACT_BITS), changes(weight, WGT_BITS)
    if not config.dw_slices:  # two digits of the weight after the other
        low_half = (weight & 15 ^ 8) - 8
        found["operands_ifmap"] = 2 * ifmap
        found["operands_wgt"] = weights + changes(weight >> 3, 5)
        found["products"] = (
            changes(operand * low_half[:, :, None], 13) + changes(multiplied, 4)
            + changes(multiplied >> 4, 12) + changes(product, 16)
        )  # fmt: skip
    elif config.packed:
        packed = (operand[:, :, 1] << PAIR_SHIFT) + operand[:, :, 0]
        found["operands_ifmap"] = ifmap + changes(packed, _AD_BITS)
        found["operands_wgt"] = 2 * weights
        both_held = packed * weight
        found["products"] = changes(both_held, _PRODUCT_BITS)
        found["products"] += changes(np.where(taken, both_held, 0) + PackedPair.offset, _P_BITS)
    else:
        found["operands_ifmap"] = ifmap
        found["operands_wgt"] = weights
        found["products"] = changes(multiplied, _PLAIN_BITS) + 2 * changes(product, _PLAIN_BITS)
    summed = _running(product, first)
    found["sums"] = changes(summed, DW_SUM_BITS)
    return found


def _running(product: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return sums that start again where `first` is set."""
    total = np.cumsum(product, axis=0)
    starts = np.maximum.accumulate(np.where(first, np.arange(len(first)), 0))
    before = np.concatenate([np.zeros_like(total[:1]), total])[starts]
    return total - before
