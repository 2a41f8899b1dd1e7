"""A ZCU104 from Verilog to a routed netlist, where nextpnr-xilinx is installed with its data.

nextpnr-xilinx is in no package registry; its chip database is made from RapidWright's device data.
Vivado turns what it writes into a bitstream, by way of RapidWright (docs/bringup.md).
"""

import os
import shutil
from pathlib import Path

from skimp.config import ConfigError
from skimp_boards.tools import once, run_tool
from skimp_boards.yosys import run_yosys
from skimp_sim.bench.kept import digest

__all__ = ["CHIPDB", "find_nextpnr", "place_and_route"]

CHIPDB = "SKIMP_CHIPDB"
"""Environment variable: the chip database, xczu7ev.bin."""

_SECONDS = 6 * 3600


def find_nextpnr(chipdb: str | None) -> tuple[str, Path]:
    """Return the program and its chip database.

    Raises
    ------
    ConfigError
        One of them is missing.
    """
    program = shutil.which("nextpnr-xilinx")
    if program is None:
        raise ConfigError(
            "nextpnr-xilinx is missing: build it from github.com/gatecat/nextpnr-xilinx, or use "
            "the Vivado script that `skimp verilog` writes"
        )
    path = chipdb or os.environ.get(CHIPDB)
    if not path:
        raise ConfigError(f"no chip database: give --chipdb FILE or set {CHIPDB} to xczu7ev.bin")
    if not Path(path).is_file():
        raise ConfigError(f"{path}: no such chip database; see nextpnr-xilinx's xilinx/README")
    return program, Path(path)


def place_and_route(
    verilog: str, *, top: str, xdc: str, folder: Path, chipdb: str | None, say=lambda step: None
) -> dict[str, float]:
    """Write routed.json in a folder; return the seconds of each step.

    Parameters
    ----------
    verilog : str
    top : str
    xdc : str
        Constraints.
    folder : Path
        Is made.
    chipdb : str or None
        None: as the environment says.
    say : callable
        Called with the name of each step.

    Raises
    ------
    ConfigError
        nextpnr-xilinx or its database is missing, or a tool failed.
    """
    program, database = find_nextpnr(chipdb)
    folder.mkdir(parents=True, exist_ok=True)
    source, script, pins = (folder / f"{top}.{end}" for end in ("v", "ys", "xdc"))
    netlist, routed = folder / "netlist.json", folder / "routed.json"
    source.write_text(verilog)
    pins.write_text(xdc)
    commands = (
        f"read_verilog {source}\nsynth_xilinx -flatten -family xcup -top {top}\n"
        f"write_json {netlist}\n"
    )
    script.write_text(commands)
    say("Yosys")
    key = digest(verilog, commands.replace(str(folder), ""))
    seconds = {"yosys": once([netlist], key, lambda: run_yosys(script, megabytes=12_000))}
    say("nextpnr-xilinx")
    command = [program, "--chipdb", database.resolve(), "--xdc", pins.name]
    command += ["--json", netlist.name, "--write", routed.name]
    key = digest(key, xdc, str(database), str(database.stat().st_mtime_ns))
    seconds["nextpnr-xilinx"] = once(
        [routed], key, lambda: run_tool(command, log=folder / "nextpnr.log", seconds=_SECONDS)
    )
    return seconds
