"""The `skimp` command."""

import json
import sys
from importlib.metadata import entry_points
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from skimp.config import ConfigError
from skimp.configs import load_config
from skimp_compiler.coding import COMPRESS
from skimp_compiler.compiler import compile_graph, write_program
from skimp_compiler.graph import ModelError
from skimp_compiler.program import Program
from skimp_compiler.zoo import BUILTIN, DEFAULT, describe
from skimp_sim.bench.rtl import RtlError
from skimp_sim.bench.verilator import ToolError
from skimp_sim.boards import load_board
from skimp_sim.command import EXIT_DIFFERENT, Refusing, check_outputs, command_line, wide_console
from skimp_sim.driver.device import DeviceError
from skimp_sim.driver.transport import TransportError
from skimp_sim.energy.command import energy_model, energy_options
from skimp_sim.functional import FunctionalError
from skimp_sim.golden.network import run_graph
from skimp_sim.html_report import html_page
from skimp_sim.inputs import IMAGE_SUFFIXES, load_input
from skimp_sim.models import input_path_of, load_model, model_labels
from skimp_sim.perf.command import perf_report
from skimp_sim.perf.model import PerfError
from skimp_sim.report import Report, json_text, write_text
from skimp_sim.report_table import print_report
from skimp_sim.roofline import Roofline, roofline_chart, write_chart
from skimp_sim.run import ENGINES, run_model

__all__ = ["main"]

USER_ERRORS = (
    ModelError, ConfigError, ToolError, DeviceError, TransportError, RtlError, FunctionalError,
    PerfError,
)  # fmt: skip
"""What the user is told in one line, with exit status 2."""


class _Group(Refusing, click.Group):
    """Has more commands than this file: entry points "skimp.commands", loaded when called."""

    user_errors = USER_ERRORS

    def list_commands(self, ctx):
        return sorted({*super().list_commands(ctx), *entry_points(group="skimp.commands").names})

    def get_command(self, ctx, cmd_name):
        command = super().get_command(ctx, cmd_name)
        if command is None:
            for point in entry_points(group="skimp.commands", name=cmd_name):
                command = point.load()
        return command


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
def main():
    """An open INT8 CNN accelerator: compile, simulate, measure."""


_config_option = click.option(
    "--config", default="small", show_default=True, metavar="PRESET|FILE",
    help="Configuration: a preset or a JSON file.",
)  # fmt: skip

_fuse_option = click.option(
    "--no-fuse", "fuse", flag_value=False, default=None,
    help="Layer by layer: depthwise layers wait for their neighbours.",
)  # fmt: skip


_compress_option = click.option(
    "--compress", type=click.Choice(tuple(COMPRESS)), default="off", show_default=True,
    help="Codes for activations in DRAM, chosen by the zeros that the input makes.",
)  # fmt: skip

_resident_option = click.option(
    "--resident", is_flag=True,
    help="The second of two images: weights stay on the chip, where they all fit.",
)  # fmt: skip

_input_option = click.option("--input", "input_path", metavar="FILE", help="Picture, .npy or .bin.")


def _activations(graph, model, input_path, compress, energy=None) -> dict | None:
    """Return what codes are chosen by, and what tells the gated MACs."""
    if compress == "off" and energy is None:
        return None
    return run_graph(graph, load_input(graph, input_path_of(model, input_path)))


def _write_page(path, report, input_path) -> None:
    """Write a report's page; with the input where that is a picture."""
    is_picture = input_path and Path(input_path).suffix.lower() in IMAGE_SUFFIXES
    page = html_page(
        report, command=command_line(), picture=Path(input_path) if is_picture else None
    )
    write_text(path, page)


