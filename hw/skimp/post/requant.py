"""Requantisation: 32-bit sums to int8, rounded exactly as TFLite's reference kernels do."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from skimp.config import Config
from skimp.feed.pipe import delay
from skimp.isa import MAX_SHIFT, Rounding
from skimp.prim.carry import add, add_digit
from skimp.prim.dsp48e2 import NarrowProduct, WideProduct
from skimp.prim.shared import Shared

__all__ = ["Requant", "RequantControl", "RequantLane"]

_LOWEST = 23
"""Lowest bit of a product that rounding looks at: it goes down 31 - MAX_SHIFT places at least."""

_PRODUCT_UNIT = 22
"""Lowest bit of a product that two slices give: 5 bits less the multiplier, 17 the cascade."""

_NARROW_LOW = 5
"""Lower bits of the sum that a lane with one slice leaves to LUTs."""

_NARROW_BITS = 14
"""Lower bits of the multiplier that it leaves to them."""

_NARROW_UNIT = _NARROW_BITS + _NARROW_LOW
"""Lowest bit of a product that one slice gives."""

_LOW_ROWS = 3
"""Rows for the former, of two bits each; then come those for the latter."""

_NARROW_ROWS = (33, 33, 33, 33, 31, 29, 29, 29, 29, 29)
"""Bits of the sums of its rows: what comes before the row counts a quarter in each."""


class RequantControl(data.Struct):
    """What all channels of a pixel share: rounding, zero point, range.

    bias_only: the sum counts as 0.
    """

    mode: 2
    out_zp: signed(8)
    act_min: signed(8)
    act_max: signed(8)
    bias_only: 1


class RequantLane(wiring.Component):
    """One channel of `Requant` (docs/arithmetic.md, "Requantisation").

    Parameters
    ----------
    slices : int
        DSP48E2 for the product, 2 or 1; 0: plain multipliers, for other devices. The same results
        in the same clocks.

    Members
    -------
    acc : In(signed(32))
    bias : In(signed(32)), mult : In(signed(32)), shift : In(signed(7))
        With acc; mult not negative, shift from MIN_SHIFT to MAX_SHIFT.
    control : In(RequantControl)
        With acc.
    control_d : In(RequantControl).array(latency - 1)
        `control` 1, 2, ... clocks later: one delay line serves all lanes.
    ofmap : Out(signed(8))

    Notes
    -----
    *Latency*: 11 clocks; one value a clock. *Resources*: 2 DSP48E2 for the 32 x 31 bit product, or
    1 and twice the LUTs.

    A product goes down 31 - shift places in all modes: a left shift in front of it only drops bits.
    Behind it just the bits that int8 can hold are moved; the others are told by flags.
    """

    latency = 11

    def __init__(self, *, slices: int = 2):
        if slices not in (0, 1, 2):
            raise ValueError(f"slices must be 0, 1 or 2, not {slices!r}")
        self._slices = slices
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
        shifts = [self.shift]
        for k in range(1, 9):
            shifts.append(Signal(signed(7), name=f"shift_d{k}", reset_less=True))
            m.d.sync += shifts[k].eq(shifts[k - 1])

        def at(stage):
            """Control of the value that this stage (1 to 11) works on."""
            return self.control if stage == 1 else self.control_d[stage - 2]

        def shift_at(stage):
            return shifts[stage - 1]

        def is_mode(stage, mode):
            return at(stage).mode == mode

        def rounds_twice(stage):
            return is_mode(stage, Rounding.DOUBLE) & shift_at(stage)[-1]

        # Stage 1: bias; average pools work on magnitudes. A carry in makes -x of ~x.
        s1_x = Signal(signed(32), reset_less=True)
        s1_mult = Signal(31, reset_less=True)
        s1_negative = Signal(reset_less=True)
        s1_left = Signal(range(MAX_SHIFT + 1), reset_less=True)
        negative = Signal()
        counts = ~self.control.bias_only
        m.d.comb += negative.eq(is_mode(1, Rounding.AWAY) & self.acc[31] & counts)
        operand = (self.acc.as_unsigned() ^ negative.replicate(32)) & counts.replicate(32)
        m.d.sync += [
            s1_x.eq(add(self.bias, operand, negative)),
            s1_negative.eq(negative),
            s1_mult.eq(self.mult),
            s1_left.eq(Mux(is_mode(1, Rounding.DOUBLE) & ~self.shift[-1], self.shift, 0)),
        ]

        # Stage 2: a left shift drops the highest bits (int32 wraps), which is a copy of the highest
        # one that stays in their place; the shift itself is left to the one behind the product.
        x = Signal(signed(32))
        highest = Signal()
        m.d.comb += [
            highest.eq(s1_x[31 - MAX_SHIFT :][::-1].bit_select(s1_left, 1)),
            x[: 32 - MAX_SHIFT].eq(s1_x[: 32 - MAX_SHIFT]),
        ]
        for k in range(1, MAX_SHIFT + 1):
            m.d.comb += x[32 - k].eq(Mux(s1_left >= k, highest, s1_x[32 - k]))

        # Stages 2 to 7: product.
        # Rounding twice adds half of 2^31 here. (The first one of TFLite truncates, but below 0 it
        # adds 1 - 2^30, which comes to the same: floor((p + 2^30) / 2^31).)
        product = (self._plain, self._one_slice, self._two_slices)[self._slices]
        s7_x = Signal(signed(40))  # in units of 2^23
        m.d.comb += s7_x.eq(product(m, x, s1_mult, rounds_twice(6)))

        # Stages 8 and 9: bit 7 - shift decides how to round, and the 8 bits above it are the result.
        # Of the bits above these it counts whether they all are the sign; of those below, back to
        # 2^31, whether there is a one: the second rounding is half away from zero.
        # 7 - shift = 8 + ~shift; first by whole nibbles.
        nibbles = Signal(4, reset_less=True)
        wide = Signal(24)
        sign = s7_x[-1]
        extended = Cat(s7_x, sign.replicate(16))
        beyond = Signal(7)
        below = Signal(7)
        s8_x = Signal(12, reset_less=True)
        s8_sign = Signal(reset_less=True)
        s8_far = Signal(reset_less=True)
        s8_up = Signal(reset_less=True)
        m.d.sync += nibbles.eq(~shift_at(7)[2:6] + 2)
        with m.Switch(nibbles[2:]):
            for k in range(3):
                with m.Case(k):
                    m.d.comb += wide.eq(extended[16 * k :])
        for k in range(7):
            high = s7_x[4 * k + 12 : 4 * k + 16]
            m.d.comb += [
                beyond[k].eq((high != sign.replicate(4)) & (nibbles <= k)),
                below[k].eq(s7_x[4 * k + 8 : 4 * k + 12].any() & (nibbles > k + 2)),
            ]
        m.d.sync += [
            s8_x.eq(wide.bit_select(nibbles[:2] << 2, 12)),
            s8_sign.eq(sign),
            s8_far.eq(beyond.any()),
            s8_up.eq(~rounds_twice(8) | ~sign | below.any()),
        ]
        place = Signal(2)
        window = Signal(9)
        s9_x = Signal(signed(9), reset_less=True)
        s9_far = Signal(reset_less=True)
        s9_up = Signal(reset_less=True)
        m.d.comb += [place.eq(~shift_at(9)[:2]), window.eq(s8_x.bit_select(place, 9))]
        near_below = Cat(s8_x[k] & (place > k) for k in range(3)).any()
        near_beyond = Cat((s8_x[9 + k] != s8_sign) & (place <= k) for k in range(3)).any()
        m.d.sync += [
            s9_x.eq(Cat(window[1:], s8_sign).as_signed()),
            s9_far.eq(s8_far | near_beyond),
            s9_up.eq(window[0] & (s8_up | near_below) & ~is_mode(9, Rounding.AWAY)),
        ]

        # Stage 10: round up or sign back (never both), zero point.
        s10_x = Signal(signed(10), reset_less=True)
        s10_far = Signal(reset_less=True)
        s10_sign = Signal(reset_less=True)
        s9_negative = delay(m, s1_negative, 8, name="negative", reset_less=True)
        signed_x = s9_x ^ s9_negative.replicate(9).as_signed()
        m.d.sync += [
            s10_x.eq(add(at(10).out_zp, signed_x, s9_up | s9_negative)),
            s10_far.eq(s9_far),
            s10_sign.eq(s9_x[-1] ^ s9_negative),
        ]

        # Stage 11: clamp. Beyond 8 bits only the sign counts: no zero point brings that back.
        under, over = Signal(), Signal()
        m.d.comb += [
            under.eq(Mux(s10_far, s10_sign, s10_x < at(11).act_min)),
            over.eq(Mux(s10_far, ~s10_sign, s10_x > at(11).act_max)),
        ]
        with m.If(under):
            m.d.sync += self.ofmap.eq(at(11).act_min)
        with m.Elif(over):
            m.d.sync += self.ofmap.eq(at(11).act_max)
        with m.Else():
            m.d.sync += self.ofmap.eq(s10_x[:8].as_signed())
        return m

    def _two_slices(self, m, x, mult, rnd_en):
        """Return x * mult div 2^23 in stage 7, plus 2^7 where rnd_en says so in stage 6.

        The slices multiply by the upper 26 bits of the multiplier. Its lowest 5 go through rows
        (Booth, radix 4) that the LUTs of their adders make besides: bit 0, then bits 1 and 2, then
        3 and 4. Bit 4 counts there as -16, and in the slices once more as 32.
        """
        m.submodules.product = product = WideProduct(rnd=1 << (30 - _PRODUCT_UNIT))
        s2_x = Signal(signed(32), reset_less=True)
        s2_mult = Signal(31, reset_less=True)
        s3_x = Signal(signed(32), reset_less=True)
        s3_x0 = Signal(signed(32), reset_less=True)
        s3_digits = Signal(4, reset_less=True)
        s4_x = Signal(signed(32), reset_less=True)
        s4_digits = Signal(3, reset_less=True)
        s4_sum = Signal(signed(34), reset_less=True)
        s5_sum = Signal(signed(34))
        m.d.sync += [
            s2_x.eq(x),
            s2_mult.eq(mult),
            s3_x.eq(s2_x),
            s3_x0.eq(Mux(s2_mult[0], s2_x, 0)),
            s3_digits.eq(s2_mult[1:5]),
            s4_x.eq(s3_x),
            s4_digits.eq(s3_digits[1:]),
            s4_sum.eq(add_digit(s3_x0[1:].as_signed(), s3_x, 0, s3_digits[0], s3_digits[1])),
        ]
        m.d.comb += [
            s5_sum.eq(add_digit(s4_sum[2:].as_signed(), s4_x, *s4_digits)),
            product.x.eq(s2_x),
            product.mult.eq(s2_mult[5:31]),
            product.mult_carry.eq(s2_mult[4]),
            product.addend.eq(s5_sum[2:].as_signed()),
            product.rnd_en.eq(rnd_en),
        ]
        return product.p[_LOWEST - _PRODUCT_UNIT :].as_signed()

    def _one_slice(self, m, x, mult, rnd_en):
        """Return the same with a slice for the upper 27 bits of x and 17 of the multiplier.

        Rows in LUTs, two a clock: first the multiplier by the lowest 5 bits of x, then the upper
        bits of x by the multiplier's lower 14, where bit 13 counts as -2^13, and in the slice once
        more as one. Of each sum only what goes beyond the slice's lowest bit matters.
        """
        m.submodules.product = product = NarrowProduct(rnd=1 << (30 - _NARROW_UNIT))
        row_sum = Const(0, signed(3))
        for k, width in enumerate(_NARROW_ROWS):
            stage = 2 + k // 2
            if stage > 2 and k % 2 == 0:
                x = delay(m, x, 1, name=f"s{stage - 1}_x", reset_less=True)
                mult = delay(m, mult, 1, name=f"s{stage - 1}_mult", reset_less=True)
                row_sum = delay(m, row_sum, 1, name=f"s{stage - 1}_sum", reset_less=True)
                if stage == 3:
                    m.d.comb += product.y.eq(mult[_NARROW_BITS:])
                    m.d.comb += product.y_carry.eq(mult[_NARROW_BITS - 1])
                if stage == 4:
                    m.d.comb += product.x.eq(x[_NARROW_LOW:].as_signed())
            if k < _LOW_ROWS:
                factor = Cat(mult, Const(0, 1)).as_signed()
                bits, nth = Cat(x[:_NARROW_LOW], Const(0, 1)), k
            else:
                factor, bits, nth = x[_NARROW_LOW:].as_signed(), mult[:_NARROW_BITS], k - _LOW_ROWS
            digits = Cat(Const(0, 1), bits)[2 * nth : 2 * nth + 3]
            row = Signal(signed(width), name=f"row_{k}")
            down = 1 if k == _LOW_ROWS else 2
            below = down * (k % 2)  # the second one of a clock lines up with the first
            m.d.comb += row.eq(add_digit(row_sum[down:].as_signed(), factor, *digits, below=below))
            row_sum = row
        m.d.comb += [product.addend.eq(row_sum[2:].as_signed()), product.rnd_en.eq(rnd_en)]
        return product.p[_LOWEST - _NARROW_UNIT :].as_signed()

    def _plain(self, m, x, mult, rnd_en):
        """Return the same without slices: 4 multipliers of 18 x 18 bits, and an adder.

        The product comes early, and its delay is that of the other two.
        """
        s2_x = delay(m, x, 1, name="s2_x", reset_less=True)
        s2_mult = delay(m, mult, 1, name="s2_mult", reset_less=True)
        s3_p = (s2_x * s2_mult)[_LOWEST:].as_signed()
        s5_p = delay(m, s3_p, 3, name="product", reset_less=True)
        s6_p = Signal(signed(40), reset_less=True)
        m.d.sync += s6_p.eq(s5_p + (rnd_en << (30 - _LOWEST)))
        return delay(m, s6_p, 1, name="s6_p", reset_less=True)


class Requant(wiring.Component):
    """out_channels lanes of requantisation, a rigid pipeline.

    Parameters
    ----------
    config : Config
    tag_bits : int
        Width of what travels beside the data.
    narrow : int
        Lanes, the last ones, with one DSP48E2. Without `config.packed` none has any.

    Members
    -------
    acc : In(ArrayLayout(signed(32), out_channels)), valid : In(1), tag : In(tag_bits)
    bias, mult : In(ArrayLayout(signed(32), out_channels))
    shift : In(ArrayLayout(signed(7), out_channels))
    control : In(RequantControl)
        With acc.
    ofmap : Out(ArrayLayout(signed(8), out_channels)), ofmap_valid, ofmap_tag : Out
        `latency` clocks later.
    early_valid, early_tag : Out
        One clock before ofmap_valid and ofmap_tag.
    """

    latency = RequantLane.latency

    def __init__(self, config: Config, *, tag_bits: int, narrow: int = 0):
        self._config = config
        self._narrow = narrow
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
        channels = self._config.out_channels
        for c in range(channels):
            slices = (2 if c < channels - self._narrow else 1) if self._config.packed else 0
            lane = Shared(RequantLane(slices=slices), name=f"skimp_requant_lane_{slices}")
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
