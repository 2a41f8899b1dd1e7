"""Published results in a table for docs/results.md: how far ours are from them."""

import json

from keeping import RESULTS
from reproduce import kept

from skimp_sim.reproduce.command import REPRODUCTIONS
from skimp_sim.reproduce.result import ResultTable

__all__ = ["RESULTS_PAGE", "published"]

RESULTS_PAGE = RESULTS.parent / "results.md"

_ERRORS = ("error %", "ours - theirs %")
_THEIRS = ("chip", "theirs", "published W", "ours")


def published() -> list[str]:
    """Return the section: of every kept reproduction's columns of errors, least and largest."""
    rows = [
        "",
        "## Published results, computed again",
        "",
        "Errors of ours beside the published figures, row by row of each table; the tables, and why,",
        "are in [reproductions](reproductions.md) (`make reproduce`).",
        "",
        "| reproduction | what | rows | errors | largest at |",
        "|---|---|---|---|---|",
    ]
    for item in REPRODUCTIONS.values():
        if kept(item.name).exists():
            result = json.loads(kept(item.name).read_text())
            lines = [line for table in item.tables(result) for line in _errors(table)]
            rows += [f"| `skimp reproduce {item.name}` | {line} |" for line in lines]
            if not lines:
                rows.append(f"| `skimp reproduce {item.name}` | {item.title} | | see there | |")
    return rows


def _errors(table: ResultTable) -> list[str]:
    found = []
    for k, column in enumerate(table.columns):
        if column in _ERRORS:
            errors = [(float(row[k]), row[0]) for row in table.rows if row[k]]
            # What it is the error of stands before the published figures.
            before = [name for name in table.columns[1:k] if name not in (*_THEIRS, *_ERRORS)]
            name = ": ".join([table.title, *before[-1:]])
            if not errors:
                continue
            worst = max(errors, key=lambda pair: abs(pair[0]))[1]
            low, high = min(errors)[0], max(errors)[0]
            found.append(f"{name} | {len(errors)} | {low:+.1f} to {high:+.1f} % | {worst}")
    return found
