"""`skimp synth`: what it says of real blocks, and that each of its statements can fail."""

import copy
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from skimp.configs import PRESETS
from skimp.top import Skimp
from skimp_boards.area import estimate
from skimp_boards.blocks import blocks
from skimp_boards.board import Board
from skimp_boards.devices import XCZU7EV
from skimp_boards.groups import GROUPS, REST, group_of
from skimp_boards.synth_blocks import CACHE, synthesise
from skimp_boards.synth_checks import checks, expected_memories
from skimp_boards.treemap import treemap
from skimp_sim.cli import main

pytestmark = pytest.mark.xdist_group("synth of blocks")  # synthesised once

TINY = PRESETS["tiny"]
ON_XILINX = Board(
    name="bench",
    title="Test bench",
    part="xczu7ev-ffvc1156-2-e",
    config=TINY,
    make_top=Skimp,
    platform="xilinx",
)
SYNTHESISED = ("pe_chain", "pe_array", "psum_spad", "axi_writer")


def run(arguments, board=ON_XILINX):
    """Run the command as a user does, on that board."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("skimp_boards.synth.load_board", lambda name: board)
        return CliRunner().invoke(main, ["synth", *map(str, arguments)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder where the command has left JSON, treemap and kept results of four blocks."""
    pytest.importorskip("pyosys", reason="pip install 'skimp[synth]'")
    folder = tmp_path_factory.mktemp("synth")
    result = run(_arguments(folder))
    assert result.exit_code == 0, result.output
    assert "array: MACs per slice = 2.0" in result.output
    return folder


def _arguments(folder):
    only = [word for name in SYNTHESISED for word in ("--block", name)]
    outputs = ["--json", folder / "found.json", "--treemap", folder / "found.svg"]
    return [*only, *outputs, "--cache", folder / "cache"]


@pytest.fixture(scope="module")
def kept(folder):
    return json.loads((folder / "found.json").read_text())


@pytest.fixture(scope="module")
def found(folder):
    """What `synthesise` keeps of the same blocks."""
    chosen = [block for block in blocks(TINY) if block.name in SYNTHESISED]
    return synthesise(chosen, cache=folder / "cache", only_kept=True)


def failing(found, config=TINY):
    return [check.text for check in checks(config, XCZU7EV, found) if not check.holds]


def altered(found, block, **values):
    """Return what was found with one block changed."""
    changed = copy.deepcopy(found)
    for key, value in values.items():
        if isinstance(value, dict):
            changed[block][key] |= value
        else:
            changed[block][key] = value
    return changed


def test_json(kept):
    assert kept["schema"] == 1 and kept["tool"].startswith("Yosys ")
    assert (kept["board"], kept["config"], kept["device"]) == ("bench", "tiny", "XCZU7EV")
    assert kept["config_hash"] == TINY.hash
    assert list(kept["blocks"]) == list(SYNTHESISED)
    for resource, number in kept["total"].items():
        assert number == sum(b["count"] * b[resource] for b in kept["blocks"].values())
        assert number == sum(group.get(resource, 0) for group in kept["groups"].values())
    assert kept["budget"] == {
        "LUT": 161_280, "FF": 322_560, "DSP48E2": 1_676, "BRAM36": 280, "URAM288": 91
    }  # fmt: skip
    assert kept["total"]["DSP48E2"] == 32
    assert list(kept["groups"]) == ["array chain", "DMA", "buffers"]
    assert all(check["holds"] for check in kept["checks"])
    assert kept["seconds"] > 0 and 100 < kept["peak_mb"] < 2000


def test_estimate_is_near(kept):
    for name, block in kept["blocks"].items():
        guess = estimate(TINY)[name]
        for key, label in (("lut", "LUT"), ("ff", "FF")):
            assert guess[key] == pytest.approx(block["count"] * block[label], rel=0.2, abs=60)


def test_memories_land_where_they_should(found):
    """Sums in LUT RAM, finished sums in block RAM; so says the configuration, and so it is."""
    spad = found["psum_spad"]
    assert spad["memories"] == {"finished.memory": "BLOCKRAM_SDP", "sums.memory": "LUTRAM_SDP"}
    wanted = expected_memories(TINY, "psum_spad")
    assert wanted["bram36"] > 0 and wanted["lutram"] > 0
    assert {key: spad[key] for key in wanted} == wanted


