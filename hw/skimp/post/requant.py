"""Requantisation: 32-bit sums to int8, rounded exactly as TFLite's reference kernels do."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from skimp.config import Config
from skimp.feed.pipe import delay
from skimp.isa import MAX_SHIFT, Rounding
from skimp.prim.shared import Shared

__all__ = ["MULT_CYCLES", "Requant", "RequantControl", "RequantLane"]

MULT_CYCLES = 2
"""Clocks from a sum to the moment its multiplier is taken."""

_LOWEST = 23
"""Lowest bit of a product that rounding looks at: it goes down 31 - MAX_SHIFT places at least."""


class RequantControl(data.Struct):
    """What all channels of a pixel share: rounding, zero point, range."""

    mode: 2
    out_zp: signed(8)
    act_min: signed(8)
    act_max: signed(8)


class RequantLane(wiring.Component):
    """One channel of `Requant` (docs/arithmetic.md, "Requantisation").

    Members
    -------
    acc : In(signed(32))
    bias : In(signed(32)), shift : In(signed(7)), control : In(RequantControl)
        With acc; shift from MIN_SHIFT to MAX_SHIFT.
    mult : In(signed(32))
        MULT_CYCLES clocks after acc; not negative.
    control_d : In(RequantControl).array(latency - 1)
        `control` 1, 2, ... clocks later: one delay line serves all lanes.
    ofmap : Out(signed(8))

    Notes
    -----
    *Latency*: 9 clocks; one value a clock. The 33 x 31 bit product is made of two 33 x 16 bit ones
    that are registered, shifted and added, so that no stage is deeper than an adder or a shifter.
    """

    latency = 9

    def __init__(self):
        super().__init__(
            {
                "acc": In(signed(32)),
                "bias": In(signed(32)),
                "mult": In(signed(32)),
                "shift": In(signed(7)),
                "control": In(RequantControl),
                "control_d": In(RequantControl).array(self.latency - 1),
                "ofmap": Out(signed(8)),
            }
        )

    def elaborate(self, platform):
        m = Module()

        def at(stage):
            """Control of the value that this stage (1 to 9) works on."""
            return self.control if stage == 1 else self.control_d[stage - 2]

        shifts = [self.shift]
        for k in range(1, 7):
            shifts.append(Signal(signed(7), name=f"shift_d{k}", reset_less=True))
            m.d.sync += shifts[k].eq(shifts[k - 1])

        def is_mode(stage, mode):
            return at(stage).mode == mode

        def shift_at(stage):
            return shifts[stage - 1]

        # Stage 1: bias; average pools work on magnitudes. A carry in makes -x of ~x.
        s1_x = Signal(signed(32), reset_less=True)
        s1_negative = Signal(reset_less=True)
        negative = Signal()
        m.d.comb += negative.eq(is_mode(1, Rounding.AWAY) & self.acc[31])
        m.d.sync += [
            s1_x.eq(_add(self.acc.as_unsigned() ^ negative.replicate(32), self.bias, negative)),
            s1_negative.eq(negative),
        ]

        # Stage 2: left shift (int32 wraps), only where rounding is double.
        left = Signal(range(MAX_SHIFT + 1))
        s2_x = Signal(signed(32), reset_less=True)
        with m.If(is_mode(2, Rounding.DOUBLE) & ~shift_at(2)[-1]):
            m.d.comb += left.eq(shift_at(2))
        m.d.sync += s2_x.eq(s1_x << left)

        # Stages 3 and 4: product from two halves of the multiplier.
        s3_low = Signal(signed(49), reset_less=True)
        s3_high = Signal(signed(48), reset_less=True)
        s4_product = Signal(signed(64), reset_less=True)
        m.d.sync += [
            s3_low.eq(s2_x * self.mult[:16]),
            s3_high.eq(s2_x * self.mult[16:31]),
            s4_product.eq(s3_low + (s3_high << 16)),
        ]

        # Stage 5: what is added before the first shift: half of 2^31 (one less below 0, because
        # the division truncates), half of the last place kept, or nothing. Truncating
        # (p + nudge) / 2^31 = floor((p + nudge + (2^31 - 1 where it is negative)) / 2^31); below 0
        # both constants make 2^30 + ... exactly 2^30. Bits below any half are never looked at.
        half = Signal(39)
        half_d = Signal(39, reset_less=True)
        s5_sum = Signal(signed(41), reset_less=True)  # in units of 2^23
        with m.Switch(at(4).mode):
            with m.Case(Rounding.DOUBLE):
                m.d.comb += half.eq(1 << (30 - _LOWEST))
            with m.Case(Rounding.SINGLE):
                for k in range(39):
                    m.d.comb += half[k].eq(shift_at(4) == 30 - _LOWEST - k)
        m.d.sync += [half_d.eq(half), s5_sum.eq(s4_product[_LOWEST:].as_signed() + half_d)]

        # Stages 6 and 7: the product goes down 31 - shift places, or 31 where rounding is double:
        # first 24 to 31 of them, then the rest, which for a double rounding is the second one,
        # half away from zero.
        s6_x = Signal(signed(40), reset_less=True)
        s6_shift = Signal(3)
        to_31 = is_mode(6, Rounding.DOUBLE) | shift_at(6)[-1]
        m.d.comb += s6_shift.eq(~shift_at(6)[:3] | to_31.replicate(3))
        m.d.sync += s6_x.eq(s5_sum[1:].as_signed() >> s6_shift)
        right = Signal(5)
        below = Signal(30)  # bits below the one that decides
        decides = Signal()
        s7_x = Signal(signed(40), reset_less=True)
        s7_up = Signal(reset_less=True)
        with m.If(shift_at(7)[-1]):
            m.d.comb += right.eq(-shift_at(7))
        for k in range(len(below)):
            m.d.comb += below[k].eq(s6_x[k] & (right > k + 1))
        m.d.comb += decides.eq(Cat(Const(0, 1), s6_x[:31]).bit_select(right, 1))
        m.d.sync += [
            s7_x.eq(s6_x >> right),
            s7_up.eq(decides & (~s6_x[-1] | below.any()) & is_mode(7, Rounding.DOUBLE)),
        ]

        # Stage 8: round up or sign back (never both), zero point.
        s8_x = Signal(signed(42), reset_less=True)
        s8_negative = delay(m, s1_negative, 6, name="negative", reset_less=True)
        signed_x = Signal(signed(42))
        m.d.comb += signed_x.eq(Cat(s7_x, s7_x[-1].replicate(2)) ^ s8_negative.replicate(42))
        m.d.sync += s8_x.eq(_add(signed_x, at(8).out_zp, s7_up | s8_negative))

        # Stage 9: clamp. Beyond 9 bits only the sign counts.
        near = Signal(signed(9))
        far, under, over = Signal(), Signal(), Signal()
        m.d.comb += [
            near.eq(s8_x[:9]),
            far.eq(s8_x[-1].replicate(33) != s8_x[8:41]),
            under.eq(Mux(far, s8_x[-1], near < at(9).act_min)),
            over.eq(Mux(far, ~s8_x[-1], near > at(9).act_max)),
        ]
        with m.If(under):
            m.d.sync += self.ofmap.eq(at(9).act_min)
        with m.Elif(over):
            m.d.sync += self.ofmap.eq(at(9).act_max)
        with m.Else():
            m.d.sync += self.ofmap.eq(near[:8].as_signed())
        return m


def _add(a, b, carry):
    """Return a + b + carry, as wide as a + b and one bit, in a single carry chain."""
    return (Cat(Const(1, 1), a).as_signed() + Cat(carry, b).as_signed())[1:].as_signed()


class Requant(wiring.Component):
    """out_channels lanes of requantisation, a rigid pipeline.

    Parameters
    ----------
    config : Config
    tag_bits : int
        Width of what travels beside the data.

    Members
    -------
    acc : In(ArrayLayout(signed(32), out_channels)), valid : In(1), tag : In(tag_bits)
    bias : In(ArrayLayout(signed(32), out_channels))
    shift : In(ArrayLayout(signed(7), out_channels))
    control : In(RequantControl)
        With acc.
    mult : In(ArrayLayout(signed(32), out_channels))
        MULT_CYCLES clocks after acc.
    ofmap : Out(ArrayLayout(signed(8), out_channels)), ofmap_valid, ofmap_tag : Out
        `latency` clocks later.
    early_valid, early_tag : Out
        One clock before ofmap_valid and ofmap_tag.
    """

    latency = RequantLane.latency

    def __init__(self, config: Config, *, tag_bits: int):
        self._config = config
        channels = config.out_channels
        words = data.ArrayLayout(signed(32), channels)
        super().__init__(
            {
                "acc": In(words),
                "valid": In(1),
                "tag": In(tag_bits),
                "bias": In(words),
                "mult": In(words),
                "shift": In(data.ArrayLayout(signed(7), channels)),
                "control": In(RequantControl),
                "ofmap": Out(data.ArrayLayout(signed(8), channels)),
                "ofmap_valid": Out(1),
                "ofmap_tag": Out(tag_bits),
                "early_valid": Out(1),
                "early_tag": Out(tag_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        controls = [self.control]
        for k in range(1, self.latency):
            stage = Signal(RequantControl, name=f"control_d{k}", reset_less=True)
            m.d.sync += stage.eq(controls[-1])
            controls.append(stage)
        for c in range(self._config.out_channels):
            lane = Shared(RequantLane(), name="skimp_requant_lane")
            m.submodules[f"lane_{c}"] = lane
            m.d.comb += [
                lane.acc.eq(self.acc[c]),
                lane.bias.eq(self.bias[c]),
                lane.mult.eq(self.mult[c]),
                lane.shift.eq(self.shift[c]),
                lane.control.eq(self.control),
                self.ofmap[c].eq(lane.ofmap),
            ]
            for k in range(1, self.latency):
                m.d.comb += lane.control_d[k - 1].eq(controls[k])
        early = self.latency - 1
        m.d.comb += [
            self.early_valid.eq(delay(m, self.valid, early, name="valid")),
            self.early_tag.eq(delay(m, self.tag, early, name="tag", reset_less=True)),
            self.ofmap_valid.eq(delay(m, self.early_valid, 1, name="last_valid")),
            self.ofmap_tag.eq(delay(m, self.early_tag, 1, name="last_tag", reset_less=True)),
        ]
        return m
