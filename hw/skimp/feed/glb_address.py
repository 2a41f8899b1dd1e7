"""Addresses of the banked ifmap buffer: a row and a bank, added with a carry between them."""

from amaranth import *
from amaranth.lib import data
from amaranth.utils import ceil_log2

__all__ = ["BANK_BITS", "ROW_BITS", "GlbAddress", "glb_add", "row_add"]

ROW_BITS = 16
BANK_BITS = 4


class GlbAddress(data.Struct):
    """Flat word i of a buffer with B banks: row i div B, bank i mod B (same bits as the field)."""

    row: ROW_BITS
    bank: BANK_BITS


def row_add(a, b, carry):
    """Return a + b + carry: one adder, into which the carry runs from a bit below."""
    return (Cat(carry, a) + Cat(carry, b))[1:]


def glb_add(m, name, a, b, *, num_banks):
    """Return a GlbAddress signal that holds a + b, combinationally.

    Parameters
    ----------
    m : Module
    name : str
        Name of the signal.
    a, b : View of GlbAddress
        Both banks below `num_banks`; rows wrap at 2**16, so a negative offset adds too.
    num_banks : int
    """
    bits = ceil_log2(num_banks)
    total = Signal(range(2 * num_banks), name=f"{name}_bank_sum")
    carry = Signal(name=f"{name}_carry")
    result = Signal(GlbAddress, name=name)
    m.d.comb += [
        total.eq(a.bank[:bits] + b.bank[:bits]),
        # Not a sum, so that up to 8 banks take a single LUT.
        carry.eq(
            Cat(
                (a.bank[:bits] == k) & (b.bank[:bits] >= num_banks - k) for k in range(1, num_banks)
            ).any()
        ),
        result.bank.eq(Mux(carry, total - num_banks, total)),
        result.row.eq(row_add(a.row, b.row, carry)),
    ]
    return result
