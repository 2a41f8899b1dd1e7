"""DSP48E2 slices that multiply twice a clock, as primitive and as behavioural twin.

A slice multiplies 27 x 18 bits (UG579, "Multiplier"). The 27-bit operand holds two signed numbers
u * 2^k + v, made by the pre-adder from the A and the D port; one product then holds two.

The lower product is signed, and where it is negative it borrows from the upper one. Adding half a
field (2^(k-1)) once makes the lower field unsigned: no borrow, and both fields are plain bits of P.
The slice adds it itself, its RND constant through the W multiplexer, so that the split costs
neither LUT nor carry.

`WideProduct` is the other use: one product of 27 x 32 bits from two slices, the sum of its parts and
an addend in their adders. `NarrowProduct` is what a single slice can do of that.

All classes but `PlainPair` have two bodies behind the same ports: registers and operators (simulation, other
devices) and an instance of the primitive (`platform` "xilinx"). The same vectors run through both;
`dsp48e2_sim.v` is the model of the primitive for that.
"""

from pathlib import Path

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = [
    "PACK_SHIFT",
    "PAIR_PORTS",
    "PAIR_SHIFT",
    "SIM_MODEL",
    "NarrowProduct",
    "PackedPair",
    "PackedSlice",
    "PlainPair",
    "WideProduct",
    "is_xilinx",
]

PACK_SHIFT = 19
"""Bit where the upper weight of a `PackedSlice` starts: room for eight products below."""

PAIR_SHIFT = 18
"""Bit where the upper activation of a `PackedPair` starts: room for one product below."""

SIM_MODEL = Path(__file__).with_name("dsp48e2_sim.v")
"""Verilog model of the primitive, for simulators."""

_P_BITS = 48

# OPMODE fields (UG579, "OPMODE Control Bits Select W, X, Y, Z Multiplexer Outputs", four tables).
_XY_ZERO = 0b00_00
_XY_M = 0b01_01  # the multiplier needs both
_Z_ZERO = 0b000 << 4
_Z_PCIN = 0b001 << 4
_Z_C = 0b011 << 4
_Z_PCIN_DOWN_17 = 0b101 << 4
_W_ZERO = 0b00 << 7
_W_RND = 0b10 << 7
# INMODE (UG579, "INMODE[4] Encoding" and "INMODE[3:0] Functions (when AREG = 1 or 2)"): the
# pre-adder makes D + A2, the multiplier takes B2.
_INMODE_D_PLUS_A2 = 0b00100
_INMODE_D_MINUS_A2 = 0b01100
_INMODE_D_MINUS_B2 = 0b01100  # the pre-adder on B
# ALUMODE (UG579, "Three-Input ALUMODE"): Z + W + X + Y + CIN, and Z - (W + X + Y + CIN).
_ALUMODE_ADD = 0b0000
_ALUMODE_SUBTRACT = 0b0011

_INVERTIBLE = {
    "ALUMODE": 4,
    "CARRYIN": 1,
    "CLK": 1,
    "INMODE": 5,
    "OPMODE": 9,
    "RSTA": 1,
    "RSTALLCARRYIN": 1,
    "RSTALUMODE": 1,
    "RSTB": 1,
    "RSTC": 1,
    "RSTCTRL": 1,
    "RSTD": 1,
    "RSTINMODE": 1,
    "RSTM": 1,
    "RSTP": 1,
}
_UNUSED_OUTPUTS = {
    "ACOUT": 30,
    "BCOUT": 18,
    "CARRYCASCOUT": 1,
    "CARRYOUT": 4,
    "MULTSIGNOUT": 1,
    "OVERFLOW": 1,
    "PATTERNBDETECT": 1,
    "PATTERNDETECT": 1,
    "UNDERFLOW": 1,
    "XOROUT": 8,
}


def is_xilinx(platform) -> bool:
    """True where primitives are to be instantiated: "xilinx" or a Xilinx platform object."""
    return platform == "xilinx" or type(platform).__module__.startswith("amaranth.vendor._xilinx")


