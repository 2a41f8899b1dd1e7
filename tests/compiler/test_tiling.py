"""Tilings respect every buffer, whatever the layer and the configuration; each plan is reached."""

from dataclasses import replace

import numpy as np
import pytest
from netlib import Net, conv_net, random_inputs
from randomconfig import random_config
from testconfigs import ODD, WIDE

from skimp.config import Config
from skimp.configs import PRESETS
from skimp.isa import Rounding
from skimp_compiler.compiler import compile_graph
from skimp_compiler.conv_layer import ConvSpec, choose_tiling
from skimp_compiler.drain_store import Requant
from skimp_compiler.geometry import DoesNotFit, TileGeometry, Window
from skimp_compiler.plane import Planes
from skimp_sim.executor import run_program
from skimp_sim.golden.network import run_graph

REQUANT = Requant(
    params_addr=0, num_params=1, rounding=Rounding.DOUBLE, out_zp=0, act_min=-128, act_max=127
)
CONFIGS = [*PRESETS.values(), ODD, WIDE]


def spec_of(rng, config: Config) -> ConvSpec:
    window = Window(
        r=int(rng.integers(1, 9)), s=int(rng.integers(1, 9)),
        stride_h=int(rng.integers(1, 5)), stride_w=int(rng.integers(1, 5)),
    )  # fmt: skip
    if rng.integers(3) == 0:
        window = Window()
    channels, outputs = int(rng.integers(1, 2000)), int(rng.integers(1, 2000))
    height, width = int(rng.integers(1, 120)), int(rng.integers(1, 120))
    planes = lambda h, w, c: Planes(
        address=0, height=h, width=w, num_blocks=-(-c // config.in_channels),
        beat_bytes=config.in_channels,
    )  # fmt: skip
    return ConvSpec(
        window=window,
        pad_top=0,
        pad_left=0,
        num_channels=channels,
        num_outputs=outputs,
        input=planes(window.in_rows(height), window.in_cols(width), channels),
        output=planes(height, width, outputs),
        wgt_addr=0,
        in_zp=0,
        requant=REQUANT,
    )


@pytest.mark.parametrize("seed", range(60))
def test_tiling_fits_every_buffer(seed):
    rng = np.random.default_rng(seed)
    config = CONFIGS[seed % len(CONFIGS)] if seed % 2 else random_config(rng)
    spec = spec_of(rng, config).flattened()
    window, capacity = spec.window, config.pixels * config.ifmap_depth
    try:
        tiling = choose_tiling(spec, config)
    except DoesNotFit:
        smallest = TileGeometry(
            pixels=config.pixels, window=window, out_rows=1, out_cols=1, tile_q=1
        )
        assert smallest.block_words > capacity, f"seed {seed}: {window} would fit"
        return
    where = f"seed {seed}: {tiling}"
    c_blocks = -(-spec.num_channels // config.in_channels)
    assert tiling.psum_rows * tiling.psum_cols <= config.tile_pixels, where
    assert tiling.rows >= 1 and 1 <= tiling.psum_cols <= tiling.cols, where
    rows, cols = tiling.rows, tiling.cols
    geometry = TileGeometry(
        pixels=config.pixels, window=window, out_rows=rows, out_cols=cols,
        tile_q=min(cols, tiling.psum_cols),
    )  # fmt: skip
    blocks = tiling.chunk_blocks if tiling.streamed else c_blocks
    assert blocks * geometry.block_words <= capacity // tiling.ifmap_slots, where
    taps = tiling.chunk_r * tiling.chunk_s
    if tiling.wgt_slots:
        assert tiling.chunk_blocks * taps <= config.wgt_depth // tiling.wgt_slots, where
    else:
        held = tiling.group_blocks * c_blocks * window.r * window.s
        assert held <= config.wgt_depth, where
    if taps < window.r * window.s:
        assert tiling.chunk_blocks == 1, where
    assert tiling.chunk_r in (1, window.r) or tiling.chunk_r % window.stride_h == 0, where
    assert tiling.chunk_s in (1, window.s) or tiling.chunk_s % window.stride_w == 0, where


BASE = dict(height=12, width=11, c=40, k=40, r=3, s=3)
SMALL = PRESETS["small"]
PLANS = {
    "weights stay": (SMALL, dict(k=16), lambda t: not t.wgt_slots and t.group_blocks == 1),
    "weights in groups": (
        replace(SMALL, wgt_depth=100, ifmap_depth=256),
        dict(height=40, k=80),
        lambda t: not t.wgt_slots and t.group_blocks == 2,
    ),
    "weights in turn": (
        replace(SMALL, wgt_depth=100),
        {},
        lambda t: t.wgt_slots == 2 and t.chunk_blocks == 5,
    ),
    "channels in chunks": (replace(SMALL, wgt_depth=20), {}, lambda t: t.chunk_blocks in (1, 2)),
    "kernel rows": (replace(SMALL, wgt_depth=8), {}, lambda t: t.chunk_r < 3 == t.chunk_s),
    "kernel columns": (replace(SMALL, wgt_depth=4), dict(s=5), lambda t: t.chunk_s in (2, 4)),
    "kernel columns, stride 2": (
        replace(SMALL, wgt_depth=4),
        dict(r=5, s=7, stride=(2, 2)),
        lambda t: t.chunk_s in (2, 4),
    ),
    "kernel columns one by one": (
        replace(SMALL, wgt_depth=5),
        dict(r=7, s=7, stride=(3, 6)),
        lambda t: t.chunk_s == 1,
    ),
    "input streamed": (
        replace(SMALL, ifmap_depth=32),
        dict(c=200),
        lambda t: t.streamed and t.chunk_blocks < 25,
    ),
    "input streamed, kernel columns": (
        replace(SMALL, ifmap_depth=32, wgt_depth=4),
        dict(c=90, r=5, s=7, height=5, width=5),
        lambda t: t.streamed and t.chunk_s < 7,
    ),
    "wide rows in parts": (
        replace(PRESETS["tiny"], psum_depth=8),
        dict(width=50),
        lambda t: t.psum_cols < 50,
    ),
    "a long row in parts": (
        replace(PRESETS["tiny"], ifmap_depth=300),
        dict(r=1, s=1),
        lambda t: t.rows == 1 and 11 < t.cols < 12 * 11,
    ),
}
"""Configuration, what differs from BASE, and what the tiling must be for the plan to be tested."""


@pytest.mark.parametrize("plan", PLANS)
def test_plan_is_exact(plan, monkeypatch):
    config, shape, reached = PLANS[plan]
    tilings = []

    def choose(spec, config):
        tilings.append(choose_tiling(spec, config))
        return tilings[-1]

    monkeypatch.setattr("skimp_compiler.conv_layer.choose_tiling", choose)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        graph = conv_net(rng, **(BASE | shape))
        inputs = random_inputs(rng, graph)
        program = compile_graph(graph, config)
        assert reached(tilings[-1]), tilings[-1]
        result = run_program(graph, program, inputs)
        index = graph.outputs[0]
        np.testing.assert_array_equal(
            result.values[index], run_graph(graph, inputs)[index], err_msg=f"seed {seed}"
        )
        assert program.layers[0].unit == "array"


def test_weights_that_fit_come_once_and_so_does_the_input():
    graph = conv_net(np.random.default_rng(0), height=14, width=14, c=32, k=64, r=1, s=1)
    config = PRESETS["zcu104"]
    program = compile_graph(graph, config)
    result = run_program(graph, program, random_inputs(np.random.default_rng(0), graph))
    (counts,) = result.counts.values()
    assert counts.dram_read_bytes["ifmap"] == 14 * 14 * 32
    assert counts.dram_read_bytes["wgt"] == 32 * 64 + 12 * 64
    assert counts.dram_write_bytes["ofmap"] == 14 * 14 * 64


def test_the_smallest_buffers_hold_an_add():
    """Half a buffer for two operands is less than a psum tile here."""
    config = replace(
        PRESETS["tiny"], psum_depth=128, ofmap_depth=128, ifmap_depth=32, dw_wgt_depth=64
    )
    for seed, kind in enumerate(["add", "sub", "hard_swish"]):
        rng = np.random.default_rng(seed)
        net = Net(rng, kind)
        x, y = net.tensor((1, 9, 20, 20)), net.tensor((1, 9, 20, 20))
        operands = (x,) if kind == "hard_swish" else (x, x)
        net.op(kind, operands, (y,), **({} if kind == "hard_swish" else {"activation": "none"}))
        graph = net.done((x,), (y,))
        inputs = random_inputs(rng, graph)
        result = run_program(graph, compile_graph(graph, config), inputs)
        np.testing.assert_array_equal(result.values[y], run_graph(graph, inputs)[y])


def test_many_slots_do_not_overflow_their_semaphore():
    config = replace(PRESETS["tiny"], psum_depth=8, ofmap_depth=1 << 15)
    graph = conv_net(np.random.default_rng(0), height=64, width=64, c=8, k=8, r=1, s=1)
    inputs = random_inputs(np.random.default_rng(0), graph)
    result = run_program(graph, compile_graph(graph, config), inputs)
    assert result.counts[0].commands["STORE"] == 64 * 64 // 8
    index = graph.outputs[0]
    np.testing.assert_array_equal(result.values[index], run_graph(graph, inputs)[index])
