"""Toggle counts of a SAIF file (Switching Activity Interchange Format, IEEE 1801, annex I)."""

import re
from collections import Counter
from pathlib import Path

from skimp_sim.toggles.units import unit_of

__all__ = ["read_saif", "toggles_by_unit"]

_TOKEN = re.compile(r"\(\s*INSTANCE\s+(\S+)|\(\s*(\S+)((?:\s*\(T[01XZBC]\s+\d+\))+)|([()])")
_COUNT = re.compile(r"\(TC\s+(\d+)\)")


def read_saif(path: Path) -> Counter:
    """Return the toggles of every signal, its bits together, by its path from the top module on.

    A bit that is 1 when the file begins counts as one toggle.

    Parameters
    ----------
    path : Path
    """
    found, scopes, depth = Counter(), [], 0
    for match in _TOKEN.finditer(path.read_text()):
        instance, net, times, bracket = match.groups()
        if instance is not None:
            depth += 1
            scopes.append((depth, instance.replace("\\", "")))
        elif net is not None:
            name = re.sub(r"\\?\[\d+\\?\]$", "", net).replace("\\", "")
            inside = ".".join(scope for _, scope in scopes[1:])  # without the simulator's own
            found[f"{inside} {name}"] += int(_COUNT.search(times)[1])
            depth += 1
        elif bracket == "(":
            depth += 1
        else:
            if scopes and scopes[-1][0] == depth:
                scopes.pop()
            depth -= 1
    return found


def toggles_by_unit(signals: Counter, registers) -> Counter:
    """Return the toggles of some signals by TOGGLE_UNITS.

    Parameters
    ----------
    signals : Counter
        Of `read_saif`.
    registers : iterable of (str, str)
        Path and name of each.
    """
    found = Counter()
    for path, name in registers:
        found[unit_of(path, name)] += signals[f"{path} {name}"]
    return found
