"""Synthesise every block of an accelerator for UltraScale+ and add up what they take.

`python -m skimp_boards.synth_blocks --config zcu104`. The exit code is 1 where the total is over
the budget of a XCZU7EV.
"""

import hashlib
import json
import re
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from skimp.config import Config, ConfigError
from skimp.configs import load_config
from skimp.gen import to_verilog
from skimp_boards.blocks import Block, blocks
from skimp_boards.netlist import depths, usage
from skimp_boards.yosys import map_xilinx, read_netlist, run_yosys

__all__ = [
    "BUDGET",
    "CACHE",
    "MAX_LEVELS",
    "synthesise",
    "synthesise_block",
    "total",
    "xilinx_script",
]

BUDGET = {
    "lut": (230_400, 0.70),
    "ff": (460_800, 0.70),
    "dsp": (1_728, 0.97),
    "bram36": (312, 0.90),
    "uram": (96, 0.95),
}
"""What a XCZU7EV has (DS891), and the share of it that a design should take at most."""

MAX_LEVELS = 8
"""Levels of LUT and carry between two registers that 300 MHz should stand."""

CACHE = Path("build/synth")
_COLUMNS = ("lut", "ff", "carry8", "dsp", "bram36", "uram", "srl", "lutram")
_SECONDS = 900
_RECIPE = 1
"""Part of the cache's key: a new number where the script or the counting changes."""


def xilinx_script(
    verilog: Path, netlist: Path, *, top: str, without=(), options: str = "", urams: bool = True
) -> str:
    """Return the Yosys script that maps a top module to UltraScale+, with URAM288 or without."""
    boxes = "".join(f"blackbox {name}\n" for name in without)
    mapping = map_xilinx(top, netlist, options=f"{'-uram ' if urams else ''}{options}")
    return f"read_verilog {verilog}\n{boxes}{mapping}"


def synthesise_block(
    block: Block, *, cache: Path | None = CACHE, options: str = "", only_kept: bool = False
) -> dict | None:
    """Return what one instance of a block takes, its depths, and the seconds that it took.

    Parameters
    ----------
    block : Block
    cache : Path or None
        Folder where results are kept, by the hash of the block's Verilog.
    options : str
        Further options of synth_xilinx.
    only_kept : bool
        None for a block that is not in the cache, rather than a run of Yosys.

    Raises
    ------
    ConfigError
        Yosys is not installed, failed, or ran out of time or memory.
    """
    text = to_verilog(block.make(), name=block.name, platform="xilinx")
    kept = None
    if cache is not None:
        asked = options if block.urams else ("no URAM", options)
        recipe = (_RECIPE, version("pyosys"), block.without, asked, text)
        kept = Path(cache) / f"{hashlib.sha256(repr(recipe).encode()).hexdigest()[:24]}.json"
        if kept.is_file():
            return json.loads(kept.read_text())
    if only_kept:
        return None
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        verilog, after, script = (Path(folder) / name for name in ("top.v", "top.json", "top.ys"))
        verilog.write_text(text)
        script.write_text(
            xilinx_script(
                verilog,
                after,
                top=block.name,
                without=_boxes(block, text),
                options=options,
                urams=block.urams,
            )
        )
        run_yosys(script, seconds=_SECONDS)
        module = read_netlist(after, block.name)
    strict, chains = depths(module)
    result = usage(module) | {
        "levels": strict,
        "logic_levels": chains,
        "seconds": round(time.monotonic() - start, 1),
    }
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(result) + "\n")
    return result


def _boxes(block: Block, text: str) -> list[str]:
    """Return the modules of the text that are black boxes: submodules by name, lanes by prefix."""
    modules = re.findall(r"^module \\?([\w.$]+)", text, re.MULTILINE)
    lanes = tuple(name for name in block.without if "." not in name)
    # A number behind a $ tells a module from a signal of the same name.
    named = [m for m in modules if re.sub(r"\$\d+$", "", m) in block.without]
    return named + [m for m in modules if m not in named and lanes and m.startswith(lanes)]


