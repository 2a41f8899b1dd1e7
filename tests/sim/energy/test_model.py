"""Energy by level and type of data: small layers by hand, and executors beside one another."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from netlib import conv_net, random_net

from skimp.configs import PRESETS
from skimp_compiler.compiler import compile_graph
from skimp_compiler.graph import ModelError
from skimp_compiler.program import Layer
from skimp_sim.counting import LayerCounts
from skimp_sim.energy import EnergyModel, estimate, load_technology
from skimp_sim.energy.command import energy_model
from skimp_sim.energy.gated import gated_macs
from skimp_sim.energy.model import DATA, LEVELS, UNITS, LayerUse, NetworkEnergy, layer_energy
from skimp_sim.energy.summary import by_data, by_level
from skimp_sim.energy.technology import Dram
from skimp_sim.executor import run_program
from skimp_sim.golden.network import run_graph
from skimp_sim.inputs import load_input
from skimp_sim.models import load_model
from skimp_sim.perf.command import perf_report
from skimp_sim.perf.model import run_perf
from skimp_sim.real_networks import input_of
from skimp_sim.run import run_model
from skimp_sim.traffic import own_counts

TINY, SMALL = PRESETS["tiny"], PRESETS["small"]


@pytest.fixture
def model(tmp_path, whole):
    """Round numbers, and a DRAM of 3 and 5 pJ a bit, 7 pJ a row, 11 mW."""
    path = tmp_path / "simple.yaml"
    path.write_text(whole)
    dram = Dram(name="simple", read_pj=3, write_pj=5, activate_pj=7, background_mw=11)
    return EnergyModel(technology=load_technology(str(path)), dram=dram)


def pixels(graph, zeros):
    """An input of which so many values are zero points."""
    tensor = graph.tensors[graph.inputs[0]]
    flat = np.full(np.prod(tensor.shape), 7 if tensor.zero_point != 7 else 8, np.int8)
    flat[:zeros] = tensor.zero_point
    return flat.reshape(tensor.shape)


def test_a_convolution_by_hand(model):
    """1x1 over 6x6 pixels, 8 to 8 channels, 50 of 288 values zero: a pixel's word a clock."""
    graph = conv_net(np.random.default_rng(0), height=6, width=6, c=8, k=8, r=1, s=1, in_zp=3)
    program = compile_graph(graph, TINY)
    values = run_graph(graph, [pixels(graph, 50)])
    perf = run_perf(program)
    network = estimate(graph, program, model, values, perf=perf, activity={})
    found, (use,) = network.all, network.uses.values()
    passes = use.counts.commands["CONV"]
    macs, sums = 36 * 64, 36 * 8
    works = macs - 50 * 8
    assert found["mac", "compute"] == works * 2
    assert found["mac", "ifmap"] == works * 9 / 2 * 0.5
    assert found["mac", "psum"] == sums + macs + macs * 19 * 0.5
    assert found["mac", "ofmap"] == sums * (2 + 1)
    assert found["spad", "wgt"] == 64 * 8 * (2 + passes)
    assert found["spad", "psum"] == sums * 32 * (2 + 1)
    assert found["glb", "ifmap"] == found["glb", "ofmap"] == 36 * 64 * (2 + 1)
    assert found["noc", "ifmap"] == found["noc", "ofmap"] == 36 * 64 * 2 * 0.25
    assert found["noc", "wgt"] == 64 * 8 * (1 + passes) * 0.25
    assert found["noc", "psum"] == sums * 32 * 0.25
    commands = 64 * use.counts.commands.total()
    size = {"ifmap": 288, "wgt": 64 + 96, "ofmap": 288, "other": commands + 64}
    rows = perf.dram["activates"] * 7 / sum(size.values())
    assert perf.dram["activates"] > 0
    ns = perf.cycles * 1000 / TINY.clock_mhz
    expected = {
        "ifmap": 288 * 8 * 3, "wgt": 160 * 8 * 3, "ofmap": 288 * 8 * 5,
        "other": commands * 8 * 3 + 64 * 8 * 5,
    }  # fmt: skip
    for data, energy in expected.items():
        standby = 11 * ns if data == "other" else 0
        assert found["dram", data] == pytest.approx(energy + size[data] * rows + standby)
    lanes = 64 + 8
    assert found["other", "other"] == pytest.approx(lanes * (4 * perf.cycles + 8 * ns))
    assert set(found) <= {(level, data) for level in LEVELS for data in DATA}
    assert sum(by_level(found).values()) == pytest.approx(network.total_pj)
    assert sum(by_data(found).values()) == pytest.approx(network.total_pj)
    assert network.images_per_joule == pytest.approx(1e12 / network.total_pj)
    # Images a second and watt are images a joule.
    assert 1 / network.seconds / network.watts == pytest.approx(network.images_per_joule)


