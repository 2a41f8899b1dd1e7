"""Depthwise layers and their neighbours side by side: the same values, whatever the buffers."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from chains import Blocks, random_blocks
from netlib import Net, random_inputs
from randomconfig import random_config
from schedule import commands, run_schedule
from testconfigs import ODD, QUAD, WIDE

from skimp.configs import PRESETS
from skimp.isa import Opcode
from skimp_compiler.compiler import compile_graph
from skimp_compiler.program import DeviceStep
from skimp_compiler.timeline import Timeline
from skimp_sim.executor import run_program
from skimp_sim.functional import FunctionalError
from skimp_sim.golden.network import run_graph

CONFIGS = [
    *PRESETS.values(), ODD, WIDE, QUAD, replace(ODD, name="odd, two rows", dw_rows=2),
    replace(WIDE, name="wide, one row", dw_rows=1, psum_slots=2, act_depth=0),
    replace(QUAD, name="quad, much room on the chip", act_depth=4096, psum_slots=4),
]  # fmt: skip


def streams(program):
    return [commands(program, s) for s in program.steps if isinstance(s, DeviceStep)]


def turns(program) -> int:
    """How often computing goes from one unit to the other."""
    return sum(
        a is not b
        for stream in streams(program)
        for a, b in pairwise(o for o, _ in stream if o in (Opcode.CONV, Opcode.DEPTHWISE))
    )


def compare(graph, config, seed, *, fuse):
    """Hold every value against the golden model, every order against any timing."""
    rng = np.random.default_rng(seed)
    inputs = random_inputs(rng, graph)
    golden = run_graph(graph, inputs)
    program = compile_graph(graph, config, fuse=fuse)
    # What is fetched in the end, when others may have been in its place.
    result = run_program(graph, program, inputs)
    kinds = [op.kind for op in graph.ops]
    assert set(graph.outputs) <= set(result.values)
    for index, value in result.values.items():
        where = f"seed {seed}, fuse {fuse}, {config}, {kinds}, tensor {index}"
        np.testing.assert_array_equal(value, golden[index], err_msg=where)
    for stream in streams(program):
        run_schedule(stream, queue_depth=int(rng.integers(1, 5)), rng=rng)
    return program


@pytest.mark.parametrize(
    "start",
    [*range(0, 80, 20), *(pytest.param(n, marks=pytest.mark.long) for n in range(80, 160, 20))],
)
def test_random_blocks(start):
    """Layers side by side and layer by layer."""
    for seed in range(start, start + 20):
        rng = np.random.default_rng(seed)
        graph = random_blocks(rng)
        config = CONFIGS[seed // 2 % len(CONFIGS)] if seed % 2 else random_config(rng)
        beside = compare(graph, config, seed, fuse=True)
        behind = compare(graph, config, seed, fuse=False)
        assert [layer.unit for layer in beside.layers] == [layer.unit for layer in behind.layers]


def block_of_layers(size, c, k):
    """1x1, depthwise 3x3, 1x1."""
    blocks = Blocks(np.random.default_rng(5))
    net = blocks.net = Net(blocks.rng, "block")
    x = net.tensor((1, size, size, c))
    y = blocks._one_by_one(x, k)
    shape = net.graph.tensors[y].shape
    y = blocks._conv(y, shape, depthwise=True, window=blocks._sized(shape, 3, 3, (1, 1), "same"))
    return net.done((x,), (blocks._one_by_one(y, c),))


@pytest.mark.parametrize("config", [*PRESETS.values(), ODD, WIDE, QUAD], ids=lambda c: c.name)
def test_units_take_turns(config):
    """Tile by tile: the array expands and projects while the depthwise unit gets on."""
    graph = block_of_layers(40, 8, 16)
    beside, behind = (compare(graph, config, 1, fuse=fuse) for fuse in (True, False))
    assert turns(behind) == 2
    assert turns(beside) >= 6


@pytest.mark.parametrize("config", [PRESETS["small"], PRESETS["zcu104"]], ids=lambda c: c.name)
def test_channels_are_loaded_as_they_come(config):
    """Many channels: the first psum tile computes with those that are there already."""
    graph = block_of_layers(7, 3 * config.out_channels, 40 * config.in_channels)
    (stream,) = streams(compare(graph, config, 2, fuse=True))
    convs = [f for opcode, f in stream if opcode is Opcode.CONV and f["num_c"] > 2]
    parts = [f for f in convs if not (f["first"] and f["last"])]
    # The parts of a psum tile follow each other, and make up all channels.
    channels = 0
    for f in parts:
        assert f["first"] == (channels == 0)
        channels = 0 if f["last"] else channels + f["num_c"]
    assert sum(f["first"] for f in parts) >= 1 and channels == 0
    # Those behind it take all at once.
    assert any(f["first"] and f["last"] and f["num_c"] == 40 for f in convs)


@pytest.mark.parametrize("config", [PRESETS["small"], PRESETS["zcu104"]], ids=lambda c: c.name)
def test_the_mean_begins_before_the_convolution_ends(config):
    blocks = Blocks(np.random.default_rng(6))
    net = blocks.net = Net(blocks.rng, "head")
    x = net.tensor((1, 7, 7, 64))
    y = blocks._one_by_one(x, 640)
    z = net.tensor((1, 1, 1, 640))
    net.op("mean", (y, net.plain([1, 2])), (z,), keep_dims=True)
    graph = net.done((x,), (z,))
    beside, behind = (compare(graph, config, 1, fuse=fuse) for fuse in (True, False))
    assert turns(behind) == 1
    assert turns(beside) > 6
    conv, mean = (layer for layer in beside.layers if layer.unit != "host")
    assert mean.fused_with == conv.layer_id


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_tiles_in_any_order_that_their_inputs_allow(config, monkeypatch):
    """Whatever the estimated clocks are: random ones give the same values."""
    rng = np.random.default_rng(1)
    monkeypatch.setattr(Timeline, "begin", _random_begin(rng, Timeline.begin))
    for seed in range(6):
        graph = random_blocks(np.random.default_rng(seed))
        compare(graph, config, seed, fuse=True)


def _random_begin(rng, begin):
    def noisy(self, unit, ready):
        clock = begin(self, unit, ready)
        return clock + int(rng.integers(0, 3000)) * bool(rng.integers(2))

    return noisy


def test_a_load_before_its_store_is_seen(monkeypatch):
    """If tiles did not wait for what they read, the comparison above must fail."""
    from skimp_compiler.region import Region

    monkeypatch.setattr(Region, "ready", lambda self, *part: 0)
    with pytest.raises((AssertionError, FunctionalError)):
        for seed in range(20):
            graph = random_blocks(np.random.default_rng(seed))
            compare(graph, PRESETS["small"], seed, fuse=True)


def test_memory_kept_too_short_is_seen(monkeypatch):
    """If places of buffers were not kept while layers take turns, values would differ."""
    from skimp_compiler import emitter

    class Forgetful(emitter.Ring):
        def place(self, words, *, keep=False):
            return super().place(words)

    monkeypatch.setattr(emitter, "Ring", Forgetful)
    with pytest.raises((AssertionError, FunctionalError)):
        for seed in range(40):
            graph = random_blocks(np.random.default_rng(seed))
            compare(graph, ODD, seed, fuse=True)


def test_commands_start_with_check():
    graph = random_blocks(np.random.default_rng(1))
    for stream in streams(compile_graph(graph, PRESETS["small"])):
        assert stream[0][0] is Opcode.CHECK
        assert [opcode for opcode, _ in stream].count(Opcode.CHECK) == 1
