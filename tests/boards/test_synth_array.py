"""The synthesis report: what it says of the real array, and that it can say no."""

import copy
from dataclasses import replace

import pytest
from click.testing import CliRunner

from skimp.configs import PRESETS
from skimp_boards.synth_array import claims, explain, logic_levels, main, synthesise

pytest.importorskip("pyosys", reason="pip install 'skimp[synth]'")
TINY = PRESETS["tiny"]


@pytest.fixture(scope="module")
def netlist():
    return synthesise(TINY)


def failing(netlist):
    return [claim.text for claim in claims(TINY, netlist) if not claim.holds]


def altered(netlist, change):
    """Return the netlist with one slice changed."""
    cells = copy.deepcopy(netlist.cells)
    change(next(cell for cell in cells.values() if cell["type"] == "DSP48E2"))
    return replace(netlist, cells=cells)


def test_array_uses_the_slices(netlist):
    assert [claim.text for claim in claims(TINY, netlist)] == [
        "MACs per slice = 2.0",
        "multipliers in LUTs = 0",
        "pre-adder in slices: yes (32 of 32)",
        "cascade in slices: yes (7 of every 8)",
    ]
    assert not failing(netlist)
    rows = {kind: count for kind, count, _ in explain(TINY, netlist)}
    assert rows["DSP48E2"] == 32
    assert rows["CARRY"] == 0
    assert rows["LUT"] + rows["SRL"] < 100
    assert "unexpected" not in {purpose for _, _, purpose in explain(TINY, netlist)}
    assert logic_levels(netlist) <= 2


def test_twin_does_not_pass(netlist):
    """Inferred from operators, the slices multiply but neither pre-add nor cascade."""
    texts = failing(synthesise(TINY, platform=None))
    assert any(text.startswith("pre-adder in slices: no (0 of") for text in texts)
    assert any(text.startswith("cascade in slices: no (0 of") for text in texts)


def test_multiplier_in_luts(netlist):
    lost = replace(netlist, multipliers_before=netlist.multipliers_before + 3)
    assert failing(lost) == ["multipliers in LUTs = 3"]


def test_slice_without_preadder(netlist):
    wrong = altered(netlist, lambda cell: cell["parameters"].update(AMULTSEL="A"))
    assert failing(wrong) == ["pre-adder in slices: no (31 of 32)"]


def test_broken_cascade(netlist):
    wrong = altered(netlist, lambda cell: cell["connections"].update(PCOUT=["0"] * 48))
    assert failing(wrong) == ["cascade in slices: no (27 of 32)"]


def test_command_line(tmp_path):
    runner = CliRunner()
    plain = tmp_path / "plain.json"
    plain.write_text(replace(TINY, name="plain", packed=False).to_json())
    result = runner.invoke(main, ["--config", str(plain)])
    assert result.exit_code == 2 and "config plain: not packed" in result.output
    result = runner.invoke(main, ["--config", "nothing"])
    assert result.exit_code == 2 and "no such preset" in result.output
    result = runner.invoke(main, ["--config", "tiny"])
    assert result.exit_code == 0, result.output
    assert "MACs per slice = 2.0" in result.output
