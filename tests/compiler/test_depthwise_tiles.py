"""Tiles of the depthwise unit, one row or two at a time: any window, any height, odd blocks."""

from dataclasses import replace

import numpy as np
import pytest
from netlib import Net, conv_net, random_inputs
from schedule import commands
from testconfigs import ODD, QUAD, WIDE

from skimp.configs import PRESETS
from skimp.isa import Opcode
from skimp_compiler.compiler import compile_graph
from skimp_compiler.depthwise_layer import band_rows
from skimp_compiler.program import DeviceStep
from skimp_sim.executor import run_program
from skimp_sim.golden.network import run_graph

CONFIGS = [
    PRESETS["zcu104"], WIDE, QUAD, replace(ODD, name="odd, two rows", dw_rows=2), PRESETS["small"],
]  # fmt: skip


def run(graph, config, seed, *, fuse=True):
    """Hold all values against the golden model; return fields of all commands by opcode."""
    inputs = random_inputs(np.random.default_rng(seed), graph)
    golden = run_graph(graph, inputs)
    program = compile_graph(graph, config, fuse=fuse)
    result = run_program(graph, program, inputs)
    for index, value in result.values.items():
        where = f"seed {seed}, {config.name}, tensor {index}"
        np.testing.assert_array_equal(value, golden[index], err_msg=where)
    found = {opcode: [] for opcode in Opcode}
    for step in program.steps:
        if isinstance(step, DeviceStep):
            for opcode, fields in commands(program, step):
                found[opcode].append(fields)
    return found


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [2, 3, 5, 7])
def test_every_height(kernel, stride, config):
    """Even and odd numbers of rows; a last row has no partner."""
    for height in range(1, 15):
        rng = np.random.default_rng(height)
        padding = "valid" if height >= kernel and height % 3 == 0 else "same"
        graph = conv_net(
            rng, height=height, width=int(rng.integers(kernel, 12)), c=int(rng.integers(1, 70)),
            k=0, r=kernel, s=kernel, stride=(stride, stride), padding=padding, depthwise=True,
        )  # fmt: skip
        found = run(graph, config, height, fuse=height % 2 == 0)
        rows, cols = graph.tensors[graph.outputs[0]].shape[1:3]
        walk = (kernel + stride) * -(-rows // 2)
        pairs = config.dw_rows == 2 and walk < kernel * rows
        computed = found[Opcode.DEPTHWISE]
        assert any(f["num_pixels2"] for f in computed) == pairs
        for fields in computed:
            assert 0 <= fields["num_pixels2"] <= fields["num_pixels"] <= config.dw_tile_pixels
            assert fields["lag"] == (stride if fields["num_pixels2"] else 0)
            assert fields["num_r"] == kernel + fields["lag"]
        pixels = sum(f["num_pixels"] + f["num_pixels2"] for f in computed)
        words = -(-graph.tensors[graph.outputs[0]].shape[3] // config.out_channels)
        assert pixels == rows * cols * words
        drained = [f for f in found[Opcode.DRAIN] if f["dw"]]
        assert sum(f["num_pixels"] for f in drained) == pixels
        assert {f["dw_row"] for f in drained} == ({0, 1} if pairs else {0})


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
@pytest.mark.parametrize("stride", [(1, 2), (2, 1), (3, 1), (1, 3), (7, 1), (8, 1), (9, 2)])
def test_strides_of_their_own(stride, config):
    """Two rows at a time double the stride, which a command holds up to 15."""
    for seed, r in enumerate((9, 10)):
        rng = np.random.default_rng(seed)
        graph = conv_net(
            rng, height=27, width=11, c=20, k=0, r=r, s=3, stride=stride, depthwise=True
        )
        found = run(graph, config, seed)
        assert max((f["stride_h"] for f in found[Opcode.DEPTHWISE]), default=0) <= 15


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
@pytest.mark.parametrize("width", [2, 8, 15, 40, 61])
def test_wide_maps_in_columns(width, config):
    """Tiles as wide as half the map and narrower, two rows at a time."""
    for seed, stride in enumerate(((1, 1), (1, 2), (2, 2))):
        rng = np.random.default_rng(seed)
        graph = conv_net(
            rng, height=7, width=width, c=40, k=0, r=2 + seed, s=2, stride=stride, depthwise=True
        )
        run(graph, config, seed)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_concat_of_odd_blocks(config):
    """Parts whose blocks do not fill the words of the depthwise unit: the rest of a word is
    garbage, which nobody stores."""
    block = config.in_channels
    for seed in range(12):
        rng = np.random.default_rng(seed)
        net = Net(rng, "concat")
        height, width = (int(n) for n in rng.integers(1, 12, 2))
        channels = [block * int(rng.integers(1, 6)) for _ in range(int(rng.integers(1, 4)))]
        channels.append(int(rng.integers(1, 3 * block)))
        parts = [net.tensor((1, height, width, c), scale=0.1, zero_point=4) for c in channels]
        y = net.tensor((1, height, width, sum(channels)), scale=0.1, zero_point=4)
        net.op("concat", parts, (y,), axis=3, activation="none")
        found = run(net.done(parts, (y,)), config, seed)
        per_word = config.ofmap_blocks
        loads = [f["num_blocks"] for f in found[Opcode.LOAD_IFMAP]]
        assert max(loads) <= per_word
        wanted = sum(-(-c // block) for c in channels)
        tiles = sum(loads) // wanted
        assert tiles * wanted == sum(loads), "every block of every part, as often as each other"


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
@pytest.mark.parametrize("kind", ["max_pool", "avg_pool"])
def test_pools_of_odd_maps(kind, config):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        net = Net(rng, kind)
        height, width = (int(n) for n in rng.integers(3, 15, 2))
        x = net.tensor((1, height, width, 37), scale=0.1, zero_point=3)
        y = net.tensor((1, height, width, 37), scale=0.1, zero_point=3)
        net.op(
            kind, (x,), (y,), filter_h=3, filter_w=3, stride_h=1, stride_w=1, padding="same",
            activation="none",
        )  # fmt: skip
        found = run(net.done((x,), (y,)), config, seed)
        # The largest value is taken in the upper row's lanes alone.
        if kind == "max_pool":
            assert not any(f["num_pixels2"] for f in found[Opcode.DEPTHWISE])


@pytest.mark.parametrize("words", [1, 2, 5])
def test_weights_in_parts(words):
    """More channels than the weight memory holds: a half at a time, tile inside."""
    config = replace(WIDE, dw_wgt_depth=64)
    graph = conv_net(
        np.random.default_rng(words), height=9, width=9, c=words * 16 * 3, k=0, r=5, s=5,
        depthwise=True,
    )  # fmt: skip
    for fuse in (True, False):
        found = run(graph, config, words, fuse=fuse)
        spans = [(f["wgt_base"], f["wgt_base"] + 25) for f in found[Opcode.DEPTHWISE]]
        assert max(end for _, end in spans) <= 64


def test_small_maps_are_one_tile_and_large_ones_several():
    assert band_rows(7, 7) == 7 and band_rows(8, 8) == 8
    for size in (14, 28, 56, 112):
        assert 1 <= band_rows(size, size) < size