def _dsp48e2(
    *, b_regs, rnd, a, d, b, pcin, p, pcout, opmode, ce_ad_inputs, ce_ad, ce_b, ce_m,
    a_regs=1, c=None, inmode=_INMODE_D_PLUS_A2, alumode=_ALUMODE_ADD, preadd="A",
):  # fmt: skip
    """Return the instance; everything that is not an argument is the same for all our slices.

    With one A register it is A2, enabled by CEA2; with one B register it is B2 (UG579, "A, B, C,
    D and CARRYIN clock enables"). OPMODE goes through its register, beside M. The sum of D and the
    port that `preadd` names takes the place of this port at the multiplier.
    """
    ce_b1, ce_b2 = ce_b
    return Instance(
        "DSP48E2",
        # Feature control
        p_AMULTSEL="AD" if preadd == "A" else "A",
        p_A_INPUT="DIRECT",
        p_BMULTSEL="AD" if preadd == "B" else "B",
        p_B_INPUT="DIRECT",
        p_PREADDINSEL=preadd,
        p_RND=Const(rnd, _P_BITS),
        p_USE_MULT="MULTIPLY",
        p_USE_SIMD="ONE48",
        p_USE_WIDEXOR="FALSE",
        p_XORSIMD="XOR24_48_96",
        # Pattern detector: off
        p_AUTORESET_PATDET="NO_RESET",
        p_AUTORESET_PRIORITY="RESET",
        p_MASK=Const((1 << 46) - 1, _P_BITS),
        p_PATTERN=Const(0, _P_BITS),
        p_SEL_MASK="MASK",
        p_SEL_PATTERN="PATTERN",
        p_USE_PATTERN_DETECT="NO_PATDET",
        # Registers
        p_ACASCREG=a_regs,
        p_ADREG=1,
        p_ALUMODEREG=0,
        p_AREG=a_regs,
        p_BCASCREG=b_regs,
        p_BREG=b_regs,
        p_CARRYINREG=0,
        p_CARRYINSELREG=0,
        p_CREG=int(c is not None),
        p_DREG=1,
        p_INMODEREG=0,
        p_MREG=1,
        p_OPMODEREG=1,
        p_PREG=1,
        **{f"p_IS_{pin}_INVERTED": Const(0, bits) for pin, bits in _INVERTIBLE.items()},
        # Data
        i_A=a,
        i_B=b,
        i_C=Const(0, 48) if c is None else c,
        i_D=d,
        i_ACIN=Const(0, 30),
        i_BCIN=Const(0, 18),
        i_PCIN=pcin,
        i_CARRYCASCIN=Const(0, 1),
        i_MULTSIGNIN=Const(0, 1),
        i_CARRYIN=Const(0, 1),
        o_P=p,
        o_PCOUT=pcout,
        **{
            f"o_{pin}": Signal(bits, name=f"unused_{pin.lower()}")
            for pin, bits in _UNUSED_OUTPUTS.items()
        },
        # Control
        i_ALUMODE=Const(alumode, 4),
        i_CARRYINSEL=Const(0, 3),
        i_INMODE=Const(inmode, 5),
        i_OPMODE=opmode,
        i_CLK=ClockSignal("sync"),
        # Clock enables
        i_CEA1=ce_ad_inputs if a_regs == 2 else Const(0, 1),
        i_CEA2=ce_ad_inputs,
        i_CEAD=ce_ad,
        i_CEALUMODE=Const(0, 1),
        i_CEB1=ce_b1,
        i_CEB2=ce_b2,
        i_CEC=Const(int(c is not None), 1),
        i_CECARRYIN=Const(0, 1),
        i_CECTRL=Const(1, 1),
        i_CED=ce_ad_inputs,
        i_CEINMODE=Const(0, 1),
        i_CEM=ce_m,
        i_CEP=Const(1, 1),
        # Resets: the data path needs none
        **{f"i_{pin}": Const(0, 1) for pin in _INVERTIBLE if pin.startswith("RST")},
    )


