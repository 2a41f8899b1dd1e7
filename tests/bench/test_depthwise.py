"""The bench of depthwise layers: what it counts, on networks small enough to know."""

from dataclasses import replace

import depthwise
import numpy as np
import pytest
from depthwise import NETWORKS, WAYS, measure, once, roles, traffic
from depthwise_results import write_depthwise
from netlib import Net

from skimp.configs import PRESETS
from skimp_compiler.compiler import compile_graph
from skimp_sim.models import load_model
from skimp_sim.perf import run_perf

ZCU104 = PRESETS["zcu104"]
NO_STORE = replace(ZCU104, name="no_store", act_depth=0)


def separable():
    """conv 3x3, pad, depthwise of stride 2, conv 1x1, depthwise and an add, conv 1x1."""
    net = Net(np.random.default_rng(1), "separable")
    inside = {}

    def layer(x, k, size, *, depthwise=False, stride=1, padding="same"):
        _, height, width, c = net.graph.tensors[x].shape
        shape = (1, size, size, k) if depthwise else (k, size, size, c)
        w = net.tensor(
            shape, scale=np.full(k, 0.002), zero_point=0, data=net.weights(shape),
            axis=3 if depthwise else 0,
        )  # fmt: skip
        if padding == "valid":
            height, width = height - size + 1, width - size + 1
        y = net.tensor((1, -(-height // stride), -(-width // stride), k), scale=0.05)
        attrs = {"multiplier": 1} if depthwise else {}
        net.op(
            "depthwise" if depthwise else "conv", (x, w, net.bias(k, 0.0001)), (y,),
            stride_h=stride, stride_w=stride, padding=padding, dilation_h=1, dilation_w=1,
            activation="none", **attrs,
        )  # fmt: skip
        return y

    x = net.tensor((1, 12, 10, 16), scale=0.05)
    inside["stem"] = layer(x, 32, 3)
    stem = net.graph.tensors[inside["stem"]]
    padded = net.tensor((1, 14, 12, 32), scale=stem.scale, zero_point=stem.zero_point)
    net.op("pad", (inside["stem"], net.plain([[0, 0], [1, 1], [1, 1], [0, 0]])), (padded,))
    inside["first"] = layer(padded, 32, 3, depthwise=True, stride=2, padding="valid")
    inside["wide"] = layer(inside["first"], 48, 1)
    between = layer(inside["wide"], 48, 3, depthwise=True)
    inside["sum"] = net.tensor(net.graph.tensors[between].shape, scale=0.05)
    net.op("add", (between, inside["wide"]), (inside["sum"],), activation="none")
    inside["narrow"] = layer(inside["sum"], 24, 1)
    inside["again"] = layer(inside["narrow"], 24, 1)
    inside["out"] = layer(inside["again"], 16, 1)
    return net.done((x,), (inside["out"],)), inside | {"x": x}


ROLES = {
    "x": "input",
    "stem": "depthwise inputs",
    "first": "depthwise outputs",
    "wide": "depthwise inputs",
    "sum": "depthwise outputs",
    "narrow": "other maps",
    "again": "other maps",
    "out": "output",
}


@pytest.mark.parametrize("way", WAYS)
def test_roles(way):
    graph, inside = separable()
    program = compile_graph(graph, NO_STORE, **WAYS[way])
    found = roles(graph, program)
    assert found == {program.tensors[inside[name]].address: role for name, role in ROLES.items()}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("config", [*PRESETS.values(), NO_STORE], ids=lambda c: c.name)
def test_counts_every_byte(config, way):
    """As much of each kind as the model of the commands, and of the bus, says."""
    graph, _ = separable()
    program = compile_graph(graph, config, **WAYS[way])
    moved = traffic(graph, program)
    read, written = dict(moved["read"]), dict(moved["written"])
    counts = run_perf(program).counts.values()
    constants = sum(read.pop(kind, 0) for kind in ("weights", "parameters", "tables"))
    assert constants == sum(c.dram_read_bytes["wgt"] for c in counts)
    commands = read.pop("commands")
    assert sum(read.values()) == sum(c.dram_read_bytes["ifmap"] for c in counts)
    assert written.pop("records") == sum(c.dram_write_bytes["record"] for c in counts)
    assert sum(written.values()) == sum(c.dram_write_bytes["ofmap"] for c in counts)

    kept = measure(graph, config, way)
    assert kept["dram_bytes"] == moved
    assert kept["bus_bytes"]["written"] >= sum(written.values())
    bus = kept["bus_bytes"]["read"] - constants - sum(read.values())
    # The sequencer fetches up to 40 commands beyond END.
    assert commands <= bus <= commands + 40 * 64
    assert kept["cycles"] >= kept["array"] + kept["depthwise"] and kept["beside"] <= kept["array"]
    assert kept["macs"] == sum(graph.macs(op) for op in graph.ops)
    assert bool(kept["depthwise"] + kept["beside"]) == (way != "array")


@pytest.mark.parametrize("way", WAYS)
def test_maps_that_stay_on_the_chip_and_maps_that_do_not(way):
    graph, inside = separable()
    maps = {role for name, role in ROLES.items() if name not in ("x", "out")}
    moved = measure(graph, ZCU104, way)["dram_bytes"]
    assert not maps & ({*moved["read"]} | {*moved["written"]})
    moved = measure(graph, NO_STORE, way)["dram_bytes"]
    for role in maps:
        values = sum(
            np.prod(graph.tensors[inside[name]].shape) for name in ROLES if ROLES[name] == role
        )
        # Padded to whole words; every value is read at least once.
        assert values <= moved["written"][role] <= 1.5 * values + 64 * 64
        assert moved["read"][role] >= values


@pytest.mark.long
@pytest.mark.parametrize("name", NETWORKS)
def test_no_map_of_the_networks_leaves_the_chip(name):
    graph, _ = load_model(name)
    moved = traffic(graph, compile_graph(graph, ZCU104))
    constants = {"commands", "weights", "parameters", "tables"}
    assert constants - {"tables"} <= {*moved["read"]} <= constants | {"input"}
    assert {*moved["written"]} == {"output", "records"}


def test_once():
    graph, _ = separable()
    for way in WAYS:
        least = once(graph, compile_graph(graph, ZCU104, **WAYS[way]))
        weights = 9 * 16 * 32 + 9 * 32 + 32 * 48 + 9 * 48 + 48 * 24 + 24 * 24 + 24 * 16
        assert least == {"weights": weights, "input": 12 * 10 * 16, "output": 6 * 5 * 16}


def test_command(run_bench):
    """Page and charts hold what was measured."""
    configs = ("zcu104", "small")
    written = run_bench(depthwise, "separable", separable()[0], configs)
    for run in written.runs.values():
        assert list(run["ways"]) == sorted(WAYS)
        for way in run["ways"].values():
            assert f"| {way['cycles']:,} |" in written.page
            assert f"| {way['dram_bytes']['read']['commands']:,} |" in written.page
    written.check_charts([f"depthwise-{config}.svg" for config in configs], write_depthwise)
