"""`skimp drive`: run a network on a board. No Amaranth: a board's own processor can do it, too."""

import sys
import time
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from skimp.config import Config, ConfigError
from skimp.configs import load_config
from skimp_compiler.compiler import compile_graph
from skimp_compiler.graph import Graph, ModelError
from skimp_sim.command import EXIT_DIFFERENT, Refusing, check_outputs, wide_console
from skimp_sim.device_engine import DeviceEngine
from skimp_sim.driver.device import Device, DeviceError
from skimp_sim.driver.open import FORMS, open_transport
from skimp_sim.driver.transport import Transport, TransportError
from skimp_sim.executor import check, run_program
from skimp_sim.golden.network import run_graph
from skimp_sim.inputs import load_input
from skimp_sim.models import input_path_of, load_model, model_labels
from skimp_sim.report import Report, json_text, write_text
from skimp_sim.report_table import BOARD, print_report

__all__ = ["drive", "drive_model"]


class _Driving(Refusing):
    user_errors = (ModelError, ConfigError, DeviceError, TransportError)


def drive_model(
    graph: Graph,
    inputs: list,
    config: Config,
    transport: Transport,
    *,
    checked: bool = False,
    names=None,
    on_poll=None,
    limit_cycles: int | None = None,
) -> Report:
    """Compile a network and run it on a board; return what happened.

    Parameters
    ----------
    graph : Graph
    inputs : list of np.ndarray
    config : Config
        What the board's accelerator was built from.
    transport : Transport
    checked : bool
        Compare what leaves the accelerator with the golden model.
    names : list of str or None
        Class names.
    on_poll : callable or None
        Called with the clocks so far.
    limit_cycles : int or None
        For each step of the program.

    Raises
    ------
    DeviceError, TransportError
    """
    device = Device(transport, config)
    program = compile_graph(graph, config)
    engine = DeviceEngine(program, device, on_poll=on_poll, limit_cycles=limit_cycles)
    start = time.perf_counter()
    result = run_program(graph, program, inputs, engine=engine, keep=False)
    return Report.of(
        graph,
        program,
        result,
        engine=BOARD,
        labels=names,
        wall_seconds=time.perf_counter() - start,
        golden=check(program, result.values, run_graph(graph, inputs)) if checked else None,
        litert=None,
    )


@click.command(cls=_Driving, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model")
@click.option("--device", "where", required=True, metavar="WHERE", help=f"{FORMS}.")
@click.option(
    "--config", default="zcu104", show_default=True, metavar="PRESET|FILE",
    help="What the board was built from: a preset, or the JSON beside its Verilog.",
)  # fmt: skip
@click.option("--input", "input_path", metavar="FILE", help="Picture, .npy or .bin.")
@click.option("--check", "checked", is_flag=True, help="Compare with the golden model.")
@click.option(
    "--limit-seconds", default=60.0, show_default=True, help="Give up after that, for each step."
)
@click.option("--json", "json_path", metavar="FILE", help="Write the result as JSON.")
def drive(model, where, config, input_path, checked, limit_seconds, json_path):
    """Run MODEL (a .tflite file or a built-in network) on a board."""
    console = wide_console()
    configuration = load_config(config)
    check_outputs(json_path)
    graph, _ = load_model(model)
    input_path = input_path_of(model, input_path)
    inputs = load_input(graph, input_path)
    console.print(
        f"{graph.name} on {where} ({configuration.name}, {configuration.macs_per_cycle} "
        f"MAC/clock), input {Path(input_path).name if input_path else 'seeded noise'}"
    )
    progress = Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(),
        console=Console(stderr=True), transient=True,
    )  # fmt: skip
    transport = open_transport(where, clock_mhz=configuration.clock_mhz)
    try:
        with progress:
            task = progress.add_task("running", total=None)
            report = drive_model(
                graph, inputs, configuration, transport, checked=checked,
                names=model_labels(model, graph),
                on_poll=lambda clocks: progress.update(task, description=f"{clocks:,} clocks"),
                limit_cycles=int(limit_seconds * 1e6 * configuration.clock_mhz),
            )  # fmt: skip
    finally:
        transport.close()
    print_report(console, report)
    if json_path:
        write_text(json_path, json_text(report))
    if not report.exact:
        sys.exit(EXIT_DIFFERENT)


if __name__ == "__main__":
    drive()