def _gated_product(m, work, m_reg):
    """Return what X and Y select: M or 0, by the OPMODE register (`work`, a clock later)."""
    xy_is_m = Signal(reset_less=True)
    product = Signal(signed(36))
    m.d.sync += xy_is_m.eq(work)
    m.d.comb += product.eq(Mux(xy_is_m, m_reg, 0))
    return product


def _started(m, offset):
    """Return what W selects: the constant, but 0 before the OPMODE register's first clock."""
    w_is_rnd = Signal(reset_less=True)
    m.d.sync += w_is_rnd.eq(1)
    return Mux(w_is_rnd, Const(offset), 0)


class PackedSlice(wiring.Component):
    """Two MACs with one activation: P = (w1 * 2^19 + w0) * a + PCIN.

    The A and D registers hold the next two weights while the AD register holds the working ones.
    A gated activation leaves the B and M registers as they are and adds 0.

    Parameters
    ----------
    first : bool
        First slice of a chain: adds `offset` (half a lower field) in place of PCIN.

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
        The same sum for the fabric. With the offset in it, P[19:38] is the upper sum and P[0:19],
        its top bit inverted, the lower one.

    Notes
    -----
    *Latency*: 3 clocks from act to p and pcout, 1 from pcin. *Resources*: 1 DSP48E2.
    *Limits*: |weight| <= 127, |act| <= 255, eight slices to a chain; tested for all operands.
    """

    latency = 3
    offset = 1 << (PACK_SHIFT - 1)

    def __init__(self, *, first):
        if first not in (False, True):
            raise TypeError(f"first must be a bool, not {first!r}")
        self._first = bool(first)
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
        # Enables are kept as they are used: an inverter here is one for every slice.
        work, work_d1 = Signal(), Signal()
        m.d.comb += work.eq(~self.gate)
        m.d.sync += work_d1.eq(work)
        if is_xilinx(platform):
            a = Signal(signed(30))
            d = Signal(signed(27))
            b = Signal(signed(18))
            opmode = Signal(9)
            adds = _W_RND | _Z_ZERO if self._first else _W_ZERO | _Z_PCIN
            m.d.comb += [
                a.eq(self.wgt1 << PACK_SHIFT),
                d.eq(self.wgt0),
                b.eq(self.act),
                opmode.eq(Mux(work_d1, _XY_M | adds, _XY_ZERO | adds)),
            ]
            m.submodules.slice = _dsp48e2(
                b_regs=1,
                rnd=self.offset if self._first else 0,
                a=a,
                d=d,
                b=b,
                pcin=Const(0, _P_BITS) if self._first else self.pcin,
                p=self.p,
                pcout=self.pcout,
                opmode=opmode,
                ce_ad_inputs=self.wgt_load,
                ce_ad=self.wgt_swap,
                ce_b=(Const(0, 1), work),
                ce_m=work_d1,
            )
            return m

        a_reg = Signal(signed(8), reset_less=True)
        d_reg = Signal(signed(8), reset_less=True)
        ad_reg = Signal(signed(27), reset_less=True)
        b_reg = Signal(signed(9), reset_less=True)
        m_reg = Signal(signed(36), reset_less=True)
        p_reg = Signal(signed(_P_BITS), reset_less=True)
        with m.If(self.wgt_load):
            m.d.sync += [a_reg.eq(self.wgt1), d_reg.eq(self.wgt0)]
        with m.If(self.wgt_swap):
            m.d.sync += ad_reg.eq((a_reg << PACK_SHIFT) + d_reg)
        with m.If(work):
            m.d.sync += b_reg.eq(self.act)
        with m.If(work_d1):
            m.d.sync += m_reg.eq(ad_reg * b_reg)
        product = _gated_product(m, work_d1, m_reg)
        if self._first:
            m.d.sync += p_reg.eq(product + _started(m, self.offset))
        else:
            m.d.sync += p_reg.eq(product + self.pcin)
        m.d.comb += [self.p.eq(p_reg), self.pcout.eq(p_reg)]
        return m


