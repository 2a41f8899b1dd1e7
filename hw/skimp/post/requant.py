"""Requantisation: 32-bit sums to int8, rounded exactly as TFLite's reference kernels do."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from skimp.config import Config
from skimp.feed.pipe import delay
from skimp.isa import MAX_SHIFT, Rounding

__all__ = ["Requant", "RequantLane"]


class RequantLane(wiring.Component):
    """One channel of `Requant` (docs/arithmetic.md, "Requantisation").

    Members
    -------
    acc : In(signed(32))
    bias, mult : In(signed(32)), shift : In(signed(7))
        Held while data is in the pipeline; mult is not negative, shift from MIN_SHIFT to MAX_SHIFT.
    mode : In(2)
        Rounding.
    out_zp, act_min, act_max : In(signed(8))
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
                "mode": In(2),
                "out_zp": In(signed(8)),
                "act_min": In(signed(8)),
                "act_max": In(signed(8)),
                "ofmap": Out(signed(8)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        double = self.mode == Rounding.DOUBLE
        away = self.mode == Rounding.AWAY

        # Stage 1: bias; average pools work on magnitudes.
        magnitude = Signal(signed(33))
        s1_x = Signal(signed(32), reset_less=True)
        s1_negative = Signal(reset_less=True)
        m.d.comb += magnitude.eq(Mux(away & (self.acc < 0), -self.acc, self.acc))
        m.d.sync += [
            s1_x.eq(magnitude[:32].as_signed() + self.bias),
            s1_negative.eq(away & (self.acc < 0)),
        ]

        # Stage 2: left shift (int32 wraps), only where rounding is double.
        left = Signal(range(MAX_SHIFT + 1))
        s2_x = Signal(signed(32), reset_less=True)
        m.d.comb += left.eq(Mux(double & (self.shift > 0), self.shift, 0))
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
        # the division truncates), half of the last place kept, or nothing.
        total_shift = Signal(6)  # 31 - shift of the single roundings: 24 to 62
        s5_sum = Signal(signed(64), reset_less=True)
        half = Signal(signed(64))
        m.d.comb += [
            total_shift.eq(31 - self.shift),
            half.eq(1 << (total_shift - 1)[:6]),
        ]
        with m.Switch(self.mode):
            with m.Case(Rounding.DOUBLE):
                # Truncating (p + nudge) / 2^31 = floor((p + nudge + (2^31 - 1 where it is
                # negative)) / 2^31); below 0 both constants make 2^30 + ... exactly 2^30.
                m.d.sync += s5_sum.eq(s4_product + (1 << 30))
            with m.Case(Rounding.SINGLE):
                m.d.sync += s5_sum.eq(s4_product + half)
            with m.Default():
                m.d.sync += s5_sum.eq(s4_product)

        # Stage 6: first shift; at least 24 bits.
        s6_x = Signal(signed(40), reset_less=True)
        m.d.sync += s6_x.eq(Mux(double, s5_sum >> 31, s5_sum >> total_shift))

        # Stage 7: rounding right shift of the double rounding, half away from zero.
        right = Signal(5)
        mask = Signal(32)
        remainder = Signal(32)
        threshold = Signal(33)
        s7_x = Signal(signed(40), reset_less=True)
        s7_up = Signal(reset_less=True)
        m.d.comb += [
            right.eq(Mux(double & (self.shift < 0), -self.shift, 0)),
            mask.eq((1 << right) - 1),
            remainder.eq(s6_x[:32] & mask),
            threshold.eq((mask >> 1) + (s6_x < 0)),
        ]
        m.d.sync += [s7_x.eq(s6_x >> right), s7_up.eq(remainder > threshold)]

        # Stage 8: round up, sign back, zero point. Stage 9: clamp.
        rounded = Signal(signed(41))
        s8_x = Signal(signed(42), reset_less=True)
        s8_negative = delay(m, s1_negative, 6, name="negative", reset_less=True)
        m.d.comb += rounded.eq(s7_x + (s7_up & double))
        m.d.sync += s8_x.eq(Mux(s8_negative, -rounded, rounded) + self.out_zp)
        with m.If(s8_x < self.act_min):
            m.d.sync += self.ofmap.eq(self.act_min)
        with m.Elif(s8_x > self.act_max):
            m.d.sync += self.ofmap.eq(self.act_max)
        with m.Else():
            m.d.sync += self.ofmap.eq(s8_x[:8].as_signed())
        return m


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
    bias, mult : In(ArrayLayout(signed(32), out_channels))
    shift : In(ArrayLayout(signed(7), out_channels))
    mode, out_zp, act_min, act_max : In
    ofmap : Out(ArrayLayout(signed(8), out_channels)), ofmap_valid, ofmap_tag : Out
        `latency` clocks later.
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
                "mode": In(2),
                "out_zp": In(signed(8)),
                "act_min": In(signed(8)),
                "act_max": In(signed(8)),
                "ofmap": Out(data.ArrayLayout(signed(8), channels)),
                "ofmap_valid": Out(1),
                "ofmap_tag": Out(tag_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        for c in range(self._config.out_channels):
            m.submodules[f"lane_{c}"] = lane = RequantLane()
            m.d.comb += [
                lane.acc.eq(self.acc[c]),
                lane.bias.eq(self.bias[c]),
                lane.mult.eq(self.mult[c]),
                lane.shift.eq(self.shift[c]),
                lane.mode.eq(self.mode),
                lane.out_zp.eq(self.out_zp),
                lane.act_min.eq(self.act_min),
                lane.act_max.eq(self.act_max),
                self.ofmap[c].eq(lane.ofmap),
            ]
        m.d.comb += [
            self.ofmap_valid.eq(delay(m, self.valid, self.latency, name="valid")),
            self.ofmap_tag.eq(delay(m, self.tag, self.latency, name="tag", reset_less=True)),
        ]
        return m
