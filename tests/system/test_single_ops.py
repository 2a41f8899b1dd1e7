"""Single operators, random and awkward shapes: compiler and RTL against the golden model.

On the RTL every AXI channel stalls at random, in every combination over the seeds; the DRAM is
flat or DDR4.
"""

import dataclasses
import itertools

import numpy as np
import pytest
from chains import random_blocks, random_chain
from engines import engine_of
from netlib import KINDS, conv_net, pool_net, random_inputs, random_net
from testconfigs import ODD, QUAD, WIDE, on_rtl

from skimp.configs import PRESETS
from skimp.isa import COMMAND_BYTES
from skimp.regs import COUNTERS
from skimp_compiler import coding
from skimp_compiler.compiler import compile_graph
from skimp_sim import rtl_engine
from skimp_sim.bench.rtl import Channel, RtlSim
from skimp_sim.executor import run_program
from skimp_sim.golden.network import run_graph

ON_HARDWARE = (
    "conv depthwise fully_connected add sub avg_pool max_pool mean pad concat logistic hard_swish"
).split()

NO_STORE = dataclasses.replace(PRESETS["small"], name="no store", act_depth=0)

STALLS = list(itertools.product((0, 100, 700), repeat=3))
"""Per mille of stalled clocks: read side, write side, answers."""


@pytest.fixture(autouse=True)
def every_dram(monkeypatch):
    """Every third simulation has a flat DRAM: answers come sooner than from DDR4."""
    numbers = itertools.count()

    def sim(config, *, ddr4, **options):
        return RtlSim(config, ddr4=ddr4 if next(numbers) % 3 else None, **options)

    monkeypatch.setattr(rtl_engine, "RtlSim", sim)


def compare(graph, config, seed, *, rtl=False, fuse=None, compress="off"):
    """Run a graph and hold every value that the program leaves against the golden model."""
    rng = np.random.default_rng(seed)
    inputs = random_inputs(rng, graph)
    golden = run_graph(graph, inputs)
    program = compile_graph(graph, config, fuse=fuse, compress=compress, activations=golden)
    engine = None
    if rtl:
        engine = engine_of(program)
        read, write, answer = STALLS[seed % len(STALLS)]
        for channel, share in zip(Channel, (read, read, write, write, answer)):
            engine.sim.stall(channel, share, seed + 1)
    result = run_program(graph, program, inputs, engine=engine)
    for index, value in result.values.items():
        np.testing.assert_array_equal(
            value, golden[index], err_msg=f"seed {seed}, config {config.name}, tensor {index}"
        )
    return program, result


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("config", [PRESETS["small"], ODD, WIDE, QUAD], ids=lambda c: c.name)
def test_functional(kind, config):
    for seed in range(25):
        compare(random_net(np.random.default_rng(seed), kind), config, seed)


@pytest.mark.verilog
@pytest.mark.parametrize("kind", ON_HARDWARE)
@pytest.mark.parametrize("config", on_rtl(PRESETS["tiny"], ODD, WIDE))
def test_rtl(kind, config):
    for seed in range(100, 112):
        compare(random_net(np.random.default_rng(seed), kind), config, seed, rtl=True)


@pytest.mark.verilog
@pytest.mark.parametrize("start", range(0, 24, 8))
@pytest.mark.parametrize("config", on_rtl(PRESETS["tiny"], ODD, WIDE))
def test_rtl_networks(config, start):
    """Several operators: fused adds and tables, pictures, activations on the chip and off it."""
    for seed in range(start, start + 8):
        compare(random_chain(np.random.default_rng(seed)), config, seed, rtl=True)


@pytest.mark.verilog
@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize("config", on_rtl(PRESETS["tiny"], ODD, WIDE, QUAD))
def test_rtl_blocks(config, fuse):
    """1x1 and depthwise layers side by side, and layer by layer."""
    for seed in range(8):
        compare(random_blocks(np.random.default_rng(seed)), config, seed, rtl=True, fuse=fuse)


def coded_networks(config, compress, count):
    """Yield so many networks, each with its seed, of which activations lie coded in DRAM."""
    for seed in itertools.count():
        graph = (random_blocks if seed % 2 else random_chain)(np.random.default_rng(seed))
        # Without values: coded whether or not it saves anything.
        program = compile_graph(graph, config, compress=compress)
        if any(place.coding for place in program.tensors.values()):
            yield seed, graph
            count -= 1
        if not count:
            return


def compare_coded(config, compress, count, monkeypatch, *, rtl):
    for seed, graph in coded_networks(config, compress, count):
        with monkeypatch.context() as patch:
            # The values choose the units, but not whether there are any.
            patch.setattr(coding, "_FEWEST_SAVED", -np.inf)
            program, result = compare(graph, config, seed, rtl=rtl, compress=compress)
        coded = [place for place in program.tensors.values() if place.coding]
        assert coded, seed
        if rtl:
            inputs = random_inputs(np.random.default_rng(seed), graph)
            functional = run_program(graph, program, inputs, keep=False)
            assert result.unit_beats == functional.unit_beats, seed
            ungated = {
                layer: dataclasses.replace(counts, macs_gated=0)
                for layer, counts in functional.counts.items()
            }
            assert result.counts == ungated, seed
            continue
        for place in coded:
            starts = place.address + np.arange(place.num_units) * place.coding.pitch_bytes
            beats = {int(a): result.unit_beats[int(a)] for a in starts}
            assert all(n * config.bus_bytes <= place.coding.pitch_bytes for n in beats.values())


