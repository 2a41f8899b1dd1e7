"""Yosys in a process of its own, under limits of time and memory."""

import json
import resource
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from skimp.config import ConfigError

__all__ = [
    "MULTIPLIERS_LEFT",
    "YosysRun",
    "map_ecp5",
    "map_xilinx",
    "read_netlist",
    "run_yosys",
]

_CODE = """\
import resource, sys
from pyosys import libyosys as ys
ys.run_pass('script ' + sys.argv[1])
print()
for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
    print(resource.getrusage(who).ru_maxrss)
"""

MULTIPLIERS_LEFT = "Multiplications outside of slices:"
"""Stands in the log before a line that begins with their number."""


_BEFORE_ABC9 = "splitnets\n"
"""Or it may stop at a name that it uses twice (YosysHQ/yosys#4349)."""

_LEAST_SHARED = 16
"""Flip-flops that a clock enable or a reset must serve to stay one."""

_ECP5_FLIP_FLOPS = (
    "$_DFF_?_ 01",
    "$_DFF_?P?_ r",
    "$_SDFF_?P?_ r",
    "$_DFFE_??_ 01",
    "$_DFFE_?P??_ r",
    "$_SDFFE_?P??_ r",
    "$_DLATCH_?_ x",
)
"""What dfflegalize leaves as it is: the kinds that the ECP5 has."""


@dataclass(frozen=True, kw_only=True)
class YosysRun:
    """What a run of Yosys said and took.

    Parameters
    ----------
    log : str
    peak_mb : float
        Most memory of the process and of the largest that it started, together, MiB.
    """

    log: str
    peak_mb: float


def map_xilinx(top: str, netlist: Path, *, options: str = "") -> str:
    """Return the Yosys commands that map a top module to UltraScale+ and write its netlist.

    Parameters
    ----------
    top : str
    netlist : Path
    options : str
        Further options of synth_xilinx.
    """
    synth = f"synth_xilinx -family xcup -noiopad -flatten {options} -top {top}"
    return (
        f"{synth} -run begin:coarse\n"
        f"log {MULTIPLIERS_LEFT}\n"
        f"select -count {top}/t:$mul {top}/t:$macc {top}/t:$macc_v2\n"
        f"{synth} -run coarse:map_luts\n"
        f"{_BEFORE_ABC9}"
        f"{synth} -run map_luts:\n"
        f"select {top}\nwrite_json -selected {netlist}\nselect -clear\n"
    )


def map_ecp5(top: str, netlist: Path) -> str:
    """Return the Yosys commands that map a top module to ECP5 and write its netlist.

    All flip-flops of a slice share clock enable and reset, and what placing takes grows with the
    number of such sets: enables and resets of a few flip-flops become logic.
    """
    synth = f"synth_ecp5 -abc9 -top {top}"
    kinds = " ".join(f"-cell {kind}" for kind in _ECP5_FLIP_FLOPS)
    return (
        f"{synth} -run begin:map_ffs\n"
        "opt_clean\n"
        f"dfflegalize {kinds} -mince {_LEAST_SHARED} -minsrst {_LEAST_SHARED}\n"
        f"{synth} -run map_ffs:map_luts\n"
        f"{_BEFORE_ABC9}"
        f"{synth} -run map_luts:\n"
        f"write_json {netlist}\n"
    )


def run_yosys(script: Path, *, seconds: int = 3600, megabytes: int = 5000) -> YosysRun:
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
    log, *kib = run.stdout.rsplit("\n", 3)[:3]
    return YosysRun(log=log, peak_mb=round(sum(map(int, kib)) / 1024, 1))


def read_netlist(path: Path, top: str) -> dict:
    """Return the module that `write_json` wrote."""
    return json.loads(path.read_text())["modules"][top]
