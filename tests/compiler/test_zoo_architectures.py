"""The networks made from an architecture and a seed: sizes, statistics, bytes, and their judge."""

from functools import cache

import numpy as np
import pytest

from skimp_compiler import zoo
from skimp_compiler.graph import ModelError
from skimp_compiler.tflite_reader import check_supported, read_tflite
from skimp_compiler.tflite_writer import write_tflite
from skimp_compiler.zoo.architectures import ARCHITECTURES, Network, architecture
from skimp_compiler.zoo.seeded import quantise_seeded
from skimp_compiler.zoo.seeded_layers import layer_sums, max_pool
from skimp_compiler.zoo.seeded_numbers import RandomIntegers, seeded_picture, seeded_weights
from skimp_sim.golden.network import run_graph
from skimp_sim.litert import run_litert

SEEDED = [name for name in zoo.BUILTIN if name in ARCHITECTURES]
RUN = ("squeezenet", "mobilenet_v1")
"""Small enough to run in a test."""


def _quiet(text, share=None):
    assert share is None or 0 <= share <= 1


@cache
def _graph(name):
    return zoo.BUILTIN[name].build(_quiet)


@cache
def _golden(name):
    picture = seeded_picture(zoo.BUILTIN[name].shape[1])
    return run_graph(_graph(name), [picture[None]])


# --- architectures


@pytest.mark.parametrize(
    "name, low, high, parameters",
    [
        ("alexnet", 0.724, 0.725, 61.0),
        ("vgg16", 15.47, 15.48, 138.4),
        ("googlenet", 1.58, 1.59, 7.0),
        ("squeezenet", 0.349, 0.350, 1.24),
        ("resnet50", 3.85, 3.87, 25.5),
        ("mobilenet_v1", 0.568, 0.569, 4.2),
        ("mobilenet_v2", 0.300, 0.301, 3.5),
        ("yolov3_tiny", 2.78, 2.79, 8.8),
    ],
)
def test_sizes_are_the_published_ones(name, low, high, parameters):
    network = architecture(name)
    assert low <= network.macs / 1e9 <= high
    assert network.parameters / 1e6 == pytest.approx(parameters, rel=0.01)


def test_alexnet_convolutions_are_grouped():
    convs = [layer for layer in architecture("alexnet").layers if layer.kind == "conv"]
    assert sum(layer.macs for layer in convs) == 665_784_864


def test_unknown_architecture_lists_the_known_ones():
    with pytest.raises(ModelError, match="squeezenet"):
        architecture("lenet")


@pytest.mark.parametrize("name", SEEDED)
def test_table_of_networks_agrees_with_the_architecture(name):
    network, builtin = architecture(name), zoo.BUILTIN[name]
    assert (network.macs, network.parameters) == (builtin.macs, builtin.parameters)
    assert (1, *network.layers[0].shape) == builtin.shape
    assert network.name == name
    names = [layer.name for layer in network.layers]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", RUN)
def test_graph_agrees_with_the_architecture(name):
    graph, builtin = _graph(name), zoo.BUILTIN[name]
    assert sum(graph.macs(op) for op in graph.ops) == builtin.macs
    weighted = [op for op in graph.ops if op.kind in ("conv", "depthwise", "fully_connected")]
    constants = [graph.tensors[i] for op in weighted for i in op.inputs[1:]]
    assert sum(tensor.data.size for tensor in constants) == builtin.parameters
    assert graph.tensors[graph.inputs[0]].shape == builtin.shape


# --- numbers


def test_weights_look_trained():
    weights = seeded_weights(RandomIntegers("test"), (64, 3, 3, 64), 0)
    channels = weights.reshape(64, -1).astype(int)
    assert (np.abs(channels).max(axis=1) == 127).all() and channels.min() >= -127
    assert 20 < channels.std() < 35 and abs(channels.mean()) < 1
    assert 0.01 < (channels == 0).mean() < 0.05
    depthwise = seeded_weights(RandomIntegers("test"), (1, 3, 3, 64), 3)
    assert (np.abs(depthwise.reshape(9, 64).astype(int)).max(axis=0) == 127).all()