@pytest.mark.long
def test_deep_memories_are_urams(tmp_path):
    """32 URAM288 of weights on zcu104: four of its slices, as deep and as wide as it says."""
    pytest.importorskip("pyosys", reason="pip install 'skimp[synth]'")
    config = PRESETS["zcu104"]
    found = synthesise([b for b in blocks(config) if b.name == "wgt_spad"], cache=tmp_path)
    assert set(found["wgt_spad"]["memories"].values()) == {"URAM"}
    words = config.min_pass_cycles * config.wgt_depth
    bits = 8 * config.wgt_slice_bytes
    urams = config.wgt_slices * -(-bits // 72) * -(-words // 4096)
    assert found["wgt_spad"]["uram"] == expected_memories(config, "wgt_spad")["uram"] == urams
    assert failing(found, config) == []


@pytest.mark.long
def test_zcu104_holds():
    """Every block; those that build/synth has are not synthesised again."""
    pytest.importorskip("pyosys", reason="pip install 'skimp[synth]'")
    config = PRESETS["zcu104"]
    found = synthesise(blocks(config), cache=Path(__file__).parents[2] / CACHE)
    assert failing(found, config) == []
    assert sum(block["seconds"] for block in found.values()) < 45 * 60
    assert max(block["peak_mb"] for block in found.values()) < 12_000


def test_kept_results_are_not_synthesised_again(folder):
    start = time.perf_counter()
    before = sorted((folder / "cache").iterdir())
    picture = (folder / "found.svg").read_bytes()
    assert run(_arguments(folder)).exit_code == 0
    assert time.perf_counter() - start < 8
    assert sorted((folder / "cache").iterdir()) == before and len(before) == len(SYNTHESISED)
    assert (folder / "found.svg").read_bytes() == picture


def test_over_the_budget(folder):
    small = replace(ON_XILINX, part="nothing")
    assert run(_arguments(folder), small).exit_code == 2
    with pytest.MonkeyPatch.context() as patch:
        tight = replace(XCZU7EV, have=XCZU7EV.have | {"dsp": (31, 1.0)})
        patch.setattr("skimp_boards.synth.device_of", lambda part: tight)
        result = run(_arguments(folder))
    assert result.exit_code == 1
    assert "DSP48E2: 32 of 31 (103.2%, at most 100%)   <-- does not hold" in result.output


@pytest.mark.parametrize(
    "block, values, statement",
    [
        ("psum_spad", {"levels": {"reg_reg": 9}}, "paths of more than 8 levels: psum_spad: 9"),
        ("psum_spad", {"levels": {"in_reg": 11}}, "paths of more than 8 levels: psum_spad: 11"),
        ("pe_chain", {"slices": {"unregistered": 1}}, "slices fully registered: 28 of 32"),
        ("pe_chain", {"slices": {"preadding": 7}}, "array: pre-adder in 28 of 32 slices"),
        ("pe_chain", {"slices": {"cascades": {"4": 2}}}, "array: 0 of 32 slices in cascades of 8"),
        ("pe_array", {"slices": {"multipliers_left": 3}}, "array: multipliers in LUTs = 3"),
        ("pe_array", {"dsp": 32}, "array: MACs per slice = 1.0"),
        (
            "psum_spad",
            {"bram36": 0, "ff": 4000},
            "memories that are not what the configuration says: psum_spad: bram36 0 instead of 4",
        ),
        (
            "psum_spad",
            {"memory_register_bits": {"finished.memory": 512}},
            "memories in flip-flops: psum_spad: finished.memory (512 bits)",
        ),
        (
            "axi_writer",
            {"memories": {"lengths.storage": "BLOCKRAM_SDP"}},
            "memories that are not what the configuration says: axi_writer: lengths BLOCKRAM_SDP",
        ),
        ("psum_spad", {"latches": ["top.l"]}, "latches: psum_spad: top.l"),
        ("psum_spad", {"conflicts": ["net 2"]}, "nets with two drivers: psum_spad: net 2"),
    ],
)
def test_what_does_not_hold(found, block, values, statement):
    assert failing(found) == []
    assert any(text.startswith(statement) for text in failing(altered(found, block, **values)))


def test_many_wrong_blocks_are_counted(found):
    wrong = {f"b{n}": altered(found, "psum_spad", latches=["l"])["psum_spad"] for n in range(6)}
    (text,) = (t for t in failing(wrong) if t.startswith("latches"))
    assert text.endswith("b3: l; 2 more")


@pytest.mark.parametrize("config", PRESETS.values(), ids=lambda config: config.name)
def test_groups_know_every_block(config):
    rest = {block.name for block in blocks(config) if group_of(block.name) == REST}
    assert rest == {"ifmap_feed", "array_control", "array_unit", "core"}
    assert len(" ".join(GROUPS.values()).split()) == len(set(" ".join(GROUPS.values()).split()))


def test_treemap(kept):
    """Each resource of the budget has a map, whose tiles are as large as what they stand for."""
    figure = treemap(kept)
    maps = {axes.get_title().split(":")[0]: axes for axes in figure.axes if axes.get_title()}
    assert list(maps) == list(kept["budget"])
    tiles = [patch.get_width() * patch.get_height() for patch in maps["LUT"].patches]
    assert sum(tiles) == pytest.approx(160 * 100)
    assert max(tiles) / sum(tiles) == pytest.approx(1 - kept["total"]["LUT"] / 161_280)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--config", "nothing"], "no such preset"),
        (["--block", "nothing"], "block nothing: unknown; choose one of pe_chain"),
        (["--treemap", "picture.gif"], "choose one of them"),
        (["--json", "/nowhere/found.json"], "cannot be written"),
    ],
)
def test_command_line_errors(arguments, words):
    result = run(arguments)
    assert result.exit_code == 2 and words in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_unknown_board():
    result = CliRunner().invoke(main, ["synth", "--board", "nothing"])
    assert result.exit_code == 2 and "board nothing: unknown; choose one of" in result.output
