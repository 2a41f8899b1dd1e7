"""Every preset elaborates, for simulation and with the primitives of its target."""

import json

import pytest

from skimp.configs import PRESETS
from skimp.gen import write_verilog


@pytest.mark.parametrize(
    "name",
    [
        "tiny",
        pytest.param("small", marks=pytest.mark.long),
        pytest.param("zcu104", marks=pytest.mark.long),
    ],
)
def test_preset_elaborates_with_packed_slices(name, tmp_path):
    config = PRESETS[name]
    verilog, side = write_verilog(config, tmp_path, target="xilinx")
    facts = json.loads(side.read_text())
    array = config.macs_per_cycle // 2
    depthwise = config.dw_rows * -(-config.pixels // 2) * config.out_channels * config.dw_slices
    requant = config.drain_slices or 2 * config.requant_lanes
    assert facts["dsp48e2"] == array + depthwise + requant
    assert facts["config_hash"] == config.hash
    assert "module skimp(" in verilog.read_text()
