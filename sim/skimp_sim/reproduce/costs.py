"""Energies of operations and of accesses, as published."""

from dataclasses import dataclass

__all__ = ["CHIP_65NM", "HOROWITZ_PJ", "LEVELS", "RELATIVE", "TENSORS", "Costs"]

LEVELS = ("dram", "glb", "array", "rf")
"""DRAM, global buffer, from PE to PE (or over the buses to them), registers in the PE."""

TENSORS = ("ifmap", "wgt", "psum")

HOROWITZ_PJ = {
    "int8 add": 0.03,
    "int8 multiply": 0.2,
    "fp32 add": 0.9,
    "fp32 multiply": 3.7,
    "fp16 add": 0.4,
    "fp16 multiply": 1.1,
}
"""M. Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014: 45 nm,
0.9 V."""


@dataclass(frozen=True)
class Costs:
    """Energy of a MAC and of an access of 16 bits by level; one unit for all."""

    mac: float
    dram: float
    glb: float
    array: float
    rf: float

    def of(self, level: str) -> float:
        return getattr(self, level)


RELATIVE = Costs(mac=1, dram=200, glb=6, array=2, rf=1)
"""Y.-H. Chen, J. Emer, V. Sze, "Eyeriss", ISCA 2016, table IV: in units of a MAC of 16 bits."""

CHIP_65NM = Costs(mac=2, dram=460, glb=15, array=4, rf=1)
"""pJ, 65 nm: with these nn-dataflow 2.1 computes the chip in its own test of it."""
