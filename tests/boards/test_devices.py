"""Devices by their part numbers, and the second mapping: ECP5."""

from dataclasses import replace

import pytest

from skimp.config import ConfigError
from skimp.configs import PRESETS
from skimp_boards.blocks import blocks
from skimp_boards.devices import DEVICES, ECP5, XCZU7EV, device_of
from skimp_boards.ecp5 import usage_ecp5
from skimp_boards.synth_blocks import synthesise, total
from skimp_boards.synth_checks import checks
from skimp_boards.synth_report import as_json, as_table

PLAIN = replace(PRESETS["tiny"], name="plain", packed=False, urams=False)


def test_device_of_a_part():
    assert device_of("xczu7ev-ffvc1156-2-e") is XCZU7EV
    assert device_of("LFE5U-85F-6BG381C").family is ECP5
    with pytest.raises(ConfigError, match="part xc7a35t: unknown; choose one of XCZU7EV"):
        device_of("xc7a35t")


@pytest.mark.parametrize("device", DEVICES.values(), ids=DEVICES)
def test_budget_is_of_what_is_counted(device):
    assert set(device.budget) <= set(device.family.columns)
    for key, (number, share) in device.have.items():
        assert 0 < device.budget[key] <= number * share <= number


def test_usage():
    kinds = ["LUT4"] * 3 + ["CCU2C"] * 2 + ["TRELLIS_DPR16X4", "TRELLIS_FF", "DP16KD", "PFUMX"]
    module = {"cells": {f"c{n}": {"type": kind} for n, kind in enumerate(kinds)}}
    assert usage_ecp5(module) == {
        "lut": 3 + 2 * 2 + 6, "lutram": 6, "ff": 1, "carry": 2, "mult": 0, "ebr": 1
    }  # fmt: skip


def test_blocks_on_ecp5(tmp_path):
    """Chains of plain products, and the array around them, whose black boxes stay."""
    pytest.importorskip("pyosys", reason="pip install 'skimp[synth]'")
    chosen = [block for block in blocks(PLAIN) if block.name in ("pe_chain", "pe_array")]
    found = synthesise(chosen, family=ECP5, cache=tmp_path)
    device = device_of("LFE5U-85F")
    sums = total(found, ECP5)
    assert sums["mult"] == PLAIN.macs_per_cycle, "a product, a multiplier"
    assert found["pe_array"]["mult"] == 0
    checked = checks(PLAIN, device, found)
    assert all(check.holds for check in checked)
    kept = as_json(PLAIN, device, found, checked, board="bench")
    assert kept["total"]["MULT18X18D"] == 64 and kept["budget"]["DP16KD"] == 208
    assert list(kept["groups"]) == ["array chain"]
    headers = [str(column.header) for column in as_table("", device, found).columns]
    assert "LUT4" in headers and "reg-reg" not in headers
