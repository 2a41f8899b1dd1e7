"""Layouts: runs byte by byte."""

from math import prod

import numpy as np
import pytest

from skimp_sim.reproduce.layers import conv_layers
from skimp_sim.reproduce.layout import row_major, tile_by_tile
from skimp_sim.reproduce.schedule import Move, moves, tensor_sizes
from skimp_sim.reproduce.tiles import best_of, search


@pytest.mark.parametrize("seed", range(20))
def test_row_major_runs_are_the_bytes_of_the_box(seed):
    rng = np.random.default_rng(seed)
    layer = conv_layers("alexnet")[int(rng.integers(5))]
    for tensor, sizes in tensor_sizes(layer).items():
        box = []
        for size in sizes:
            first, end = sorted(rng.integers(0, size + 1, 2))
            whole = rng.integers(3) == 0
            box.append((0, size) if whole else (int(first), int(max(end, first + 1))))
        box = tuple((min(a, size - 1), min(b, size)) for (a, b), size in zip(box, sizes))
        runs = row_major(layer, [Move(tensor, box, False)])
        number = np.arange(prod(sizes)).reshape(sizes)[tuple(slice(*x) for x in box)].ravel()
        base = runs.start[0] - number[0]
        found = np.concatenate([np.arange(s, s + n) for s, n in zip(runs.start, runs.length)])
        assert np.array_equal(found - base, number), f"seed {seed}: {tensor} {box}"
        if len(runs.start) > 1:
            gaps = runs.start[1:] - runs.start[:-1] - runs.length[:-1]
            assert (gaps > 0).all(), "neighbouring runs are one"


@pytest.mark.parametrize("network", ["alexnet", "mobilenet_v1"])
def test_layouts_move_the_same_bytes_and_tiles_do_not_overlap(network):
    for layer in conv_layers(network):
        choice = best_of(search(layer, batch=1, buffer_words=65536))
        tiles = list(moves(layer, choice))
        rows, whole = row_major(layer, tiles), tile_by_tile(layer, tiles)
        assert rows.length.sum() == whole.length.sum() == choice.words
        assert rows.length[rows.is_write].sum() == whole.length[whole.is_write].sum()
        place = sorted({(int(s), int(n)) for s, n in zip(whole.start, whole.length)})
        assert all(s + n <= t for (s, n), (t, _) in zip(place, place[1:]))
