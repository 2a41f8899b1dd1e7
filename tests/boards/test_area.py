"""Netlist counting, synthesis of single blocks, and the area model against kept syntheses."""

import json
import time
from dataclasses import replace

import pytest
from testconfigs import ODD, QUAD, WIDE

from skimp.config import Config
from skimp.configs import PRESETS
from skimp_boards import fit_area
from skimp_boards.area import COEFFICIENTS, KEYS, block_counts, estimate, terms
from skimp_boards.blocks import Block, blocks
from skimp_boards.netlist import depths, usage
from skimp_boards.synth_blocks import _boxes, synthesise_block

KEPT = json.loads(COEFFICIENTS.read_text())["samples"]
CASES = [(name, block) for name, sample in KEPT.items() for block in sample["blocks"]]


def cell(kind, inputs, outputs, **parameters):
    pins = {**inputs, **outputs}
    return {
        "type": kind,
        "parameters": parameters,
        "connections": pins,
        "port_directions": {p: "input" if p in inputs else "output" for p in pins},
    }


def adder(bits):
    """A register, a LUT, a carry chain, a register; bit 1 is an input of the module."""
    cells = {
        "from": cell("FDRE", {"D": [1]}, {"Q": [2]}),
        "lut": cell("LUT2", {"I0": [2], "I1": [1]}, {"O": [3]}),
    }
    carry = "0"
    for k in range(bits // 4):
        outputs = {"O": [100 + 8 * k + i for i in range(4)], "CO": ["x", "x", "x", 104 + 8 * k]}
        pins = {"CI": [carry], "S": [3] * 4, "DI": [2] * 4, "CYINIT": ["0"]}
        cells[f"carry_{k}"] = cell("CARRY4", pins, outputs)
        carry = 104 + 8 * k
    cells["to"] = cell("FDRE", {"D": [100 + 8 * (bits // 4 - 1)]}, {"Q": [5]})
    return {"ports": {"a": {"direction": "input", "bits": [1]}}, "cells": cells}


@pytest.mark.parametrize("bits, levels", [(4, 2), (8, 2), (12, 3), (32, 5)])
def test_a_carry8_is_a_level(bits, levels):
    strict, chains = depths(adder(bits))
    assert strict["reg_reg"] == levels
    assert strict["in_reg"] == levels
    assert chains["reg_reg"] == 2
    assert usage(adder(bits))["carry8"] == levels - 1


def test_a_submodule_with_a_number_behind_its_name_is_a_black_box():
    """Where a signal has the name of a submodule, the module's name gets a number."""
    block = Block(name="top", make=None, without=("top.wgt", "top.path.glb", "lane_"))
    names = ("top", "top.wgt$210", "top.wgt$210.ram", "top.path.glb", "top.wgts", "lane_3")
    text = "".join(f"module \\{name} (clk);\nendmodule\n" for name in names)
    assert _boxes(block, text) == ["top.wgt$210", "top.path.glb", "lane_3"]
    anywhere = Block(name="top", make=None, without=("*.glb",))
    assert _boxes(anywhere, text) == ["top.path.glb"]


def test_wide_multiplexers_and_black_boxes():
    cells = {
        "box": cell("somebody", {"i": [7]}, {"o": [1]}),
        "lut": cell("LUT6", {"I0": [1]}, {"O": [2]}),
        "mux": cell("MUXF7", {"I0": [2]}, {"O": [3]}),
        "to": cell("FDRE", {"D": [3]}, {"Q": [4]}),
        "back": cell("LUT1", {"I0": [4]}, {"O": [7]}),
    }
    strict, _ = depths({"ports": {}, "cells": cells})
    assert strict == {"reg_reg": None, "reg_out": 1, "in_reg": 1, "in_out": None}
    assert strict.deepest == 1


def test_memories_are_weighed():
    cells = {
        "ram": cell("RAM64M8", {"ADDRA": [1], "DIA": [2]}, {"DOA": [3]}),
        "block": cell("RAMB18E2", {}, {"DOUTADOUT": [1]}),
        "srl": cell("SRL16E", {"D": [3]}, {"Q": [4]}),
    }
    module = {"ports": {}, "cells": cells}
    found = usage(module)
    assert (found["lut"], found["lutram"], found["srl"], found["bram36"]) == (9, 8, 1, 0.5)
    assert depths(module)[0]["reg_reg"] == 1, "a LUT RAM is read without a clock"


def test_combinational_loop_is_an_error():
    cells = {
        "a": cell("LUT1", {"I0": [1]}, {"O": [2]}),
        "b": cell("LUT1", {"I0": [2]}, {"O": [1]}),
    }
    with pytest.raises(ValueError, match="loop"):
        depths({"ports": {}, "cells": cells})


@pytest.mark.parametrize("config", [*PRESETS.values(), ODD, WIDE, QUAD], ids=lambda c: c.name)
def test_model_knows_every_block(config):
    assert {b.name: b.count for b in blocks(config)} == block_counts(config)
    assert set(block_counts(config)) <= set(terms(config))
    found = estimate(config)
    for key in KEYS:
        assert found["total"][key] == sum(
            block[key] for name, block in found.items() if name != "total"
        )
    assert found["total"]["lut"] > 5_000 and found["total"]["ff"] > 5_000


def test_milliseconds():
    estimate(PRESETS["zcu104"])
    start = time.perf_counter()
    for depth in range(32, 132):
        estimate(replace(PRESETS["zcu104"], name="x", psum_depth=depth, ofmap_depth=4096))
    assert time.perf_counter() - start < 2.0


def kept(name, block):
    config = Config.from_json(json.dumps(KEPT[name]["config"]))
    found, count = estimate(config)[block], block_counts(config)[block]
    return KEPT[name]["blocks"][block], {key: found[key] / count for key in KEYS}


@pytest.mark.parametrize("name, block", CASES)
def test_slices_and_memories_are_exact(name, block):
    real, guess = kept(name, block)
    assert {k: guess[k] for k in ("dsp", "bram36", "uram")} == {
        k: real[k] for k in ("dsp", "bram36", "uram")
    }


@pytest.mark.parametrize("name, block", CASES)
def test_big_blocks_are_within_a_tenth(name, block):
    real, guess = kept(name, block)
    if real["lut"] >= 1_000:
        assert guess["lut"] == pytest.approx(real["lut"], rel=0.10)
    if real["ff"] >= 1_000:
        assert guess["ff"] == pytest.approx(real["ff"], rel=0.10)


def test_fit_finds_the_coefficients():
    rows = [terms(config)["axi_reader"] for config in PRESETS.values()]
    values = [3 * bus + 40 for bus, _ in rows]
    found = fit_area.fit_terms(fit_area.np.array(rows, float), fit_area.np.array(values, float))
    assert found == pytest.approx([3, 40], rel=1e-3)


def test_fit_keeps_what_no_sample_has(tmp_path):
    path = tmp_path / "fit.json"
    assert fit_area.kept_coefficients(path) == {}
    right = {"lut": [1.0, 2.0], "ff": [3.0, 4.0]}
    other = {"csr": {"lut": [1.0, 2.0], "ff": [1.0, 2.0]}, "gone": right}
    path.write_text(json.dumps({"blocks": {"axi_reader": right} | other}))
    assert fit_area.kept_coefficients(path) == {"axi_reader": right}


@pytest.mark.long
@pytest.mark.parametrize("name", ["requant_lane", "psum_spad", "dw_lanes", "drain_unit"])
def test_estimates_hold_today(name, tmp_path):
    pytest.importorskip("pyosys", reason="pip install 'skimp[synth]'")
    config = PRESETS["tiny"]
    (block,) = (b for b in blocks(config) if b.name == name)
    real = synthesise_block(block, cache=tmp_path)
    found = estimate(config)[name]
    assert found["lut"] / block.count == pytest.approx(real["lut"], rel=0.15)
    assert found["dsp"] == block.count * real["dsp"]
    assert found["bram36"] == block.count * real["bram36"]
