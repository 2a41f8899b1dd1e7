"""DSP48E2 slices that multiply twice a clock, as primitive and as behavioural twin.

A slice multiplies 27 x 18 bits (UG579, "Multiplier"). The 27-bit operand holds two signed numbers
u * 2^k + v, made by the pre-adder from the A and the D port; one product then holds two.

Both classes have two bodies behind the same ports: registers and operators (simulation, other
devices) and an instance of the primitive (`platform` "xilinx"). The same vectors run through both.
"""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["PACK_SHIFT", "PAIR_SHIFT", "PackedPair", "PackedSlice", "is_xilinx"]

PACK_SHIFT = 19
"""Bit where the upper weight of a `PackedSlice` starts: room for eight products below."""

PAIR_SHIFT = 18
"""Bit where the upper activation of a `PackedPair` starts: room for one product below."""

_P_BITS = 48

# OPMODE fields (UG579, tables "OPMODE Control Bits Select X, Y, Z Multiplexer Outputs").
_XY_ZERO = 0b00_00
_XY_M = 0b01_01
_Z_ZERO = 0b000 << 4
_Z_PCIN = 0b001 << 4
# INMODE (UG579, table "INMODE[4:0] Functions"): AD = D + A2, multiplier takes B2.
_INMODE_D_PLUS_A2 = 0b00100


def is_xilinx(platform) -> bool:
    """True where primitives are to be instantiated: "xilinx" or a Xilinx platform object."""
    return platform == "xilinx" or type(platform).__module__.startswith("amaranth.vendor._xilinx")


def _dsp48e2(*, b_regs, a, d, b, pcin, p, pcout, opmode, ce_ad_inputs, ce_ad, ce_b, ce_m):
    """Return the instance; everything that is not an argument is the same for all our slices."""
    ce_b1, ce_b2 = ce_b
    return Instance(
        "DSP48E2",
        # Feature control
        p_AMULTSEL="AD",
        p_A_INPUT="DIRECT",
        p_BMULTSEL="B",
        p_B_INPUT="DIRECT",
        p_PREADDINSEL="A",
        p_RND=Const(0, 48),
        p_USE_MULT="MULTIPLY",
        p_USE_SIMD="ONE48",
        p_USE_WIDEXOR="FALSE",
        p_XORSIMD="XOR24_48_96",
        # Pattern detector: off
        p_AUTORESET_PATDET="NO_RESET",
        p_AUTORESET_PRIORITY="RESET",
        p_MASK=Const((1 << 46) - 1, 48),
        p_PATTERN=Const(0, 48),
        p_SEL_MASK="MASK",
        p_SEL_PATTERN="PATTERN",
        p_USE_PATTERN_DETECT="NO_PATDET",
        # Registers
        p_ACASCREG=1,
        p_ADREG=1,
        p_ALUMODEREG=0,
        p_AREG=1,
        p_BCASCREG=b_regs,
        p_BREG=b_regs,
        p_CARRYINREG=0,
        p_CARRYINSELREG=0,
        p_CREG=0,
        p_DREG=1,
        p_INMODEREG=0,
        p_MREG=1,
        p_OPMODEREG=1,
        p_PREG=1,
        # Data
        i_A=a,
        i_B=b,
        i_C=Const(0, 48),
        i_D=d,
        i_ACIN=Const(0, 30),
        i_BCIN=Const(0, 18),
        i_PCIN=pcin,
        i_CARRYCASCIN=Const(0, 1),
        i_MULTSIGNIN=Const(0, 1),
        i_CARRYIN=Const(0, 1),
        o_P=p,
        o_PCOUT=pcout,
        # Control
        i_ALUMODE=Const(0, 4),
        i_CARRYINSEL=Const(0, 3),
        i_INMODE=Const(_INMODE_D_PLUS_A2, 5),
        i_OPMODE=opmode,
        i_CLK=ClockSignal("sync"),
        # Clock enables
        i_CEA1=Const(0, 1),
        i_CEA2=ce_ad_inputs,
        i_CEAD=ce_ad,
        i_CEALUMODE=Const(1, 1),
        i_CEB1=ce_b1,
        i_CEB2=ce_b2,
        i_CEC=Const(0, 1),
        i_CECARRYIN=Const(0, 1),
        i_CECTRL=Const(1, 1),
        i_CED=ce_ad_inputs,
        i_CEINMODE=Const(1, 1),
        i_CEM=ce_m,
        i_CEP=Const(1, 1),
        # Resets: the data path needs none
        **{
            f"i_RST{name}": Const(0, 1)
            for name in (
                "A ALLCARRYIN ALUMODE B C CTRL D INMODE M P".split()
            )
        },
    )


