"""The FPGAs that synthesis maps to: what they have, and how much of it a design should take."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from skimp.config import ConfigError
from skimp_boards import netlist
from skimp_boards.ecp5 import usage_ecp5
from skimp_boards.yosys import map_ecp5, map_xilinx

__all__ = ["DEVICES", "ECP5", "ULTRASCALE_PLUS", "XCZU7EV", "Device", "Family", "device_of"]


@dataclass(frozen=True, kw_only=True)
class Family:
    """Devices that one mapping serves.

    Parameters
    ----------
    name : str
    platform : str or None
        Handed to `elaborate`.
    columns : dict
        What is counted: our key -> its name in tables and JSON.
    commands : callable
        Takes the top module, the netlist to write and whether there are URAM288s; returns the
        Yosys commands.
    usage : callable
        Takes the module of the netlist; returns key -> number.
    is_timed : bool
        Levels of logic are counted and slices are looked into.
    """

    name: str
    platform: str | None
    columns: dict[str, str]
    commands: Callable[[str, Path, bool], str]
    usage: Callable[[dict], dict]
    is_timed: bool


@dataclass(frozen=True, kw_only=True)
class Device:
    """A part.

    Parameters
    ----------
    name : str
        How the vendor's part numbers of it begin.
    family : Family
    have : dict
        Key -> (number, share of it that a design should take at most).
    """

    name: str
    family: Family
    have: dict[str, tuple[int, float]]

    @property
    def budget(self) -> dict[str, int]:
        """Key -> what a design should take at most."""
        return {key: int(number * share) for key, (number, share) in self.have.items()}


ULTRASCALE_PLUS = Family(
    name="UltraScale+",
    platform="xilinx",
    columns={
        "lut": "LUT",
        "ff": "FF",
        "carry8": "CARRY",
        "dsp": "DSP48E2",
        "bram36": "BRAM36",
        "uram": "URAM288",
        "srl": "SRL",
        "lutram": "LUTRAM",
    },
    commands=lambda top, path, urams: map_xilinx(top, path, options="-uram" if urams else ""),
    usage=netlist.usage,
    is_timed=True,
)

ECP5 = Family(
    name="ECP5",
    platform=None,
    columns={
        "lut": "LUT4",
        "ff": "FF",
        "carry": "CARRY",
        "mult": "MULT18X18D",
        "ebr": "DP16KD",
        "lutram": "LUTRAM",
    },
    commands=lambda top, path, urams: map_ecp5(top, path),
    usage=usage_ecp5,
    is_timed=False,
)

XCZU7EV = Device(
    name="XCZU7EV",
    family=ULTRASCALE_PLUS,
    have={
        "lut": (230_400, 0.70),
        "ff": (460_800, 0.70),
        "dsp": (1_728, 0.97),
        "bram36": (312, 0.90),
        "uram": (96, 0.95),
    },
)
"""DS891."""

_LFE5U_85F = Device(
    name="LFE5U-85F",
    family=ECP5,
    have={
        "lut": (83_640, 0.90),
        "ff": (83_640, 0.90),
        "mult": (156, 1.0),
        "ebr": (208, 1.0),
    },
)
"""FPGA-DS-02012; place and route of full LUTs is not a matter of minutes any more."""

DEVICES = {device.name: device for device in (XCZU7EV, _LFE5U_85F)}


def device_of(part: str) -> Device:
    """Return the device of a part number.

    Raises
    ------
    ConfigError
        None is known.
    """
    for name, device in DEVICES.items():
        if part.upper().startswith(name):
            return device
    raise ConfigError(f"part {part}: unknown; choose one of {', '.join(DEVICES)}")
