"""Registers and memory ports of the Verilog that skimp generates, made readable for the simulator.

Amaranth's Verilog has one assignment per register (`NAME <= ...` in an always block of its own)
and plain instances; nothing else of the language is understood here.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from skimp_sim.toggles.units import memory_of, unit_of

__all__ = ["Probe", "place_probes"]

_PUBLIC = "/*verilator public_flat_rd*/"
_NAME = r"\\\S+ |\w+ ?"
_MODULE = re.compile(r"(?m)(?=^module )")
_HEADER = re.compile(rf"module ({_NAME})")
_ASSIGNED = re.compile(rf"^\s*(?:if \(.*\)\s*)?({_NAME})\s*(?:\[[^\]]*\]\s*)?<=", re.M)
_REGISTER = re.compile(rf"^(\s*reg )(\[(\d+):0\] )?({_NAME})((?: ?= .*)?;)$", re.M)
_MEMORY = re.compile(rf"^\s*reg (?:\[(\d+):0\] )?(?:{_NAME})\[\d+:0\];$", re.M)
_ENABLE = re.compile(
    r"^(\s*input (?:\[\d+:0\] )?(?:read__en|write__en|w_en);\n)"
    r"(\s*wire )(\[(\d+):0\] )?(\w+)(;)$",
    re.M,
)
_INSTANCE = re.compile(rf"^  ({_NAME}) ({_NAME}) ?\($", re.M)


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Something that is looked at in every clock.

    Parameters
    ----------
    scope : str
        Instances, as the simulator calls them.
    name : str
        As the simulator calls it.
    bits : int
    unit : str
        One of TOGGLE_UNITS; of an enable: one of MEMORIES.
    kind : str
        "register": bits that change are counted. "read", "write": enables of a memory, bits that
        are 1 are counted.
    weight : int
        Bits of the memory that a bit of its enable is for.
    """

    scope: str
    name: str
    bits: int
    unit: str
    kind: str = "register"
    weight: int = 1

    @property
    def path(self) -> str:
        """Instances, without the simulator's marks."""
        return _plain(self.scope)


@lru_cache(maxsize=2)
def place_probes(verilog: str, top: str) -> tuple[str, tuple[Probe, ...]]:
    """Return the Verilog with all registers and memory enables public, and a probe for each.

    Kept for the next simulation of the same chip: the text has megabytes.

    Parameters
    ----------
    verilog : str
    top : str
        Name of the top module.
    """
    modules = dict(_module(text) for text in _MODULE.split(verilog) if text.startswith("module "))
    probes = []
    _collect(modules, top, top, probes)
    return "".join(module.text for module in modules.values()), tuple(probes)


@dataclass(frozen=True)
class _Module:
    text: str
    registers: list[tuple[str, int]]
    enables: list[tuple[str, int, str, int]]
    instances: list[tuple[str, str]]


def _module(text: str) -> tuple[str, _Module]:
    name = _plain(_HEADER.match(text)[1])
    assigned = {found.strip() for found in _ASSIGNED.findall(text)}
    registers, enables = [], []
    memory = _MEMORY.search(text)

    def register(match):
        head, span, top_bit, found, tail = match.groups()
        if found.strip() not in assigned:
            return match[0]  # what an always block computes
        registers.append((found.strip(), int(top_bit or 0) + 1))
        return f"{head}{span or ''}{found}{_PUBLIC}{tail}"

    def enable(match):
        port, head, span, top_bit, found, tail = match.groups()
        kind, bits = "read" if found.startswith("read") else "write", int(top_bit or 0) + 1
        enables.append((found, bits, kind, (int(memory[1] or 0) + 1) // bits))
        return f"{port}{head}{span or ''}{found} {_PUBLIC}{tail}"

    text = _REGISTER.sub(register, text)
    if memory:
        text = _ENABLE.sub(enable, text)
    instances = [(_plain(of), found.strip()) for of, found in _INSTANCE.findall(text)]
    return name, _Module(text, registers, enables, instances)


def _collect(modules: dict[str, _Module], name: str, scope: str, probes: list[Probe]) -> None:
    module = modules[name]
    for found, bits in module.registers:
        unit = unit_of(_plain(scope), _plain(found))
        # The simulator keeps the mark and the blank of a name where they are needed.
        inside = _plain(found) if re.fullmatch(r"\w+", _plain(found)) else f"{found} "
        probes.append(Probe(scope=scope, name=inside, bits=bits, unit=unit))
    memory = memory_of(_plain(scope))
    for found, bits, kind, weight in module.enables if memory else ():
        probes.append(
            Probe(scope=scope, name=found, bits=bits, unit=memory, kind=kind, weight=weight)
        )
    for of, instance in module.instances:
        if of in modules:
            _collect(modules, of, f"{scope}.{_plain(instance)}", probes)


def _plain(name: str) -> str:
    return name.replace("\\", "").strip()