class PackedSlice(wiring.Component):
    """Two MACs with one activation: P = (w1 * 2^19 + w0) * a + PCIN.

    The A and D registers hold the next two weights while the AD register holds the working ones.
    A gated activation leaves the B and M registers as they are and adds 0.

    Parameters
    ----------
    cascade : bool
        Adds PCIN (False: the first slice of a chain).

    Members
    -------
    act : In(signed(9))
        ifmap value minus zero point.
    gate : In(1)
        The activation is 0; comes with it.
    wgt1, wgt0 : In(signed(8))
        Upper and lower weight, taken when `wgt_load`.
    wgt_load : In(1)
    wgt_swap : In(1)
        Weights loaded before become the working ones for the activation of the same clock.
    pcin : In(signed(48)), pcout : Out(signed(48))
        Cascade: only to and from neighbouring slices.
    p : Out(signed(48))
        The same sum for the fabric.

    Notes
    -----
    *Latency*: 3 clocks from act to p and pcout, 1 from pcin. *Resources*: 1 DSP48E2.
    *Limits*: tested for |weight| <= 127 and |act| <= 255, all combinations of fields.
    """

    latency = 3

    def __init__(self, *, cascade):
        self._cascade = bool(cascade)
        super().__init__(
            {
                "act": In(signed(9)),
                "gate": In(1),
                "wgt1": In(signed(8)),
                "wgt0": In(signed(8)),
                "wgt_load": In(1),
                "wgt_swap": In(1),
                "pcin": In(signed(_P_BITS)),
                "pcout": Out(signed(_P_BITS)),
                "p": Out(signed(_P_BITS)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        gate_d1 = Signal(init=1)
        gate_d2 = Signal(init=1)
        m.d.sync += gate_d1.eq(self.gate)
        if is_xilinx(platform):
            a, d, b = Signal(signed(30)), Signal(signed(27)), Signal(signed(18))
            z = _Z_PCIN if self._cascade else _Z_ZERO
            m.d.comb += [a.eq(self.wgt1 << PACK_SHIFT), d.eq(self.wgt0), b.eq(self.act)]
            m.submodules.slice = _dsp48e2(
                b_regs=1,
                a=a,
                d=d,
                b=b,
                pcin=self.pcin if self._cascade else Const(0, _P_BITS),
                p=self.p,
                pcout=self.pcout,
                opmode=Mux(gate_d1, _XY_ZERO | z, _XY_M | z),
                ce_ad_inputs=self.wgt_load,
                ce_ad=self.wgt_swap,
                ce_b=(Const(0, 1), ~self.gate),
                ce_m=~gate_d1,
            )
            return m

        m.d.sync += gate_d2.eq(gate_d1)
        a_reg = Signal(signed(8), reset_less=True)
        d_reg = Signal(signed(8), reset_less=True)
        ad_reg = Signal(signed(27), reset_less=True)
        b_reg = Signal(signed(9), reset_less=True)
        m_reg = Signal(signed(36), reset_less=True)
        with m.If(self.wgt_load):
            m.d.sync += [a_reg.eq(self.wgt1), d_reg.eq(self.wgt0)]
        with m.If(self.wgt_swap):
            m.d.sync += ad_reg.eq((a_reg << PACK_SHIFT) + d_reg)
        with m.If(~self.gate):
            m.d.sync += b_reg.eq(self.act)
        with m.If(~gate_d1):
            m.d.sync += m_reg.eq(ad_reg * b_reg)
        product = Signal(signed(36))
        m.d.comb += product.eq(Mux(gate_d2, 0, m_reg))
        m.d.sync += self.p.eq(product + self.pcin if self._cascade else product)
        m.d.comb += self.pcout.eq(self.p)
        return m


class PackedPair(wiring.Component):
    """Two products with one weight: act1 * wgt and act0 * wgt.

    Parameters
    ----------
    None

    Members
    -------
    act1, act0 : In(signed(9))
    wgt : In(signed(8))
    gate : In(1)
        Both products are 0 (weight 0, or both activations): registers stay as they are.
    product1, product0 : Out(signed(17))

    Notes
    -----
    *Latency*: 4 clocks (A and D, AD, M, P). *Resources*: 1 DSP48E2, and 17 bits of carry for the
    borrow of the lower field.
    """

    latency = 4

    def __init__(self):
        super().__init__(
            {
                "act1": In(signed(9)),
                "act0": In(signed(9)),
                "wgt": In(signed(8)),
                "gate": In(1),
                "product1": Out(signed(17)),
                "product0": Out(signed(17)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        gate_d1, gate_d2, gate_d3 = (Signal(init=1, name=f"gate_d{k}") for k in (1, 2, 3))
        m.d.sync += [gate_d1.eq(self.gate), gate_d2.eq(gate_d1)]
        p = Signal(signed(_P_BITS))
        m.d.comb += [
            self.product0.eq(p[:PAIR_SHIFT].as_signed()),
            self.product1.eq(p[PAIR_SHIFT:].as_signed() + p[PAIR_SHIFT - 1]),
        ]
        if is_xilinx(platform):
            a, d, b = Signal(signed(30)), Signal(signed(27)), Signal(signed(18))
            m.d.comb += [a.eq(self.act1 << PAIR_SHIFT), d.eq(self.act0), b.eq(self.wgt)]
            m.submodules.slice = _dsp48e2(
                b_regs=2,
                a=a,
                d=d,
                b=b,
                pcin=Const(0, _P_BITS),
                p=p,
                pcout=Signal(_P_BITS, name="pcout"),
                opmode=Mux(gate_d2, _XY_ZERO, _XY_M),
                ce_ad_inputs=~self.gate,
                ce_ad=~gate_d1,
                ce_b=(~self.gate, ~gate_d1),
                ce_m=~gate_d2,
            )
            return m

        m.d.sync += gate_d3.eq(gate_d2)
        a_reg = Signal(signed(9), reset_less=True)
        d_reg = Signal(signed(9), reset_less=True)
        b1_reg = Signal(signed(8), reset_less=True)
        ad_reg = Signal(signed(27), reset_less=True)
        b2_reg = Signal(signed(8), reset_less=True)
        m_reg = Signal(signed(36), reset_less=True)
        with m.If(~self.gate):
            m.d.sync += [a_reg.eq(self.act1), d_reg.eq(self.act0), b1_reg.eq(self.wgt)]
        with m.If(~gate_d1):
            m.d.sync += [ad_reg.eq((a_reg << PAIR_SHIFT) + d_reg), b2_reg.eq(b1_reg)]
        with m.If(~gate_d2):
            m.d.sync += m_reg.eq(ad_reg * b2_reg)
        m.d.sync += p.eq(Mux(gate_d3, 0, m_reg))
        return m
