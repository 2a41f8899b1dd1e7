"""--energy and --roofline: what they print and write, and one line for what is wrong."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from netlib import conv_net

from skimp_compiler.tflite_writer import write_tflite
from skimp_sim.cli import main

LEVELS = ["mac", "spad", "noc", "glb", "dram", "other"]


def skimp(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.fixture
def network(tmp_path):
    graph = conv_net(np.random.default_rng(3), height=12, width=10, c=8, k=24, r=3, s=3)
    path = tmp_path / "net.tflite"
    path.write_bytes(write_tflite(graph))
    return path


def test_perf(network, tmp_path):
    kept, page, chart = (tmp_path / name for name in ("x.json", "x.html", "x.svg"))
    result = skimp(
        "perf", network, "--energy", "--json", kept, "--report", page, "--roofline", chart
    )
    assert result.exit_code == 0, result.output
    assert "images/J = images/s per W" in result.output and "lpddr4" in result.output
    found = json.loads(kept.read_text())
    (layer,) = (x for x in found["layers"] if x["unit"] == "array")
    assert list(layer["energy_pj"]) == LEVELS
    total = found["total"]["energy_pj"]
    every = sum(sum(x["energy_pj"].values()) for x in found["layers"])
    assert every == pytest.approx(total) and total > 0
    parts = layer["energy"]
    assert layer["energy_pj"]["glb"] == pytest.approx(
        sum(parts["glb"].values()) + sum(parts["act"].values())
    )
    energy = found["energy"]
    assert (energy["technology"], energy["dram"]) == ("45nm", "ddr4")
    assert energy["total_pj_by_dram"]["ddr4"] == pytest.approx(total)
    assert sum(energy["by_data_pj"].values()) == pytest.approx(total)
    assert energy["images_per_joule"] == pytest.approx(1e12 / total)
    assert energy["watts"] == pytest.approx(total * 1e-12 * found["total"]["fps"])
    for name in ("energy", "levels", "data"):
        assert f'<figure id="chart-{name}">' in page.read_text()
    assert "<svg" in chart.read_text()


def test_without(network, tmp_path):
    """Nothing about energy unless it is asked for."""
    kept = tmp_path / "x.json"
    assert skimp("perf", network, "--json", kept).exit_code == 0
    found = json.loads(kept.read_text())
    assert "energy" not in found and "energy_pj" not in found["total"]


@pytest.mark.parametrize("engine", ["functional", "golden"])
def test_run_is_perf(network, tmp_path, engine):
    """The same input: the same energies (a picture of noise, seeded)."""
    one, other = tmp_path / "perf.json", tmp_path / "run.json"
    options = ("--technology", "16nm", "--dram", "lpddr4")
    assert skimp("perf", network, *options, "--json", one).exit_code == 0
    result = skimp("run", network, "--engine", engine, *options, "--json", other)
    assert result.exit_code == 0, result.output
    one, other = (json.loads(path.read_text()) for path in (one, other))
    assert one["energy"] == other["energy"]
    assert one["energy"]["technology"] == "16nm" and one["energy"]["dram"] == "lpddr4"


def assert_refused(result, *words):
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("skimp: ") and "Traceback" not in result.output
    for word in words:
        assert word in line, line


def test_refused(network, tmp_path):
    assert_refused(skimp("perf", network, "--technology", "3nm"), "3nm", "45nm", "no such file")
    assert_refused(skimp("run", network, "--dram", "sram"), "DRAM sram", "lpddr4")
    path = tmp_path / "bad.yaml"
    path.write_text("sources: {a: b}\nscaled_from: 45nm\nfactor: {value: 0.5, source: a}\n")
    assert_refused(skimp("perf", network, "--technology", path), "factor", "unit is missing")
    path.write_text("scaled_from: 45nm\nclock: {value: -1, unit: pJ/lane, source: a}\n")
    assert_refused(skimp("perf", network, "--technology", path), "bad.yaml")
    path.write_text("a: [\nb: }\n")
    assert_refused(skimp("perf", network, "--technology", path), "YAML")
    assert_refused(skimp("perf", network, "--roofline", tmp_path / "x.txt"), ".svg or .png")
    assert_refused(skimp("perf", network, "--roofline", tmp_path / "no" / "x.svg"), "x.svg")
