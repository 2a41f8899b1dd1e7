"""`skimp explore`."""

import json

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from skimp.config import ConfigError
from skimp_boards.explore.report import as_json, as_plot, as_table
from skimp_boards.explore.search import search
from skimp_boards.explore.space import SPACES
from skimp_sim.command import check_outputs, wide_console
from skimp_sim.report import write_text

__all__ = ["explore"]


@click.command()
@click.option("--board", default="zcu104", show_default=True, help="zcu104 or ultra96")
@click.option("--json", "json_path", type=click.Path(dir_okay=False), help="every point looked at")
@click.option("--plot", "plot_path", type=click.Path(dir_okay=False), help="SVG or PNG")
@click.option("--jobs", default=2, show_default=True, type=click.IntRange(1, 64))
def explore(board, json_path, plot_path, jobs):
    """Search geometries, scratchpads and buffers under a board's budget."""
    if board not in SPACES:
        raise ConfigError(f"board {board}: unknown; choose one of {', '.join(SPACES)}")
    check_outputs(json_path, plot=plot_path)
    space = SPACES[board]
    console = wide_console()
    progress = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=Console(stderr=True), transient=True,
    )  # fmt: skip
    with progress:
        task = progress.add_task("configurations", total=None)
        points = search(
            space,
            jobs=jobs,
            on_point=lambda done, asked: progress.update(task, completed=done, total=asked),
        )
    if not points:
        raise ConfigError(f"board {board}: nothing in the space fits the budget")
    console.print(as_table(points, space))
    console.print("> chosen, * on the Pareto front, = the preset")
    if json_path:
        write_text(json_path, json.dumps(as_json(points, space), indent=1) + "\n")
    if plot_path:
        as_plot(points, space).savefig(plot_path, metadata={"Date": None})
