"""The row-stationary closed forms against loops that count one by one; the search's limits."""

from itertools import product

import numpy as np
import pytest

from skimp_sim.reproduce.costs import CHIP_65NM, RELATIVE, TENSORS, Costs
from skimp_sim.reproduce.eyeriss import ALEXNET_MAPPINGS, AS_PUBLISHED
from skimp_sim.reproduce.layers import ConvLayer, conv_layers, dense_layer
from skimp_sim.reproduce.row_stationary import (
    EYERISS,
    Chip,
    Mapping,
    accesses,
    best_mapping,
    energy_by_tensor,
)

# JSSC paper, table III: KB of ifmap and psums in the buffer.
BUFFER_KB = {
    "conv1": (15.5, 72.2),
    "conv2": (3.8, 91.1),
    "conv3": (7.0, 84.5),
    "conv4": (10.5, 84.5),
    "conv5": (10.5, 84.5),
}


def layer_of(rng) -> ConvLayer:
    """A small one, without padding; odd sizes."""
    kernel, stride, groups = (
        int(rng.integers(1, 4)),
        int(rng.integers(1, 3)),
        int(rng.integers(1, 3)),
    )
    rows, columns = (int(size) for size in rng.integers(1, 8, 2))
    return ConvLayer(
        name="x", out_channels=groups * int(rng.integers(1, 7)),
        in_channels=groups * int(rng.integers(1, 7)), rows=rows, columns=columns,
        in_rows=stride * rows + kernel - stride, in_columns=stride * columns + kernel - stride,
        kernel=kernel, stride=stride, padding=0, groups=groups,
    )  # fmt: skip


def by_loops(layer: ConvLayer, batch: int, mapping: Mapping) -> dict:
    """Go through strips, groups of filters and passes, and add up."""
    m, n, e, f, p, q, r, t = mapping
    words = {"dram": dict.fromkeys(TENSORS, 0), "glb": dict.fromkeys(TENSORS, 0)}
    strip = layer.window(e) * layer.window(f)
    pieces = product(range(0, layer.rows, e), range(0, layer.columns, f))
    for (top, left), _, first_image in product(
        list(pieces), range(layer.groups), range(0, batch, n)
    ):
        images = min(n, batch - first_image)
        pixels = min(e, layer.rows - top) * min(f, layer.columns - left)
        words["dram"]["wgt"] += layer.group_out * layer.group_in * layer.taps
        for filters in range(0, layer.group_out, m):
            words["dram"]["ifmap"] += images * layer.group_in * strip
            words["dram"]["psum"] += images * pixels * min(m, layer.group_out - filters)
        for _ in range(0, layer.group_out, p * t):
            words["glb"]["ifmap"] += images * layer.group_in * strip
        for _ in range(0, layer.group_in, q * r):
            words["glb"]["psum"] += 2 * images * pixels * layer.group_out
    return words


@pytest.mark.parametrize("seed", range(20))
def test_counts_against_loops(seed):
    rng = np.random.default_rng(seed)
    layer, batch = layer_of(rng), int(rng.integers(1, 5))
    limits = layer.group_out, batch, layer.rows, layer.columns, 4, 4, 3, 3
    mapping = Mapping(*(int(rng.integers(1, limit + 1)) for limit in limits))
    ours, loops = accesses(layer, batch, mapping), by_loops(layer, batch, mapping)
    for level in loops:
        assert ours[level] == loops[level], (seed, layer, mapping)
    macs = batch * layer.macs
    assert ours["rf"] == {"ifmap": macs, "wgt": macs, "psum": 2 * macs}


@pytest.mark.parametrize("layer", conv_layers("alexnet"), ids=lambda layer: layer.name)
def test_table_3_fits_the_chip(layer):
    """Sizes in the buffer as printed, spads and array large enough."""
    name = layer.name
    printed = AS_PUBLISHED if name == "conv3" else ALEXNET_MAPPINGS[name]
    m, n, e, f, _, q, r, _ = printed
    ifmap = 2 * n * q * r * layer.window(e) * layer.window(f) / 1024
    assert (ifmap, 2 * m * e * f * n / 1024) == pytest.approx(BUFFER_KB[name], abs=0.06)
    for mapping in (printed, ALEXNET_MAPPINGS[name]):
        assert mapping.r * mapping.t <= EYERISS.sets(layer.kernel, mapping.e)
        assert mapping.q * layer.kernel <= EYERISS.ifmap_words
        assert mapping.p * mapping.q * layer.kernel <= EYERISS.wgt_words
        assert mapping.p <= EYERISS.psum_words


def energy(layer, batch, mapping, costs) -> float:
    return sum(energy_by_tensor(accesses(layer, batch, mapping), costs).values())


def fits(layer: ConvLayer, chip: Chip, mapping: Mapping) -> bool:
    m, n, e, f, p, q, r, t = mapping
    held = m * e * f * n + n * q * r * layer.window(e) * layer.window(f)
    return (
        held <= chip.buffer_words
        and q * layer.kernel <= chip.ifmap_words
        and p * q * layer.kernel <= chip.wgt_words
        and p <= chip.psum_words
        and r * t <= chip.sets(layer.kernel, e)
        and layer.group_out % m == m % (p * t) == 0
        and layer.group_in % r == 0
        and q <= layer.group_in
    )


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("costs", [RELATIVE, CHIP_65NM, Costs(1, 200, 6, 0, 0)])
def test_search_against_all_mappings(seed, costs):
    rng = np.random.default_rng(100 + seed)
    layer, batch = layer_of(rng), int(rng.integers(1, 4))
    chip = Chip(rows=6, columns=4, buffer_words=160, ifmap_words=6, wgt_words=20, psum_words=3)
    every = (
        Mapping(m, n, e, layer.columns, p, q, r, t)
        for m, n, e, p, q, r, t in product(
            range(1, layer.group_out + 1), range(1, batch + 1), range(1, layer.rows + 1),
            range(1, 4), range(1, 7), range(1, 7), range(1, 7),
        )
    )  # fmt: skip
    least = min(
        energy(layer, batch, mapping, costs) for mapping in every if fits(layer, chip, mapping)
    )
    found = best_mapping(layer, batch=batch, chip=chip, costs=costs)
    assert fits(layer, chip, found), (seed, layer, found)
    assert energy(layer, batch, found, costs) == pytest.approx(least), (seed, layer, found)


def test_search_with_conditions():
    layer = conv_layers("vgg16")[7]
    options = {"batch": 3, "chip": EYERISS, "costs": CHIP_65NM}
    mapping = best_mapping(layer, **options, active=168, channels=4, columns=14)
    assert layer.kernel * mapping.e * mapping.r * mapping.t == 168
    assert (mapping.q * mapping.r, mapping.f) == (4, 14)
    assert energy(layer, 3, best_mapping(layer, **options), CHIP_65NM) <= energy(
        layer, 3, mapping, CHIP_65NM
    )


def test_dense_layer():
    layer = dense_layer("fc", 256, 4096, kernel=6)
    assert layer.macs == layer.weight_words == 256 * 36 * 4096
    assert (layer.ifmap_words, layer.ofmap_words) == (256 * 36, 4096)
