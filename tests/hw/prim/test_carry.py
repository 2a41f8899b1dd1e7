"""Adders on carry chains: all operands of small widths."""

import itertools

import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from skimp.prim.carry import add, add_digit
from skimp_sim.bench.vectors import run_vectors

BITS_BELOW = (0, 1, 2)


class Adders(wiring.Component):
    """All bits below of `add` and of `add_digit`, in 8 bits."""

    def __init__(self, a_bits, b_bits):
        super().__init__(
            {
                "a": In(signed(a_bits)),
                "b": In(signed(b_bits)),
                "digits": In(3),
                "sums": Out(signed(8)).array(len(BITS_BELOW)),
                "rows": Out(signed(8)).array(len(BITS_BELOW)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        for k, below in enumerate(BITS_BELOW):
            row = add_digit(self.a, self.b, *self.digits, below=below)
            m.d.comb += [
                self.sums[k].eq(add(self.a, self.b, self.digits[0], below=below)),
                self.rows[k].eq(row),
            ]
        return m


@pytest.mark.parametrize(("a_bits", "b_bits"), [(4, 4), (5, 3), (2, 5)])
def test_all_operands(a_bits, b_bits):
    ranges = [range(-(1 << bits - 1), 1 << bits - 1) for bits in (a_bits, b_bits)]
    cases = list(itertools.product(*ranges, range(8)))
    vectors = [dict(a=a, b=b, digits=digits) for a, b, digits in cases]
    names = [f"{kind}__{k}" for kind in ("sums", "rows") for k in range(len(BITS_BELOW))]
    for case, result in zip(cases, run_vectors(Adders(a_bits, b_bits), vectors, names)):
        a, b, digits = case
        lower, middle, upper = (digits >> k & 1 for k in range(3))
        wanted = {"sums": a + b + lower, "rows": a + b * (lower + middle - 2 * upper)}
        for name in names:
            assert result[name] == wanted[name.split("__")[0]] & 0xFF, (case, name)
