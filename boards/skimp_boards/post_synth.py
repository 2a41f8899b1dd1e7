"""What Yosys makes of a component, as Verilog that a simulator runs: the netlist and its cells."""

import fcntl
import hashlib
import json
import re
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from amaranth.lib import wiring

from skimp.config import ConfigError
from skimp.gen import to_verilog
from skimp.prim.dsp48e2 import SIM_MODEL
from skimp_boards.netlist import cell_counts
from skimp_boards.yosys import map_xilinx, read_netlist, run_yosys
from skimp_sim.bench.verilator import cache_dir

__all__ = ["BLOCK_RAMS", "Netlist", "cell_models", "post_synthesis"]

BLOCK_RAMS = Path(__file__).with_name("cells") / "block_ram_sim.v"
"""Verilog models of the block RAMs, for simulators."""

_OURS = {"DSP48E2": SIM_MODEL, "RAMB18E2": BLOCK_RAMS, "RAMB36E2": BLOCK_RAMS}
_SECONDS = 1800
_MODULE = re.compile(r"^module (\w+) ?\(.*?^endmodule\n", re.MULTILINE | re.DOTALL)
_TIMES = re.compile(r"^  specify.*?^  endspecify\n", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Netlist:
    """A component after synthesis.

    Parameters
    ----------
    verilog : str
        The netlist, with the ports of the component, and models of all cells in it.
    cells : Counter
        Number of cells by type.
    seconds : float
        What synthesis took when it ran.
    """

    verilog: str
    cells: Counter
    seconds: float


def post_synthesis(component: wiring.Component, *, name: str, urams: bool = True) -> Netlist:
    """Return the UltraScale+ netlist of a component, kept by the hash of its Verilog.

    Parameters
    ----------
    component : wiring.Component
    name : str
        Name of the top module.
    urams : bool
        The device has URAM288.

    Raises
    ------
    ConfigError
        Yosys is not installed, failed, or ran out of time or memory; or there is no model of a cell.
    """
    text = to_verilog(component, name=name, platform="xilinx")
    options = "-uram" if urams else ""

    def script(source: Path, cells: Path, verilog: Path) -> str:
        return (
            f"read_verilog {source}\n{map_xilinx(name, cells, options=options)}"
            f"select {name}\nwrite_verilog -noattr -selected {verilog}\n"
        )

    recipe = [text, script(*map(Path, "abc")), _version()]
    digest = hashlib.sha256("\0".join(recipe).encode()).hexdigest()[:20]
    kept = cache_dir() / "netlists" / f"{name}-{digest}.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    with open(kept.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test workers want the same netlist
        if not kept.is_file():
            _synthesise(name, text, script, kept)
    found = json.loads(kept.read_text())
    cells = Counter(found["cells"])
    return Netlist(
        verilog=found["verilog"] + cell_models(cells), cells=cells, seconds=found["seconds"]
    )


def _synthesise(name: str, text: str, script, kept: Path) -> None:
    start = time.monotonic()
    with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
        source, cells, verilog, file = (
            Path(scratch) / part for part in ("top.v", "top.json", "netlist.v", "top.ys")
        )
        source.write_text(text)
        file.write_text(script(source, cells, verilog))
        run_yosys(file, seconds=_SECONDS)
        found = {
            "cells": cell_counts(read_netlist(cells, name)),
            "seconds": round(time.monotonic() - start, 1),
            "verilog": verilog.read_text(),
        }
        file.write_text(json.dumps(found))
        file.replace(kept)


def cell_models(kinds) -> str:
    """Return Verilog modules for types of cells: Yosys's own, and ours where it has none.

    Raises
    ------
    ConfigError
        Nobody has a model of a type, or Yosys is not installed.
    """
    theirs = _models_of_yosys()
    missing = sorted(kind for kind in kinds if kind not in theirs and kind not in _OURS)
    if missing:
        raise ConfigError(f"there is no simulation model of {', '.join(missing)}")
    files = sorted({_OURS[kind] for kind in kinds if kind in _OURS})
    texts = [theirs[kind] for kind in sorted(kinds) if kind not in _OURS]
    return "".join([*texts, *(file.read_text() for file in files)])


def _version() -> str:
    if find_spec("pyosys") is None:
        raise ConfigError("pyosys is missing: pip install 'skimp[synth]'")
    return version("pyosys")


@cache
def _models_of_yosys() -> dict[str, str]:
    """Return Verilog by type of cell, without delays."""
    _version()
    share = Path(find_spec("pyosys").origin).parent / "share" / "xilinx"
    text = _TIMES.sub("", (share / "cells_sim.v").read_text())
    return {found[1]: found[0] for found in _MODULE.finditer(text)}
