"""The bench of area: its history, its page, and that the pages are of what is kept."""

import copy
import json
import sys

import pytest
import synth
from published import RESULTS_PAGE
from synth_results import HISTORY, area, grown, with_entry, write_synth

from skimp.configs import PRESETS
from skimp.top import Skimp
from skimp_boards.board import Board
from skimp_boards.devices import XCZU7EV
from skimp_boards.synth_checks import Check
from skimp_boards.synth_report import as_json

NUMBERS = {"lut": 100, "ff": 40, "carry8": 3, "dsp": 8, "bram36": 1.5, "uram": 0, "srl": 1}
LEVELS = {"reg_reg": 7, "reg_out": None, "in_reg": 3, "in_out": None}


def result(lut=100):
    """What the command writes of two blocks that nobody synthesised."""
    block = NUMBERS | {
        "count": 2,
        "lut": lut,
        "lutram": 0,
        "levels": LEVELS,
        "logic_levels": LEVELS | {"reg_reg": 4},
        "verilog": f"{lut:x}",
        "seconds": 90.0,
        "peak_mb": 2048.0,
    }
    checked = [Check(text="latches: none", holds=True), Check(text="slow", holds=False)]
    blocks = {"pe_chain": block, "csr": block | {"count": 1, "lut": 50}}
    return as_json(PRESETS["tiny"], XCZU7EV, blocks, checked, board="bench")


def test_history_grows_with_the_figures():
    entries = with_entry([], result(), commit="abc")
    assert [entry["commit"] for entry in entries] == ["abc"]
    assert entries[0]["total"]["LUT"] == 250 and entries[0]["groups"]["sequencer"]["LUT"] == 50
    assert with_entry(entries, result(), commit="def") == entries, "the same figures"
    other = result() | {"config": "small"}
    entries = with_entry(entries, other, commit="def")
    assert len(entries) == 2, "another configuration has a history of its own"
    assert with_entry(entries, other, commit="ghi") == entries
    entries = with_entry(entries, result(lut=110), commit=None)
    assert len(entries) == 3 and len(entries[2]["verilog"]) == 16
    assert entries[2]["verilog"] != entries[0]["verilog"]


def test_growth():
    entries = with_entry(with_entry([], result(), commit="a"), result(lut=110), commit="b")
    rows = [line.split(" | ") for line in grown(entries)]
    assert rows[0][:2] == ["| part", "LUT"]
    assert [row[1] for row in rows[2:]] == ["220 (+10.0%)", "50", "270 (+8.0%)"]
    assert [row[1] for row in (line.split(" | ") for line in grown(entries[:1])[2:])] == [
        "200", "50", "250"
    ]  # fmt: skip
    gone = copy.deepcopy(entries)
    del gone[0]["groups"]["sequencer"]
    assert "50 (new)" in grown(gone)[3]


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Run the bench with a command that answers what it is told."""
    folder = tmp_path / "docs" / "results"
    folder.mkdir(parents=True)
    board = Board(
        name="bench",
        title="",
        part="xczu7ev",
        config=PRESETS["tiny"],
        make_top=Skimp,
        platform=None,
    )
    pages = []
    for module, name, value in (
        (synth, "RESULTS", folder),
        (synth, "HISTORY", folder / HISTORY.name),
        (synth, "load_board", lambda name: board),
        (synth, "write_page", lambda: pages.append(1)),
    ):
        monkeypatch.setattr(module, name, value)

    def answer(found, code=0, arguments=()):
        def command(line, **options):
            assert line[1:4] == ["synth", "--board", "bench"]
            if found is not None:
                line[line.index("--json") + 1].write_text(json.dumps(found))
            return type("Run", (), {"returncode": code})

        monkeypatch.setattr(synth, "commit", lambda: "abc")
        monkeypatch.setattr(synth.subprocess, "run", command)
        monkeypatch.setattr(sys, "argv", ["synth.py", "--board", "bench", *arguments])
        assert synth.main() == code
        return len(pages)

    answer.folder = folder
    return answer


def test_bench_keeps_and_writes(bench):
    assert bench(result()) == 1
    assert (bench.folder / "synth-bench-tiny.json").is_file()
    history = json.loads((bench.folder / HISTORY.name).read_text())
    assert history["schema"] == 1 and len(history["entries"]) == 1
    page = (bench.folder / "synth.md").read_text()
    assert "## tiny on XCZU7EV (bench)" in page
    assert "3 minutes, one process, 2.0 GiB at most" in page
    assert "- latches: none\n- slow **(does not hold)**" in page
    assert "| pe_chain | 2 | 200 | 80 | 6 | 16 | 3 | 0 | 2 | 0 | 7 (4) | 3 |" in page
    assert "The first of the history." in page
    assert bench(result(lut=110), code=1) == 2, "what does not hold is kept, too"
    page = (bench.folder / "synth.md").read_text()
    assert "In brackets: since commit abc, where that differs (2 in the history)." in page
    lines = area(bench.folder / HISTORY.name)
    assert "| **all** | 270 (+8.0%)" in "\n".join(lines)


def test_bench_keeps_nothing_of_an_error(bench):
    assert bench(None, code=2) == 0
    assert not list(bench.folder.iterdir())


def test_bench_refuses(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["synth.py", "--board", "nothing"])
    with pytest.raises(SystemExit) as stop:
        synth.main()
    assert stop.value.code == 2
    assert "board nothing: unknown" in capsys.readouterr().err


def test_commit_without_git(monkeypatch):
    monkeypatch.setattr(synth.shutil, "which", lambda name: None)
    assert synth.commit() is None


def test_pages_are_of_what_is_kept(tmp_path):
    """docs/results.md and synth.md say what the kept JSON says."""
    assert "\n".join(area()) in RESULTS_PAGE.read_text()
    folder = HISTORY.parent
    for path in folder.glob("synth-*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    write_synth(tmp_path)
    assert (tmp_path / "synth.md").read_text() == (folder / "synth.md").read_text()
