"""Synthesise the MAC array for UltraScale+ and read off the netlist what it is made of.

`python -m skimp_boards.synth_array --config small`. Every statement is counted in the netlist that
Yosys leaves behind; the exit code is 1 where one does not hold.
"""

import json
import re
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from skimp.config import CHAIN, Config, ConfigError
from skimp.configs import load_config
from skimp.gen import to_verilog
from skimp.pe.array import PeArray
from skimp_boards.yosys import map_xilinx, run_yosys

__all__ = ["Claim", "claims", "explain", "synthesise"]

_TOP = "pe_array"
_MULTIPLIERS = ("$mul", "$macc", "$macc_v2")
_LOGIC = re.compile(r"LUT[1-6]|INV|CARRY[48]|MUXF[789]")


@dataclass(frozen=True)
class Claim:
    """A statement about the netlist, and whether it holds."""

    text: str
    holds: bool


@dataclass(frozen=True, kw_only=True)
class Netlist:
    """What synthesis left.

    Parameters
    ----------
    cells : dict
        Instance name -> {"type", "parameters", "connections"}, as in Yosys's JSON.
    multipliers_before : int
        Multiplications (not slices) that the design had before technology mapping.
    slices_before : int
        DSP48E2 that the design instantiated by itself.
    """

    cells: dict
    multipliers_before: int
    slices_before: int

    @property
    def counts(self) -> Counter:
        return Counter(cell["type"] for cell in self.cells.values())

    def of(self, pattern: str) -> int:
        """Count the cells whose type matches."""
        return sum(n for kind, n in self.counts.items() if re.fullmatch(pattern, kind))

    @property
    def slices(self) -> dict:
        return {name: cell for name, cell in self.cells.items() if cell["type"] == "DSP48E2"}


