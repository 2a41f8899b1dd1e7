"""Counts of toggles in cocotb benches: blocks side by side on the same inputs, and counters."""

import os
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from amaranth import *
from amaranth.hdl import Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from skimp.config import Config
from skimp_sim.bench.cocotb_run import run_cocotb
from skimp_sim.bench.verilog import verilog_of
from skimp_sim.toggles.probes import Probe, place_probes
from skimp_sim.toggles.units import unit_of

__all__ = [
    "SHARES",
    "SideBySide",
    "both_modes",
    "check_equal",
    "check_shares",
    "counts_of",
    "drive",
    "pack",
    "run_counted",
    "show",
    "unit_in",
    "unpack",
]

SHARES = (0, 0.25, 0.5, 0.6, 0.75, 0.9, 1)
"""Of zeros among the activations."""

_TOP = "dut"
_MULTIPLIER = ("operands_ifmap", "products")
_MODES = {"on": True, "off": False}


def both_modes(kinds: dict[str, Config]) -> dict[str, Config]:
    """Return configurations with gating on and off by the names KIND_on and KIND_off."""
    return {
        f"{kind}_{mode}": replace(config, gating=gating)
        for kind, config in kinds.items()
        for mode, gating in _MODES.items()
    }


class SideBySide(wiring.Component):
    """Blocks on the same inputs: each on those that it has.

    Parameters
    ----------
    blocks : dict of str to wiring.Component

    Members
    -------
    Inputs of all blocks, and outputs of each of them: NAME__PORT.
    """

    def __init__(self, blocks: dict[str, wiring.Component]):
        self._blocks = blocks
        members = {}
        for name, block in blocks.items():
            ports = block.signature.members
            members |= {n: m for n, m in ports.items() if m.flow is In}
            members[name] = Out(wiring.Signature({n: m for n, m in ports.items() if m.flow is Out}))
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        ours = {path: Value.cast(value) for path, _, value in self.signature.flatten(self)}
        for name, block in self._blocks.items():
            m.submodules[name] = block
            for path, member, value in block.signature.flatten(block):
                if member.flow is In:
                    m.d.comb += Value.cast(value).eq(ours[path])
                else:
                    m.d.comb += ours[(name, *path)].eq(Value.cast(value))
        m.submodules.monitor = Instance("monitor", i_clk=ClockSignal())
        return m


def run_counted(dut: SideBySide, bench: str, testcase: str, *, group, env=None, seed: int) -> str:
    """Run a bench that looks at counters (`counts_of`); return the table that it leaves, if any.

    Parameters
    ----------
    dut : SideBySide
    bench, testcase : str
    group : callable
        (instances inside of the block, register) -> name of the counter of its changes, or None.
    env : dict or None
        What else the bench reads.
    seed : int
    """
    _, probes = place_probes(verilog_of(dut, name=_TOP), _TOP)
    groups = defaultdict(list)
    for probe in (probe for probe in probes if probe.kind == "register"):
        _, block, *inside = probe.path.split(".")
        counter = group(".".join(inside), _plain(probe.name))
        if counter is not None:
            groups[f"{block}__{counter}"].append(probe)
    with tempfile.TemporaryDirectory(prefix="toggles-") as scratch:
        monitor, table = Path(scratch) / "monitor.v", Path(scratch) / "table.txt"
        monitor.write_text(_monitor(groups))
        given = {"SEED": str(seed), "TABLE": str(table), "COUNTERS": " ".join(sorted(groups))}
        run_cocotb(
            dut, bench, extra_sources=[monitor], testcase=testcase, seed=seed,
            env=given | (env or {}),
        )  # fmt: skip
        return table.read_text() if table.exists() else ""


def unit_in(place: str) -> Callable[[str, str], str]:
    """Return a `group` of units (TOGGLE_UNITS) for blocks that stand in `place` on the chip."""
    return lambda path, name: unit_of(f"{place}.{path}".rstrip("."), name)


