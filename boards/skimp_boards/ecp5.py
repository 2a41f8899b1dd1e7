"""What an ECP5 netlist of Yosys is made of."""

import re

from skimp_boards.netlist import cell_counts

__all__ = ["usage_ecp5"]

_LUTS = {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6}
"""LUT4s that each cell takes; a LUT RAM has four and two for its writes (FPGA-TN-02204)."""

_FF = re.compile(r"TRELLIS_FF|IFS\w+|OFS\w+")


def usage_ecp5(module: dict) -> dict:
    """Return what the module takes of the device, LUT4s as nextpnr counts them."""
    counts = cell_counts(module)
    return {
        "lut": sum(luts * counts[kind] for kind, luts in _LUTS.items()),
        "lutram": _LUTS["TRELLIS_DPR16X4"] * counts["TRELLIS_DPR16X4"],
        "ff": sum(n for kind, n in counts.items() if _FF.fullmatch(kind)),
        "carry": counts["CCU2C"],
        "mult": counts["MULT18X18D"],
        "ebr": counts["DP16KD"],
    }
