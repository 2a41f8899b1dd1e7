"""What calibration decides from the values of one run: biases, spreads, ranges, shared scales.

Only order statistics, so that the results do not depend on the order of any addition.
"""

import numpy as np

from skimp_compiler.zoo.architectures.network import LayerSpec, Network
from skimp_compiler.zoo.seeded_numbers import RandomIntegers

__all__ = ["bias_and_spread", "scale_groups", "value_range"]

_PASSING = frozenset(("max_pool", "avg_pool", "reshape", "resize_nearest", "concat"))
"""Layers whose output has the scale of their input."""

_LAYERS_VARY = 10
_CHANNELS_VARY = 20
"""By how many percent of its places a layer or a channel is more or less often zero."""
_FEW = 32
"""Fewer places than this in a map are too few for percentiles of each channel."""
_SAMPLES = 4096
"""About as many places of a larger map are looked at."""


def _share(ordered: np.ndarray, percent) -> np.ndarray:
    """Return the percentile of every column of sorted values, without interpolation."""
    rows = (len(ordered) - 1) * np.asarray(percent, np.int64) // 100
    return ordered[rows, np.arange(ordered.shape[1])]


def value_range(real: np.ndarray) -> tuple[float, float]:
    """Return the range that holds zero and all values but one in 2000 at either end."""
    flat = real.reshape(-1)
    outside = flat.size // 2000
    ends = np.partition(flat, (outside, flat.size - 1 - outside))
    low, high = float(ends[outside]), float(ends[flat.size - 1 - outside])
    return min(low, 0.0), max(high, 0.0)


def bias_and_spread(layer: LayerSpec, sums: np.ndarray, random: RandomIntegers) -> tuple:
    """Return bias and spread of every channel of sums [places, K], in their unit.

    The spread is half the distance between the 16th and the 84th percentile.
    """
    channels = sums.shape[1]
    middle = round(100 * layer.zeros) + random.between(-_LAYERS_VARY, _LAYERS_VARY, 1)
    if len(sums) < _FEW:
        # A vector: its channels stand for each other.
        ordered, percent = np.sort(sums, axis=None)[:, None], middle
    else:
        ordered = np.sort(sums[:: -(-len(sums) // _SAMPLES)], axis=0)
        percent = middle + random.between(-_CHANNELS_VARY, _CHANNELS_VARY, channels)
    spread = (_share(ordered, [84]) - _share(ordered, [16])) / 2
    # A channel that hardly moves is not blown up.
    spread = np.maximum(spread, max(np.sort(spread)[spread.size // 2] / 8, 1.0))
    bias = -_share(ordered, percent)
    return np.resize(bias, channels), np.resize(spread, channels)


def scale_groups(network: Network) -> list[int]:
    """Return for every layer the number of the first one whose scale it has to share.

    Parts of a concatenation have the scale of the result, also through layers that pass it on.
    """
    group = list(range(len(network.layers)))
    for number, layer in enumerate(network.layers):
        if layer.kind in _PASSING:
            roots = {group[x] for x in layer.inputs}
            group[number] = min(roots)
            group = [min(roots) if root in roots else root for root in group]
    return group