def test_streams_differ_by_name_and_are_fixed():
    first = RandomIntegers("squeezenet", "conv1").uint16(4)
    np.testing.assert_array_equal(first, RandomIntegers("squeezenet", "conv1").uint16(4))
    assert (first != RandomIntegers("squeezenet", "conv2").uint16(4)).any()
    low = RandomIntegers("x").between(-3, 3, 10_000)
    assert set(low.tolist()) == set(range(-3, 4))


@pytest.mark.parametrize("size", [33, 224])
def test_picture_is_smooth_and_uses_int8(size):
    picture = seeded_picture(size).astype(int)
    assert picture.shape == (size, size, 3)
    assert picture.min() == -128 and picture.max() == 127
    assert np.abs(np.diff(picture, axis=0)).mean() < picture.std() / 2


# --- layers


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
def test_layers_equal_loops(kernel, padding, stride):
    rng = np.random.default_rng(kernel)
    x = rng.integers(-128, 128, (9, 8, 4)).astype(np.int8)
    net = Network("net", x.shape)
    conv = net.layers[net.conv("conv", 0, 5, kernel, stride=stride, padding=padding)]
    pool = net.layers[net.max_pool("pool", 0, kernel, stride, padding)]
    weights = seeded_weights(RandomIntegers("w"), conv.weight_shape, 0)
    sums, largest = layer_sums(conv, x.astype(np.float64), weights), max_pool(pool, x)
    assert sums.shape == conv.shape and largest.shape == pool.shape
    lost = [
        max((out - 1) * stride + kernel - size, 0) // 2 if padding == "same" else 0
        for size, out in zip(x.shape, sums.shape[:2])
    ]
    for p, q in np.ndindex(*sums.shape[:2]):
        top, left = p * stride - lost[0], q * stride - lost[1]
        rows = slice(max(top, 0), top + kernel)
        cols = slice(max(left, 0), left + kernel)
        window = x[rows, cols].astype(int)
        taps = weights[:, max(-top, 0) :, max(-left, 0) :].astype(int)
        taps = taps[:, : window.shape[0], : window.shape[1]]
        np.testing.assert_array_equal(sums[p, q], (taps * window).sum(axis=(1, 2, 3)))
        np.testing.assert_array_equal(largest[p, q], window.max(axis=(0, 1)))


def _every_kind() -> Network:
    """A small network with every kind of layer, two outputs and a shared scale."""
    net = Network("every", (32, 32, 3))
    x = net.conv("stem", 0, 8, 3, stride=2)
    fine = net.depthwise("depthwise", x, 3, stride=1, activation="relu6")
    x = net.max_pool("pool", x, 2, 2)
    y = net.conv("branch", x, 8, 3, activation="none", zeros=0.65)
    z = net.conv("linear", x, 8, 1, activation="none")
    x = net.add("sum", net.add("linear_sum", y, z), x, "relu")
    x = net.concat("scales", net.upsample("upsample", x), net.conv("fine", fine, 4, 1))
    mean = net.dense("dense", net.mean("mean", x), 8)
    flat = net.flatten("flat", net.max_pool("small", x, 4, 4))
    net.finish_softmax(net.logits("logits", flat, 10))
    return net.finish(*net.outputs, mean, net.global_pool("global", x))


def test_every_kind_of_layer_is_exact(tmp_path):
    graph = quantise_seeded(_every_kind())
    path = tmp_path / "every.tflite"
    path.write_bytes(write_tflite(graph))
    check_supported(read_tflite(path))
    picture = seeded_picture(32)[None]
    ours, theirs = run_graph(graph, [picture]), run_litert(path, [picture])
    for index, values in ours.items():
        np.testing.assert_array_equal(values, theirs[index], graph.tensors[index].name)


