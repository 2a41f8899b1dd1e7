"""Yosys in a process of its own, under limits of time and memory."""

import json
import resource
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from skimp.config import ConfigError

__all__ = ["map_xilinx", "read_netlist", "run_yosys"]

_CODE = "import sys; from pyosys import libyosys as ys; ys.run_pass('script ' + sys.argv[1])"


def map_xilinx(top: str, netlist: Path, *, options: str = "", early: Path | None = None) -> str:
    """Return the Yosys commands that map a top module to UltraScale+ and write its netlist.

    Parameters
    ----------
    top : str
    netlist : Path
    options : str
        Further options of synth_xilinx.
    early : Path or None
        Where to write the netlist as it is before slices are made of multipliers.
    """
    synth = f"synth_xilinx -family xcup -noiopad -flatten {options} -top {top}"

    def write(path: Path) -> str:
        return f"select {top}\nwrite_json -selected {path}\nselect -clear\n"

    first = "begin:map_luts"
    if early is not None:
        first = f"begin:map_dsp\n{write(early)}{synth} -run map_dsp:map_luts"
    return (
        f"{synth} -run {first}\n"
        "splitnets\n"  # or ABC9 may stop at a name that it uses twice (YosysHQ/yosys#4349)
        f"{synth} -run map_luts:\n"
        f"{write(netlist)}"
    )


def run_yosys(script: Path, *, seconds: int = 3600, megabytes: int = 5000) -> None:
    """Run a script; an error in Yosys ends the process, so it is never this one.

    Raises
    ------
    ConfigError
        Yosys is not installed, failed, took longer than `seconds` or more than `megabytes`.
    """
    if find_spec("pyosys") is None:
        raise ConfigError("pyosys is missing: pip install 'skimp[synth]'")

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))

    command = ["nice", "-n", "10", sys.executable, "-c", _CODE, str(script)]
    try:
        run = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, check=False, preexec_fn=limit
        )
    except subprocess.TimeoutExpired as error:
        raise ConfigError(f"Yosys took more than {seconds} seconds") from error
    if run.returncode != 0:
        lines = (run.stdout + run.stderr).strip().splitlines()
        raise ConfigError(f"Yosys failed: {lines[-1] if lines else run.returncode}")


def read_netlist(path: Path, top: str) -> dict:
    """Return the module that `write_json` wrote."""
    return json.loads(path.read_text())["modules"][top]
