"""Traffic by formula against the loops themselves, and the search against all tiles there are."""

import itertools
from math import prod

import numpy as np
import pytest

from skimp_sim.reproduce.layers import ConvLayer, conv_layers
from skimp_sim.reproduce.schedule import moves, tensor_sizes
from skimp_sim.reproduce.tiles import (
    ORDERS,
    SCHEMES,
    Choice,
    Tile,
    best_of,
    one_tile,
    search,
    tile_sizes,
    words_by_tensor,
)


def random_layer(rng) -> ConvLayer:
    """A small one with whatever is awkward: groups, strides above the kernel, odd edges."""
    kernel, stride = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    padding = int(rng.integers(0, kernel))
    rows, columns = (int(x) for x in rng.integers(1, 8, 2))
    groups = int(rng.choice([1, 1, 2, 3]))
    # Up to a stride's remainder more inputs than the kernels reach, padding on both sides.
    size = [
        max(1, (x - 1) * stride + kernel - 2 * padding + int(rng.integers(0, stride)))
        for x in (rows, columns)
    ]
    return ConvLayer(
        name="random", out_channels=groups * int(rng.integers(1, 9)),
        in_channels=groups * int(rng.integers(1, 9)), in_rows=size[0], in_columns=size[1],
        rows=rows, columns=columns, kernel=kernel, stride=stride, padding=padding, groups=groups,
    )  # fmt: skip


def moved(layer: ConvLayer, choice: Choice) -> int:
    """Words of the loops, one by one."""
    return sum(prod(end - first for first, end in move.box) for move in moves(layer, choice))


def held(layer: ConvLayer, tile: Tile) -> int:
    return (
        tile.n
        * ((tile.r - 1) * layer.stride + layer.kernel)
        * ((tile.c - 1) * layer.stride + layer.kernel)
        + tile.m * tile.n * layer.kernel**2
        + tile.m * tile.r * tile.c
    )


@pytest.mark.parametrize("seed", range(40))
def test_traffic_is_that_of_the_loops(seed):
    """The best choice moves what its formula says; no order moves more than its own formula."""
    rng = np.random.default_rng(seed)
    layer = random_layer(rng)
    smallest = held(layer, Tile(1, 1, 1, 1))
    buffer_words = int(rng.integers(smallest, 8 * smallest + 200))
    choices = search(layer, batch=1, buffer_words=buffer_words, any_columns=True)
    best = best_of(choices)
    assert moved(layer, best) == best.words, f"seed {seed}: {layer} {best}"
    for choice in choices.values():
        assert held(layer, choice.tile) <= buffer_words, f"seed {seed}: {choice}"
        assert best.words <= moved(layer, choice) <= choice.words, f"seed {seed}: {choice}"


@pytest.mark.parametrize("seed", range(12))
def test_search_finds_the_best_of_all_tiles(seed):
    """Every tile of every order, walked through: nothing moves less."""
    rng = np.random.default_rng(1000 + seed)
    layer = random_layer(rng)
    smallest = held(layer, Tile(1, 1, 1, 1))
    buffer_words = int(rng.integers(smallest, 4 * smallest + 50))
    everything = itertools.product(
        *(range(1, 1 + x) for x in (layer.group_out, layer.group_in, layer.rows, layer.columns))
    )
    fitting = [Tile(*x) for x in everything if held(layer, Tile(*x)) <= buffer_words]
    fitting = [fitting[i] for i in rng.permutation(len(fitting))[:150]]
    best = best_of(search(layer, batch=1, buffer_words=buffer_words, any_columns=True))
    for tile, order in itertools.product(fitting, ORDERS):
        choice = Choice(order, tile, 0)
        assert best.words <= moved(layer, choice), f"seed {seed}: {layer} {choice}"


def test_schedule_computes_every_output_once():
    """The last write of a pixel covers the ofmap once; spilled psums come back as often."""
    layer = conv_layers("alexnet")[1]
    sizes = tensor_sizes(layer)
    for order in ORDERS:
        tile = Tile(50, 48, 10, 27) if "kept" in order else Tile(50, 13, 10, 27)
        steps = [move for move in moves(layer, Choice(order, tile, 0)) if move.tensor == "ofmap"]
        written = np.zeros(sizes["ofmap"], int)
        read = np.zeros(sizes["ofmap"], int)
        for _, box, is_write in steps:
            (written if is_write else read)[tuple(slice(*x) for x in box)] += 1
        times = 1 if order.startswith("psum") else -(-48 // tile.n)
        assert (written == times).all(), order
        assert (read == times - 1).all(), order


def test_tile_sizes_are_all_that_matter():
    for size in (1, 7, 13, 224):
        sizes = tile_sizes(size)
        for tile in range(1, size + 1):
            same = [x for x in sizes if -(-size // x) == -(-size // tile)]
            assert same and min(same) <= tile


def test_batch_reads_weights_again_for_every_image():
    layer = conv_layers("vgg16")[-1]
    one = search(layer, batch=1, buffer_words=65536)
    three = search(layer, batch=3, buffer_words=65536)
    weights = layer.weight_words
    assert three["weight"].words - weights == 3 * (one["weight"].words - weights)
    assert three["psum"].words == 3 * one["psum"].words


@pytest.mark.parametrize("scheme", SCHEMES)
def test_one_tile_fits_all_layers_and_is_no_better_than_one_each(scheme):
    layers = conv_layers("alexnet")
    tile, words = one_tile(layers, scheme, batch=1, buffer_words=65536)
    each = 0
    for layer in layers:
        columns = layer.columns if layer.columns <= 28 else min(tile.c, layer.columns)
        clipped = Tile(
            min(tile.m, layer.group_out), min(tile.n, layer.group_in), min(tile.r, layer.rows),
            columns,
        )  # fmt: skip
        assert held(layer, clipped) <= 65536
        each += best_of(search(layer, batch=1, buffer_words=65536), scheme).words
    assert each <= words


def test_words_by_tensor_are_what_was_searched():
    for layer in conv_layers("alexnet"):
        for order, choice in search(layer, batch=2, buffer_words=32768).items():
            words = words_by_tensor(layer, 2, choice)
            assert sum(words.values()) == choice.words, (layer.name, order)
            assert words["wgt"] >= layer.weight_words