def layer(**fields):
    return Layer(
        layer_id=0, name="x", op="conv", unit="array", op_indices=(0,), output=1, macs=0,
        shape={}, reason="", **fields,
    )  # fmt: skip


def test_a_depthwise_layer_by_hand(model):
    """Counts of a layer on the depthwise unit and of a second stage, in the activation store."""
    counts = LayerCounts(
        accesses=Counter({
            ("dw_ifmap", "read"): 10, ("dw_wgt", "read"): 20, ("dw_psum", "write"): 30,
            ("dw_psum", "read"): 30, ("residual", "read"): 5,
        }),
        arithmetic=Counter(dw_macs=100, dw_adds=120, requantised=30, second=4),
        act_accesses=Counter(read=6, written=9, written_words=7),
    )  # fmt: skip
    use = LayerUse(layer=layer(), counts=counts, gated=40)
    found = layer_energy(SMALL, use, model)
    assert {key: pj for key, pj in found.items() if pj} == {
        ("mac", "compute"): 60 * 2,
        ("mac", "ifmap"): 60 * 9 * 0.5,
        ("mac", "psum"): 120,
        ("mac", "ofmap"): 34 * 3,
        ("glb", "ifmap"): 10 * 64,
        ("glb", "ofmap"): 5 * 64,
        ("spad", "wgt"): 20 * 8,
        ("spad", "psum"): 30 * 28 * (1 + 2),
        ("act", "ifmap"): 6 * SMALL.chip_bits,
        ("act", "ofmap"): 7 * SMALL.word_bits * 2,
        ("noc", "ifmap"): 10 * 64 * 0.25,
        ("noc", "ofmap"): 5 * 64 * 0.25,
        ("noc", "wgt"): 20 * 8 * SMALL.pixels * SMALL.dw_rows * 0.25,
        ("noc", "psum"): 30 * 28 * 0.25,
    }


def test_gating_saves_products_and_operands_only(model):
    counts = LayerCounts(arithmetic=Counter(macs=64, psum_adds=8))
    some, none = (
        layer_energy(SMALL, LayerUse(layer=layer(), counts=counts, gated=gated), model)
        for gated in (0, 64)
    )
    assert some["mac", "compute"] == 128 and none["mac", "compute"] == none["mac", "ifmap"] == 0
    assert some["mac", "psum"] == none["mac", "psum"] > 0


def test_activity(model):
    """A factor scales its unit and nothing else."""
    graph = conv_net(np.random.default_rng(0), height=6, width=6, c=8, k=8, r=3, s=3)
    program = compile_graph(graph, SMALL)
    values, perf = run_graph(graph, [pixels(graph, 9)]), run_perf(program)
    plain = estimate(graph, program, model, values, perf=perf, activity={}).all
    where = {
        "multiply": ("mac", "compute"), "operands": ("mac", "ifmap"), "requantise": ("mac", "ofmap"),
        "wgt": ("spad", "wgt"), "noc": ("noc", "psum"), "clock": ("other", "other"),
        "add": ("mac", "psum"), "chain": ("mac", "psum"), "psum": ("spad", "psum"),
        "links": ("noc", "ifmap"),
        "psum_done": ("spad", "psum"), "ifmap": ("glb", "ifmap"), "ofmap": ("glb", "ofmap"),
        "act": ("act", "ofmap"), "dram": ("dram", "wgt"),
    }  # fmt: skip
    for unit in UNITS:
        scaled = estimate(graph, program, model, values, perf=perf, activity={0: {unit: 3.0}}).all
        changed = {key for key in plain if scaled[key] != plain[key]}
        assert all(scaled[key] >= plain[key] for key in plain)
        assert all(key[0] == where[unit][0] for key in changed) if unit in where else not changed
        if unit in where and plain[where[unit]]:
            assert where[unit] in changed, unit
    with pytest.raises(ModelError, match="'adder': not one of multiply"):
        estimate(graph, program, model, values, perf=perf, activity={0: {"adder": 1.0}})


