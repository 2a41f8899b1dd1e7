"""`skimp synth`."""

import json
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from skimp.config import ConfigError
from skimp.configs import load_config
from skimp_boards.blocks import Block, board_blocks
from skimp_boards.board import load_board
from skimp_boards.devices import device_of
from skimp_boards.synth_blocks import CACHE, synthesise
from skimp_boards.synth_checks import checks
from skimp_boards.synth_report import as_json, as_table
from skimp_boards.treemap import treemap
from skimp_sim.command import check_outputs, wide_console
from skimp_sim.report import write_text

__all__ = ["synth"]

EXIT_FAILED = 1


def _chosen(known: list[Block], only: tuple[str, ...]) -> list[Block]:
    names = [block.name for block in known]
    for name in only:
        if name not in names:
            raise ConfigError(f"block {name}: unknown; choose one of {', '.join(names)}")
    return [block for block in known if not only or block.name in only]


@click.command()
@click.option("--board", "board_name", default="zcu104", show_default=True)
@click.option("--config", "config_name", metavar="PRESET|FILE", help="Default: the board's own.")
@click.option("--block", "only", multiple=True, help="Only this block; may be repeated.")
@click.option("--json", "json_path", type=click.Path(dir_okay=False), help="Write the numbers.")
@click.option("--treemap", "plot_path", type=click.Path(dir_okay=False), help="SVG or PNG")
@click.option("--cache", default=str(CACHE), show_default=True, help="Folder of kept results.")
@click.pass_context
def synth(ctx, board_name, config_name, only, json_path, plot_path, cache):
    """Synthesise the blocks of an accelerator with Yosys and compare them with a board's device.

    "reg-reg" is the deepest path between two registers in levels: a LUT is one, a CARRY8 (two
    CARRY4) is one; in brackets, with a carry chain of any length as one. "ports" is the deepest
    path from or to a port of the block. Seconds and memory are those of the run that is kept.

    Exit status 1: something is over its budget, or a statement below the table does not hold.
    """
    board = load_board(board_name)
    device = device_of(board.part)
    config = load_config(config_name) if config_name else board.config
    check_outputs(json_path, plot=plot_path)
    chosen = _chosen(board_blocks(board, config), only)
    bar = Progress(
        TextColumn("{task.description:>20}"), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(), console=Console(stderr=True), transient=True,
    )  # fmt: skip
    with bar:
        task = bar.add_task("", total=len(chosen))
        found = synthesise(
            chosen,
            family=device.family,
            cache=Path(cache),
            progress=lambda name, done: bar.update(task, description=name, completed=done),
        )
    checked = checks(config, device, found)
    console = wide_console()
    console.print(as_table(f"{config.name}: blocks on {device.name}", device, found))
    for check in checked:
        console.print(check.text if check.holds else f"{check.text}   <-- does not hold")
    kept = as_json(config, device, found, checked, board=board.name)
    if json_path:
        write_text(json_path, json.dumps(kept, indent=1) + "\n")
    if plot_path:
        treemap(kept).savefig(plot_path, metadata={"Date": None})
    if not all(check.holds for check in checked):
        ctx.exit(EXIT_FAILED)
