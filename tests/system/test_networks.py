"""Whole real networks: functional model, RTL, golden model and LiteRT, at every layer."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import NETWORKS

from skimp.configs import PRESETS
from skimp_compiler.compiler import compile_graph
from skimp_compiler.tflite_reader import read_tflite
from skimp_compiler.zoo import DEFAULT
from skimp_sim.cli import main
from skimp_sim.executor import run_program
from skimp_sim.golden.network import run_graph, run_op
from skimp_sim.inputs import load_input
from skimp_sim.litert import run_litert
from skimp_sim.real_networks import input_of

HARDWARE_KINDS = {
    "conv", "depthwise", "fully_connected", "add", "avg_pool", "max_pool", "mean", "pad",
}  # fmt: skip
"""Operators that must not fall back to the host in these networks."""


def inputs_of(graph, models):
    return load_input(graph, input_of(models / f"{graph.name}.tflite"), seed=7)


@pytest.mark.parametrize("name", NETWORKS)
def test_golden_equals_litert_at_every_tensor(name, models):
    path = models / f"{name}.tflite"
    graph = read_tflite(path)
    inputs = inputs_of(graph, models)
    litert = run_litert(path, inputs)
    golden = run_graph(graph, inputs)
    for op in graph.ops:
        for index, alone in zip(op.outputs, run_op(graph, op, litert)):
            where = f"{name} {graph.op_name(op)}"
            np.testing.assert_array_equal(alone, litert[index], err_msg=f"{where}, alone")
            np.testing.assert_array_equal(golden[index], litert[index], err_msg=where)


SLOW = {
    ("mobilenet_v2_1.0_224_int8", "tiny"),
    ("mobilenet_v2_1.0_224_int8", "small"),
    ("mobilenetv2_160_035_int8", "tiny"),
    ("mcunet_vww", "tiny"),
}
"""Many commands: the fewer lanes, the more."""

COMBINATIONS = [
    pytest.param(name, config, marks=pytest.mark.long) if (name, config) in SLOW else (name, config)
    for name in NETWORKS
    for config in ("tiny", "small", "zcu104")
]


@pytest.mark.parametrize(("name", "config"), COMBINATIONS)
def test_functional_equals_golden(name, config, models):
    graph = read_tflite(models / f"{name}.tflite")
    inputs = inputs_of(graph, models)
    golden = run_graph(graph, inputs)
    program = compile_graph(graph, PRESETS[config])
    result = run_program(graph, program, inputs)
    for index, value in result.values.items():
        np.testing.assert_array_equal(value, golden[index], err_msg=f"{name} tensor {index}")
    # What a second stage takes along on its way out never stands in a memory.
    passed_on = {layer.fused_with for layer in program.layers if layer.unit == "post"}
    made = {
        layer.output
        for layer in program.layers
        if layer.unit != "none" and layer.layer_id not in passed_on
    }
    assert made <= set(result.values)
    for layer in program.layers:
        assert layer.unit != "host" or layer.op not in HARDWARE_KINDS, (layer.name, layer.reason)


def run_check(arguments, tmp_path):
    """`skimp run ... --check` ends with 0 and exact at every layer; return its JSON."""
    out = tmp_path / "run.json"
    result = CliRunner().invoke(main, ["run", *map(str, arguments), "--check", "--json", str(out)])
    assert result.exit_code == 0, result.output
    report = json.loads(out.read_text())
    assert report["bit_exact"] == {"golden": True, "litert": True}
    assert report["total"]["cycles"] == sum(layer["cycles"] for layer in report["layers"]) > 0
    for layer in report["layers"]:
        if layer["unit"] in ("array", "depthwise", "post"):
            assert layer["bit_exact"] == {"golden": True, "litert": True}, layer["name"]
            busy, stalls = layer["busy_cycles"], layer["stall_cycles"]
            spent = busy["array"] + busy["depthwise"] + sum(stalls.values())
            assert layer["cycles"] == spent, layer["name"]
    return report


def arguments_of(name, config, models):
    path = models / f"{name}.tflite"
    picture = input_of(path)
    arguments = [path, "--config", config, "--engine", "rtl"]
    return arguments + (["--input", picture] if picture else [])


@pytest.mark.verilog
@pytest.mark.xdist_group("tiny")
@pytest.mark.parametrize("name", ["ad01_int8", "kws_ref_model"])
def test_rtl_on_tiny(name, models, tmp_path):
    run_check(arguments_of(name, "tiny", models), tmp_path)


@pytest.mark.long
@pytest.mark.verilog
@pytest.mark.xdist_group("small")
@pytest.mark.parametrize("name", NETWORKS)
def test_rtl_on_small(name, models, tmp_path):
    report = run_check(arguments_of(name, "small", models), tmp_path)
    if name == "mobilenet_v2_1.0_224_int8":
        assert report["output"][0]["name"] == "military uniform"


@pytest.mark.long
@pytest.mark.verilog
@pytest.mark.xdist_group("small")
def test_rtl_runs_the_default_network(tmp_path):
    report = run_check([DEFAULT], tmp_path)
    assert report["output"][0]["name"] == "Egyptian cat"