def test_dram_changes_nothing_else(model):
    graph = conv_net(np.random.default_rng(0), height=6, width=6, c=8, k=8, r=1, s=1)
    program = compile_graph(graph, TINY)
    network = estimate(graph, program, model, run_graph(graph, [pixels(graph, 0)]))
    table = network.sensitivity()
    assert set(table) >= {"lpddr4", "ddr4", "horowitz_low", "horowitz_high"}
    moved = sum(
        sum((*use.counts.dram_read_bytes.values(), *use.counts.dram_write_bytes.values()))
        for use in network.uses.values()
    )
    for energy in table.values():
        ours, theirs = by_level(energy), by_level(network.all)
        assert {**ours, "dram": 0} == {**theirs, "dram": 0}
    assert by_level(table["lpddr4"])["dram"] == pytest.approx(8 * 8 * moved)
    assert isinstance(network.with_dram("ddr3"), NetworkEnergy)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("kind", ["conv", "depthwise", "fully_connected"])
def test_gated_macs_and_own_counts(kind, seed):
    """What the functional model finds when it computes; all commands work for the only layer."""
    graph = random_net(np.random.default_rng(seed), kind)
    tensor = graph.tensors[graph.inputs[0]]
    rng = np.random.default_rng(seed)
    x = rng.integers(-128, 128, tensor.shape).astype(np.int8)
    x[rng.random(tensor.shape) < 0.4] = tensor.zero_point
    program = compile_graph(graph, TINY)
    values = run_graph(graph, [x])
    counts = run_program(graph, program, [x]).counts
    found = own_counts(graph, program)
    for one in program.layers:
        if one.layer_id in counts and one.unit in ("array", "depthwise"):
            count = counts[one.layer_id]
            macs = count.arithmetic["macs"] + count.arithmetic["dw_macs"]
            if one.op == "depthwise" and one.unit == "array":
                assert macs > one.macs  # convolutions with zeros between
            else:
                assert gated_macs(graph, one, values) == count.macs_gated, (kind, seed)
                assert macs == one.macs
            assert found[one.layer_id].accesses == count.accesses
            assert found[one.layer_id].arithmetic == count.arithmetic


@pytest.mark.parametrize("config", [SMALL, replace(TINY, name="tiny2", dw_rows=2)], ids=str)
@pytest.mark.parametrize("name", ["kws_ref_model", "resnet8_cifar10_int8", "vww_96_int8"])
def test_perf_and_run_agree(name, config, models):
    """Level by level, of the network and its layers; commands and zeros counted twice over."""
    path = models / f"{name}.tflite"
    graph, _ = load_model(str(path))
    inputs = load_input(graph, input_of(path))
    costs = energy_model(True, "45nm", "ddr4")
    values = run_graph(graph, inputs)
    perf = perf_report(graph, config, activations=values, energy=costs)
    run = run_model(
        graph, path, inputs, config, engine="functional", checked=False, energy=costs
    )  # fmt: skip
    ours, theirs = by_level(perf.energy.all), by_level(run.energy.all)
    for level in LEVELS:
        assert ours[level] == pytest.approx(theirs[level], rel=0.05), level
        assert ours[level] > 0 or (level, config.act_depth) == ("act", 0)
    assert sum(row.counts.macs_gated for row in perf.rows if row.counts) == sum(
        row.counts.macs_gated for row in run.rows if row.counts
    )
    # What layers own is what was done, whenever it was.
    for field in ("accesses", "arithmetic", "act_accesses", "dram_read_bytes", "dram_write_bytes"):
        own, seen = Counter(), Counter()
        for use in run.energy.uses.values():
            own.update(getattr(use.counts, field))
        for row in run.rows:
            seen.update(getattr(row.counts, field) if row.counts else {})
        for key in own | seen:
            # Fetched to the end of the programs: END and what lies behind the last layer.
            slack = 64 * 64 if key == "program" else 0
            assert abs(own[key] - seen[key]) <= slack, (field, key)
    for use in run.energy.uses.values():
        assert 0 <= use.gated <= use.counts.arithmetic["macs"] + use.counts.arithmetic["dw_macs"]
