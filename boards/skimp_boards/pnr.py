"""`skimp pnr`: a board's accelerator through place and route, as far as open tools go."""

import json
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

import skimp
import skimp_boards
from skimp.config import Config, ConfigError
from skimp.configs import load_config
from skimp_boards.board import Board, load_board
from skimp_boards.nextpnr_ecp5 import Ecp5Board, Ecp5Result, make_bitstream
from skimp_boards.nextpnr_xilinx import CHIPDB, find_nextpnr, place_and_route
from skimp_compiler.graph import ModelError
from skimp_sim.bench.kept import kept_verilog
from skimp_sim.bench.verilator import cache_dir
from skimp_sim.command import Refusing, check_outputs, wide_console
from skimp_sim.report import write_text

__all__ = ["pnr"]

EXIT_TOO_SLOW = 1


class _PlaceAndRoute(Refusing):
    user_errors = (ModelError, ConfigError)


@click.command(cls=_PlaceAndRoute)
@click.option("--board", required=True, metavar="BOARD", help="ulx3s or zcu104.")
@click.option("--config", metavar="PRESET|FILE", help="Instead of the board's configuration.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder; default: build/pnr/BOARD.")
@click.option("--json", "json_path", metavar="FILE", help="Area, clocks and seconds as JSON.")
@click.option("--chipdb", metavar="FILE", help=f"nextpnr-xilinx's database (or {CHIPDB}).")
def pnr(board, config, out, json_path, chipdb):
    """Place and route a board's accelerator; write its bitstream where open tools can.

    Ends with status 1 where the board's clock is not met. What is there already, made from the same
    sources by the same tools, is not made again.
    """
    check_outputs(json_path)
    chosen = load_board(board)
    settings = load_config(config) if config else chosen.config
    folder = out or cache_dir() / "pnr" / chosen.name
    steps = None
    if isinstance(chosen, Ecp5Board):
        steps = _ecp5
    elif chosen.part.lower().startswith("xczu"):
        steps = _xilinx
    if steps is None:
        raise ConfigError(f"board {board}: no open flow knows its part, {chosen.part}")
    try:
        is_met = steps(chosen, settings, folder, json_path, chipdb)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written ({error.strerror})") from error
    if not is_met:
        raise SystemExit(EXIT_TOO_SLOW)


def _top(board: Board) -> str:
    return f"{board.name}_top"


def _verilog(board: Board, config: Config) -> str:
    return kept_verilog(
        _top(board),
        config.to_json(),
        lambda: board.make_top(config),
        platform=board.platform,
        packages=(skimp, skimp_boards),
    )


def _spinner() -> Progress:
    console = Console(stderr=True)
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _ecp5(board: Ecp5Board, config: Config, folder: Path, json_path, chipdb) -> bool:
    with _spinner() as progress:
        task = progress.add_task("Verilog", total=None)
        result = make_bitstream(
            _verilog(board, config),
            top=_top(board),
            part=board.device,
            constraints=board.constraints,
            name=board.name,
            folder=folder,
            say=lambda step: progress.update(task, description=step),
        )
    report = {
        "schema": 1,
        "board": board.name,
        "part": board.part,
        "config": asdict(config),
        "config_hash": config.hash,
        "dram_bytes": board.dram_bytes,
        "seed": result.seed,
        "clocks": result.clocks,
        "area": result.area,
        "seconds": result.seconds,
        "bitstream_bytes": result.bitstream.stat().st_size,
        "versions": result.versions,
    }
    text = json.dumps(report, indent=1) + "\n"
    for path in (folder / f"{board.name}.json", *([Path(json_path)] if json_path else ())):
        write_text(path, text)
    _show(board, result)
    return result.meets_timing


def _show(board: Board, result: Ecp5Result) -> None:
    console = wide_console()
    table = Table(title=f"{board.title} ({board.part})")
    table.add_column("kind")
    for name in ("used", "available", "%"):
        table.add_column(name, justify="right")
    for kind, counts in result.area.items():
        used, available = counts["used"], counts["available"]
        table.add_row(kind, f"{used:,}", f"{available:,}", f"{100 * used / available:.1f}")
    console.print(table)
    for name, clock in result.clocks.items():
        verdict = "met" if clock["fmax_mhz"] >= clock["wanted_mhz"] else "NOT MET"
        console.print(
            f"clock {name}: {clock['fmax_mhz']} MHz, wanted {clock['wanted_mhz']} MHz: {verdict}"
        )
    steps = ", ".join(f"{step} {seconds:g} s" for step, seconds in result.seconds.items())
    console.print(f"{steps}; {result.bitstream}")


def _xilinx(board: Board, config: Config, folder: Path, json_path, chipdb) -> bool:
    find_nextpnr(chipdb)  # before Yosys's half hour
    xdc = next(path for path in board.beside if path.name.endswith(".xdc"))
    with _spinner() as progress:
        task = progress.add_task("Verilog", total=None)
        seconds = place_and_route(
            _verilog(board, config),
            top=_top(board),
            xdc=xdc.read_text(),
            folder=folder,
            chipdb=chipdb,
            say=lambda step: progress.update(task, description=step),
        )
    if json_path:
        report = {"schema": 1, "board": board.name, "config": asdict(config), "seconds": seconds}
        write_text(Path(json_path), json.dumps(report, indent=1) + "\n")
    wide_console().print(f"{folder / 'routed.json'}: RapidWright and Vivado make a bitstream of it")
    return True