PAIR_PORTS = {
    "act1": In(signed(9)),
    "act0": In(signed(9)),
    "wgt": In(signed(8)),
    "gate": In(1),
    "product1": Out(signed(17)),
    "product0": Out(signed(17)),
}


class PackedPair(wiring.Component):
    """Two products with one weight: act1 * wgt and act0 * wgt.

    Members
    -------
    act1, act0 : In(signed(9))
    wgt : In(signed(8))
    gate : In(1)
        Both products are 0 (weight 0, or both activations): registers stay as they are.
    product1, product0 : Out(signed(17))

    Notes
    -----
    *Latency*: 4 clocks (A and D, AD, M, P). *Resources*: 1 DSP48E2.
    *Limits*: |act| <= 255, |wgt| <= 127; tested for all operands.
    """

    latency = 4
    offset = 1 << (PAIR_SHIFT - 1)

    def __init__(self):
        super().__init__(PAIR_PORTS)

    def elaborate(self, platform):
        m = Module()
        gate_d1 = Signal(init=1)
        gate_d2 = Signal(init=1)
        m.d.sync += [gate_d1.eq(self.gate), gate_d2.eq(gate_d1)]
        p = Signal(signed(_P_BITS), reset_less=True)
        # The offset sits above the 17 bits that the lower product needs.
        m.d.comb += [
            self.product0.eq(p[:17].as_signed()),
            self.product1.eq(p[PAIR_SHIFT : PAIR_SHIFT + 17].as_signed()),
        ]
        if is_xilinx(platform):
            a = Signal(signed(30))
            d = Signal(signed(27))
            b = Signal(signed(18))
            opmode = Signal(9)
            m.d.comb += [
                a.eq(self.act1 << PAIR_SHIFT),
                d.eq(self.act0),
                b.eq(self.wgt),
                opmode.eq(_W_RND | _Z_ZERO | Mux(gate_d2, _XY_ZERO, _XY_M)),
            ]
            m.submodules.slice = _dsp48e2(
                b_regs=2,
                rnd=self.offset,
                a=a,
                d=d,
                b=b,
                pcin=Const(0, _P_BITS),
                p=p,
                pcout=Signal(_P_BITS, name="pcout"),
                opmode=opmode,
                ce_ad_inputs=~self.gate,
                ce_ad=~gate_d1,
                ce_b=(~self.gate, ~gate_d1),
                ce_m=~gate_d2,
            )
            return m

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
        product = _gated_product(m, ~gate_d2, m_reg)
        m.d.sync += p.eq(product + _started(m, self.offset))
        return m


class PlainPair(wiring.Component):
    """The ports, clocks and results of `PackedPair` with one product per multiplier.

    Notes
    -----
    *Latency*: as PackedPair. *Resources*: 2 multipliers of 9 x 8 bits.
    """

    latency = PackedPair.latency

    def __init__(self):
        super().__init__(PAIR_PORTS)

    def elaborate(self, platform):
        m = Module()
        gate_d1 = Signal(init=1)
        gate_d2 = Signal(init=1)
        wgt = Signal(signed(8), reset_less=True)
        m.d.sync += [gate_d1.eq(self.gate), gate_d2.eq(gate_d1)]
        with m.If(~self.gate):
            m.d.sync += wgt.eq(self.wgt)
        lanes = ((self.act1, self.product1), (self.act0, self.product0))
        for lane, (act, product) in zip((1, 0), lanes, strict=True):
            act_d1 = Signal(signed(9), name=f"act{lane}_d1", reset_less=True)
            m_reg = Signal(signed(17), name=f"m{lane}_reg", reset_less=True)
            gated = Signal(signed(17), name=f"gated{lane}", reset_less=True)
            p_reg = Signal(signed(17), name=f"p{lane}_reg", reset_less=True)
            with m.If(~self.gate):
                m.d.sync += act_d1.eq(act)
            with m.If(~gate_d1):
                m.d.sync += m_reg.eq(act_d1 * wgt)
            m.d.sync += [gated.eq(Mux(gate_d2, 0, m_reg)), p_reg.eq(gated)]
            m.d.comb += product.eq(p_reg)
        return m


