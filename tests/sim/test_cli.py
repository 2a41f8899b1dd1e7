"""The command line: what it promises, and one clear line for every bad input."""

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from netlib import conv_net, random_net

from skimp.config import Config
from skimp_compiler.tflite_writer import write_tflite
from skimp_sim.cli import main


def skimp(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.fixture
def network(tmp_path) -> Path:
    """A small convolution as a .tflite."""
    graph = conv_net(np.random.default_rng(3), height=6, width=6, c=3, k=8, r=3, s=3)
    path = tmp_path / "net.tflite"
    path.write_bytes(write_tflite(graph))
    return path


def assert_refused(result, *words):
    """Exit status 2, one line, and it names what, where, what to do."""
    assert result.exit_code == 2, result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("skimp: ")
    assert "Traceback" not in result.output
    for word in words:
        assert word in lines[0], lines[0]


@pytest.mark.parametrize("kept", [0, 3, 100, 400, 0.5, 0.9, 0.99])
def test_truncated_model(network, kept):
    data = network.read_bytes()
    cut = int(len(data) * kept) if isinstance(kept, float) else kept
    network.write_bytes(data[:cut])
    assert_refused(skimp("run", network, "--engine", "functional"), "net.tflite")


def test_file_that_is_no_model(tmp_path):
    path = tmp_path / "text.tflite"
    path.write_text("this is not a network")
    assert_refused(skimp("run", path), "not a .tflite")
    assert_refused(skimp("run", tmp_path / "none.tflite"), "cannot be read")


def test_float_model(tmp_path):
    graph = conv_net(np.random.default_rng(3), height=6, width=6, c=3, k=8, r=3, s=3)
    for tensor in graph.tensors:
        tensor.dtype = np.dtype(np.float32)
        tensor.quant = None
        if tensor.data is not None:
            tensor.data = tensor.data.astype(np.float32)
    path = tmp_path / "float.tflite"
    path.write_bytes(write_tflite(graph))
    assert_refused(skimp("run", path), "float32", "quantise")


def test_unsupported_operator(tmp_path):
    graph = random_net(np.random.default_rng(1), "logistic")
    graph.ops[0].kind = "tanh"
    path = tmp_path / "tanh.tflite"
    path.write_bytes(write_tflite(graph))
    assert_refused(skimp("run", path), "0:tanh", "not supported")
    assert_refused(skimp("explain", path), "0:tanh")


def test_dilation(tmp_path):
    graph = conv_net(np.random.default_rng(3), height=6, width=6, c=3, k=8, r=1, s=1)
    graph.ops[0].attrs["dilation_h"] = 2
    path = tmp_path / "dilated.tflite"
    path.write_bytes(write_tflite(graph))
    assert_refused(skimp("run", path), "dilation")


def test_adds_with_many_inputs(models):
    path = models / "negative" / "hps_presence_320x240.tflite"
    assert_refused(skimp("run", path, "--engine", "functional"), "hps_presence_320x240", "add")


def test_weight_of_minus_128(tmp_path):
    graph = conv_net(np.random.default_rng(3), height=4, width=4, c=8, k=8, r=1, s=1)
    weights = graph.tensors[1].data.copy()
    weights[0, 0, 0, 0], weights[1, 0, 0, 0] = -5, -128
    graph.tensors[1].data = weights
    path = tmp_path / "extreme.tflite"
    path.write_bytes(write_tflite(graph))
    assert_refused(skimp("run", path), "-128", "[-127, 127]")


def test_wrong_image(network, tmp_path):
    text = tmp_path / "picture.png"
    text.write_text("no picture")
    assert_refused(skimp("run", network, "--input", text), "picture.png", "not a picture")
    assert_refused(skimp("run", network, "--input", tmp_path / "none.jpg"), "no such input")
    array = tmp_path / "shape.npy"
    np.save(array, np.zeros((1, 2, 3)))
    assert_refused(skimp("run", network, "--input", array), "shape (1, 2, 3)")
    array.write_bytes(b"not numpy")
    assert_refused(skimp("run", network, "--input", array), "not a .npy")


def test_picture_for_a_network_without_one(models):
    result = skimp("run", models / "ad01_int8.tflite", "--input", models / "cat.jpg")
    assert_refused(result, "no picture")


def test_unknown_preset(network):
    assert_refused(skimp("run", network, "--config", "huge"), "huge", "tiny, small, zcu104")
    assert_refused(skimp("verilog", "--config", "huge", "-o", "x"), "huge")


def test_broken_configuration_file(network, tmp_path):
    path = tmp_path / "config.json"
    path.write_text("{")
    assert_refused(skimp("run", network, "--config", path), "config.json")
    values = json.loads(Config.from_json(_small_json()).to_json()) | {"pixels": 17}
    path.write_text(json.dumps(values))
    assert_refused(skimp("run", network, "--config", path), "pixels must be 1 to 16, not 17")


def _small_json() -> str:
    from skimp.configs import PRESETS

    return PRESETS["small"].to_json()


def test_output_that_cannot_be_written(network, tmp_path):
    # Tests may run as root, whom no permission stops: a file where a folder should be does.
    blocked = tmp_path / "file"
    blocked.write_text("")
    for option in ("--json", "--report", "--waves"):
        result = skimp("run", network, option, blocked / "out")
        assert_refused(result, "cannot be written")
    assert_refused(skimp("compile", network, "-o", blocked), "cannot be written")
    assert_refused(skimp("compile", network, "-o", "/proc/none"), "cannot be written")
    assert_refused(skimp("verilog", "--config", "tiny", "-o", "/proc/none"), "cannot be written")


def test_no_traceback_from_a_shell(tmp_path):
    command = [sys.executable, "-m", "skimp_sim.cli", "run", str(tmp_path / "none.tflite")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_run_functional_and_json(network, tmp_path):
    out, page = tmp_path / "run.json", tmp_path / "run.html"
    result = skimp(
        "run", network, "--engine", "functional", "--check", "--json", out, "--report", page
    )
    assert result.exit_code == 0, result.output
    report = json.loads(out.read_text())
    assert report["schema"] == 1
    assert report["bit_exact"] == {"golden": True, "litert": True}
    (layer,) = report["layers"]
    assert layer["macs"] == 6 * 6 * 8 * 27 == report["total"]["macs"]
    assert layer["unit"] == "array"
    assert layer["dram_write_bytes"]["ofmap"] == 6 * 6 * 8
    assert 0 <= layer["macs_gated"] <= layer["macs"]
    assert layer["compulsory_bytes"] == 6 * 6 * (3 + 8) + 27 * 8
    assert layer["dram_lower_bound_bytes"] >= layer["compulsory_bytes"]
    # Parameters of eight channels, too.
    least = layer["compulsory_bytes"] + 12 * 8
    total = report["total"]
    assert total["dram_lower_bound_bytes"] == least <= total["dram_bytes"]
    assert f"DRAM: {total['dram_bytes'] / 1e6:.3f} MB" in result.output
    assert 'id="layers"' in page.read_text()


def test_a_fused_layer_says_with_which(models, tmp_path):
    """The addition behind a convolution runs on that one's way out."""
    out = tmp_path / "run.json"
    path = models / "resnet8_cifar10_int8.tflite"
    for command in (("run", path, "--engine", "functional"), ("perf", path)):
        result = skimp(*command, "--json", out)
        assert result.exit_code == 0, result.output
        layers = json.loads(out.read_text())["layers"]
        names = [layer["name"] for layer in layers]
        for layer in layers:
            if layer["unit"] == "post" and layer["fused_with"] is not None:
                host = layers[names.index(layer["fused_with"])]
                assert (host["unit"], layer["unit"]) == ("array", "post")
        adds = [layer["fused_with"] for layer in layers if layer["op"] == "add"]
        assert len(adds) == 3 and None not in adds


def test_layers_side_by_side_say_so(models, tmp_path):
    """Each names the first of its group, and where its map lies; alone they are layer by layer."""
    out = tmp_path / "out.json"
    path = models / "mobilenetv2_160_035_int8.tflite"
    clocks = {}
    for options in ((), ("--no-fuse",)):
        result = skimp("perf", path, *options, "--json", out)
        assert result.exit_code == 0, result.output
        report = json.loads(out.read_text())
        layers = {layer["name"]: layer for layer in report["layers"]}
        clocks[options] = report["total"]["cycles"]
        assert clocks[options] == sum(layer["cycles"] for layer in layers.values())
        depthwise = [layer for layer in layers.values() if layer["op"] == "depthwise"]
        assert len(depthwise) > 10
        for layer in layers.values():
            if layer["unit"] not in ("array", "depthwise"):
                continue
            beside = re.search("tile by tile beside (.*), its map (.*)", layer["reason"])
            if layer["fused_with"] is not None:
                assert beside and not options
                first = layers[layer["fused_with"]]
                assert first["fused_with"] is None and "tile by tile" in first["reason"]
            if beside:
                assert beside[1] in layers
                assert re.match("stays on the chip|lies in DRAM: ", beside[2])
        for layer in depthwise:
            if options:
                assert layer["reason"].endswith("layer by layer, as asked for")
            else:
                assert layer["fused_with"] is not None
        told = skimp("explain", path, *options)
        assert told.exit_code == 0
        assert ("tile by tile" in told.output) == (not options)
    assert clocks[()] < clocks["--no-fuse",], "side by side takes fewer clocks"


def test_no_fuse_for_run_and_compile(models, tmp_path):
    path = models / "kws_ref_model.tflite"
    programs = []
    for options in ((), ("--no-fuse",)):
        result = skimp("run", path, "--engine", "functional", "--check", *options)
        assert result.exit_code == 0, result.output
        result = skimp("compile", path, *options, "-o", tmp_path)
        assert result.exit_code == 0, result.output
        programs.append((tmp_path / "program.asm").read_text())
    assert programs[0] != programs[1]


@pytest.mark.verilog
@pytest.mark.xdist_group("tiny")
def test_run_on_the_rtl(network, tmp_path):
    out, other = tmp_path / "run.json", tmp_path / "functional.json"
    result = skimp("run", network, "--config", "tiny", "--check", "--json", out)
    assert result.exit_code == 0, result.output
    report = json.loads(out.read_text())
    (layer,) = report["layers"]
    assert 0 < layer["utilisation"] <= 1
    assert layer["limit_cycles"] <= layer["cycles"]
    skimp("run", network, "--config", "tiny", "--engine", "functional", "--json", other)
    (functional,) = json.loads(other.read_text())["layers"]
    for name in layer:
        if name.endswith(("_bytes", "_accesses", "_gated")):
            assert layer[name] == functional[name], name


def test_difference_is_exit_status_1(network, monkeypatch):
    import skimp_sim.run

    def wrong(graph, inputs):
        values = golden(graph, inputs)
        (index,) = graph.outputs
        values[index] = values[index] ^ 1
        return values

    golden = skimp_sim.run.run_graph
    monkeypatch.setattr(skimp_sim.run, "run_graph", wrong)
    result = skimp("run", network, "--engine", "functional", "--check")
    assert result.exit_code == 1
    assert "DIFFERENT" in result.output


def test_compile_explain_models_verilog(network, tmp_path):
    result = skimp("compile", network, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "program.bin", "program.asm", "memory_map.json",
    }  # fmt: skip
    assert "conv" in (tmp_path / "out" / "program.asm").read_text()
    result = skimp("explain", network)
    assert result.exit_code == 0
    assert "convolution" in result.output
    result = skimp("models")
    assert result.exit_code == 0
    assert "efficientnet_lite0" in result.output
    result = skimp("verilog", "--config", "tiny", "-o", tmp_path / "v")
    assert result.exit_code == 0, result.output
    side = json.loads((tmp_path / "v" / "skimp_tiny.json").read_text())
    assert side["dsp48e2"] == 32 + 8 + 32  # array; depthwise pairs; requantisation


def test_commands_by_entry_points(monkeypatch):
    """Those of pyproject.toml are listed and found, whatever is installed."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    group = "skimp.commands"
    points = project["project"]["entry-points"][group]
    found = EntryPoints(EntryPoint(name, value, group) for name, value in points.items())
    monkeypatch.setattr("skimp_sim.cli.entry_points", lambda **which: found.select(**which))
    listed = skimp("--help").output
    for name in points:
        assert f"  {name}" in listed
        assert skimp(name, "--help").output.startswith(f"Usage: main {name}")
    assert_refused(skimp("reproduce", "nothing"), "nothing", "choose one of")


def test_starts_without_other_commands():
    """Their modules are imported when they are called."""
    code = "import sys, skimp_sim.cli; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "skimp_sim.cli" in loaded.stdout.split()
    assert not [name for name in loaded.stdout.split() if "reproduce" in name or "explore" in name]
