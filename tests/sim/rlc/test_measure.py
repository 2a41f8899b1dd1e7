"""The measurement counts what the codec writes; the layout is that of the hardware."""

import json
from collections import Counter

import numpy as np
import pytest
from click.testing import CliRunner

from skimp.rlc.format import FRAME, RUN_BITS, Code
from skimp_sim.rlc.codec import encode_tile
from skimp_sim.rlc.measure import (
    CODES,
    RUN_WIDTHS,
    Layer,
    coded_frames,
    main,
    measure_network,
    measure_tensor,
    planes,
)

GEOMETRY = dict(channels=16, tile_bytes=4096, beat_bytes=64)


def test_frames_as_coded():
    rng = np.random.default_rng(3)
    data = rng.integers(-128, 128, (200, FRAME)).astype(np.int8)
    density = rng.random((200, 1))
    data[rng.random(data.shape) > density] = -7
    sizes = np.full(200, FRAME)
    sizes[50:100] = rng.integers(1, FRAME, 50)
    filled = (data != -7) & (np.arange(FRAME) < sizes[:, None])
    lengths = coded_frames(filled, sizes)
    for code, name in ((Code.RUN_LENGTH, f"run{RUN_BITS}"), (Code.BITMAP, "bitmap")):
        coded = [
            encode_tile(code, row[:size].tobytes(), zero=-7 % 256) for row, size in zip(data, sizes)
        ]
        assert lengths[name].tolist() == [len(c) for c in coded]


@pytest.mark.parametrize("shape", [(1, 5, 7, 20), (1, 33), (1, 16, 16, 8), (1, 1, 1, 1)])
def test_tensor_as_coded(shape):
    rng = np.random.default_rng(4)
    values = rng.integers(-3, 3, shape).astype(np.int8)
    found = measure_tensor(values, -2, channels=8, tile_bytes=96, beat_bytes=16)
    coded_bytes, dram_bytes = Counter(), Counter()
    for row in planes(values, -2, 8, 16):
        for code, name in (
            (Code.RAW, "raw"), (Code.RUN_LENGTH, f"run{RUN_BITS}"), (Code.BITMAP, "bitmap"),
        ):  # fmt: skip
            for first in range(0, len(row), 96):
                size = len(encode_tile(code, row[first : first + 96].tobytes(), zero=254))
                coded_bytes[name] += size
                dram_bytes[name] += -(-size // 16) * 16
    assert coded_bytes.items() <= found[0].items()
    assert dram_bytes.items() <= found[1].items()
    assert found[1]["picked"] == min(dram_bytes.values())


def test_planes():
    """Words of 4 channels, pixel by pixel, block by block; what fills up the last is the zero."""
    values = np.arange(12, dtype=np.int8).reshape(1, 1, 2, 6)
    for beat_bytes in (1, 4, 8):
        assert planes(values, 99, 4, beat_bytes).tolist() == [
            [0, 1, 2, 3, 6, 7, 8, 9],
            [4, 5, 99, 99, 10, 11, 99, 99],
        ]
    assert planes(values, 99, 4, 16).tolist() == [
        [0, 1, 2, 3, 6, 7, 8, 9, *[99] * 8],
        [4, 5, 99, 99, 10, 11, 99, 99, *[99] * 8],
    ]


@pytest.mark.parametrize(
    "shape, growth",
    [
        ((1, 8, 8, 16), 1 / 64),
        ((1, 7, 9, 16), (15 * 65 + 1 + 48 + 12) / 1024 - 1),  # its last word is zeros
        ((1, 128), (1 + 8 + 16) / 64 - 1),
    ],
)
def test_grows_by_a_64th_at_most(shape, growth):
    """Not a single zero of its own; tiles are whole frames, for planes are whole beats."""
    values = np.random.default_rng(5).integers(1, 128, shape).astype(np.int8)
    coded_bytes, dram_bytes = measure_tensor(values, 0, **GEOMETRY)
    layer = Layer(
        network="none", name="filled", is_relu=True, zeros=0, elements=values.size,
        coded_bytes=coded_bytes, dram_bytes=dram_bytes,
    )  # fmt: skip
    assert layer.growth == pytest.approx(growth)
    assert dram_bytes["picked"] == dram_bytes["raw"]


def test_real_networks(models):
    """The better code saves a quarter of ReLU outputs, runs alone an eighth; two bits are best."""
    total = Counter()
    for path in sorted(models.glob("*.tflite")):
        for layer in measure_network(path, **GEOMETRY):
            assert layer.growth <= 1 / 64
            if layer.is_relu:
                total += layer.dram_bytes
    assert total["picked"] <= 0.75 * total["raw"]
    runs = total[f"run{RUN_BITS}"]
    assert runs <= 0.88 * total["raw"]
    assert runs == min(total[f"run{bits}"] for bits in RUN_WIDTHS)


def test_command(models, tmp_path):
    path = tmp_path / "rlc.json"
    result = CliRunner().invoke(main, ["--json", str(path), "--layers"])
    assert result.exit_code == 0, result.output
    assert "all ReLU layers" in result.output
    layers = json.loads(path.read_text())["layers"]
    assert all(set(layer["coded_bytes"]) == {"raw", *CODES} for layer in layers)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([], ("no networks there", "SKIMP_MODELS")),
        (["--json", "{folder}/none/rlc.json"], ("rlc.json", "cannot be written")),
        (["--json", "{folder}"], ("is a folder",)),
    ],
)
def test_bad_input(tmp_path, monkeypatch, arguments, words):
    """One line that says what, and exit status 2."""
    monkeypatch.setenv("SKIMP_MODELS", str(tmp_path))
    result = CliRunner().invoke(main, [text.format(folder=tmp_path) for text in arguments])
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("skimp: ") and all(word in line for word in words)


def test_damaged_network(tmp_path, monkeypatch):
    monkeypatch.setenv("SKIMP_MODELS", str(tmp_path))
    (tmp_path / "net.tflite").write_bytes(b"no network")
    result = CliRunner().invoke(main, [])
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert "net.tflite" in line


@pytest.mark.parametrize("option", ["--channels", "--tile-bytes", "--beat-bytes"])
def test_sizes_are_positive(option):
    result = CliRunner().invoke(main, [option, "0"])
    assert result.exit_code == 2 and option in result.stderr
