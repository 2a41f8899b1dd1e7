"""docs/results/synth.md and the area in docs/results.md, from the kept syntheses."""

import hashlib
import json
from pathlib import Path

from keeping import RESULTS, kept
from markdown_table import head, line

from skimp_boards.devices import ECP5, ULTRASCALE_PLUS
from skimp_boards.groups import GROUPS, REST

__all__ = ["HISTORY", "area", "grown", "with_entry", "write_synth"]

HISTORY = RESULTS / "synth-history.json"

_LABELS = tuple(dict.fromkeys((*ULTRASCALE_PLUS.columns.values(), *ECP5.columns.values())))
_ALL = "**all**"

_INTRO = """\
Written by `make synth` from `docs/results/synth-*.json` and `synth-history.json`; do not edit.

Every block of the accelerator by itself, mapped by Yosys; lanes, chains and memories that are blocks
of their own are black boxes in the others, and the sum is all of it. No vendor's tool has seen it:
LUTs are not packed in pairs, and instead of a clock there are levels of logic."""

_LEVELS = """\
`reg-reg`: levels on the deepest path between two registers, a LUT or a CARRY8 being one, and in
brackets with a whole carry chain as one; `ports`: from or to a port of the block, up to a register. A path that runs from one block into
another is counted in each of them, never as a whole."""


def with_entry(entries: list[dict], result: dict, *, commit: str | None) -> list[dict]:
    """Return the history with a synthesis in it, unless its figures are those of the last one.

    Parameters
    ----------
    entries : list of dict
        Oldest first.
    result : dict
        What `skimp synth --json` wrote.
    commit : str or None
        Where git knows it.
    """
    same = [entry for entry in entries if _key(entry) == _key(result)]
    entry = {name: result[name] for name in ("board", "config", "tool", "groups", "total")}
    if same and all(same[-1][name] == entry[name] for name in ("groups", "total")):
        return entries
    blocks = {name: block["verilog"] for name, block in result["blocks"].items()}
    return [*entries, entry | {"commit": commit, "verilog": _hash(blocks)}]


def _hash(blocks: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(blocks, sort_keys=True).encode()).hexdigest()[:16]


def _key(entry: dict) -> tuple[str, str]:
    return entry["board"], entry["config"]


def _percent(now: float, before: float) -> str:
    if now == before:
        return ""
    return f" ({now / before - 1:+.1%})" if before else " (new)"


def grown(entries: list[dict]) -> list[str]:
    """Return the table of the newest entry's groups, with growth since the one before it."""
    newest = entries[-1]
    before = entries[-2] if len(entries) > 1 else newest
    labels = [label for label in _LABELS if label in newest["total"]]
    rows = head("part", *labels)
    old = {**before["groups"], _ALL: before["total"]}
    now = {**newest["groups"], _ALL: newest["total"]}
    for part in (*GROUPS, REST, _ALL):
        if part in now:
            numbers, were = now[part], old.get(part, {})
            cells = (f"{numbers[k]:,g}{_percent(numbers[k], were.get(k, 0))}" for k in labels)
            rows.append(line(part, *cells))
    return rows


def _since(entries: list[dict]) -> str:
    """Say what the newest entry is compared with."""
    if len(entries) == 1:
        return "The first of the history."
    old = entries[-2]
    return f"In brackets: since {_name(old)}, where that differs ({len(entries)} in the history)."


def _name(entry: dict) -> str:
    return f"commit {entry['commit']}" if entry["commit"] else f"Verilog {entry['verilog']}"


def _histories(path: Path) -> dict[tuple[str, str], list[dict]]:
    found: dict[tuple[str, str], list[dict]] = {}
    for entry in kept(path).get("entries", []):
        found.setdefault(_key(entry), []).append(entry)
    return dict(sorted(found.items()))


def area(path: Path = HISTORY) -> list[str]:
    """Return the section of docs/results.md."""
    histories = _histories(path)
    if not histories:
        return []
    lines = ["", "## Area", "", "Yosys's (`make synth`); block by block: [area](results/synth.md)."]
    for (board, config), entries in histories.items():
        title = f"`{config}` for {board}, {entries[-1]['tool']}. {_since(entries)}"
        lines += ["", title, "", *grown(entries)]
    return lines


def write_synth(folder: Path) -> None:
    """Write synth.md from the folder's kept syntheses and their history."""
    histories = _histories(folder / HISTORY.name)
    lines = ["# Area", "", _INTRO]
    for path in sorted(folder.glob("synth-*-*.json")):
        result = json.loads(path.read_text())
        lines += ["", f"## {result['config']} on {result['device']} ({result['board']})", ""]
        lines += [*_budget(result), ""]
        lines += [
            _effort(result),
            "",
            *(_statement(check) for check in result["checks"]),
            "",
            f"![what takes the device]({path.with_suffix('.svg').name})",
        ]
        entries = histories.get(_key(result), [])
        if entries:
            lines += ["", "### By part", "", _since(entries), "", *grown(entries)]
        lines += ["", "### By block", "", *_blocks(result)]
    (folder / "synth.md").write_text("\n".join(lines) + "\n")


def _effort(result: dict) -> str:
    minutes, gigabytes = result["seconds"] / 60, result["peak_mb"] / 1024
    return f"{result['tool']}: {minutes:.0f} minutes, one process, {gigabytes:.1f} GiB at most."


def _budget(result: dict) -> list[str]:
    rows = head("", *result["total"])
    rows.append(line("takes", *(f"{n:,g}" for n in result["total"].values())))
    budget = (result["budget"].get(name) for name in result["total"])
    rows.append(line("budget", *("" if n is None else f"{n:,}" for n in budget)))
    return rows


def _statement(check: dict) -> str:
    return f"- {check['text']}" + ("" if check["holds"] else " **(does not hold)**")


def _blocks(result: dict) -> list[str]:
    labels = list(result["total"])
    timed = all("levels" in block for block in result["blocks"].values())
    rows = [_LEVELS, ""] if timed else []
    rows += head("block", "count", *labels, *(("reg-reg", "ports") if timed else ()))
    for name, block in result["blocks"].items():
        cells = [name, f"{block['count']}", *(f"{block['count'] * block[k]:,g}" for k in labels)]
        if timed:
            levels = {key: number or 0 for key, number in block["levels"].items()}
            chains = block["logic_levels"]["reg_reg"] or 0
            inside = levels.pop("reg_reg")
            cells += [f"{inside} ({chains})", f"{max(levels.values())}"]
        rows.append(line(*cells))
    return rows