class WideProduct(wiring.Component):
    """floor(((mult + mult_carry) * x + addend) / 2^17), and a constant where wanted.

    The first slice multiplies by the 17 lower bits of x, which have no sign, the second one by the
    rest, and adds what the cascade brings down 17 bits. Both multiply by -(mult + mult_carry) and
    subtract: the largest sum, 2^26, has no place in 27 signed bits, but its negative has.

    Parameters
    ----------
    rnd : int
        Added to p where rnd_en says so.

    Members
    -------
    mult : In(26), mult_carry : In(1)
    x : In(signed(32))
        With mult.
    addend : In(signed(32))
        2 clocks later.
    rnd_en : In(1)
        3 clocks later.
    p : Out(signed(42))

    Notes
    -----
    *Latency*: 5 clocks from x to p; a product a clock. *Resources*: 2 DSP48E2.
    """

    latency = 5

    def __init__(self, *, rnd: int):
        self._rnd = rnd
        super().__init__(
            {
                "mult": In(26),
                "mult_carry": In(1),
                "x": In(signed(32)),
                "addend": In(signed(32)),
                "rnd_en": In(1),
                "p": Out(signed(42)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        high_d1 = Signal(signed(15), reset_less=True)
        carry_d1 = Signal(reset_less=True)
        m.d.sync += [high_d1.eq(self.x[17:].as_signed()), carry_d1.eq(self.mult_carry)]
        if is_xilinx(platform):
            cascade = Signal(_P_BITS)
            p = Signal(signed(_P_BITS))
            addend = Signal(signed(_P_BITS))
            b_high = Signal(signed(18))
            m.d.comb += [
                addend.eq(self.addend),
                b_high.eq(high_d1),
                self.p.eq(p),
            ]
            always = Const(1, 1)
            common = dict(
                a=Cat(self.mult, Const(0, 4)),
                b_regs=2,
                inmode=_INMODE_D_MINUS_A2,
                alumode=_ALUMODE_SUBTRACT,
                ce_ad_inputs=always,
                ce_ad=always,
                ce_b=(always, always),
                ce_m=always,
            )
            m.submodules.slice_low = _dsp48e2(
                **common,
                rnd=0,
                d=self.mult_carry.replicate(27),
                b=Cat(self.x[:17], Const(0, 1)),
                c=addend,
                pcin=Const(0, _P_BITS),
                p=Signal(_P_BITS, name="p_low"),
                pcout=cascade,
                opmode=Const(_XY_M | _Z_C | _W_ZERO, 9),
            )
            opmode = Signal(9)
            m.d.comb += opmode.eq(_XY_M | _Z_PCIN_DOWN_17 | Mux(self.rnd_en, _W_RND, _W_ZERO))
            m.submodules.slice_high = _dsp48e2(
                **common,
                a_regs=2,
                rnd=-self._rnd & (1 << _P_BITS) - 1,
                d=carry_d1.replicate(27),
                b=b_high,
                pcin=cascade,
                p=p,
                pcout=Signal(_P_BITS, name="pcout"),
                opmode=opmode,
            )
            return m

        a_reg = Signal(26, reset_less=True)
        low_b1 = Signal(17, reset_less=True)
        low_b2 = Signal(17, reset_less=True)
        low_ad = Signal(signed(27), reset_less=True)
        low_c = Signal(signed(32), reset_less=True)
        low_m = Signal(signed(45), reset_less=True)
        low_p = Signal(signed(_P_BITS), reset_less=True)
        high_b1 = Signal(signed(15), reset_less=True)
        high_b2 = Signal(signed(15), reset_less=True)
        high_ad = Signal(signed(27), reset_less=True)
        high_m = Signal(signed(45), reset_less=True)
        w_is_rnd = Signal(reset_less=True)
        m.d.sync += [
            a_reg.eq(self.mult),
            low_b1.eq(self.x[:17]),
            low_b2.eq(low_b1),
            low_ad.eq(-(a_reg + carry_d1)),
            low_m.eq(low_ad * low_b2),
            low_c.eq(self.addend),
            low_p.eq(low_c - low_m),
            high_b1.eq(high_d1),
            high_b2.eq(high_b1),
            high_ad.eq(low_ad),
            high_m.eq(high_ad * high_b2),
            w_is_rnd.eq(self.rnd_en),
            self.p.eq((low_p >> 17) - (high_m - Mux(w_is_rnd, self._rnd, 0))),
        ]
        return m


class NarrowProduct(wiring.Component):
    """addend + x * (y + y_carry), and a constant where wanted.

    The slice multiplies by -(y + y_carry) and subtracts, as those of `WideProduct`.

    Parameters
    ----------
    rnd : int
        Added to p where rnd_en says so.

    Members
    -------
    y : In(17), y_carry : In(1)
    x : In(signed(27))
        1 clock later.
    addend : In(signed(32)), rnd_en : In(1)
        3 clocks later.
    p : Out(signed(48))

    Notes
    -----
    *Latency*: 5 clocks from y to p; a product a clock. *Resources*: 1 DSP48E2.
    """

    latency = 5

    def __init__(self, *, rnd: int):
        self._rnd = rnd
        super().__init__(
            {
                "y": In(17),
                "y_carry": In(1),
                "x": In(signed(27)),
                "addend": In(signed(32)),
                "rnd_en": In(1),
                "p": Out(signed(_P_BITS)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        carry_d1 = Signal(reset_less=True)
        m.d.sync += carry_d1.eq(self.y_carry)
        if is_xilinx(platform):
            a = Signal(signed(30))
            c = Signal(signed(_P_BITS))
            opmode = Signal(9)
            m.d.comb += [
                a.eq(self.x),
                c.eq(self.addend),
                opmode.eq(_XY_M | _Z_C | Mux(self.rnd_en, _W_RND, _W_ZERO)),
            ]
            always = Const(1, 1)
            m.submodules.slice = _dsp48e2(
                a_regs=2,
                b_regs=2,
                rnd=-self._rnd & (1 << _P_BITS) - 1,
                a=a,
                d=carry_d1.replicate(27),
                b=Cat(self.y, Const(0, 1)),
                c=c,
                pcin=Const(0, _P_BITS),
                p=self.p,
                pcout=Signal(_P_BITS, name="pcout"),
                opmode=opmode,
                inmode=_INMODE_D_MINUS_B2,
                alumode=_ALUMODE_SUBTRACT,
                preadd="B",
                ce_ad_inputs=always,
                ce_ad=always,
                ce_b=(always, always),
                ce_m=always,
            )
            return m

        b1_reg = Signal(17, reset_less=True)
        b2_reg = Signal(17, reset_less=True)
        d_reg = Signal(reset_less=True)
        a1_reg = Signal(signed(27), reset_less=True)
        a2_reg = Signal(signed(27), reset_less=True)
        ad_reg = Signal(signed(18), reset_less=True)
        m_reg = Signal(signed(45), reset_less=True)
        c_reg = Signal(signed(32), reset_less=True)
        w_is_rnd = Signal(reset_less=True)
        m.d.sync += [
            b1_reg.eq(self.y),
            b2_reg.eq(b1_reg),
            d_reg.eq(carry_d1),
            ad_reg.eq(-(b2_reg + d_reg)),
            a1_reg.eq(self.x),
            a2_reg.eq(a1_reg),
            m_reg.eq(a2_reg * ad_reg),
            c_reg.eq(self.addend),
            w_is_rnd.eq(self.rnd_en),
            self.p.eq(c_reg - (m_reg - Mux(w_is_rnd, self._rnd, 0))),
        ]
        return m
