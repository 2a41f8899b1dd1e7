"""What `skimp synth` shows: the table of blocks, and the same as JSON."""

from importlib.metadata import version

from rich.table import Table

from skimp.config import Config
from skimp_boards.devices import Device
from skimp_boards.groups import GROUPS, REST, group_of
from skimp_boards.netlist import Depth
from skimp_boards.synth_blocks import total
from skimp_boards.synth_checks import MAX_LEVELS, Check

__all__ = ["as_json", "as_table"]


def _around(block: dict) -> int:
    """Return the levels of the deepest path from or to a port."""
    return Depth({k: v for k, v in block["levels"].items() if k != "reg_reg"}).deepest


def as_table(title: str, device: Device, found: dict[str, dict]) -> Table:
    """Return a row for every block, of all its instances."""
    family = device.family
    levels = ("reg-reg", "ports") if family.is_timed else ()
    table = Table(title=f"{title} (Yosys {version('pyosys')})")
    table.add_column("block")
    for name in ("count", *family.columns.values(), *levels, "s", "MB"):
        table.add_column(name, justify="right")
    for name, block in found.items():
        n = block["count"]
        cells = [f"{n}", *(f"{n * block[key]:,g}" for key in family.columns)]
        if family.is_timed:
            inside, around = block["levels"]["reg_reg"] or 0, _around(block)
            mark = " <--" if max(inside, around) > MAX_LEVELS else ""
            cells += [f"{inside} ({block['logic_levels']['reg_reg'] or 0})", f"{around}{mark}"]
        table.add_row(name, *cells, f"{block['seconds']:,.0f}", f"{block['peak_mb']:,.0f}")
    sums = total(found, family)
    table.add_section()
    table.add_row(
        "all", "", *(f"{sums[key]:,g}" for key in family.columns), *("" for _ in levels),
        f"{sum(b['seconds'] for b in found.values()):,.0f}",
        f"{max((b['peak_mb'] for b in found.values()), default=0):,.0f}",
    )  # fmt: skip
    budget = device.budget
    table.add_row("budget", "", *(f"{budget[k]:,}" if k in budget else "" for k in family.columns))
    return table


def as_json(
    config: Config, device: Device, found: dict[str, dict], checked: list[Check], *, board: str
) -> dict:
    """Return the figures as they are kept: of "blocks" those of one instance."""
    columns = device.family.columns

    def named(numbers: dict) -> dict:
        return {label: numbers[key] for key, label in columns.items() if key in numbers}

    groups = {}
    for group in (*GROUPS, REST):
        members = {n: block for n, block in found.items() if group_of(n) == group}
        if members:
            groups[group] = named(total(members, device.family))
    return {
        "schema": 1,
        "tool": f"Yosys {version('pyosys')}",
        "board": board,
        "device": device.name,
        "config": config.name,
        "config_hash": config.hash,
        "total": named(total(found, device.family)),
        "budget": named(device.budget),
        "groups": groups,
        "blocks": {
            name: named(block) | {key: value for key, value in block.items() if key not in columns}
            for name, block in found.items()
        },
        "checks": [{"text": check.text, "holds": check.holds} for check in checked],
        "seconds": round(sum(block["seconds"] for block in found.values()), 1),
        "peak_mb": max((block["peak_mb"] for block in found.values()), default=0),
    }
