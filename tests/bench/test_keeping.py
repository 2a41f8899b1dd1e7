"""What the benches share: arguments, and results that are kept."""

import sys

import pytest
from keeping import arguments, keep, kept

DOC = "What it does.\n\nAnd how.\n"


@pytest.mark.parametrize(
    "given, found",
    [
        ([], (["tiny", "small"], ["one", "two"])),
        (["three", "--config", "zcu104"], (["zcu104"], ["three"])),
        (["--config", "a.json", "--config", "b.json"], (["a.json", "b.json"], ["one", "two"])),
    ],
)
def test_arguments(monkeypatch, given, found):
    monkeypatch.setattr(sys, "argv", ["bench.py", *given])
    assert arguments(DOC, configs=("tiny", "small"), models=("one", "two")) == found


@pytest.mark.parametrize(
    "models, words", [((), "all that are there"), (("one", "two"), "one, two")]
)
def test_help(monkeypatch, capsys, models, words):
    monkeypatch.setattr(sys, "argv", ["bench.py", "--help"])
    with pytest.raises(SystemExit):
        arguments(DOC, configs=("tiny",), models=models)
    text = capsys.readouterr().out
    assert "What it does." in text and "And how" not in text
    assert f"networks; default: {words}" in " ".join(text.split())


def test_kept(tmp_path):
    """Keys are sorted; nothing else is left in the folder, which is made."""
    path = tmp_path / "results" / "some.json"
    assert kept(path) == {}
    for runs in ({"b": 1, "a": 2}, {"c": 3}):
        keep(path, runs=runs, models={})
        assert kept(path) == {"schema": 1, "runs": runs, "models": {}}
        assert path.read_text().endswith("}\n") and [*path.parent.iterdir()] == [path]
    keep(path, runs={"b": 1, "a": 2})
    assert path.read_text() == '{\n "runs": {\n  "a": 2,\n  "b": 1\n },\n "schema": 1\n}\n'
