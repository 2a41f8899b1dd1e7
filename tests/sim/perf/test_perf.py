"""The cycle model against the RTL and the functional model."""

import json
import math
import time
from collections import Counter

import numpy as np
import pytest
from chains import Blocks, Chain
from click.testing import CliRunner
from engines import engine_of
from netlib import conv_net, random_inputs
from testconfigs import ODD, QUAD, WIDE

from skimp.configs import PRESETS
from skimp.isa import LoadTarget, Opcode, Semaphore, assemble
from skimp.regs import COUNTERS
from skimp_compiler.compiler import compile_graph
from skimp_compiler.geometry import TileGeometry, Window
from skimp_compiler.graph import ModelError
from skimp_compiler.plane import Planes
from skimp_compiler.program import DeviceStep, Program
from skimp_compiler.region import Region
from skimp_compiler.tflite_reader import read_tflite
from skimp_sim.cli import main
from skimp_sim.executor import run_program
from skimp_sim.golden.network import run_graph
from skimp_sim.perf.model import PerfError, run_perf

TINY, SMALL, ZCU104 = (PRESETS[name] for name in ("tiny", "small", "zcu104"))

CAUSES = ("array", "depthwise", "stall_dram_read", "stall_drain", "stall_dram_write", "stall_other")
MODELLED = [name for name, _ in COUNTERS if name != "macs_gated"]


def on_rtl(config, name, *marks):
    """A network on a configuration; those of a configuration share a worker and its build."""
    group = pytest.mark.xdist_group(config.name)
    return pytest.param(config, name, marks=[group, *marks], id=f"{config.name}-{name}")


def rtl_counters(graph, program):
    """Counters of the RTL by layer, macs_gated left out."""
    inputs = random_inputs(np.random.default_rng(3), graph)
    result = run_program(graph, program, inputs, engine=engine_of(program), keep=False)
    return {
        layer: {name: counters[name] for name in MODELLED}
        for layer, counters in result.counters.items()
    }


def check(graph, program):
    """Every layer within 1 %, all within 0.5 %, and beats and commands equal."""
    model, rtl = run_perf(program).counters, rtl_counters(graph, program)
    assert model.keys() == rtl.keys()
    for number, counters in rtl.items():
        layer = program.layers[number]
        if counters["cycles"] > 500:
            for name in ("cycles", *CAUSES):
                difference = abs(model[number][name] - counters[name])
                assert difference <= 0.01 * counters["cycles"], (layer.name, name)
    for name in MODELLED:
        ours = sum(counters[name] for counters in model.values())
        theirs = sum(counters[name] for counters in rtl.values())
        exact = name in ("read_beats", "write_beats", "commands")
        assert abs(ours - theirs) <= (0 if exact else 0.005 * theirs), name


@pytest.mark.verilog
@pytest.mark.parametrize(
    ("config", "name"),
    [
        on_rtl(TINY, "ad01_int8"),
        on_rtl(TINY, "kws_ref_model"),
        on_rtl(SMALL, "kws_ref_model"),
        on_rtl(SMALL, "resnet8_cifar10_int8"),
        on_rtl(SMALL, "vww_96_int8"),
        on_rtl(SMALL, "mcunet_vww"),
        on_rtl(SMALL, "mobilenetv2_160_035_int8", pytest.mark.long),
        on_rtl(SMALL, "mobilenet_v2_1.0_224_int8", pytest.mark.long),
        on_rtl(ZCU104, "kws_ref_model", pytest.mark.long),
        on_rtl(ZCU104, "resnet8_cifar10_int8", pytest.mark.long),
        on_rtl(ZCU104, "mcunet_vww", pytest.mark.long),
    ],
)
def test_networks_against_rtl(config, name, models):
    graph = read_tflite(models / f"{name}.tflite")
    check(graph, compile_graph(graph, config))


