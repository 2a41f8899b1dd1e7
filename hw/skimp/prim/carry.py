"""Adders that make full use of a carry chain: a carry in, and logic in front of one operand."""

from amaranth import *

__all__ = ["add", "add_digit"]


def add(a, b, carry, *, below=0):
    """Return a + b + carry in a single carry chain; b may be logic of up to 5 inputs a bit.

    The operand a goes to the chain as it is, so b's logic fits into the LUTs of the sum. (Of a sum
    Yosys takes the narrower one for that, but a - ~b - 1 leaves no choice.) The carry comes from a
    bit below, which takes no LUT.

    Constant bits `below` bit 0 move the sum up its chain. Where a is the sum of another chain less
    that many of its lower bits, the same CARRY8 of both holds what belongs together, and a path
    through the two has one CARRY8 twice, but not two of them.
    """
    a, b = Cat(carry, Const(0, below), a), Cat(Const(1, 1), Const(0, below), ~b)
    return (a.as_signed() - b.as_signed())[1 + below :].as_signed()


def add_digit(a, x, lower, middle, upper, *, below=0):
    """Return a + x * (lower + middle - 2 * upper): a row of a product (Booth, radix 4).

    below: as for `add`.
    """
    once, twice = middle ^ lower, (upper ^ lower) & (upper ^ middle)
    x = Cat(x, x[-1], x[-1])
    row = Cat(upper ^ (x[k] & once | (x[k - 1] & twice if k else 0)) for k in range(len(x)))
    return add(a, row, upper, below=below)
