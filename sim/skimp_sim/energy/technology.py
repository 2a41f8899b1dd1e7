"""Energies per action of one technology.

Tables have energies at some widths and sizes; between them log(energy) is a straight line over
log(width) or log(size), as it is on beyond the ends. A memory smaller than the smallest costs as
much as that one: its decoder and its wires to the outside stay.

A memory of any width is banks of 64 bits side by side, as deep as it is: an access of n bits costs
n / 64 of an access to one such bank.
"""

from dataclasses import dataclass, field
from math import exp, log, sqrt

from skimp_compiler.graph import ModelError
from skimp_sim.energy.reader import Table, read_table

__all__ = ["Dram", "Technology", "interpolate", "load_technology"]

Points = tuple[tuple[int, float], ...]

_KEYS = (
    "sources", "node", "voltage", "scaled_from", "factor", "multiply", "add", "register", "link",
    "memory", "clock", "static", "dram",
)  # fmt: skip

_SCALARS = {"register": "pJ/bit", "link": "pJ/bit", "clock": "pJ/lane", "static": "mW/lane"}

_DRAM_UNITS = {"read": "pJ/bit", "write": "pJ/bit", "activate": "pJ", "background": "mW"}


def interpolate(points: Points, at: float) -> float:
    """Return the energy at a width or size between (or beyond) those of the points."""
    if len(points) == 1:
        return points[0][1]
    inner = sum(x <= at for x, _ in points[1:-1])
    (x0, y0), (x1, y1) = points[inner], points[inner + 1]
    return exp(log(y0) + (log(y1) - log(y0)) * log(at / x0) / log(x1 / x0))


@dataclass(frozen=True, kw_only=True)
class Dram:
    """What a DRAM costs.

    Parameters
    ----------
    name : str
    read_pj, write_pj : float
        Per bit, interface included.
    activate_pj : float
        Opening and closing a row.
    background_mw : float
        Standby and refresh, all the time.
    """

    name: str
    read_pj: float
    write_pj: float
    activate_pj: float = 0.0
    background_mw: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Technology:
    """What actions cost.

    Parameters
    ----------
    name : str
    multiplies, adds : tuple
        (bits, pJ).
    reads, writes : tuple
        (bytes of a bank, pJ of 64 bits).
    register_pj, link_pj : float
        Per bit: a register that takes a value; a hop.
    clock_pj, static_mw : float
        Per lane of 8 x 8 bits: every clock, all the time.
    drams : dict
        By name.
    """

    name: str
    multiplies: Points
    adds: Points
    reads: Points
    writes: Points
    register_pj: float
    link_pj: float
    clock_pj: float
    static_mw: float
    drams: dict[str, Dram] = field(default_factory=dict)

    def multiply(self, a_bits: int, b_bits: int) -> float:
        """Energy of a product; as that of a square one with as many partial products."""
        return interpolate(self.multiplies, sqrt(a_bits * b_bits))

    def add(self, bits: int) -> float:
        return interpolate(self.adds, bits)

    def access(self, verb: str, bank_bytes: int) -> float:
        """Energy per bit of a "read" or "write" of a bank of 64 bits' width."""
        points = self.reads if verb == "read" else self.writes
        return interpolate(points, max(bank_bytes, points[0][0])) / 64

    def dram(self, name: str) -> Dram:
        """Return a DRAM by name.

        Raises
        ------
        ModelError
        """
        if name not in self.drams:
            raise ModelError(f"DRAM {name}: not one of {', '.join(self.drams)}")
        return self.drams[name]


def load_technology(name: str) -> Technology:
    """Return a technology by name, or that of a user's file.

    Raises
    ------
    ModelError
        There is none, or its table is wrong.
    """
    table = read_table(name)
    table.keys("the file", table.values, _KEYS)
    for key, unit in (("node", "nm"), ("voltage", "V")):
        if key in table:
            table.number(key, table.values[key], unit)
    found = {}
    if "scaled_from" in table:
        base = str(table.values["scaled_from"])
        if "scaled_from" in read_table(base):
            raise ModelError(f"{name}: scaled_from {base}: is scaled itself")
        found = _scaled(load_technology(base), _number(table, "factor", "1"))
    for key, field_name in (("multiply", "multiplies"), ("add", "adds")):
        if key in table or not found:
            found[field_name] = table.points(key, table.values.get(key), "pJ", "bits")
    if "memory" in table or not found:
        memory = table.section("memory")
        table.keys("memory", memory, ("read", "write"))
        for verb in ("read", "write"):
            where = f"memory {verb}"
            found[f"{verb}s"] = table.points(where, memory.get(verb), "pJ/64b", "bytes")
    for key, unit in _SCALARS.items():
        field_name = f"{key}_{unit[:2].lower()}"
        if key in table or field_name not in found:
            found[field_name] = _number(table, key, unit)
    drams = {**_drams(read_table("dram")), **_drams(table)}
    return Technology(name=name, **{**found, "drams": drams})


def _number(table: Table, key: str, unit: str) -> float:
    if key not in table:
        raise ModelError(f"{table.name}: {key} ({unit}) is missing")
    return table.number(key, table.values[key], unit)


def _scaled(base: Technology, factor: float) -> dict:
    """Fields of a technology whose energies and static power are those of another, scaled."""

    def scale(points):
        return tuple((at, factor * energy) for at, energy in points)

    fields = {key: scale(getattr(base, key)) for key in ("multiplies", "adds", "reads", "writes")}
    for key in ("register_pj", "link_pj", "clock_pj", "static_mw"):
        fields[key] = factor * getattr(base, key)
    return fields


def _drams(table: Table) -> dict[str, Dram]:
    found = {}
    for name, entry in table.section("dram").items():
        where = f"dram {name}"
        costs = {}
        if not isinstance(entry, dict):
            raise ModelError(f"{table.name}: {where}: should have read and write")
        table.keys(where, entry, _DRAM_UNITS)
        for key, unit in _DRAM_UNITS.items():
            if key in entry or key in ("read", "write"):
                field_name = f"{key}_{unit[:2].lower()}"
                costs[field_name] = table.numbers(f"{where} {key}", entry.get(key), unit)
        found[str(name)] = Dram(name=str(name), **costs)
    return found
