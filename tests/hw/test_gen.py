"""Verilog of the accelerator: files, ports, slices, and the same text every time."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import skimp
from skimp.config import ConfigError
from skimp.configs import PRESETS
from skimp.gen import write_verilog

TINY = PRESETS["tiny"]
HARDWARE = str(Path(skimp.__file__).parents[1])


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verilog") / "new" / "folder"
    paths = write_verilog(TINY, folder)
    assert sorted(folder.iterdir()) == sorted(paths)
    text = next(p for p in paths if p.suffix == ".v").read_text()
    side_car = json.loads(next(p for p in paths if p.suffix == ".json").read_text())
    return text, side_car


def test_side_car(written):
    _, side_car = written
    assert side_car["config"]["pixels"] == TINY.pixels
    assert side_car["config_hash"] == TINY.hash
    assert side_car["target"] == "xilinx"
    assert side_car["versions"]["amaranth"] == "0.5.10"
    assert side_car["memories"], "memories were found in the text"
    assert all(m["bits"] > 0 and m["words"] > 1 for m in side_car["memories"])


def test_ports_are_those_of_the_text(written):
    text, side_car = written
    module = re.search(r"^module skimp\(.*?^endmodule", text, re.M | re.S).group()
    found = {}
    for direction, high, name in re.findall(
        r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", module, re.M
    ):
        found[name] = {"direction": direction, "bits": int(high or 0) + 1}
    assert found == side_car["ports"]
    assert found["axi__rdata"] == {"direction": "input", "bits": TINY.bus_bits}


def test_slices_are_counted(written):
    text, side_car = written
    assert "DSP48E2" in text
    # Two products a slice in the array, two pixels a slice in the depthwise unit, two slices a lane
    # of requantisation.
    depthwise = -(-TINY.pixels // 2) * TINY.in_channels
    requant = 2 * max(2, TINY.drain_pixels) * TINY.out_channels
    assert side_car["dsp48e2"] == TINY.macs_per_cycle // 2 + depthwise + requant


def test_generic_target_has_no_instances(tmp_path):
    write_verilog(TINY, tmp_path, target="generic")
    assert "DSP48E2" not in (tmp_path / "skimp_tiny.v").read_text()
    assert json.loads((tmp_path / "skimp_tiny.json").read_text())["dsp48e2"] == 0


ATTRIBUTES = {"full_case", "ram_style"}
"""What synthesis reads; every other attribute is talk between Amaranth and Yosys."""


def test_text_is_free_of_what_is_internal(written):
    text, _ = written
    assert set(re.findall(r"\(\* (\w+)", text)) == ATTRIBUTES
    assert not re.search(r"\.(py|cc)\b", text), "a path of the machine that wrote it"


def text_from(folder, preset, seed):
    """Return the text that a process of its own prints in a folder."""
    code = (
        "import sys; from skimp.gen import to_verilog; from skimp.top import Skimp;"
        "from skimp.configs import PRESETS;"
        "print(to_verilog(Skimp(PRESETS[sys.argv[1]]), name='skimp', platform='xilinx'), end='')"
    )
    folder.mkdir(parents=True)
    run = subprocess.run(
        [sys.executable, "-c", code, preset],
        env=os.environ | {"PYTHONHASHSEED": str(seed), "PYTHONPATH": HARDWARE},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=900,
    )
    return run.stdout


@pytest.mark.parametrize(
    "preset",
    ["tiny", *(pytest.param(name, marks=pytest.mark.long) for name in ("small", "zcu104"))],
)
def test_text_does_not_depend_on_the_run(tmp_path, preset):
    one = text_from(tmp_path / "one", preset, seed=1)
    assert one == text_from(tmp_path / "another" / "below", preset, seed=77)
    assert one.count("endmodule") > 10


def test_unknown_target(tmp_path):
    with pytest.raises(ConfigError, match="target zcu: unknown; choose one of generic, xilinx"):
        write_verilog(TINY, tmp_path, target="zcu")


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        write_verilog(TINY, tmp_path / "file" / "below")
