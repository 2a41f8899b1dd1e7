"""Two products with one weight in LUTs and carry chains, where no slices are left for them."""

from amaranth import *
from amaranth.lib import wiring

from skimp.prim.carry import add_digit
from skimp.prim.dsp48e2 import PAIR_PORTS, PackedPair

__all__ = ["LutPair"]


class LutPair(wiring.Component):
    """The ports, clocks and results of `PackedPair` without a multiplier.

    The weight is recoded to four digits from -2 to 2 (radix-4 Booth), so that each adder bit
    depends on six signals: two of the activation, three of the weight, one of the sum before.

    Notes
    -----
    *Latency*: as PackedPair. *Resources*: about 84 LUTs; no DSP48E2. *Limits*: |act| <= 255; any
    weight.
    """

    latency = PackedPair.latency

    def __init__(self):
        super().__init__(PAIR_PORTS)

    def elaborate(self, platform):
        m = Module()
        # Clock enables want the gate inverted, once and not behind every register.
        on = Signal()
        on_d1 = Signal()
        on_d2 = Signal()
        gate_d3 = Signal(init=1)
        wgt_d1 = Signal(8, reset_less=True)
        wgt_d2 = Signal(5, reset_less=True)  # what the upper two digits look at
        m.d.comb += on.eq(~self.gate)
        m.d.sync += [on_d1.eq(on), on_d2.eq(on_d1), gate_d3.eq(~on_d2)]
        with m.If(on):
            m.d.sync += wgt_d1.eq(self.wgt)
        with m.If(on_d1):
            m.d.sync += wgt_d2.eq(wgt_d1[3:])
        lanes = ((self.act1, self.product1), (self.act0, self.product0))
        for lane, (act, product) in zip((1, 0), lanes, strict=True):
            act_d1 = Signal(signed(9), name=f"act{lane}_d1", reset_less=True)
            act_d2 = Signal(signed(9), name=f"act{lane}_d2", reset_less=True)
            low = Signal(signed(13), name=f"low{lane}", reset_less=True)
            high = Signal(signed(12), name=f"high{lane}", reset_less=True)
            low_d1 = Signal(4, name=f"low{lane}_d1", reset_less=True)
            p_reg = Signal(signed(16), name=f"p{lane}_reg", reset_less=True)
            with m.If(on):
                m.d.sync += act_d1.eq(act)
            with m.If(on_d1):
                digits = Cat(Const(0, 1), wgt_d1[:4])
                m.d.sync += [
                    act_d2.eq(act_d1),
                    low.eq(_two_digits(C(0, signed(9)), act_d1, digits)),
                ]
            with m.If(on_d2):
                before = low[4:].as_signed()
                m.d.sync += [low_d1.eq(low[:4]), high.eq(_two_digits(before, act_d2, wgt_d2))]
            m.d.sync += p_reg.eq(Mux(gate_d3, 0, Cat(low_d1, high).as_signed()))
            m.d.comb += product.eq(p_reg)
        return m


def _two_digits(before, act, bits):
    """Return before + act * (digit of bits 0 to 2, and four times that of bits 2 to 4)."""
    first = add_digit(before, act, *bits[:3])
    return Cat(first[:2], add_digit(first[2:].as_signed(), act, *bits[2:]))