# --- networks


@pytest.mark.parametrize("name", RUN)
def test_numbers_are_the_released_ones(name):
    assert zoo.fingerprint(_graph(name)) == zoo.BUILTIN[name].fingerprint


def test_same_bytes_twice():
    first, second = (write_tflite(zoo.BUILTIN["squeezenet"].build(_quiet)) for _ in range(2))
    assert first == second


def test_zeros_behind_relu_are_as_in_trained_networks():
    graph, values = _graph("squeezenet"), _golden("squeezenet")
    shares = []
    for op in graph.ops:
        if op.attrs.get("activation") == "relu":
            output = op.outputs[0]
            shares.append((values[output] == graph.tensors[output].zero_point).mean())
    assert len(shares) == 26
    assert min(shares) > 0.3 and max(shares) < 0.75
    assert 0.4 < np.mean(shares) < 0.6


@pytest.mark.parametrize("name", RUN)
def test_golden_model_equals_litert(name, tmp_path):
    path = zoo.path_of(name, tmp_path, _quiet)
    graph = read_tflite(path)
    check_supported(graph)
    assert zoo.fingerprint(graph) == zoo.BUILTIN[name].fingerprint
    values = run_litert(path, [seeded_picture(graph.tensors[0].shape[1])[None]])
    (output,) = graph.outputs
    np.testing.assert_array_equal(_golden(name)[output], values[output])
    assert len(np.unique(values[output])) > 5


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in SEEDED if name not in RUN])
def test_large_networks(name, tmp_path, monkeypatch):
    monkeypatch.setenv("SKIMP_MODELS", str(tmp_path))
    path = zoo.path_of(name, tmp_path, _quiet)
    graph = read_tflite(path)
    check_supported(graph)
    assert zoo.fingerprint(graph) == zoo.BUILTIN[name].fingerprint
    picture = seeded_picture(graph.tensors[0].shape[1])[None]
    ours, theirs = run_graph(graph, [picture]), run_litert(path, [picture])
    for index, values in ours.items():
        np.testing.assert_array_equal(values, theirs[index], graph.tensors[index].name)


# --- which file, which input


def test_trained_file_takes_precedence(tmp_path, monkeypatch):
    monkeypatch.setenv("SKIMP_MODELS", str(tmp_path))
    seeded = zoo.describe("mobilenet_v2")
    assert "seeded" in seeded.origin and zoo.labels("mobilenet_v2") == []
    file = tmp_path / seeded.trained
    file.write_bytes(b"a file")
    assert zoo.path_of("mobilenet_v2", tmp_path / "cache") == file
    assert zoo.describe("mobilenet_v2").origin.startswith("trained file")
    names = zoo.labels("mobilenet_v2")
    assert len(names) == 1001 and names[0] == "background" and names[286] == "Egyptian cat"
    assert zoo.describe("mobilenet_v1") is zoo.BUILTIN["mobilenet_v1"]


def test_sample_input_is_the_calibration_picture(tmp_path, monkeypatch):
    monkeypatch.setenv("SKIMP_CACHE", str(tmp_path))
    path = zoo.default_input("squeezenet")
    assert path.parent == tmp_path
    np.testing.assert_array_equal(np.load(path), seeded_picture(224))


def test_recipe_changes_with_the_sources_only(tmp_path):
    first = zoo._recipe(zoo.BUILTIN["squeezenet"])
    assert first == zoo._recipe(zoo.BUILTIN["vgg16"])
    assert first != zoo._recipe(zoo.BUILTIN[zoo.DEFAULT])


def test_progress_is_told(tmp_path, capfd):
    zoo.path_of("squeezenet", tmp_path)
    told = capfd.readouterr().err.splitlines()
    assert len(told) == 2 and told[0].startswith("squeezenet: building")
    assert told[1].endswith("numbers as released")
