"""What a reproduction hands to the command: numbers, tables, notes, a plot."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from rich.table import Table

__all__ = ["Reproduction", "ResultTable", "paragraphs"]


def paragraphs(text: str) -> list[str]:
    """Texts between empty lines, each as one line."""
    return [" ".join(part.split()) for part in text.strip().split("\n\n")]


@dataclass(frozen=True)
class ResultTable:
    """A table for the terminal and for Markdown.

    Attributes
    ----------
    title : str
    columns : tuple of str
        The first is a name, the others are numbers.
    rows : list of tuple of str
    """

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def as_rich(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
        table.title = self.title
        for number, name in enumerate(self.columns):
            table.add_column(name, justify="right" if number else "left", no_wrap=not number)
        for row in self.rows:
            table.add_row(*row)
        return table

    def as_markdown(self) -> list[str]:
        """Lines, with the title in front."""
        align = ["---", *["---:"] * (len(self.columns) - 1)]
        rows = (self.columns, align, *self.rows)
        return [f"{self.title}:", "", *(f"| {' | '.join(row)} |" for row in rows)]


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """One published result.

    Attributes
    ----------
    name : str
        What the user types.
    title : str
        One line for the list.
    sources : tuple of str
        Where the published figures stand.
    compute : callable
        Returns the result: what JSON can hold, units in the names.
    tables : callable
        Of a result, ours beside the published figures.
    notes : callable
        Of a result, one sentence each: what is counted, why figures differ.
    plot : callable
    """

    name: str
    title: str
    sources: tuple[str, ...]
    compute: Callable[[], dict]
    tables: Callable[[dict], Sequence[ResultTable]]
    notes: Callable[[dict], Sequence[str]]
    plot: Callable[[dict], Figure]

    def as_json(self, result: dict) -> dict:
        """The JSON of `skimp reproduce` (schema 1)."""
        return {
            "schema": 1,
            "name": self.name,
            "title": self.title,
            "sources": list(self.sources),
            "notes": list(self.notes(result)),
            **result,
        }

    def save_plot(self, result: dict, path: str | Path) -> None:
        """Draw a result; the same picture from the same numbers."""
        with matplotlib.rc_context({"svg.hashsalt": "skimp"}):
            self.plot(result).savefig(path, metadata={"Date": None})