@main.command()
@click.argument("model")
@_input_option
@_config_option
@_fuse_option
@_compress_option
@_resident_option
@energy_options
@click.option("--engine", type=click.Choice(ENGINES), default="rtl", show_default=True)
@click.option("--check", "checked", is_flag=True, help="Compare with golden model and LiteRT.")
@click.option("--waves", metavar="FILE", help="Write FST waves (rtl; slow).")
@click.option("--json", "json_path", metavar="FILE", help="Write the result as JSON.")
@click.option("--report", "report_path", metavar="FILE.html", help="Write the result as a page.")
def run(
    model, input_path, config, fuse, compress, resident, energy, technology, dram, engine, checked,
    waves, json_path, report_path,
):  # fmt: skip
    """Compile and run MODEL (a .tflite file or a built-in network)."""
    console = wide_console()
    configuration = load_config(config)
    check_outputs(json_path, report_path, waves)
    costs = energy_model(energy, technology, dram)
    if waves and engine != "rtl":
        raise ModelError(f"--waves needs --engine rtl, not {engine}")
    graph, path = load_model(model)
    input_path = input_path_of(model, input_path)
    inputs = load_input(graph, input_path)
    console.print(
        f"{graph.name} on {configuration.name} ({configuration.macs_per_cycle} MAC/clock), input "
        f"{Path(input_path).name if input_path else 'seeded noise'}"
    )
    report = _run_with_progress(
        console, graph, path, inputs, configuration, engine=engine, checked=checked, fuse=fuse,
        compress=compress, resident=resident, energy=costs, waves=waves,
        names=model_labels(model, graph),
    )  # fmt: skip
    print_report(console, report)
    if json_path:
        write_text(json_path, json_text(report))
    if report_path:
        _write_page(report_path, report, input_path)
    if not report.exact:
        sys.exit(EXIT_DIFFERENT)


@main.command()
@click.argument("model")
@_input_option
@_config_option
@_fuse_option
@_compress_option
@_resident_option
@energy_options
@click.option("--json", "json_path", metavar="FILE", help="Write the result as JSON.")
@click.option("--report", "report_path", metavar="FILE.html", help="Write the result as a page.")
@click.option("--roofline", metavar="FILE.svg", help="Plot MODEL's layers under the rooflines.")
def perf(
    model, input_path, config, fuse, compress, resident, energy, technology, dram, json_path,
    report_path, roofline,
):  # fmt: skip
    """Say what MODEL costs by the cycle model: no RTL, in seconds.

    The input only matters to --compress, and to --energy for its zeros.
    """
    console = wide_console()
    configuration = load_config(config)
    check_outputs(json_path, report_path, plot=roofline)
    costs = energy_model(energy, technology, dram)
    graph, _ = load_model(model)
    console.print(
        f"{graph.name} on {configuration.name} ({configuration.macs_per_cycle} MAC/clock), "
        "cycle model"
    )
    activations = _activations(graph, model, input_path, compress, costs)
    report = perf_report(
        graph, configuration, fuse=fuse, compress=compress, activations=activations,
        resident=resident, energy=costs,
    )  # fmt: skip
    print_report(console, report)
    if json_path:
        write_text(json_path, json_text(report))
    if report_path:
        # Without activations no input was looked at.
        seen = None if activations is None else input_path_of(model, input_path)
        _write_page(report_path, report, seen)
    if roofline:
        write_chart(roofline_chart([Roofline.of(report)]), roofline)


