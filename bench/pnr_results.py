"""Boards that open tools took to a bitstream, for docs/results.md, from what is kept of them."""

import json

from keeping import RESULTS
from markdown_table import head, line

__all__ = ["bitstreams"]


def bitstreams() -> list[str]:
    """Return a section for every board that is kept; none where there is none."""
    lines = []
    for path in sorted(RESULTS.glob("pnr-*.json")):
        lines += _section(json.loads(path.read_text()))
    return lines


def _section(run: dict) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    lines = [
        "",
        f"## Bitstream for {run['board']}",
        "",
        f"`make pnr BOARD={run['board']}`: {run['part']}, seed {run['seed']}, {versions}.",
        f"Block RAM serves as {run['dram_bytes'] >> 10} KB of DRAM. The same sources and tools make the",
        "same bitstream; the seconds are those of the machine that made it.",
        "",
        *head("kind", "used", "available", "share"),
    ]
    for kind, counts in run["area"].items():
        share = f"{counts['used'] / counts['available']:.1%}"
        lines.append(line(kind, f"{counts['used']:,}", f"{counts['available']:,}", share))
    lines += ["", *head("clock", "wanted MHz", "Fmax MHz", "met")]
    for name, clock in run["clocks"].items():
        fast, wanted = clock["fmax_mhz"], clock["wanted_mhz"]
        lines.append(
            line(f"`{name}`", f"{wanted:g}", f"{fast:g}", "yes" if fast >= wanted else "no")
        )
    steps = "; ".join(f"{step} {seconds:.0f} s" for step, seconds in run["seconds"].items())
    return [*lines, "", f"{steps}; {run['bitstream_bytes']:,} bytes."]