@pytest.mark.long
@pytest.mark.verilog
@pytest.mark.xdist_group("zcu104")
@pytest.mark.parametrize(
    "shape",
    [
        dict(height=56, width=56, c=64, k=64, r=3, s=3),
        dict(height=56, width=56, c=64, k=256, r=1, s=1),
        dict(height=14, width=14, c=256, k=256, r=3, s=3),
        dict(height=7, width=7, c=2048, k=512, r=1, s=1),
    ],
    ids=lambda shape: "x".join(map(str, shape.values())),
)
def test_layers_of_resnet50_against_rtl(shape):
    graph = conv_net(np.random.default_rng(0), **shape)
    check(graph, compile_graph(graph, ZCU104))


def chains(config, count):
    """Random networks that fit a configuration, by seed; a third of them, layers side by side."""
    for seed in range(count):
        blocks = seed % 3 == 1
        graph = (Blocks if blocks else Chain)(np.random.default_rng(seed)).graph()
        try:
            yield seed, graph, compile_graph(graph, config, fuse=blocks or None)
        except ModelError:
            continue


@pytest.mark.verilog
@pytest.mark.parametrize(
    ("config", "count"),
    [
        pytest.param(c, n, marks=pytest.mark.xdist_group(c.name), id=c.name)
        for c, n in ((TINY, 40), (SMALL, 40), (ODD, 20), (WIDE, 20), (QUAD, 20))
    ],
)
def test_random_networks_are_exact(config, count):
    """Every counter of every layer, and what one run of the hardware leaves to the next."""
    for seed, graph, program in chains(config, count):
        model, rtl = run_perf(program).counters, rtl_counters(graph, program)
        for layer, counters in rtl.items():
            assert model[layer] == counters, f"seed {seed}, layer {program.layers[layer].name}"


@pytest.mark.verilog
@pytest.mark.parametrize(
    "config",
    [pytest.param(c, marks=pytest.mark.xdist_group(c.name), id=c.name) for c in (WIDE, QUAD)],
)
def test_coded_activations_are_near(config):
    """Clocks of networks with coded activations: each within 4 %, all within 1 %; beats equal."""
    clocks = Counter()
    for seed in (1, 4, 11, 15):
        graph = (Blocks if seed % 2 else Chain)(np.random.default_rng(seed)).graph()
        inputs = random_inputs(np.random.default_rng(3), graph)
        golden = run_graph(graph, inputs)
        program = compile_graph(graph, config, compress="bitmap", activations=golden)
        # Lanes beyond the last channel can hold what the golden model does not know.
        program.unit_beats |= run_program(graph, program, inputs).unit_beats
        model, rtl = run_perf(program).counters, rtl_counters(graph, program)
        sums = [
            Counter({name: sum(layer[name] for layer in found.values()) for name in MODELLED})
            for found in (model, rtl)
        ]
        for name in ("read_beats", "write_beats", "commands"):
            assert sums[0][name] == sums[1][name], (seed, name)
        ours, theirs = (found["cycles"] for found in sums)
        assert abs(ours - theirs) <= 0.04 * theirs, seed
        clocks.update(model=ours, rtl=theirs, coded=bool(program.unit_beats))
    assert clocks["coded"]
    assert abs(clocks["model"] - clocks["rtl"]) <= 0.01 * clocks["rtl"]


@pytest.mark.parametrize("config", [TINY, SMALL, ODD, WIDE, QUAD], ids=lambda c: c.name)
def test_counts_are_those_of_the_functional_model(config):
    for seed, graph, program in chains(config, 25):
        inputs = random_inputs(np.random.default_rng(seed), graph)
        functional = run_program(graph, program, inputs, keep=False).counts
        model = run_perf(program).counts
        assert model.keys() == functional.keys()
        for layer, counts in functional.items():
            expected = {**vars(counts), "macs_gated": 0}
            assert vars(model[layer]) == expected, f"seed {seed}, layer {layer}"


