"""Tilings respect every buffer, whatever the layer and the configuration; each plan is reached."""

from dataclasses import replace

import numpy as np
import pytest
from netlib import Net, conv_net, random_inputs
from randomconfig import random_config
from testconfigs import ODD, WIDE

from skimp.config import Config
from skimp.configs import PRESETS
from skimp.isa import CHIP_BASE, LoadTarget, Opcode, Rounding
from skimp_compiler import conv_tiling
from skimp_compiler.compiler import compile_graph
from skimp_compiler.conv_layer import ConvLayer
from skimp_compiler.conv_tiling import ConvSpec, choose_tiling, tile_geometry
from skimp_compiler.drain_store import Requant, SecondStage
from skimp_compiler.emitter import ACTIVATION_BASE, Emitter
from skimp_compiler.geometry import DoesNotFit, TileGeometry, Window
from skimp_compiler.plane import Planes
from skimp_compiler.region import Region
from skimp_compiler.schedule import LayerWork, Schedule
from skimp_sim.executor import run_program
from skimp_sim.golden.network import run_graph

REQUANT = Requant(
    params_addr=0, num_params=1, rounding=Rounding.DOUBLE, out_zp=0, act_min=-128, act_max=127
)
CONFIGS = [*PRESETS.values(), ODD, WIDE]


