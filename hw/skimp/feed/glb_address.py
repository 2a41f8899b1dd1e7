"""Addresses of the banked ifmap buffer: a row and a bank, added with a carry between them."""

from amaranth import *
from amaranth.lib import data

__all__ = ["BANK_BITS", "ROW_BITS", "GlbAddress", "glb_add"]

ROW_BITS = 16
BANK_BITS = 4


class GlbAddress(data.Struct):
    """Flat word i of a buffer with B banks: row i div B, bank i mod B (same bits as the field)."""

    row: ROW_BITS
    bank: BANK_BITS


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
    total = Signal(range(2 * num_banks), name=f"{name}_bank_sum")
    carry = Signal(name=f"{name}_carry")
    result = Signal(GlbAddress, name=name)
    m.d.comb += [
        total.eq(a.bank + b.bank),
        carry.eq(total >= num_banks),
        result.bank.eq(Mux(carry, total - num_banks, total)),
        result.row.eq(a.row + b.row + carry),
    ]
    return result
