"""Adders that make full use of a carry chain: a carry in, and logic in front of one operand."""

from amaranth import *

__all__ = ["add", "add_digit"]


def add(a, b, carry):
    """Return a + b + carry in a single carry chain; b may be logic of up to 5 inputs a bit.

    The operand a goes to the chain as it is, so b's logic fits into the LUTs of the sum. (Of a sum
    Yosys takes the narrower one for that, but a - ~b - 1 leaves no choice.) The carry comes from a
    bit below, which takes no LUT.
    """
    return (Cat(carry, a).as_signed() - Cat(Const(1, 1), ~b).as_signed())[1:].as_signed()


def add_digit(a, x, lower, middle, upper):
    """Return a + x * (lower + middle - 2 * upper): a row of a product (Booth, radix 4)."""
    once, twice = middle ^ lower, (upper ^ lower) & (upper ^ middle)
    x = Cat(x, x[-1], x[-1])
    row = Cat(upper ^ (x[k] & once | (x[k - 1] & twice if k else 0)) for k in range(len(x)))
    return add(a, row, upper)
