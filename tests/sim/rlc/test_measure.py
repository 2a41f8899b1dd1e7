"""The measurement counts what the codec writes; the layout is that of the hardware."""

from collections import Counter

import numpy as np
import pytest
from click.testing import CliRunner

from skimp.rlc.format import FRAME, RUN_BITS, Code
from skimp_compiler.tflite_reader import read_tflite
from skimp_sim.inputs import load_input
from skimp_sim.real_networks import input_of
from skimp_sim.rlc.codec import encode_tensor, encode_tile
from skimp_sim.rlc.measure import (
    RUN_WIDTHS,
    coded_frames,
    main,
    measure_graph,
    measure_tensor,
    planes,
)


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
    zeros, elements, found = measure_tensor(values, -2, channels=8, tile_bytes=96, beat_bytes=16)
    blocks = planes(values, -2, 8)
    assert elements == blocks.size
    assert zeros == sum(row.tobytes().count(bytes([254])) for row in blocks)
    wanted = Counter()
    for row in blocks:
        for code, name in (
            (Code.RAW, "raw"), (Code.RUN_LENGTH, f"run{RUN_BITS}"), (Code.BITMAP, "bitmap"),
        ):  # fmt: skip
            coded = encode_tensor(code, row.tobytes(), tile_bytes=96, beat_bytes=16, zero=254)
            wanted[name] += sum(16 * coded.beats_of(n) for n in range(coded.num_tiles))
    for name in wanted:
        assert found[name] == wanted[name]
    assert found["picked"] == min(wanted.values())


def test_planes():
    """Words of 4 channels, pixel by pixel, block by block; what fills up the last is the zero."""
    values = np.arange(12, dtype=np.int8).reshape(1, 1, 2, 6)
    assert planes(values, 99, 4).tolist() == [
        [0, 1, 2, 3, 6, 7, 8, 9],
        [4, 5, 99, 99, 10, 11, 99, 99],
    ]


def test_real_networks(models):
    """The better code saves a quarter of ReLU outputs, runs alone an eighth; two bits are best."""
    total = Counter()
    for path in sorted(models.glob("*.tflite")):
        graph = read_tflite(path)
        inputs = load_input(graph, input_of(path))
        for layer in measure_graph(graph, inputs, channels=16, tile_bytes=4096, beat_bytes=64):
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
    assert "all ReLU layers" in result.output and path.is_file()


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
