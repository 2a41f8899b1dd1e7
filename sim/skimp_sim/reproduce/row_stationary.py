"""The row-stationary dataflow of Eyeriss: what a mapping accesses, and the search for the best.

A PE holds rows of p filters by q channels and slides rows of the ifmap over them. A set of R x e
PEs (kernel rows by ofmap rows) makes a strip of e rows; r sets beside each other take different
channels, t different filters. The buffer holds the psums of m filters and n images of a strip and
the ifmap under it. What is accessed, in words of 16 bits (N images, M filters and C channels of a
group, K taps in a row, maps E x F from padded ones of width H):

    buffer, psums    2 N M E F ceil(C / qr)
    buffer, ifmap    N C strips ((e-1) U + R) H ceil(M / pt)
    DRAM, ifmap      the same with ceil(M / m)
    DRAM, weights    weights x strips x ceil(N / n)
    DRAM, ofmap      N M E F

Weights go past the buffer. From PE to PE go psums once in q K MACs, ifmap to a PE once in p K,
weights once in F n; registers are read for ifmap, weight and psum and written for psum at each MAC.
"""

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

from skimp_sim.reproduce.costs import LEVELS, TENSORS, Costs
from skimp_sim.reproduce.layers import ConvLayer
from skimp_sim.reproduce.tiles import tile_sizes

__all__ = ["EYERISS", "Chip", "Mapping", "accesses", "best_mapping", "energy_by_tensor"]


@dataclass(frozen=True)
class Chip:
    """Sizes; words are of 16 bits, and the buffer's those for ifmap and psums.

    The defaults are Eyeriss's: spads of 224, 12 and 24 words, 100 KB for maps (another 8 KB hold
    weights on their way).
    """

    rows: int = 12
    columns: int = 14
    buffer_words: int = 100 * 1024 // 2
    ifmap_words: int = 12
    wgt_words: int = 224
    psum_words: int = 24

    def sets(self, kernel: int, e: int) -> int:
        """How many sets fit; one wider than the array is cut into pieces above each other."""
        pieces = -(-e // self.columns)
        return self.rows // (kernel * pieces) * max(self.columns // e, 1)


EYERISS = Chip()


class Mapping(NamedTuple):
    """As in table III of the JSSC paper; f are the columns of a strip."""

    m: int
    n: int
    e: int
    f: int
    p: int
    q: int
    r: int
    t: int


def accesses(layer: ConvLayer, batch: int, mapping: Mapping) -> dict[str, dict]:
    """Words by level and tensor; the fields of the mapping may be arrays.

    Psums in the buffer are counted as on the chip: read and written in every pass.
    """
    m, n, e, f, p, q, r, t = mapping
    strips = -(-layer.rows // e) * -(-layer.columns // f)
    ifmap = batch * layer.in_channels * strips * layer.window(e) * layer.window(f)
    ofmap, macs = batch * layer.ofmap_words, batch * layer.macs
    return {
        "dram": {
            "ifmap": ifmap * -(-layer.group_out // m),
            "wgt": layer.weight_words * strips * -(-batch // n),
            "psum": ofmap,
        },
        "glb": {
            "ifmap": ifmap * -(-layer.group_out // (p * t)),
            "wgt": 0,
            "psum": 2 * ofmap * -(-layer.group_in // (q * r)),
        },
        "array": {
            "ifmap": macs / (p * layer.kernel),
            "wgt": macs / (f * n),
            "psum": macs / (q * layer.kernel),
        },
        "rf": {"ifmap": macs, "wgt": macs, "psum": 2 * macs},
    }


def energy_by_tensor(counts: dict[str, dict], costs: Costs) -> dict[str, float]:
    """Energy of all accesses to a tensor."""
    return {
        tensor: sum(costs.of(level) * counts[level][tensor] for level in LEVELS)
        for tensor in TENSORS
    }


@cache
def best_mapping(
    layer: ConvLayer,
    *,
    batch: int,
    chip: Chip,
    costs: Costs,
    active: int | None = None,
    channels: int | None = None,
    columns: int | None = None,
) -> Mapping:
    """The mapping of least energy that fits the chip; filters are cut evenly (p t | m | M), and so
    are channels among sets (r | C).

    Parameters
    ----------
    layer : ConvLayer
        Groups are mapped one by one. A depthwise convolution has only one filter and one channel
        in each; sets beside each other take different groups, which changes no count.
    batch : int
    chip : Chip
    costs : Costs
    active, channels : int or None
        Only mappings with so many PEs at work, and with so many channels (q r) in a pass.
    columns : int or None
        Of the pieces of a map; None: whole rows.
    """
    found = []
    f = columns or layer.columns
    heights = tile_sizes(layer.rows) if active is None else range(1, layer.rows + 1)
    for e in map(int, heights):
        sets = chip.sets(layer.kernel, e)
        for r in (part for part in _divisors(layer.group_in) if part <= sets):
            t = np.array([t for t in _divisors(layer.group_out) if t <= sets // r])
            if active is not None:
                t = t[layer.kernel * e * r * t == active]
            mapping = _best_of_sets(layer, batch, chip, costs, e, f, r, t, channels)
            if mapping:
                found.append(mapping)
    return min(found)[1]


def _divisors(size: int) -> list[int]:
    return [part for part in range(1, size + 1) if size % part == 0]


def _best_of_sets(layer, batch, chip, costs, e, f, r, t, channels) -> tuple[float, Mapping] | None:
    """Energy and mapping, given the rows of a set, how many sets take different channels and how
    many may take different filters."""
    divisors = _divisors(layer.group_out)
    n, t, p, q = np.ix_(
        tile_sizes(batch),
        t,
        np.array([p for p in divisors if p <= chip.psum_words]),
        np.arange(1, min(chip.ifmap_words // layer.kernel, layer.group_in) + 1),
    )
    room = chip.buffer_words - n * q * r * layer.window(e) * layer.window(f)
    m = np.maximum.reduce(
        [np.where((m % (p * t) == 0) & (m * e * f * n <= room), m, 0) for m in divisors]
    )
    fits = (m > 0) & (p * q * layer.kernel <= chip.wgt_words)
    if channels is not None:
        fits = fits & (q * r == channels)
    if not fits.any():
        return None
    mapping = Mapping(np.maximum(m, 1), n, e, f, p, q, r, t)
    energy = sum(energy_by_tensor(accesses(layer, batch, mapping), costs).values())
    energy = np.where(fits, energy, np.inf)
    best = np.unravel_index(energy.argmin(), energy.shape)
    fields = (int(np.broadcast_to(x, energy.shape)[best]) for x in mapping)
    return float(energy[best]), Mapping(*fields)
