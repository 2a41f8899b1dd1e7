"""Networks through the driver alone, as on a board: no look inside, no Amaranth."""

import json
import subprocess
import sys

import numpy as np
import pytest
from chains import random_chain
from click.testing import CliRunner
from netlib import conv_net, random_inputs

from skimp.configs import PRESETS, load_config
from skimp_compiler.tflite_writer import write_tflite
from skimp_sim import drive as drive_module
from skimp_sim.bench.rtl import RtlSim
from skimp_sim.drive import drive, drive_model
from skimp_sim.driver.device import DeviceError
from skimp_sim.driver.simulated import SimTransport

CONFIG = PRESETS["tiny"]

pytestmark = pytest.mark.xdist_group("tiny")


@pytest.fixture
def transport():
    sim = RtlSim(CONFIG, dram_bytes=1 << 20)
    yield SimTransport(sim)
    sim.close()


@pytest.mark.verilog
@pytest.mark.parametrize("seed", range(3))
def test_exact(transport, seed):
    """One after the other on the same accelerator, host operators between."""
    for number in range(2):
        rng = np.random.default_rng([seed, number])
        graph = random_chain(rng)
        report = drive_model(graph, random_inputs(rng, graph), CONFIG, transport, checked=True)
        assert report.bit_exact == {"golden": True, "litert": None}, f"seed {seed}, {number}"
        assert report.cycles > 0


@pytest.mark.verilog
def test_command(transport, tmp_path, monkeypatch):
    graph = conv_net(np.random.default_rng(3), height=6, width=6, c=3, k=8, r=3, s=3)
    path, out = tmp_path / "net.tflite", tmp_path / "out.json"
    path.write_bytes(write_tflite(graph))
    monkeypatch.setattr(drive_module, "open_transport", lambda where, clock_mhz: transport)
    arguments = [
        str(path),
        "--device",
        "uio:a,b",
        "--config",
        "tiny",
        "--check",
        "--json",
        str(out),
    ]
    result = CliRunner().invoke(drive, arguments)
    assert result.exit_code == 0, result.output
    assert "against golden model: bit-exact in all that left it" in result.output
    found = json.loads(out.read_text())
    assert found["engine"] == "board" and found["bit_exact"]["golden"] is True
    assert found["total"]["cycles"] > 0


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("uio:none,none", "skimp: /sys/class/uio/none/maps/map0/size: no such device"),
        ("tcp:1", "skimp: device tcp:1: write serial:PORT"),
    ],
)
def test_no_board(tmp_path, where, message):
    graph = conv_net(np.random.default_rng(3), height=6, width=6, c=3, k=8, r=3, s=3)
    path = tmp_path / "net.tflite"
    path.write_bytes(write_tflite(graph))
    result = CliRunner().invoke(drive, [str(path), "--device", where, "--config", "tiny"])
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [line for line in result.stderr.splitlines() if line]
    assert result.stderr.startswith(message) and len(result.stderr.splitlines()) == 1


@pytest.mark.verilog
def test_network_that_does_not_fit():
    rng = np.random.default_rng(0)
    graph = conv_net(rng, height=8, width=8, c=12, k=20, r=3, s=3)
    sim = RtlSim(CONFIG, dram_bytes=4096)
    with pytest.raises(DeviceError, match=r"the board's DRAM: [\d,]+ bytes are wanted; 4,096 of"):
        drive_model(graph, random_inputs(rng, graph), CONFIG, SimTransport(sim))
    sim.close()


def test_configuration_beside_the_verilog(tmp_path):
    path = tmp_path / "side.json"
    path.write_text(json.dumps({"schema": 1, "config": json.loads(CONFIG.to_json())}))
    assert load_config(str(path)) == CONFIG


def test_without_amaranth():
    """A board's own processor has no HDL."""
    code = (
        "import sys; sys.modules['amaranth'] = None\n"
        "import skimp_sim.drive\n"
        "assert not any(name.startswith(('amaranth.', 'serial')) for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