@pytest.mark.parametrize("config", [TINY, SMALL, ZCU104], ids=lambda c: c.name)
def test_counters_agree_with_each_other(config, models):
    graph = read_tflite(models / "resnet8_cifar10_int8.tflite")
    program = compile_graph(graph, config)
    result = run_perf(program)
    beat = config.bus_bytes
    for counters in result.counters.values():
        assert counters["cycles"] == sum(counters[cause] for cause in CAUSES)
        assert min(counters.values()) >= 0
    written = sum(counters["write_beats"] for counters in result.counters.values())
    assert written * beat == sum(sum(c.dram_write_bytes.values()) for c in result.counts.values())
    # The hardware fetches some commands behind the last one.
    read = beat * sum(counters["read_beats"] for counters in result.counters.values())
    needed = sum(sum(c.dram_read_bytes.values()) for c in result.counts.values())
    assert needed < read < needed + 64 * 64
    groups = sum(counters["array"] for counters in result.counters.values())
    taps = sum(counters["depthwise"] + counters["beside"] for counters in result.counters.values())
    macs = sum(layer.macs for layer in program.layers)
    assert macs <= groups * config.macs_per_cycle + taps * config.dw_macs_per_cycle


@pytest.mark.parametrize(
    ("name", "config", "seconds"),
    [("mobilenet_v2_1.0_224_int8", "small", 8), ("mobilenet_v2_1.0_224_int8", "zcu104", 8)],
)
def test_takes_seconds(name, config, seconds, models):
    program = compile_graph(read_tflite(models / f"{name}.tflite"), PRESETS[config])
    begin = time.process_time()
    run_perf(program)
    assert time.process_time() - begin < seconds


def program_of(*commands, config=TINY):
    """A program of one step and no layers."""
    image = b"".join(assemble(opcode, **fields) for opcode, fields in commands)
    step = DeviceStep(address=0, num_commands=len(commands), layers=(0,))
    return Program(
        config=config, image=image, dram_bytes=4096, tensors={}, steps=[step], layers=[],
        records_addr=2048,
    )  # fmt: skip


LAYER = (Opcode.LAYER, dict(layer_id=0, dram_addr=2048))


def test_a_program_of_nothing():
    counters = run_perf(program_of((Opcode.CHECK, {}), LAYER, (Opcode.END, {}))).counters[0]
    assert counters["cycles"] == counters["stall_dram_read"] + counters["stall_dram_write"] + (
        counters["stall_other"] + counters["stall_drain"]
    )
    assert counters["write_beats"] == 64 // TINY.bus_bytes
    assert counters["array"] == counters["drain"] == 0


@pytest.mark.parametrize("config", [SMALL, ZCU104], ids=lambda c: c.name)
@pytest.mark.parametrize("cols", [3, 7, 14, 28, 56, 112])
def test_loads_from_dram_take_what_the_compiler_estimates(config, cols):
    """Narrow tiles are many short reads; those of whole rows are one."""
    width, rows, blocks = 112, 200 // cols + 1, 2
    planes = Planes(
        address=0, height=rows, width=width, row_words=width, num_blocks=blocks,
        word_bytes=config.word_bytes, plane_words=rows * width, region=Region(num_blocks=blocks),
    )  # fmt: skip
    geometry = TileGeometry(
        pixels=config.pixels, window=Window(), out_rows=rows, out_cols=cols, tile_q=cols
    )
    fields = planes.load(geometry, block0=0, num_blocks=blocks, y0=0, x0=0, base=0, fill=0)
    del fields["loads"]

    def clocks(count):
        commands = [(Opcode.LOAD_IFMAP, fields)] * count
        program = program_of(*commands, LAYER, (Opcode.END, {}), config=config)
        return run_perf(program).counters[0]["cycles"]

    estimate = planes.load_cycles(geometry, config, blocks)
    assert (clocks(12) - clocks(4)) / 8 == pytest.approx(estimate, rel=0.25)


def bits(*semaphores):
    return sum(1 << semaphore for semaphore in semaphores)


def conv(*, taps, groups, **fields):
    """CONV over one block of channels."""
    return Opcode.CONV, dict(num_c=1, num_r=1, num_s=taps, num_groups=groups, **fields)


