"""`skimp reproduce`."""

import json

import click
from rich.console import Console

from skimp_compiler.graph import ModelError
from skimp_sim.command import Refusing, check_outputs, wide_console
from skimp_sim.report import write_text
from skimp_sim.reproduce.adaptive_scheduling import ADAPTIVE_SCHEDULING
from skimp_sim.reproduce.classifier_power import CLASSIFIER_POWER
from skimp_sim.reproduce.dataflows import DATAFLOWS_COMPARED
from skimp_sim.reproduce.dram_mapping import DRAM_MAPPING
from skimp_sim.reproduce.eyeriss_alexnet import EYERISS_ALEXNET
from skimp_sim.reproduce.eyeriss_vgg16 import EYERISS_VGG16
from skimp_sim.reproduce.result import Reproduction

__all__ = ["REPRODUCTIONS", "reproduce"]

REPRODUCTIONS: dict[str, Reproduction] = {
    item.name: item
    for item in (
        CLASSIFIER_POWER,
        EYERISS_ALEXNET,
        EYERISS_VGG16,
        DATAFLOWS_COMPARED,
        ADAPTIVE_SCHEDULING,
        DRAM_MAPPING,
    )
}


@click.command(cls=Refusing)
@click.argument("name", required=False)
@click.option("--json", "json_path", metavar="FILE", help="Write the result as JSON.")
@click.option("--plot", "plot_path", metavar="FILE", help="Draw it: .svg or .png.")
def reproduce(name, json_path, plot_path):
    """Compute a published result again, ours beside it; without NAME: the list."""
    if name is not None and name not in REPRODUCTIONS:
        known = ", ".join(REPRODUCTIONS)
        raise ModelError(f"reproduction {name}: unknown; choose one of {known}")
    if name is None and plot_path:
        raise ModelError("--plot: needs the name of a reproduction")
    check_outputs(json_path, plot=plot_path)
    console = wide_console()
    if name is None:
        answer = _list()
    else:
        answer = _reproduce(console, REPRODUCTIONS[name], plot_path)
    if json_path:
        write_text(json_path, json.dumps(answer, indent=1) + "\n")


def _list() -> dict:
    width = max(map(len, REPRODUCTIONS))
    for item in REPRODUCTIONS.values():
        click.echo(f"{item.name:{width}}  {item.title}")
    return {
        "schema": 1,
        "reproductions": [
            {"name": item.name, "title": item.title} for item in REPRODUCTIONS.values()
        ],
    }


def _reproduce(console: Console, item: Reproduction, plot_path: str | None) -> dict:
    with Console(stderr=True).status(item.title):
        result = item.compute()
    console.print(item.title)
    for table in item.tables(result):
        console.print()
        console.print(table.as_rich())
    console.print()
    for note in item.notes(result):
        console.print(f"- {note}", markup=False)
    console.print(f"\nsources: {'; '.join(item.sources)}", markup=False)
    if plot_path:
        item.save_plot(result, plot_path)
    return item.as_json(result)
