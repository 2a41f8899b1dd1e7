"""What a UltraScale+ netlist of Yosys is made of, and how deep its logic is."""

import math
import re
from collections import Counter, defaultdict, deque

__all__ = ["Depth", "cell_counts", "depths", "latch_cells", "shared_nets", "usage"]

_LUTRAM_LUTS = {
    "RAM32X1S": 1, "RAM64X1S": 1, "RAM128X1S": 2, "RAM256X1S": 4, "RAM512X1S": 8,
    "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4, "RAM256X1D": 8,
    "RAM32M": 4, "RAM64M": 4, "RAM32M16": 8, "RAM64M8": 8, "RAM64X8SW": 8, "RAM32X16DR8": 8,
}  # fmt: skip
"""LUTs of a SLICEM that each LUT RAM takes (UG974)."""

_LUT = re.compile(r"LUT[1-6]|INV")
_MUX = re.compile(r"MUXF[789]")
_SRL = re.compile(r"SRL(16E|C16E|C32E)")
_FF = re.compile(r"FD[RSCP]E(_1)?|LD[CP]E")
_LATCH = re.compile(r"LD[CP]E")
_CARRY = "CARRY4"
_DSP_LEVELS = 3
"""Levels that a multiplier without registers counts as."""

_READ_PINS = re.compile(r"ADDR[A-H]|DPRA\d*|A\d*")


def cell_counts(module: dict) -> Counter:
    """Return type -> number of a module in Yosys's JSON."""
    return Counter(c["type"] for c in module["cells"].values() if c["type"] != "$scopeinfo")


def usage(module: dict) -> dict:
    """Return what the module takes of the device, in the units of the device's own tables.

    Two CARRY4 of a chain are a CARRY8; RAMB18 are halves of a BRAM36; lut is logic, shift
    registers and LUT RAM together (two small functions in one LUT are not looked for).
    """
    counts = cell_counts(module)
    logic = sum(n for kind, n in counts.items() if _LUT.fullmatch(kind))
    srl = sum(n for kind, n in counts.items() if _SRL.fullmatch(kind))
    lutram = sum(n * _LUTRAM_LUTS.get(kind, 0) for kind, n in counts.items())
    place = _carry_places(module)
    return {
        "lut": logic + srl + lutram,
        "srl": srl,
        "lutram": lutram,
        "ff": sum(n for kind, n in counts.items() if _FF.fullmatch(kind)),
        "carry8": sum(index % 2 == 0 for index in place.values()),
        "dsp": counts["DSP48E2"],
        "bram36": counts["RAMB36E2"] + counts["RAMB18E2"] / 2,
        "uram": counts["URAM288"],
    }


def latch_cells(module: dict) -> list[str]:
    """Return the names of the latches of a module in Yosys's JSON."""
    return sorted(n for n, cell in module["cells"].items() if _LATCH.fullmatch(cell["type"]))


def shared_nets(module: dict) -> list[str]:
    """Return the nets that more than one output drives, by name where they have one."""
    drivers = Counter(
        bit
        for port in module["ports"].values()
        if port["direction"] == "input"
        for bit in port["bits"]
    )
    for cell in module["cells"].values():
        for pin, bits in cell["connections"].items():
            if cell["port_directions"][pin] == "output":
                drivers.update(bits)
    shared = {bit for bit, n in drivers.items() if n > 1 and not isinstance(bit, str)}
    named = {
        bit: name
        for name, net in module.get("netnames", {}).items()
        for bit in net["bits"]
        if bit in shared
    }
    return sorted(named.get(bit, f"net {bit}") for bit in shared)


class Depth(dict):
    """Levels of the deepest paths: reg_reg, in_reg, reg_out, in_out; None where there is none."""

    @property
    def deepest(self) -> int:
        return max((levels for levels in self.values() if levels is not None), default=0)


def _carry_places(module: dict) -> dict[str, int]:
    """Return the place of every CARRY4 in its chain."""
    carries = {n: c for n, c in module["cells"].items() if c["type"] == _CARRY}
    owner = {
        bit: name
        for name, cell in carries.items()
        for bit in cell["connections"]["CO"][3:]
        if not isinstance(bit, str)
    }
    before = {n: owner.get((c["connections"].get("CI") or ["0"])[0]) for n, c in carries.items()}
    place = {}
    for name in carries:
        walk = []
        while name is not None and name not in place:
            walk.append(name)
            name = before[name]
        index = -1 if name is None else place[name]
        for step in reversed(walk):
            index += 1
            place[step] = index
    return place


def _is_comb_dsp(cell: dict) -> bool:
    """True where a slice's output follows its inputs in the same clock."""
    parameters = cell["parameters"]
    return all(int(str(parameters.get(reg, "0")), 2) == 0 for reg in ("MREG", "PREG"))


