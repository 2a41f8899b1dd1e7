"""What Yosys's log says of a design that its netlist does not show any more."""

import re
from collections import Counter

from skimp_boards.yosys import MULTIPLIERS_LEFT

__all__ = ["conflicts", "latches", "memory_register_bits", "memory_targets", "multipliers_left"]

_CONFLICT = re.compile(r"^Warning: (.*conflicting.*driver.*?):?$", re.MULTILINE)
_LATCH = re.compile(r"^Warning: Latch inferred for signal `([^']*)'", re.MULTILINE)
_LEFT = re.compile(rf"^{re.escape(MULTIPLIERS_LEFT)}\n(?:.*\n)*?(\d+) objects\.", re.MULTILINE)
_MAPPED = re.compile(r"^mapping memory (\S+) via (\S+)$", re.MULTILINE)
_VENDOR = re.compile(r"\$__(?:XILINX_)?")
_REGISTERS = re.compile(
    r"^Mapping memory (\S+) in module \S+:\n"
    r"  created (\d+) \$dff cells and \d+ static cells of width (\d+)\.\n"
    r"(?:(?!Mapping).*\n)*?"  # of its reads
    r"  write interface: (\d+) write mux blocks\.",
    re.MULTILINE,
)


def latches(log: str) -> list[str]:
    """Return the signals that became latches."""
    return sorted(set(_LATCH.findall(log)))


def conflicts(log: str) -> list[str]:
    """Return what Yosys says of nets that have more than one driver."""
    return sorted(set(_CONFLICT.findall(log)))


def multipliers_left(log: str) -> int:
    """Return the multiplications that no slice does.

    Raises
    ------
    ValueError
        The log does not say.
    """
    found = _LEFT.search(log)
    if found is None:
        raise ValueError("the log does not say what multiplications are left")
    return int(found[1])


def memory_targets(log: str) -> dict[str, str]:
    """Return memory -> the kind that it became: "BLOCKRAM_SDP", "LUTRAM_SDP", "URAM_SP"."""
    return {
        name.replace("\\", "").partition(".")[2]: _VENDOR.sub("", target).strip("_")
        for name, target in sorted(_MAPPED.findall(log))
    }


def memory_register_bits(log: str) -> dict[str, int]:
    """Return memory -> bits that became flip-flops; a table that nobody writes has none."""
    found: Counter = Counter()
    for name, number, width, writes in _REGISTERS.findall(log):
        if int(writes):
            found[name.replace("\\", "")] += int(number) * int(width)
    return dict(sorted(found.items()))
