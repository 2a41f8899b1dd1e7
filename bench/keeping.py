"""What the benches share: their command line, and JSON in docs/results that grows run by run."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from skimp_sim.report import write_text

__all__ = ["RESULTS", "arguments", "keep", "kept", "progress_bar"]

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"


def arguments(
    doc: str, *, configs: Sequence[str], models: Sequence[str] = ()
) -> tuple[list[str], list[str]]:
    """Return the configurations and the networks that the command line asks for.

    Parameters
    ----------
    doc : str
        Of the bench; its first line describes the command.
    configs, models : sequence of str
        Without arguments. No models: the bench finds them.
    """
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--config", action="append", help="preset or file; may be repeated")
    default = ", ".join(models) or "all that are there"
    parser.add_argument("models", nargs="*", help=f"networks; default: {default}")
    options = parser.parse_args()
    return options.config or [*configs], options.models or [*models]


def kept(path: Path) -> dict:
    """Return what is kept in a file: nothing where there is none."""
    return json.loads(path.read_text()) if path.is_file() else {}


def keep(path: Path, **results: dict) -> None:
    """Write results to a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps({"schema": 1, **results}, indent=1, sort_keys=True) + "\n")


def progress_bar() -> Progress:
    """Return a bar for the error output, which says what is under way."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(), console=Console(stderr=True),
    )  # fmt: skip