def _inputs(cell: dict):
    """Yield the pins of a combinational cell that its outputs follow."""
    kind = cell["type"]
    for pin, bits in cell["connections"].items():
        if cell["port_directions"][pin] != "input":
            continue
        if kind in _LUTRAM_LUTS and not _READ_PINS.fullmatch(pin):
            continue
        yield pin, bits


def depths(module: dict) -> tuple[Depth, Depth]:
    """Return the levels of the deepest paths, counted in two ways.

    A LUT and an asynchronous LUT RAM read count 1, MUXF7 to MUXF9 nothing (they sit behind their
    LUTs), a multiplier without registers 3. In the first result every CARRY8 that a carry runs
    through counts 1; in the second one a whole carry chain does, however long.

    Pins of cells that are neither (black boxes) are ports.
    """
    cells = module["cells"]
    place = _carry_places(module)
    comb, driver = {}, {}
    registered, ports_out, ports_in = set(), [], set()
    ends_in_register = []
    for name, cell in cells.items():
        kind = cell["type"]
        if kind in ("$scopeinfo", "BUFG"):
            continue
        is_lutram = kind in _LUTRAM_LUTS
        is_comb = bool(_LUT.fullmatch(kind) or _MUX.fullmatch(kind)) or kind == _CARRY or is_lutram
        is_comb = is_comb or (kind == "DSP48E2" and _is_comb_dsp(cell))
        known = is_comb or _FF.fullmatch(kind) or _SRL.fullmatch(kind)
        known = known or kind in ("DSP48E2", "RAMB36E2", "RAMB18E2", "URAM288")
        if is_comb:
            comb[name] = cell
        for pin, bits in cell["connections"].items():
            wires = [bit for bit in bits if not isinstance(bit, str)]
            if cell["port_directions"][pin] == "output":
                if is_comb:
                    driver.update(dict.fromkeys(wires, name))
                if is_lutram or (known and not is_comb):
                    registered.update(wires)
                elif not known:
                    ports_in.update(wires)
            elif not known:
                ports_out += wires
            elif not is_comb or (is_lutram and not _READ_PINS.fullmatch(pin)):
                ends_in_register += wires
    for port in module["ports"].values():
        wires = [bit for bit in port["bits"] if not isinstance(bit, str)]
        if port["direction"] == "output":
            ports_out += wires
        else:
            ports_in.update(wires)

    order = _topological(comb, driver)
    results = []
    for whole_chain in (False, True):
        from_reg, from_port = {}, {}

        def at(levels, sources, bit):
            name = driver.get(bit)
            best = 0 if bit in sources else -math.inf
            return max(best, levels.get(name, -math.inf)) if name is not None else best

        for levels, sources in ((from_reg, registered), (from_port, ports_in)):
            for name in order:
                cell = comb[name]
                kind = cell["type"]
                cost = 0 if _MUX.fullmatch(kind) else _DSP_LEVELS if kind == "DSP48E2" else 1
                best = -math.inf
                for pin, bits in _inputs(cell):
                    step = cost
                    if kind == _CARRY and pin == "CI" and place[name] > 0:
                        step = 0 if whole_chain or place[name] % 2 else 1
                    for bit in bits:
                        if not isinstance(bit, str):
                            best = max(best, at(levels, sources, bit) + step)
                if kind in _LUTRAM_LUTS and levels is from_reg:
                    best = max(best, 1)  # from the write
                levels[name] = best
        found = Depth()
        for start, levels, sources in (
            ("reg", from_reg, registered),
            ("in", from_port, ports_in),
        ):
            for end, wires in (("reg", ends_in_register), ("out", ports_out)):
                worst = max((at(levels, sources, bit) for bit in wires), default=-math.inf)
                found[f"{start}_{end}"] = None if worst == -math.inf else int(worst)
        results.append(found)
    return results[0], results[1]


def _topological(comb: dict, driver: dict) -> list[str]:
    """Return the combinational cells, every one behind those that feed it."""
    followers, waits = defaultdict(list), {}
    for name, cell in comb.items():
        sources = {
            driver[bit]
            for _, bits in _inputs(cell)
            for bit in bits
            if not isinstance(bit, str) and bit in driver
        } - {name}
        waits[name] = len(sources)
        for source in sources:
            followers[source].append(name)
    queue = deque(name for name, count in waits.items() if count == 0)
    order = []
    while queue:
        name = queue.popleft()
        order.append(name)
        for other in followers[name]:
            waits[other] -= 1
            if waits[other] == 0:
                queue.append(other)
    if len(order) != len(comb):
        raise ValueError("the netlist has a combinational loop")
    return order
