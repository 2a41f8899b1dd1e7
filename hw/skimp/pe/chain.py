"""Eight slices over the cascade: a dot product over eight channels for two output channels."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from skimp.config import CHAIN
from skimp.prim.dsp48e2 import PACK_SHIFT, PackedSlice

__all__ = ["FIELD_BITS", "PeChain", "PlainChain"]

FIELD_BITS = PACK_SHIFT
"""Bits of one dot product: 8 * 127 * 255 < 2^18."""


def _ports(wgt_slices):
    return {
        "act": In(9 * CHAIN),
        "gate": In(CHAIN),
        "wgt1": In(8 * wgt_slices),
        "wgt0": In(8 * wgt_slices),
        "wgt_load": In(CHAIN),
        "wgt_swap": In(CHAIN),
        "dot1": Out(signed(FIELD_BITS)),
        "dot0": Out(signed(FIELD_BITS)),
    }


class PeChain(wiring.Component):
    """Sum over eight input channels of w1 * a and of w0 * a.

    Parameters
    ----------
    wgt_slices : int
        Slices that can take different weights in the same clock.

    Members
    -------
    act : In(72)
        Nine bits (signed) for each slice; slice k's come k clocks after slice 0's.
    gate, wgt_swap : In(8)
        One bit a slice, delayed likewise.
    wgt_load : In(8)
        One bit a slice: not before the slice's swap of the weights before, the same clock will do.
    wgt1, wgt0 : In(8 * wgt_slices)
        Next weights: byte k % wgt_slices for slice k, when its wgt_load is set.
    dot1, dot0 : Out(signed(19))

    Notes
    -----
    *Latency*: CHAIN + 3 clocks from slice 0's activation to dot1 and dot0. *Resources*: 8 DSP48E2
    and 38 registers half way to the psums; the split of the fields needs no logic.
    """

    latency = CHAIN - 1 + PackedSlice.latency + 1

    def __init__(self, *, wgt_slices: int = 1):
        self._wgt_slices = wgt_slices
        super().__init__(_ports(wgt_slices))

    def elaborate(self, platform):
        m = Module()
        cascade = None
        for k in range(CHAIN):
            m.submodules[f"slice_{k}"] = pe = PackedSlice(first=k == 0)
            m.d.comb += [
                pe.act.eq(self.act.word_select(k, 9).as_signed()),
                pe.gate.eq(self.gate[k]),
                pe.wgt1.eq(self.wgt1.word_select(k % self._wgt_slices, 8).as_signed()),
                pe.wgt0.eq(self.wgt0.word_select(k % self._wgt_slices, 8).as_signed()),
                pe.wgt_load.eq(self.wgt_load[k]),
                pe.wgt_swap.eq(self.wgt_swap[k]),
            ]
            if cascade is not None:
                m.d.comb += pe.pcin.eq(cascade)
            cascade = pe.pcout
        # Slice 0 added half a lower field, so nothing was borrowed and the field's top bit is
        # inverted; that inversion stands behind the register, where an adder takes it in.
        lower = Signal(FIELD_BITS, reset_less=True)
        upper = Signal(signed(FIELD_BITS), reset_less=True)
        m.d.sync += [
            lower.eq(pe.p[:PACK_SHIFT]),
            upper.eq(pe.p[PACK_SHIFT : PACK_SHIFT + FIELD_BITS].as_signed()),
        ]
        m.d.comb += [
            self.dot0.eq(Cat(lower[:-1], ~lower[-1]).as_signed()),
            self.dot1.eq(upper),
        ]
        return m


class PlainChain(wiring.Component):
    """The same parameters, ports, clocks and results with one product per multiplier (devices without packing).

    Notes
    -----
    *Latency*: as PeChain. *Resources*: 16 multipliers of 9 x 8 bits.
    """

    latency = PeChain.latency

    def __init__(self, *, wgt_slices: int = 1):
        self._wgt_slices = wgt_slices
        super().__init__(_ports(wgt_slices))

    def elaborate(self, platform):
        m = Module()
        sums = [None, None]
        for k in range(CHAIN):
            act = Signal(signed(9), name=f"act_{k}", reset_less=True)
            gate_d1 = Signal(name=f"gate_{k}_d1", init=1)
            gate_d2 = Signal(name=f"gate_{k}_d2", init=1)
            m.d.sync += [gate_d1.eq(self.gate[k]), gate_d2.eq(gate_d1)]
            with m.If(~self.gate[k]):
                m.d.sync += act.eq(self.act.word_select(k, 9).as_signed())
            for field, wgt in enumerate((self.wgt0, self.wgt1)):
                following = Signal(signed(8), name=f"next_{k}_{field}", reset_less=True)
                working = Signal(signed(8), name=f"wgt_{k}_{field}", reset_less=True)
                product = Signal(signed(17), name=f"product_{k}_{field}", reset_less=True)
                total = Signal(signed(FIELD_BITS), name=f"sum_{k}_{field}", reset_less=True)
                with m.If(self.wgt_load[k]):
                    byte = wgt.word_select(k % self._wgt_slices, 8)
                    m.d.sync += following.eq(byte.as_signed())
                with m.If(self.wgt_swap[k]):
                    m.d.sync += working.eq(following)
                with m.If(~gate_d1):
                    m.d.sync += product.eq(working * act)
                added = Mux(gate_d2, 0, product)
                m.d.sync += total.eq(added if sums[field] is None else sums[field] + added)
                sums[field] = total
        m.d.sync += [self.dot0.eq(sums[0]), self.dot1.eq(sums[1])]
        return m
