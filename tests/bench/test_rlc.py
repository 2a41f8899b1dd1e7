"""The bench of codes for zeros: Eyeriss's published traffic, and a page that is of its numbers."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import rlc
from netlib import conv_net
from rlc_alexnet import PUBLISHED, compare, traffic
from rlc_results import write_rlc

from skimp_compiler.tflite_writer import write_tflite
from skimp_sim.reproduce.layers import conv_layers

KEPT = Path(rlc.__file__).parents[1] / "docs" / "results"
LAYERS = {layer.name: layer for layer in conv_layers("alexnet")}


@pytest.fixture(scope="module")
def alexnet():
    return compare(rlc.SEED, **rlc.GEOMETRY)


@pytest.mark.parametrize("name", PUBLISHED)
def test_traffic_without_a_code(name):
    """As the chip's, which is published with the code and by how much that is less."""
    published = PUBLISHED[name]
    megabytes = 2 * sum(traffic(LAYERS[name]).values()) / 1e6
    assert megabytes == pytest.approx(published.dram_mb * published.reduction, rel=0.06)
    if name in ("conv3", "conv4", "conv5"):
        assert megabytes == pytest.approx(published.nn_dataflow_mb, rel=0.003)


def test_weights_and_ofmap_by_hand():
    """Four images one by one, eight strips each; one pass over all four."""
    conv1 = traffic(LAYERS["conv1"])
    assert conv1["weights"] == 4 * 8 * 96 * 3 * 11 * 11
    assert conv1["ifmap"] == 4 * 8 * 35 * 227 * 3
    conv4 = traffic(LAYERS["conv4"])
    assert conv4 == {
        "ifmap": 4 * 15 * 15 * 384 * 3, "weights": 384 * 192 * 9, "ofmap": 4 * 13 * 13 * 384,
    }  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_eyeriss_code_as_published(alexnet, name):
    """Bytes and reduction within a tenth; conv1's zeros before its pool are not known."""
    published, left = PUBLISHED[name], alexnet[name]["left"]["eyeriss"]
    megabytes = 2 * sum(alexnet[name]["words"].values()) * left / 1e6
    tolerance = 0.15 if name == "conv1" else 0.1
    assert megabytes == pytest.approx(published.dram_mb, rel=tolerance)
    assert 1 / left == pytest.approx(published.reduction, rel=tolerance)


@pytest.mark.parametrize("name", PUBLISHED)
def test_sizes_by_the_fraction_of_zeros(alexnet, name):
    """A level takes 64/3 bits of 16, in the bitmap 8 of 8, with a bit for all and one for frames."""
    for which, sizes in alexnet[name]["sizes"].items():
        if (name, which) == ("conv1", "ifmap"):
            assert set(sizes.values()) == {1}
            continue
        filled = 1 - alexnet[name]["zeros"][which]
        assert sizes["eyeriss"] == pytest.approx(filled * 4 / 3, rel=0.02)
        # Tiles are rounded up to beats.
        assert sizes["bitmap"] == pytest.approx(filled + 1 / 8 + 1 / 64, rel=0.03)
        assert sizes["bitmap"] < sizes["run2"] < 1


def test_kept_numbers(alexnet):
    """Else run `make bench-rlc`."""
    kept = json.loads((KEPT / "rlc.json").read_text())
    assert kept["geometry"] == rlc.GEOMETRY
    assert kept["alexnet"] == {"seed": rlc.SEED, "layers": alexnet}
    growth = [layer["growth"] for layers in kept["networks"].values() for layer in layers]
    assert len(growth) > 200 and max(growth) <= 1 / 64


def test_page_is_made_of_the_kept_numbers(tmp_path):
    """Else run `make bench-rlc`."""
    write_rlc(json.loads((KEPT / "rlc.json").read_text()), tmp_path)
    assert (tmp_path / "rlc.md").read_text() == (KEPT / "rlc.md").read_text()
    assert "](results/rlc.md)" in (KEPT.parent / "results.md").read_text()


def test_command(tmp_path, monkeypatch):
    """Page and chart hold what was measured, the same from the same numbers."""
    graph = conv_net(np.random.default_rng(3), height=6, width=6, c=3, k=8, r=3, s=3)
    results = tmp_path / "results"
    (tmp_path / "net.tflite").write_bytes(write_tflite(graph))
    monkeypatch.setenv("SKIMP_MODELS", str(tmp_path))
    monkeypatch.setattr(rlc, "RESULTS", results)
    monkeypatch.setattr(sys, "argv", ["rlc.py"])
    rlc.main()
    kept = json.loads((results / "rlc.json").read_text())
    (layers,) = kept["networks"].values()
    page = (results / "rlc.md").read_text()
    for layer in layers:
        assert f"| {layer['name']} |" in page and f"| {layer['dram_bytes']['raw']:,} |" in page
    before = (results / "rlc.svg").read_bytes()
    write_rlc(kept, results)
    assert (results / "rlc.svg").read_bytes() == before


def test_without_networks(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SKIMP_MODELS", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["rlc.py"])
    with pytest.raises(SystemExit) as stopped:
        rlc.main()
    assert stopped.value.code == 2
    assert "no networks in" in capsys.readouterr().err