def total(found: dict[str, dict]) -> dict[str, float]:
    """Return the sums over all blocks of what `synthesise` found."""
    return {key: sum(b["count"] * b[key] for b in found.values()) for key in _COLUMNS}


def synthesise(
    config: Config, *, only=(), cache: Path | None = CACHE, progress=None, only_kept=False
) -> dict:
    """Return block name -> count and what one of it takes; arguments as `synthesise_block`."""
    chosen = [block for block in blocks(config) if not only or block.name in only]
    found = {}
    for block in chosen:
        if progress is not None:
            progress(block.name, len(found), len(chosen))
        one = synthesise_block(block, cache=cache, only_kept=only_kept)
        if one is not None:
            found[block.name] = {"count": block.count} | one
    return found


def _deepest(levels: dict) -> int:
    return max((n for n in levels.values() if n is not None), default=0)


def _table(config: Config, found: dict) -> Table:
    table = Table(title=f"{config.name}: blocks on UltraScale+ (Yosys {version('pyosys')})")
    table.add_column("block")
    for name in ("count", *_COLUMNS, "reg-reg", "ports"):
        table.add_column(name, justify="right")
    for name, block in found.items():
        n = block["count"]
        inside = block["levels"]["reg_reg"] or 0
        around = _deepest({k: v for k, v in block["levels"].items() if k != "reg_reg"})
        logic = block["logic_levels"]["reg_reg"] or 0
        mark = " <--" if max(inside, around) > MAX_LEVELS else ""
        table.add_row(
            name,
            f"{n}",
            *(f"{n * block[key]:,g}" for key in _COLUMNS),
            f"{inside} ({logic})",
            f"{around}{mark}",
        )
    sums = total(found)
    table.add_section()
    table.add_row("all", "", *(f"{sums[key]:,g}" for key in _COLUMNS), "", "")
    budget = {key: f"{int(have * share):,}" for key, (have, share) in BUDGET.items()}
    table.add_row("budget", "", *(budget.get(key, "") for key in _COLUMNS), "", "")
    return table


@click.command()
@click.option("--config", "name", default="small", show_default=True, help="Preset or JSON file.")
@click.option("--json", "json_path", type=click.Path(dir_okay=False), help="Write the numbers.")
@click.option("--block", "only", multiple=True, help="Only this block; may be repeated.")
@click.option("--cache", default=str(CACHE), show_default=True, help="Folder of kept results.")
def main(name, json_path, only, cache):
    """Synthesise the blocks of an accelerator with Yosys and compare them with a XCZU7EV.

    "reg-reg" is the deepest path between two registers in levels: a LUT is one, a CARRY8 (two
    CARRY4) is one; in brackets, with a carry chain of any length as one. "ports" is the deepest
    path from or to a port of the block.
    """
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description:>16}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
    try:
        config = load_config(name)
        known = [block.name for block in blocks(config)]
        for block in only:
            if block not in known:
                raise ConfigError(f"block {block}: unknown; choose one of {', '.join(known)}")
        with bar:
            task = bar.add_task("", total=len(only) or len(known))

            def progress(block, done, of):
                bar.update(task, description=block, completed=done, total=of)

            found = synthesise(config, only=only, cache=Path(cache), progress=progress)
            bar.update(task, description="done", completed=len(found))
    except ConfigError as error:
        click.echo(f"error: {error}", err=True)
        raise SystemExit(2) from error
    sums = total(found)
    Console(width=max(Console().width, 140)).print(_table(config, found))
    over = [
        f"{key}: {sums[key]:,g} of {have:,} is more than {share:.0%}"
        for key, (have, share) in BUDGET.items()
        if sums[key] > have * share
    ]
    for line in over:
        click.echo(f"over the budget: {line}")
    if json_path:
        budget = {key: int(have * share) for key, (have, share) in BUDGET.items()}
        report = {"config": name, "blocks": found, "total": sums, "budget": budget}
        Path(json_path).write_text(json.dumps(report, indent=1) + "\n")
    raise SystemExit(1 if over else 0)


if __name__ == "__main__":
    main()
