"""Sums with a carry in."""

from amaranth import *

__all__ = ["add"]


def add(a, b, carry):
    """Return a + b + carry, as wide as a + b and one bit, in a single carry chain."""
    return (Cat(Const(1, 1), a).as_signed() + Cat(carry, b).as_signed())[1:].as_signed()
