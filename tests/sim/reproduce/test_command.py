"""`skimp reproduce`: what it prints and writes, and one line for every bad input."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner
from reproduce import DOCS, kept, page

from skimp_sim.reproduce.command import REPRODUCTIONS, reproduce
from skimp_sim.reproduce.result import ResultTable


def skimp(*arguments):
    return CliRunner().invoke(reproduce, list(map(str, arguments)))


def assert_refused(result, *words):
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("skimp: ")
    for word in words:
        assert word in line, line


def test_list(tmp_path):
    result = skimp("--json", tmp_path / "list.json")
    assert result.exit_code == 0, result.output
    written = json.loads((tmp_path / "list.json").read_text())
    assert written["schema"] == 1
    assert [item["name"] for item in written["reproductions"]] == list(REPRODUCTIONS)
    for item in REPRODUCTIONS.values():
        assert f"{item.name} " in result.output and item.title in result.output


def test_bad_input(tmp_path):
    (tmp_path / "file").write_text("")
    assert_refused(skimp("fig7"), "fig7", "adaptive-scheduling, dram-mapping")
    assert_refused(skimp("--plot", tmp_path / "x.svg"), "needs the name")
    name = "adaptive-scheduling"
    assert_refused(skimp(name, "--plot", tmp_path / "x.pdf"), "x.pdf", ".svg or .png")
    for option in ("--json", "--plot"):
        blocked = tmp_path / "file" / "x.svg"
        assert_refused(skimp(name, option, blocked), "cannot be written")


@pytest.mark.parametrize("name", REPRODUCTIONS)
def test_result(tmp_path, monkeypatch, results, name):
    out, picture = tmp_path / "out.json", tmp_path / "out.svg"
    computed = results[name]
    known = replace(REPRODUCTIONS[name], compute=lambda: computed)
    monkeypatch.setitem(REPRODUCTIONS, name, known)
    done = skimp(name, "--json", out, "--plot", picture)
    assert done.exit_code == 0, done.output
    result = json.loads(out.read_text())
    item = REPRODUCTIONS[name]
    assert (result["schema"], result["name"]) == (1, name)
    for table in item.tables(result):
        assert table.title in done.output
        assert table.rows[0][0] in done.output
        assert all(len(row) == len(table.columns) for row in table.rows)
    words = " ".join(done.output.split())
    for note in item.notes(result):
        assert note[:60] in words
    assert picture.read_text().lstrip().startswith("<?xml")


@pytest.mark.parametrize("name", REPRODUCTIONS)
def test_kept_result_is_what_is_computed(results, name):
    """Else run `make reproduce`."""
    tables = REPRODUCTIONS[name].tables
    assert tables(json.loads(kept(name).read_text())) == tables(results[name])


def test_page_is_made_of_the_kept_results():
    """Else run `make reproduce`."""
    assert (DOCS / "reproductions.md").read_text() == page()


def test_table_as_markdown():
    lines = ResultTable("Title", ("a", "b"), [("x", "1")]).as_markdown()
    assert lines == ["Title:", "", "| a | b |", "| --- | ---: |", "| x | 1 |"]
