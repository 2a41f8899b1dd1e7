"""DRAM traffic of a tiled convolution, and the search for the tiles that need least of it.

A tile is Tm output channels, Tn input channels, Tr rows and Tc columns of the ofmap. Its ifmap with
halo, its weights and its psums have to fit the buffer together, in words:

    Tn (s Tr + K - s)(s Tc + K - s) + Tm Tn K^2 + Tm Tr Tc <= S

The order of the loops over tiles says what is read again. With I the ifmap read by all tiles of a
map once (halos included, padding not), W the weights, O the ofmap, B images:

    psum reuse     I ceil(M/Tm) + W B ceil(R/Tr) ceil(C/Tc) + O
    weight reuse   I ceil(M/Tm) + W + O (2 ceil(N/Tn) - 1)
    ifmap reuse    I + W B ceil(R/Tr) ceil(C/Tc) + O (2 ceil(N/Tn) - 1)

(M output, N input channels, R x C output pixels; psums that leave the chip are words like others.)
Under psum reuse with all input channels in a tile, the ifmap of a tile or the weights of a tile
stay over the next loop outside. Groups of a convolution are layers of their own.

Source: J. Li et al., "SmartShuttle: optimizing off-chip memory accesses for deep learning
accelerators", DATE 2018.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

from skimp_sim.reproduce.costs import TENSORS
from skimp_sim.reproduce.layers import ConvLayer

__all__ = [
    "ORDERS", "SCHEMES", "Choice", "Tile", "best_of", "most_channels", "one_tile", "search",
    "tile_sizes", "words_by_tensor",
]  # fmt: skip

ORDERS = ("psum", "psum, ifmap kept", "psum, weights kept", "weight", "ifmap")
"""Orders of the loops over tiles."""

SCHEMES = {"psum": ORDERS[:3], "weight": ("weight",), "ifmap": ("ifmap",)}
"""Reuse schemes and their orders."""

WHOLE_ROWS = 28
"""Maps of at most so many columns are cut into rows only, unless `any_columns`: parts of such rows
are shorter than a burst of DRAM. (It costs the best schedule up to 3 %, most of it in strided 1x1
convolutions, which skip pixels between tiles.)"""

_NEVER = np.iinfo(np.int64).max


class Tile(NamedTuple):
    """Output channels, input channels, rows and columns of the ofmap."""

    m: int
    n: int
    r: int
    c: int


@dataclass(frozen=True)
class Choice:
    """An order of the loops with its best tile, and the words that it moves."""

    order: str
    tile: Tile
    words: int


def most_channels(tile: Tile):
    """Of tiles with equal traffic, the one of most channels and fewest pixels."""
    return -tile.m, -tile.n, tile.r, tile.c


def tile_sizes(size: int) -> np.ndarray:
    """Smallest tile for every number of tiles: between two of them nothing is gained."""
    return np.array(sorted({-(-size // count) for count in range(1, size + 1)}))


def _held(layer: ConvLayer, m, n, r, c):
    """Words that a tile needs on the chip."""
    return n * layer.window(r) * layer.window(c) + m * n * layer.taps + m * r * c


def _words(layer: ConvLayer, batch: int, m, n, r, c) -> dict[str, tuple]:
    """Words moved to and from DRAM, of ifmap, weights and psums, by order of the loops."""
    ifmap = batch * layer.in_channels * layer.rows_read(r) * layer.columns_read(c)
    weights, ofmap = layer.weight_words, batch * layer.ofmap_words
    m_tiles, n_tiles = -(-layer.group_out // m), -(-layer.group_in // n)
    pixel_tiles = batch * -(-layer.rows // r) * -(-layer.columns // c)
    spilled = ofmap * (2 * n_tiles - 1)
    return {
        "psum": (ifmap * m_tiles, weights * pixel_tiles, ofmap),
        "psum, ifmap kept": (ifmap, weights * pixel_tiles, ofmap),
        "psum, weights kept": (ifmap * m_tiles, weights, ofmap),
        "weight": (ifmap * m_tiles, weights, spilled),
        "ifmap": (ifmap, weights * pixel_tiles, spilled),
    }


def _traffic(layer: ConvLayer, batch: int, m, n, r, c) -> dict[str, np.ndarray]:
    """Words of all tensors by order of the loops; `_NEVER` where an order needs more."""
    n_tiles = -(-layer.group_in // n)
    return {
        order: np.where((n_tiles == 1) | ("kept" not in order), sum(words) + 0 * (m + n), _NEVER)
        for order, words in _words(layer, batch, m, n, r, c).items()
    }


def words_by_tensor(layer: ConvLayer, batch: int, choice: Choice) -> dict[str, int]:
    """Words of a choice: of the ifmap, the weights, and the psums with the ofmap."""
    words = _words(layer, batch, *map(np.array, choice.tile))[choice.order]
    return dict(zip(TENSORS, map(int, words)))


@cache
def search(
    layer: ConvLayer,
    *,
    batch: int,
    buffer_words: int,
    any_columns: bool = False,
    tie: Callable[[Tile], tuple] = most_channels,
) -> dict[str, Choice]:
    """Find the best tile of every order by looking at all of them.

    Parameters
    ----------
    layer : ConvLayer
    batch : int
        Images.
    buffer_words : int
        Words on the chip for all three tensors.
    any_columns : bool
        Also cut maps of up to `WHOLE_ROWS` columns into columns.
    tie : callable
        Of tiles with equal traffic the one with the least key is taken.

    Returns
    -------
    dict of str to Choice
        By order; without those that no tile allows.
    """
    cut = any_columns or layer.columns > WHOLE_ROWS
    sizes = (
        tile_sizes(layer.group_out),
        tile_sizes(layer.group_in),
        tile_sizes(layer.rows),
        tile_sizes(layer.columns) if cut else np.array([layer.columns]),
    )
    grid = np.ix_(*sizes)
    fits = _held(layer, *grid) <= buffer_words
    choices = {}
    for order, words in _traffic(layer, batch, *grid).items():
        words = np.where(fits, words, _NEVER)
        least = int(words.min())
        if least < _NEVER:
            tied = (
                Tile(*(int(size[i]) for size, i in zip(sizes, place)))
                for place in np.argwhere(words == least)
            )
            choices[order] = Choice(order, min(tied, key=tie), least)
    return choices


def best_of(choices: dict[str, Choice], scheme: str | None = None) -> Choice:
    """The choice that moves least, of one scheme or of all (None)."""
    orders = ORDERS if scheme is None else SCHEMES[scheme]
    return min((choices[order] for order in orders if order in choices), key=lambda x: x.words)


def one_tile(
    layers: Sequence[ConvLayer], scheme: str, *, batch: int, buffer_words: int
) -> tuple[Tile, int]:
    """Find the one tile for all layers of a network that moves least, and the words it moves.

    A layer that is smaller than the tile is one tile in that direction, and a map of at most
    `WHOLE_ROWS` columns is so in that of columns. Channels of the tile are powers of two; rows and
    columns are those that divide some map of the network evenly.
    """
    powers = 2 ** np.arange(max(layer.out_channels for layer in layers).bit_length())
    rows = np.unique(np.concatenate([tile_sizes(layer.rows) for layer in layers]))
    columns = np.unique(np.concatenate([tile_sizes(layer.columns) for layer in layers]))
    sizes = powers, powers, rows, columns
    total = np.zeros([len(size) for size in sizes], np.int64)
    fits = np.ones(total.shape, bool)
    for layer in layers:
        m, n, r, c = (
            np.minimum(size, limit)
            for size, limit in zip(
                sizes, (layer.group_out, layer.group_in, layer.rows, layer.columns)
            )
        )
        if layer.columns <= WHOLE_ROWS:
            c = np.full_like(c, layer.columns)
        clipped = np.ix_(m, n, r, c)
        fits &= _held(layer, *clipped) <= buffer_words
        traffic = _traffic(layer, batch, *clipped)
        total += np.minimum.reduce([traffic[order] for order in SCHEMES[scheme]])
    total[~fits] = _NEVER
    place = np.unravel_index(total.argmin(), total.shape)
    return Tile(*(int(size[i]) for size, i in zip(sizes, place))), int(total[place])
