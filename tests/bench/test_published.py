"""The table of published results in docs/results.md."""

from published import RESULTS_PAGE, _errors, published

from skimp_sim.reproduce.command import REPRODUCTIONS
from skimp_sim.reproduce.result import ResultTable


def test_errors():
    """Each column of errors is of the last column that is no published figure; empty rows count not."""
    columns = ("layer", "ms", "chip", "error %", "mJ", "chip", "error %")
    rows = [
        ("a", "1", "2", "-50.0", "3", "3", "+0.0"),
        ("b", "3", "2", "+40.0", "3", "2", "+50.0"),
        ("all", "", "", "", "6", "5", "+20.0"),
    ]
    assert _errors(ResultTable("Chip", columns, rows)) == [
        "Chip: ms | 2 | -50.0 to +40.0 % | a",
        "Chip: mJ | 3 | +0.0 to +50.0 % | b",
    ]
    assert _errors(ResultTable("Tools", ("case", "theirs", "ours", "ours - theirs %"), [])) == []


def test_page_is_of_what_is_kept():
    """docs/results.md has what the kept reproductions say, every one of them."""
    lines = published()
    assert "\n".join(lines) in RESULTS_PAGE.read_text()
    for name in REPRODUCTIONS:
        assert any(f"`skimp reproduce {name}`" in line for line in lines), name