def depthwise(*, rows, cols, groups, **fields):
    """DEPTHWISE with a walk of rows x cols."""
    return Opcode.DEPTHWISE, dict(num_c=1, num_r=rows, num_s=cols, num_groups=groups, **fields)


def counters_of(*commands):
    return run_perf(program_of(*commands, LAYER, (Opcode.END, {}))).counters[0]


def test_depthwise_takes_a_clock_a_group_and_tap():
    counters = counters_of(depthwise(rows=3, cols=5, groups=7))
    assert counters["depthwise"] == 3 * 5 * 7
    assert counters["array"] == counters["beside"] == 0
    # Two rows side by side: their walk is longer, nothing else.
    two = counters_of(depthwise(rows=4, cols=5, groups=7, lag=1, num_pixels=14, num_pixels2=7))
    assert two["depthwise"] == 4 * 5 * 7
    assert two["cycles"] == counters["cycles"] + 5 * 7
    # Commands that are there in time follow each other with a clock between.
    one = counters_of(depthwise(rows=3, cols=5, groups=21), *[(Opcode.CHECK, {})] * 2)
    three = counters_of(*[depthwise(rows=3, cols=5, groups=7)] * 3)
    assert three["depthwise"] == one["depthwise"] == 3 * 5 * 21
    assert three["stall_other"] == one["stall_other"] + 2


def test_units_work_beside_each_other():
    both = counters_of(depthwise(rows=10, cols=10, groups=9), conv(taps=100, groups=12))
    alone = counters_of(conv(taps=100, groups=12), (Opcode.CHECK, {}))
    assert both["array"] == alone["array"] == 1200
    assert both["depthwise"] + both["beside"] == 900
    assert both["beside"] > 880
    assert abs(both["cycles"] - alone["cycles"]) < 20
    # Clocks in which the array stretches a short pass are the depthwise unit's.
    short = counters_of(depthwise(rows=10, cols=10, groups=9), conv(taps=100, groups=4))
    assert short["array"] == 400
    assert short["depthwise"] + short["beside"] == 900
    assert 430 < short["depthwise"] < 520
    # With an order between them, one takes its turn behind the other.
    ordered = counters_of(
        depthwise(rows=10, cols=10, groups=9, post=bits(Semaphore.DW_PSUM_FULL)),
        (Opcode.DRAIN, dict(num_pixels=1, dw=1, wait=bits(Semaphore.DW_PSUM_FULL), post=bits(
            Semaphore.PSUM_FREE))),
        conv(taps=100, groups=12, wait=bits(Semaphore.PSUM_FREE)),
    )  # fmt: skip
    assert ordered["beside"] == 0
    assert ordered["array"] == 1200
    assert ordered["depthwise"] == 900


def test_waiting_for_loads_is_that_of_both_units():
    """A clock is lost to reads only where neither unit has what to work on."""

    def loads(post):
        return Opcode.LOAD_LINEAR, dict(num_beats=256, target=LoadTarget.TABLE, post=bits(post))

    waits = dict(wait=bits(Semaphore.WGT_FULL))
    one = counters_of(loads(Semaphore.WGT_FULL), conv(taps=100, groups=8, **waits))
    other = counters_of(
        loads(Semaphore.DW_WGT_FULL),
        depthwise(rows=10, cols=10, groups=8, wait=bits(Semaphore.DW_WGT_FULL)),
    )
    assert one["stall_dram_read"] > 512
    assert abs(one["stall_dram_read"] - other["stall_dram_read"]) < 20
    hidden = counters_of(
        loads(Semaphore.WGT_FULL),
        depthwise(rows=10, cols=10, groups=32),
        conv(taps=100, groups=8, **waits),
    )
    assert hidden["stall_dram_read"] < one["stall_dram_read"] - 500
    assert hidden["depthwise"] + hidden["beside"] == 3200
    assert hidden["beside"] == hidden["array"] == 800