def synthesise(config: Config, *, platform="xilinx") -> Netlist:
    """Run Yosys on the array of a configuration.

    Raises
    ------
    ConfigError
        Yosys is not installed, or failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        verilog, before, after, script = (
            Path(folder) / name for name in ("array.v", "before.json", "after.json", "array.ys")
        )
        verilog.write_text(to_verilog(PeArray(config), name=_TOP, platform=platform))
        script.write_text(f"read_verilog {verilog}\n{map_xilinx(_TOP, after, early=before)}")
        run_yosys(script)
        early, late = (json.loads(path.read_text())["modules"][_TOP] for path in (before, after))
    kinds = Counter(cell["type"] for cell in early["cells"].values())
    return Netlist(
        cells={n: c for n, c in late["cells"].items() if c["type"] != "$scopeinfo"},
        multipliers_before=sum(kinds[kind] for kind in _MULTIPLIERS),
        slices_before=kinds["DSP48E2"],
    )


def _number(cell: dict, parameter: str) -> int:
    return int(cell["parameters"][parameter], 2)


def _is_constant(bits) -> bool:
    return {"0", "1", "x"}.issuperset(bits)


def _has_preadder(cell: dict) -> bool:
    """True where the slice adds A and D before it multiplies, weights coming in on both."""
    pins = cell["connections"]
    return (
        cell["parameters"].get("AMULTSEL") == "AD"
        and _number(cell, "ADREG") == 1
        and pins["INMODE"] == list("00100")
        and not _is_constant(pins["A"])
        and not _is_constant(pins["D"])
    )


def _chains(slices: dict) -> list[int]:
    """Return the lengths of the chains that PCOUT and PCIN make."""
    driver = {
        tuple(cell["connections"]["PCOUT"]): name
        for name, cell in slices.items()
        if not _is_constant(cell["connections"].get("PCOUT", ()))
    }
    follows, starts = {}, []
    for name, cell in slices.items():
        pins = cell["connections"]
        before = driver.get(tuple(pins.get("PCIN", ())))
        # OPMODE[6:4], lowest bit first: Z is PCIN.
        if before is not None and pins["OPMODE"][4:7] == list("100"):
            follows[before] = name
        else:
            starts.append(name)
    lengths = []
    for name in starts:
        length = 1
        while name in follows:
            name = follows[name]
            length += 1
        lengths.append(length)
    return lengths


def claims(config: Config, netlist: Netlist) -> list[Claim]:
    """Return what the netlist must show, and whether it does."""
    slices = netlist.slices
    total = len(slices)
    macs = config.macs_per_cycle / total if total else 0.0
    inferred = total - netlist.slices_before
    in_luts = max(0, netlist.multipliers_before - inferred)
    preadders = sum(map(_has_preadder, slices.values()))
    lengths = _chains(slices)
    cascaded = total - len(lengths)
    whole = bool(lengths) and set(lengths) == {CHAIN}
    of_every = f"{CHAIN - 1} of every {CHAIN}" if whole else f"{cascaded} of {total}"
    preadds = total > 0 and preadders == total
    return [
        Claim(f"MACs per slice = {macs:.1f}", macs == 2),
        Claim(f"multipliers in LUTs = {in_luts}", in_luts == 0),
        Claim(f"pre-adder in slices: {_yes(preadds)} ({preadders} of {total})", preadds),
        Claim(f"cascade in slices: {_yes(whole)} ({of_every})", whole),
    ]


def _yes(condition: bool) -> str:
    return "yes" if condition else "no"


def logic_levels(netlist: Netlist) -> int:
    """Return the largest number of LUT, carry and multiplexer cells between two registers."""
    driver = {}
    for name, cell in netlist.cells.items():
        if _LOGIC.fullmatch(cell["type"]):
            for pin, bits in cell["connections"].items():
                if cell["port_directions"][pin] == "output":
                    driver.update(dict.fromkeys(bits, name))
    levels = {}

    def level(name):
        if name not in levels:
            cell = netlist.cells[name]
            inputs = {
                driver[bit]
                for pin, bits in cell["connections"].items()
                if cell["port_directions"][pin] == "input"
                for bit in bits
                if bit in driver
            }
            levels[name] = 1 + max(map(level, inputs), default=0)
        return levels[name]

    return max(map(level, set(driver.values())), default=0)


def explain(config: Config, netlist: Netlist) -> list[tuple[str, int, str]]:
    """Return a row for every kind of cell: name, count, what it is there for."""
    acts = config.pixels * config.in_channels
    chains = acts // CHAIN * config.out_channels // 2
    carries = netlist.of(r"CARRY\d")
    if config.in_channels > CHAIN:
        carry = "adds the two chains of an output channel"
    elif carries:
        carry = "unexpected"
    else:
        carry = "the slices split the fields (RND) and add along the chain (PCIN)"
    other = sorted(
        kind
        for kind in netlist.counts
        if not re.fullmatch(r"DSP48E2|LUT\d|INV|SRL.*|FD[RSCP]E|CARRY\d|BUFG", kind)
    )
    rows = [
        ("DSP48E2", netlist.of("DSP48E2"), f"{chains} chains of {CHAIN}"),
        (
            "LUT",
            netlist.of(r"LUT\d|INV"),
            f"is an activation 0 ({acts} of them); enables; chain adds"
            if config.in_channels > CHAIN
            else f"is an activation 0 ({acts} of them); enables; top bit of the lower fields",
        ),
        ("SRL", netlist.of("SRL.*"), "skew of the activations (a LUT each)"),
        ("FF", netlist.of("FD[RSCP]E"), f"dot products ({38 * chains} in chains), skew, gates"),
        ("CARRY", carries, carry),
    ]
    return rows + [(kind, netlist.counts[kind], "unexpected") for kind in other]


@click.command()
@click.option("--config", "name", default="small", show_default=True, help="Preset or JSON file.")
def main(name):
    """Synthesise the MAC array with Yosys and check how it uses the slices."""
    try:
        config = load_config(name)
        if not config.packed:
            raise ConfigError(f"config {config.name}: not packed, so there is nothing to check")
        netlist = synthesise(config)
    except ConfigError as error:
        click.echo(f"error: {error}", err=True)
        raise SystemExit(2) from error
    table = Table(title=f"{config.name}: {config.macs_per_cycle} MACs a clock, UltraScale+ (Yosys)")
    table.add_column("cell")
    table.add_column("count", justify="right")
    table.add_column("what for")
    for kind, count, purpose in explain(config, netlist):
        table.add_row(kind, f"{count:,}", purpose)
    Console().print(table)
    found = claims(config, netlist)
    for claim in found:
        click.echo(claim.text if claim.holds else f"{claim.text}   <-- does not hold")
    click.echo(f"logic between registers: {logic_levels(netlist)} levels")
    raise SystemExit(0 if all(claim.holds for claim in found) else 1)


if __name__ == "__main__":
    main()
