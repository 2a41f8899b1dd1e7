"""`make reproduce`: reproductions, kept in docs/results, and docs/reproductions.md made of them.

With names only those are computed; what is kept of the others stays.
"""

import argparse
import json
from pathlib import Path

from keeping import RESULTS

from skimp_sim.report import write_text
from skimp_sim.reproduce.command import REPRODUCTIONS

__all__ = ["DOCS", "kept", "page"]

DOCS = RESULTS.parent


def kept(name: str) -> Path:
    """The JSON of a reproduction."""
    return RESULTS / f"reproduce-{name}.json"


def page() -> str:
    """docs/reproductions.md, from the kept results."""
    lines = [
        "# Reproductions",
        "",
        "Written by `make reproduce` from `docs/results/reproduce-*.json`; do not edit.",
        "",
        "Published results, computed again by their own definitions, ours beside theirs. The",
        "command above each prints its tables; `--json` writes all numbers.",
    ]
    for item in REPRODUCTIONS.values():
        if not kept(item.name).exists():
            continue
        result = json.loads(kept(item.name).read_text())
        lines += ["", f"## {item.title}", "", f"    skimp reproduce {item.name}", ""]
        lines += [f"![{item.title}](results/reproduce-{item.name}.svg)", ""]
        for table in item.tables(result):
            lines += [*table.as_markdown(), ""]
        lines += [f"- {note}".replace("[", r"\[") for note in item.notes(result)]
        lines += ["", f"Sources: {'; '.join(item.sources)}."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Compute, write JSON and SVG, write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(REPRODUCTIONS))
    names = parser.parse_args().names or list(REPRODUCTIONS)
    for name in names:
        if name not in REPRODUCTIONS:
            parser.error(f"{name}: unknown; choose of {', '.join(REPRODUCTIONS)}")
    for name in names:
        item = REPRODUCTIONS[name]
        result = item.compute()
        write_text(kept(name), json.dumps(item.as_json(result), indent=1) + "\n")
        item.save_plot(result, kept(name).with_suffix(".svg"))
    write_text(DOCS / "reproductions.md", page())


if __name__ == "__main__":
    main()