@pytest.mark.parametrize("compress", ["run-length", "bitmap"])
@pytest.mark.parametrize("config", [WIDE, QUAD, NO_STORE], ids=lambda c: c.name)
def test_functional_coded(config, compress, monkeypatch):
    compare_coded(config, compress, 6, monkeypatch, rtl=False)


@pytest.mark.verilog
@pytest.mark.parametrize("compress", ["run-length", "bitmap"])
@pytest.mark.parametrize("config", on_rtl(WIDE, QUAD))
def test_rtl_coded(config, compress, monkeypatch):
    """Activations that go through DRAM by runs or by a bitmap, with stalls on every channel."""
    compare_coded(config, compress, 6, monkeypatch, rtl=True)


CORNERS = {
    "1x1 map": dict(height=1, width=1, c=1, k=1, r=1, s=1),
    "1x1 kernel, odd channels": dict(height=5, width=7, c=13, k=37, r=1, s=1),
    "kernel larger than the map": dict(height=3, width=2, c=3, k=5, r=7, s=7),
    "10x4 stride 2": dict(height=25, width=10, c=1, k=9, r=10, s=4, stride=(2, 2)),
    "column kernel": dict(height=19, width=3, c=9, k=8, r=17, s=1),
    "stride larger than the kernel": dict(height=9, width=9, c=8, k=8, r=1, s=1, stride=(3, 2)),
    "wide row": dict(height=2, width=150, c=3, k=4, r=3, s=3),
    "many channels": dict(height=2, width=2, c=300, k=8, r=3, s=3, padding="valid")
    | dict(height=3, width=3),
    "many outputs": dict(height=2, width=3, c=8, k=150, r=1, s=1),
    "every second pixel": dict(height=7, width=9, c=24, k=20, r=1, s=1, stride=(2, 2)),
    "a picture": dict(height=13, width=15, c=3, k=20, r=5, s=7, stride=(2, 3)),
    "a picture in one colour": dict(height=11, width=12, c=1, k=9, r=3, s=3, padding="valid"),
    "maps that end inside a beat": dict(height=7, width=5, c=33, k=33, r=3, s=3),
    "zero point 127": dict(height=6, width=6, c=8, k=8, r=3, s=3, in_zp=127),
    "zero point -128": dict(height=6, width=6, c=8, k=8, r=3, s=3, in_zp=-128),
}


@pytest.mark.verilog
@pytest.mark.parametrize("name", CORNERS)
@pytest.mark.parametrize("config", on_rtl(ODD, WIDE))
def test_rtl_corner_shapes(name, config):
    for depthwise in (False, True):
        shape = dict(CORNERS[name])
        if depthwise and shape["r"] * shape["s"] > config.dw_wgt_depth:
            continue
        for seed in (300, 301):
            graph = conv_net(np.random.default_rng(seed), **shape, depthwise=depthwise)
            compare(graph, config, seed, rtl=True)


@pytest.mark.verilog
@pytest.mark.parametrize("config", on_rtl(ODD))
@pytest.mark.parametrize("kind", ["avg_pool", "max_pool"])
def test_rtl_pools_as_large_as_the_map(kind, config):
    for seed, (height, width) in enumerate([(7, 7), (25, 5), (1, 9), (8, 8)]):
        graph = pool_net(
            np.random.default_rng(seed), kind=kind, height=height, width=width, c=20, r=height,
            s=width, stride=(height, width), padding="valid",
        )  # fmt: skip
        compare(graph, config, seed, rtl=True)


@pytest.mark.verilog
@pytest.mark.xdist_group("tiny")
def test_rtl_counters_add_up():
    graph = conv_net(np.random.default_rng(1), height=9, width=9, c=20, k=30, r=3, s=3)
    program, result = compare(graph, PRESETS["tiny"], 0, rtl=True)
    functional = run_program(graph, program, random_inputs(np.random.default_rng(0), graph))
    (counters,) = result.counters.values()
    assert list(counters) == [name for name, _ in COUNTERS]
    parts = "array depthwise stall_dram_read stall_drain stall_dram_write stall_other".split()
    assert counters["cycles"] == sum(counters[name] for name in parts)
    assert counters["array"] > 0
    (counts,) = functional.counts.values()
    assert counters["macs_gated"] == counts.macs_gated
    config = program.config
    assert counters["write_beats"] * config.bus_bytes == sum(counts.dram_write_bytes.values())
    read = counts.dram_read_bytes["ifmap"] + counts.dram_read_bytes["wgt"]
    rest = counters["read_beats"] * config.bus_bytes - read
    assert rest == counters["commands"] * COMMAND_BYTES


def test_on_the_chip_moves_nothing_on_the_bus():
    """With room for everything, only inputs, outputs and constants cross the bus."""
    graph = random_chain(np.random.default_rng(0))
    seen = []
    for config in (WIDE, dataclasses.replace(WIDE, act_depth=0)):
        _, result = compare(graph, config, 0)
        seen.append(sum(sum(c.dram_read_bytes.values()) for c in result.counts.values()))
    assert seen[0] < seen[1]
