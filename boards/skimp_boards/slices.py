"""How a netlist uses its DSP48E2: registers, pre-adders, cascades."""

from collections import Counter

__all__ = ["cascade_lengths", "is_registered", "preadds", "slice_use", "slices"]

_CONTROLS = ("ALUMODE", "CARRYINSEL", "INMODE", "OPMODE")
_Z_IS_PCIN = list("100")
"""OPMODE[6:4], lowest bit first (UG579)."""


def slices(module: dict) -> dict[str, dict]:
    """Return the slices of a module in Yosys's JSON, by name."""
    return {name: cell for name, cell in module["cells"].items() if cell["type"] == "DSP48E2"}


def _number(cell: dict, parameter: str) -> int:
    """Return a parameter; one that the netlist does not state counts as 0."""
    return int(str(cell["parameters"].get(parameter, "0")), 2)


def _is_constant(bits) -> bool:
    return {"0", "1", "x"}.issuperset(bits)


def _adds_before(cell: dict) -> bool:
    parameters = cell["parameters"]
    return "AD" in (parameters.get("AMULTSEL"), parameters.get("BMULTSEL"))


def is_registered(cell: dict) -> bool:
    """True where a register stands behind every stage that the slice uses.

    A, B, the multiplier and P always; D and the pre-adder where it adds; C and the control ports
    where they are not constant.
    """
    wanted = ["AREG", "BREG", "MREG", "PREG"]
    if _adds_before(cell):
        wanted += ["DREG", "ADREG"]
    pins = cell["connections"]
    wanted += [f"{pin}REG" for pin in ("C", *_CONTROLS) if not _is_constant(pins.get(pin, ()))]
    return all(_number(cell, register) >= 1 for register in wanted)


def preadds(cell: dict) -> bool:
    """True where the slice adds A and D before it multiplies, weights coming in on both."""
    pins = cell["connections"]
    return (
        cell["parameters"].get("AMULTSEL") == "AD"
        and _number(cell, "ADREG") == 1
        and pins["INMODE"] == list("00100")
        and not _is_constant(pins["A"])
        and not _is_constant(pins["D"])
    )


def cascade_lengths(found: dict[str, dict]) -> list[int]:
    """Return the lengths of the chains that PCOUT and PCIN make, of slices alone 1."""
    driver = {
        tuple(cell["connections"]["PCOUT"]): name
        for name, cell in found.items()
        if not _is_constant(cell["connections"].get("PCOUT", ()))
    }
    follows, starts = {}, []
    for name, cell in found.items():
        pins = cell["connections"]
        before = driver.get(tuple(pins.get("PCIN", ())))
        if before is not None and pins["OPMODE"][4:7] == _Z_IS_PCIN:
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


def slice_use(module: dict) -> dict:
    """Return slices without a register, those that pre-add, and chain length -> number of chains."""
    found = slices(module)
    return {
        "unregistered": sum(not is_registered(cell) for cell in found.values()),
        "preadding": sum(map(preadds, found.values())),
        "cascades": {str(k): n for k, n in sorted(Counter(cascade_lengths(found)).items())},
    }