def _monitor(groups: dict[str, list[Probe]]) -> str:
    """Return the Verilog of counters that look at registers anywhere, from the top module on."""
    lines = ["module monitor(input clk);"]
    for name, probes in sorted(groups.items()):
        places = [f"{probe.scope}.\\{_plain(probe.name)} " for probe in probes]
        # A term for each: one wide vector of them all takes minutes to compile.
        before = [f"{name}_before_{i}" for i in range(len(probes))]
        terms = [f"$countones({place} ^ {old})" for place, old in zip(places, before)]
        lines += [f"reg [{probe.bits - 1}:0] {old} = 0;" for probe, old in zip(probes, before)]
        lines += [
            f"reg [47:0] {name} /*verilator public_flat_rd*/ = 0;",
            "always @(posedge clk) begin",
            *(f"  {old} <= {place};" for place, old in zip(places, before)),
            f"  {name} <= {name} + {' + '.join(terms)};",
            "end",
        ]
    return "\n".join([*lines, "endmodule\n"])


def _plain(name: str) -> str:
    """Return a name without the marks of an escaped one."""
    return name.strip("\\ ")


def counts_of(dut) -> dict[str, Counter]:
    """Return what was counted by block and counter; the last two clocks are not in it."""
    found = defaultdict(Counter)
    for name in os.environ["COUNTERS"].split():
        block, _, counter = name.partition("__")
        found[block][counter] = getattr(dut.monitor, name).value.to_unsigned()
    return found


def drive(dut, vector: dict[str, int]) -> None:
    """Set inputs."""
    for name, value in vector.items():
        getattr(dut, name).value = value


def show(text: str) -> None:
    """Hand a line from the bench to the test."""
    with open(os.environ["TABLE"], "a") as table:
        table.write(text + "\n")


def check_equal(found: Counter, expected: Counter, where: str) -> None:
    """Check toggles of a block by unit."""
    wrong = [f"{u}: {found[u]}, not {n}" for u, n in expected.items() if found[u] != n]
    assert not wrong and not found.keys() - expected.keys(), f"{where}: {'; '.join(wrong)}"


def check_shares(found: dict, expected: dict, where: str) -> dict[tuple[str, float], float]:
    """Check what holds for every block; show a table; return what gating saves by kind and share.

    Parameters
    ----------
    found, expected : dict
        Counter of toggles by (share, block); blocks as in `both_modes`.
    where : str
        Seed, for people.
    """
    for key, toggles in found.items():
        check_equal(toggles, expected[key], f"{where}, {key}")
    saved = {}
    for kind in dict.fromkeys(name.rpartition("_")[0] for _, name in found):
        show(f"{kind}, {where}: toggles of operands and products, and of all units")
        show(f"{'zeros':>6}{'on':>9}{'off':>9}{'saved':>8}{'on':>9}{'off':>9}{'saved':>8}")
        for share in SHARES:
            on, off = (found[share, f"{kind}_{mode}"] for mode in _MODES)
            row = [f"{share:>6.0%}"]
            for units in (_MULTIPLIER, tuple(on)):
                pair = [sum(toggles[unit] for unit in units) for toggles in (on, off)]
                row.append(f"{pair[0]:>9}{pair[1]:>9}{1 - pair[0] / pair[1]:>8.1%}")
                if units == _MULTIPLIER:
                    saved[kind, share] = 1 - pair[0] / pair[1]
            show("".join(row))
        assert found[0, f"{kind}_on"] == found[0, f"{kind}_off"], f"{where}, {kind}"
        rising = [saved[kind, share] for share in SHARES]
        assert all(a < b for a, b in zip(rising, rising[1:])), f"{where}, {kind}: {rising}"
        assert found[1, f"{kind}_on"]["operands_ifmap"] == 0, f"{where}, {kind}"
    return saved


def pack(values, width: int) -> int:
    """Return integers as one number, the first lowest."""
    return sum((int(v) & ((1 << width) - 1)) << (width * k) for k, v in enumerate(values))


def unpack(bits: int, width: int, count: int) -> list[int]:
    """Return the signed integers of one number, the lowest first."""
    fields = [bits >> (width * k) & ((1 << width) - 1) for k in range(count)]
    return [field - (1 << width) if field >> (width - 1) else field for field in fields]