def planes(config: Config, height, width, channels, *, address=ACTIVATION_BASE) -> Planes:
    num_blocks = -(-channels // config.in_channels)
    words = config.chip_words
    return Planes(
        address=address,
        height=height,
        width=width,
        row_words=width,
        num_blocks=num_blocks,
        word_bytes=config.in_channels,
        plane_words=-(-height * width // words) * words,
        region=Region(num_blocks=num_blocks),
    )


def spec_of(rng, config: Config, *, largest=120, channels=2000) -> ConvSpec:
    window = Window(
        r=int(rng.integers(1, 9)), s=int(rng.integers(1, 9)),
        stride_h=int(rng.integers(1, 5)), stride_w=int(rng.integers(1, 5)),
    )  # fmt: skip
    if rng.integers(3) == 0:
        window = Window(stride_h=int(rng.integers(1, 3)), stride_w=int(rng.integers(1, 3)))
    c, k = (int(n) for n in rng.integers(1, channels, 2))
    height, width = (int(n) for n in rng.integers(1, largest, 2))
    addresses = [
        CHIP_BASE if config.act_depth and rng.integers(2) else ACTIVATION_BASE for _ in range(2)
    ]
    second = None
    if rng.integers(3) == 0:
        residual = planes(config, height, width, k) if rng.integers(2) else None
        second = SecondStage(
            tables_addr=0, residual=residual, mult=1, shift=0, out_zp=0, act_min=0, act_max=1
        )
    return ConvSpec(
        window=window,
        pad_top=0,
        pad_left=0,
        num_channels=c,
        num_outputs=k,
        input=planes(
            config, window.in_rows(height), window.in_cols(width), c, address=addresses[0]
        ),
        output=planes(config, height, width, k, address=addresses[1]),
        wgt_addr=0,
        in_zp=0,
        requant=replace(REQUANT, num_params=-(-k // config.out_channels)),
        second=second,
    )


@pytest.mark.parametrize("seed", range(60))
def test_tiling_fits_every_buffer(seed):
    rng = np.random.default_rng(seed)
    config = CONFIGS[seed % len(CONFIGS)] if seed % 2 else random_config(rng)
    spec = spec_of(rng, config).reduced().flattened()
    window, capacity = spec.window, config.pixels * config.ifmap_depth
    band = [None, 1, 30, 10_000][seed // 2 % 4]
    try:
        tiling = choose_tiling(spec, config, band=band)
    except DoesNotFit:
        smallest = TileGeometry(
            pixels=config.pixels, window=window, out_rows=1, out_cols=1, tile_q=1
        )
        assert smallest.block_words > capacity, f"seed {seed}: {window} would fit"
        return
    where = f"seed {seed}: {tiling}"
    c_blocks = -(-spec.num_channels // config.in_channels)
    assert 1 <= tiling.psum_rows * tiling.psum_cols <= config.tile_pixels, where
    assert 1 <= tiling.psum_rows <= tiling.rows <= spec.output.height, where
    assert 1 <= tiling.psum_cols <= tiling.cols <= spec.output.width, where
    # Rows of pixels follow each other in the buffer: parts of them only where there is one row.
    assert tiling.cols == tiling.psum_cols or tiling.rows == 1, where
    geometry = tile_geometry(spec, config, tiling.rows, tiling.cols, tiling.psum_cols)
    streamed = tiling.kind == "streamed"
    blocks = tiling.chunk_blocks if streamed else c_blocks
    assert blocks * geometry.block_words <= capacity, where
    assert not streamed or (tiling.psum_rows, tiling.psum_cols) == (tiling.rows, tiling.cols), where
    taps = tiling.chunk_r * tiling.chunk_s
    whole = (tiling.chunk_blocks, taps) == (c_blocks, window.r * window.s)
    held = tiling.chunk_blocks * taps * (tiling.group_blocks if whole else 1)
    assert held <= config.wgt_depth, where
    assert whole or tiling.kind != "resident", where
    assert tiling.kind == "resident" or tiling.group_blocks == 1, where
    if taps < window.r * window.s:
        assert tiling.chunk_blocks == 1, where
    assert tiling.chunk_r in (1, window.r) or tiling.chunk_r % window.stride_h == 0, where
    assert tiling.chunk_s in (1, window.s) or tiling.chunk_s % window.stride_w == 0, where


def test_a_window_that_does_not_fit_says_what_to_raise():
    config = replace(PRESETS["tiny"], ifmap_depth=32)
    spec = replace(
        spec_of(np.random.default_rng(0), config), window=Window(r=6, s=6),
        input=planes(config, 10, 10, 8), output=planes(config, 5, 5, 8), second=None,
    )  # fmt: skip
    emitter = Emitter(config)
    with pytest.raises(DoesNotFit, match=r"6x6 window .* \(32 words\): raise ifmap_depth"):
        ConvLayer(emitter, config, spec)
    assert len(emitter) == 1, "something was emitted"


# What a tiling costs


def emit(emitter: Emitter, layer) -> None:
    """Emit all commands of a layer."""
    schedule = Schedule(emitter)
    schedule.begin(
        LayerWork(unit=layer.unit, tasks=layer.tasks(), op_index=0, on_end=layer.out.end)
    )
    schedule.finish()


def fields_of(emitter: Emitter, opcode: Opcode):
    return [c.fields for c in emitter._commands if c.opcode is opcode]


def counted(emitter: Emitter, config: Config, *, second: bool) -> dict:
    """Clocks of the units that the emitted commands take at least."""
    step = 1 if second else config.drain_pixels
    weights = [f for f in fields_of(emitter, Opcode.LOAD_LINEAR) if f["target"] == LoadTarget.WGT]
    return {
        "array": sum(
            f["num_c"] * f["num_r"] * f["num_s"] * max(config.min_pass_cycles, f["num_groups"])
            for f in fields_of(emitter, Opcode.CONV)
        ),
        "drain": sum(-(-f["num_pixels"] // step) for f in fields_of(emitter, Opcode.DRAIN)),
        "wgt": sum(f["num_beats"] for f in weights),
        "store": sum(
            f["seg_words"] * f["seg_count"] * f["num_blocks"] // config.chip_words
            for f in fields_of(emitter, Opcode.STORE)
        ),
    }


@pytest.mark.parametrize("seed", range(30))
def test_cost_is_what_the_commands_take(seed):
    """Never less than the busiest unit's clocks, and no more than what all of it could add up to."""
    rng = np.random.default_rng(seed)
    config = CONFIGS[seed % len(CONFIGS)] if seed % 2 else random_config(rng)
    spec = spec_of(rng, config, largest=24, channels=120)
    emitter = Emitter(config)
    try:
        layer = ConvLayer(emitter, config, spec)
    except DoesNotFit:
        return
    emit(emitter, layer)
    tiling = layer.tiling
    reduced = spec.reduced().flattened()
    cost = conv_tiling._cost(reduced, config, tiling)
    clocks = counted(emitter, config, second=spec.second is not None)
    assert cost >= max(clocks.values()), f"seed {seed}: {tiling}, {cost}, {clocks}"
    # Every CONV command once: their passes are all of the convolution.
    pixels = [f["num_pixels"] for f in fields_of(emitter, Opcode.DRAIN)]
    assert sum(pixels) == spec.output.height * spec.output.width * -(
        -spec.num_outputs // config.out_channels
    )
    others = [
        t
        for t in conv_tiling._candidates(reduced, config)
        if conv_tiling._cost(reduced, config, t) < cost
    ]
    assert not others, f"seed {seed}: cheaper than {tiling}: {others}"


def test_cost_counts_the_second_stage_and_the_memory():
    config = PRESETS["small"]
    rng = np.random.default_rng(0)
    base = replace(
        spec_of(rng, config), window=Window(), num_channels=8, num_outputs=8, second=None,
        input=planes(config, 30, 30, 8), output=planes(config, 30, 30, 8),
    )  # fmt: skip
    table = SecondStage(
        tables_addr=0, residual=None, mult=1, shift=0, out_zp=0, act_min=0, act_max=1
    )
    on_chip = replace(
        base, input=planes(config, 30, 30, 8, address=CHIP_BASE),
        output=planes(config, 30, 30, 8, address=CHIP_BASE),
    )  # fmt: skip
    cost = lambda spec: conv_tiling._cost(spec, config, choose_tiling(spec, config))
    assert cost(replace(on_chip, second=table)) > cost(on_chip), "one pixel a clock, not two"
    assert cost(on_chip) < cost(base), "nothing but weights through the bus"


# Convolutions that look at less, or lie in one row


def taps_of(spec: ConvSpec):
    """Return, per output pixel in order, its address and those that its taps read (one block)."""
    w, step = spec.window, 2 if spec.halve else 1
    found = []
    for p in range(spec.output.height):
        for q in range(spec.output.width):
            reads = []
            for r in range(w.r):
                for s in range(w.s):
                    y = p * w.stride_h - spec.pad_top + r
                    x = (q * w.stride_w - spec.pad_left + s) * step
                    inside = 0 <= y < spec.input.height and 0 <= x < spec.input.width
                    reads.append(spec.input.pixel_address(1, y, x) if inside else None)
            residual = spec.second and spec.second.residual.pixel_address(1, p, q)
            found.append((spec.output.pixel_address(1, p, q), residual, reads))
    return found


@pytest.mark.parametrize("seed", range(60))
def test_reduced_and_flattened_read_the_same(seed):
    rng = np.random.default_rng(seed)
    config = PRESETS["small"]
    window = Window(
        r=int(rng.choice([1, 1, 1, 2])), s=int(rng.choice([1, 1, 1, 3])),
        stride_h=int(rng.integers(1, 4)), stride_w=int(rng.integers(1, 4)),
    )  # fmt: skip
    height, width = (int(n) for n in rng.integers(1, 8, 2))
    # Rows and columns that no tap looks at, or that are missing: padding behind the map.
    extra = rng.integers(-3, 2, 2)
    in_height = max(1, window.in_rows(height) + int(extra[0]))
    in_width = max(1, window.in_cols(width) + int(extra[1]))
    maps = planes(config, height, width, 16)
    residual = SecondStage(
        tables_addr=0, residual=maps, mult=1, shift=0, out_zp=0, act_min=0, act_max=1
    )
    spec = replace(
        spec_of(rng, config), window=window, output=maps, num_channels=16,
        second=residual if rng.integers(2) else None,
        pad_top=int(rng.integers(4) == 0), pad_left=int(rng.integers(4) == 0),
        input=planes(config, in_height, in_width, 16),
    )  # fmt: skip
    reduced = spec.reduced()
    assert taps_of(reduced) == taps_of(spec), f"seed {seed}"
    if window.r == 1 and not spec.pad_top:
        assert reduced.window.stride_h == 1
    inside = not spec.pad_left and 2 * (width - 1) < in_width
    assert reduced.halve == (window.s == 1 and window.stride_w == 2 and inside)
    flat = reduced.flattened()
    assert taps_of(flat) == taps_of(reduced), f"seed {seed}"


def test_what_lies_in_one_row():
    config = PRESETS["small"]
    rng = np.random.default_rng(0)
    whole = planes(config, 5, 7, 16)
    base = replace(
        spec_of(rng, config), window=Window(), input=whole, output=planes(config, 5, 7, 16),
        second=None,
    )  # fmt: skip
    flat = base.flattened()
    assert (flat.output.height, flat.output.width, flat.input.width) == (1, 35, 35)
    stage = SecondStage(
        tables_addr=0, residual=whole, mult=1, shift=0, out_zp=0, act_min=0, act_max=1
    )
    assert replace(base, second=stage).flattened().second.residual.width == 35
    for other in (
        dict(window=Window(r=3)),
        dict(window=Window(stride_w=2)),
        dict(pad_top=1),
        dict(halve=True),
        dict(input=whole.every_row(2)),
        dict(output=planes(config, 5, 6, 16)),
        dict(input=planes(config, 256, 256, 8), output=planes(config, 256, 256, 8)),
    ):
        spec = replace(base, **other)
        assert spec.flattened() is spec, other


# Plans


BASE = dict(height=12, width=11, c=40, k=40, r=3, s=3)
SMALL = replace(PRESETS["small"], act_depth=0, psum_depth=32)
PLANS = {
    "weights stay": (SMALL, dict(k=16), lambda t: t.kind == "resident" and t.group_blocks == 1),
    "weights in groups": (
        replace(
            SMALL,
            wgt_depth=200,
            psum_depth=8,
            ifmap_depth=200,
            bus_words=1,
            tile_table_depth=0,
        ),
        dict(height=60, k=128),
        lambda t: t.kind == "resident" and t.group_blocks == 2,
    ),
    "weights in turn": (
        replace(SMALL, wgt_depth=100),
        dict(k=100),
        lambda t: t.kind == "turn" and t.chunk_blocks == 5,
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
        lambda t: t.kind == "streamed" and t.chunk_blocks < 25,
    ),
    "input streamed, kernel columns": (
        replace(SMALL, ifmap_depth=32, wgt_depth=4),
        dict(c=90, r=5, s=7, height=5, width=5),
        lambda t: t.kind == "streamed" and t.chunk_s < 7,
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
    "every second pixel": (
        replace(SMALL, ifmap_depth=64),
        dict(height=13, width=15, r=1, s=1, stride=(2, 2)),
        lambda t: t.cols == 8,
    ),
}
"""Configuration, what differs from BASE, and what the tiling must be for the plan to be tested."""


@pytest.mark.parametrize("plan", PLANS)
def test_plan_is_exact(plan, monkeypatch):
    config, shape, reached = PLANS[plan]
    tilings = []

    def choose(spec, config, *, band):
        assert band is None
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


@pytest.mark.parametrize("seed", range(12))
def test_every_candidate_is_exact(seed, monkeypatch):
    """Not only the cheapest: any tiling that is considered computes the same."""
    rng = np.random.default_rng(seed)
    config = random_config(rng) if seed % 2 else CONFIGS[seed // 2 % len(CONFIGS)]
    graph = conv_net(
        rng, height=int(rng.integers(1, 9)), width=int(rng.integers(1, 12)),
        c=int(rng.integers(5, 60)), k=int(rng.integers(1, 60)), r=int(rng.integers(1, 5)),
        s=int(rng.integers(1, 5)), stride=tuple(int(n) for n in rng.integers(1, 4, 2)),
    )  # fmt: skip
    inputs = random_inputs(rng, graph)
    golden = run_graph(graph, inputs)
    for _ in range(6):

        def choose(spec, config, *, band):
            band = [band, 1, 20][rng.integers(3)]
            candidates = list(conv_tiling._candidates(spec, config, band))
            if not candidates:
                return choose_tiling(spec, config)
            return candidates[rng.integers(len(candidates))]

        monkeypatch.setattr("skimp_compiler.conv_layer.choose_tiling", choose)
        result = run_program(graph, compile_graph(graph, config), inputs)
        for index in graph.outputs:
            np.testing.assert_array_equal(
                result.values[index], golden[index], err_msg=f"seed {seed}, {config}"
            )


def test_weights_that_fit_come_once_and_so_does_the_input():
    graph = conv_net(np.random.default_rng(0), height=14, width=14, c=32, k=64, r=1, s=1)
    config = PRESETS["zcu104"]
    program = compile_graph(graph, config)
    result = run_program(graph, program, random_inputs(np.random.default_rng(0), graph))
    (counts,) = result.counts.values()
    assert counts.dram_read_bytes["wgt"] == 32 * 64 + 12 * 64
    # Whole beats move: a segment that begins or ends inside one takes it whole.
    blocks = 32 // config.in_channels, 64 // config.in_channels
    split = [n * counts.commands[name] for n, name in zip(blocks, ("LOAD_IFMAP", "STORE"))]
    moved = counts.dram_read_bytes["ifmap"], counts.dram_write_bytes["ofmap"]
    for total, channels, segments in zip(moved, (32, 64), split):
        least = 14 * 14 * channels
        assert least <= total <= least + 2 * config.bus_bytes * segments


def test_the_smallest_buffers_hold_an_add():
    """Residual and ofmap buffers of a single psum tile."""
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


def test_many_tiles_do_not_overflow_a_semaphore():
    config = replace(PRESETS["tiny"], psum_depth=8, ofmap_depth=1 << 15)
    graph = conv_net(np.random.default_rng(0), height=64, width=64, c=8, k=8, r=1, s=1)
    inputs = random_inputs(np.random.default_rng(0), graph)
    result = run_program(graph, compile_graph(graph, config), inputs)
    assert result.counts[0].commands["STORE"] == 64 * 64 // 8
    index = graph.outputs[0]
    np.testing.assert_array_equal(result.values[index], run_graph(graph, inputs)[index])