@pytest.mark.parametrize("dw", [0, 1])
def test_waiting_for_psums_is_that_of_either_unit(dw):
    full, free = (
        (Semaphore.DW_PSUM_FULL, Semaphore.DW_PSUM_FREE)
        if dw
        else (Semaphore.PSUM_FULL, Semaphore.PSUM_FREE)
    )

    def tile(**fields):
        if dw:
            return depthwise(rows=5, cols=2, groups=8, **fields)
        return conv(taps=10, groups=8, **fields)

    counters = counters_of(
        tile(post=bits(full)),
        (Opcode.DRAIN, dict(num_pixels=500, dw=dw, wait=bits(full), post=bits(free))),
        tile(wait=bits(free)),
    )
    assert counters["drain"] == 500
    assert 500 <= counters["stall_drain"] < 560
    assert counters["depthwise" if dw else "array"] == 160


def test_a_program_that_waits_for_ever_is_told():
    wait = 1 << Semaphore.PSUM_FULL
    drain = (Opcode.DRAIN, dict(num_pixels=1, wait=wait))
    with pytest.raises(PerfError, match=r"^the program waits for ever: DRAIN for DRAIN$"):
        run_perf(program_of(drain, LAYER, (Opcode.END, {})))
    each = [
        depthwise(rows=1, cols=1, groups=1, wait=bits(Semaphore.DW_IFMAP_FULL)),
        conv(taps=1, groups=1, wait=bits(Semaphore.IFMAP_FULL)),
    ]
    both = "^the program waits for ever: ARRAY for CONV, DEPTHWISE for DEPTHWISE$"
    with pytest.raises(PerfError, match=both):
        run_perf(program_of(*each, LAYER, (Opcode.END, {})))


@pytest.fixture
def kws(models):
    return str(models / "kws_ref_model.tflite")


@pytest.mark.parametrize("options", [(), ("--no-fuse",)], ids=["fused", "layer by layer"])
def test_command(kws, tmp_path, options):
    out, page = tmp_path / "perf.json", tmp_path / "perf.html"
    arguments = ["--config", "small", "--json", str(out), "--report", str(page), *options]
    result = CliRunner().invoke(main, ["perf", kws, *arguments])
    assert result.exit_code == 0, result.output
    assert "cycle model" in result.output
    report = json.loads(out.read_text())
    assert report["schema"] == 1
    assert report["engine"] == "perf"
    assert report["bit_exact"] == {"golden": None, "litert": None}
    assert report["output"] == []
    total = report["total"]
    assert total["cycles"] == sum(layer["cycles"] for layer in report["layers"]) > 0
    assert 0 < total["limit_cycles"] <= total["cycles"]
    assert total["utilisation"] == pytest.approx(
        total["macs"] / total["cycles"] / report["peak_macs_per_cycle"]
    )
    # Layers side by side share their clocks: one alone may add fewer than it takes by itself.
    groups = {}
    for layer in report["layers"]:
        groups.setdefault(layer["fused_with"] or layer["name"], []).append(layer)
    assert max(map(len, groups.values())) == (1 if options else 9)
    for first, layers in groups.items():
        limit = sum(layer["limit_cycles"] for layer in layers)
        assert limit <= sum(layer["cycles"] for layer in layers), first
    for layer in report["layers"]:
        if layer["unit"] != "host":
            moved = sum(layer["dram_read_bytes"].values()) + sum(layer["dram_write_bytes"].values())
            computing = layer["macs"] / report["peak_macs_per_cycle"]
            moving = moved / SMALL.bus_bytes
            assert layer["limit_cycles"] == math.ceil(max(computing, moving))
        stalls = sum(layer["stall_cycles"].values())
        busy = layer["busy_cycles"]
        assert layer["cycles"] == stalls + busy["array"] + busy["depthwise"]
    assert page.read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    "arguments",
    [
        ["no_such_network"],
        ["KWS", "--config", "no_such_config"],
        ["KWS", "--json", "/no/such/folder/out.json"],
    ],
)
def test_bad_arguments_are_one_line(arguments, kws):
    arguments = [kws if argument == "KWS" else argument for argument in arguments]
    result = CliRunner().invoke(main, ["perf", *arguments])
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("skimp: ")