def _run_with_progress(console, graph, path, inputs, config, **options) -> Report:
    """Run under a progress bar that shows layer and percent of the work."""
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with progress:
        task = progress.add_task("building the simulation (minutes, once)", total=None)

        def start(program):
            # Every layer costs something; MACs say how much of it.
            weights = {layer.layer_id: 1 + layer.macs // 1000 for layer in program.layers}
            names = {layer.layer_id: layer.name for layer in program.layers}
            progress.update(task, description=names[0], total=sum(weights.values()))
            state.update(weights=weights, names=names)

        def layer(number):
            progress.advance(task, state["weights"][number])
            following = state["names"].get(number + 1, "done")
            progress.update(task, description=f"after {state['names'][number]}: {following}")

        state = {}
        return run_model(
            graph, path, inputs, config, on_start=start, on_layer=layer, **options
        )  # fmt: skip


def _compiled(model, input_path, config, fuse, compress) -> Program:
    configuration = load_config(config)
    graph, _ = load_model(model)
    activations = _activations(graph, model, input_path, compress)
    return compile_graph(
        graph, configuration, fuse=fuse, compress=compress, activations=activations
    )


@main.command("compile")
@click.argument("model")
@_input_option
@_config_option
@_fuse_option
@_compress_option
@click.option("-o", "--output", required=True, metavar="DIR", help="Folder for the files.")
def compile_command(model, input_path, config, fuse, compress, output):
    """Write MODEL's program, weight image, memory map and disassembly."""
    program = _compiled(model, input_path, config, fuse, compress)
    for path in write_program(program, output):
        click.echo(f"{path}  {path.stat().st_size:,} bytes")


@main.command()
@click.argument("model")
@_input_option
@_config_option
@_fuse_option
@_compress_option
def explain(model, input_path, config, fuse, compress):
    """Say for every operator of MODEL where it runs, and why."""
    program = _compiled(model, input_path, config, fuse, compress)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("operator", "unit", "shape", "MACs", "why"):
        table.add_column(name, justify="right" if name == "MACs" else "left")
    for layer in program.layers:
        shape = " ".join(f"{key}{value}" for key, value in layer.shape.items())
        table.add_row(
            layer.name, layer.unit, shape, f"{layer.macs:,}" if layer.macs else "", layer.reason
        )
    wide_console().print(table)
    macs = sum(layer.macs for layer in program.layers)
    on_host = sum(layer.unit == "host" for layer in program.layers)
    click.echo(
        f"{macs:,} MACs; {on_host} of {len(program.layers)} operators on the host; "
        f"{program.dram_bytes:,} bytes of DRAM"
    )
    if program.fusion:
        click.echo(program.fusion)


@main.command()
@click.option("--board", metavar="BOARD", help="The top level of a board, with what it needs.")
@click.option(
    "--config", metavar="PRESET|FILE",
    help="Configuration: a preset or a JSON file.  [default: small, or the board's own]",
)  # fmt: skip
@click.option(
    "-o", "--output", default="build/verilog", show_default=True, metavar="DIR",
    help="Folder for the files.",
)  # fmt: skip
@click.option("--target", help="xilinx or generic; a board has its own.  [default: xilinx]")
def verilog(board, config, output, target):
    """Write the accelerator's Verilog and its side-car JSON, by itself or on a board."""
    from skimp.gen import write_verilog

    if board and target:
        raise ConfigError(f"--target: board {board} has its own; leave it out")
    if board:
        paths = load_board(board).write_verilog(output, load_config(config) if config else None)
    else:
        paths = write_verilog(load_config(config or "small"), output, target=target or "xilinx")
    for path in paths:
        click.echo(f"{path}  {path.stat().st_size:,} bytes")


@main.command()
@click.option("--json", "json_path", metavar="FILE", help="Write the list as JSON.")
def models(json_path):
    """List the built-in networks."""
    check_outputs(json_path)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("name", "input", "MACs", "parameters", "weights"):
        right = name in ("MACs", "parameters")
        table.add_column(name, justify="right" if right else "left", no_wrap=name != "weights")
    rows = []
    for name in BUILTIN:
        builtin = describe(name)
        table.add_row(
            f"{name} (default)" if name == DEFAULT else name,
            "x".join(map(str, builtin.shape[1:])),
            f"{builtin.macs:,}",
            f"{builtin.parameters:,}",
            builtin.origin,
        )
        row = {
            "name": name, "title": builtin.title, "input": builtin.shape, "macs": builtin.macs,
            "parameters": builtin.parameters, "origin": builtin.origin, "default": name == DEFAULT,
        }  # fmt: skip
        rows.append(row)
    wide_console().print(table)
    if json_path:
        write_text(json_path, json.dumps({"schema": 1, "models": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
