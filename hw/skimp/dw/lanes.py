"""Lanes of the depthwise unit: every channel with its own weights, sums or maxima over windows."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from skimp.config import DW_SUM_BITS, Config
from skimp.feed.pipe import delay
from skimp.prim.dsp48e2 import PackedPair, PlainPair
from skimp.prim.lut_pair import LutPair
from skimp.prim.shared import Shared

__all__ = ["DepthwiseLanes", "DepthwiseSum", "pair_of"]


def pair_of(config: Config) -> tuple[type, str]:
    """Return the component that multiplies for two pixels, and the name of its module."""
    if not config.dw_slices:
        return LutPair, "skimp_lut_pair"
    if config.packed:
        return PackedPair, "skimp_packed_pair"
    return PlainPair, "skimp_plain_pair"


class DepthwiseSum(wiring.Component):
    """Accumulator of one lane.

    Parameters
    ----------
    maxima : bool
        It can take the largest product instead of the sum.

    Members
    -------
    product : In(signed(17))
    valid : In(1)
    first : In(1)
        The sum starts with this product.
    max_mode : In(1)
        Only with `maxima`: keep the largest product, or 0 if all are negative; none is above 255.
    acc : Out(signed(DW_SUM_BITS))
        One clock later; wraps.

    Notes
    -----
    *Latency*: 1 clock. *Resources*: a LUT a bit, 11 more for maxima.
    """

    def __init__(self, *, maxima: bool):
        self._maxima = maxima
        super().__init__(
            {
                "product": In(signed(17)),
                "valid": In(1),
                "first": In(1),
                "max_mode": In(1),
                "acc": Out(signed(DW_SUM_BITS)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # The product goes to the carry chain as it is, so what gates the sum fits into its LUTs.
        if not self._maxima:
            with m.If(self.valid):
                m.d.sync += self.acc.eq(self.product + Mux(self.first, 0, self.acc))
            return m
        # The largest one lies in the low byte; a larger one takes its place as a first one does.
        alone, greater = Signal(), Signal()
        m.d.comb += [
            alone.eq(self.first | self.max_mode),
            greater.eq(self.product[:9].as_signed() > Mux(self.first, 0, self.acc[:8])),
        ]
        with m.If(self.valid & self.first & self.max_mode & ~greater):
            m.d.sync += self.acc.eq(0)
        with m.Elif(self.valid & (~self.max_mode | greater)):
            m.d.sync += self.acc.eq(self.product + Mux(alone, 0, self.acc))
        return m


class DepthwiseLanes(wiring.Component):
    """A tap a clock for pixels x out_channels lanes; the accumulator stays with its pixel.

    Two pixels share a slice, because they share the weight.

    Parameters
    ----------
    config : Config
    maxima : bool
        max_mode is used.

    Members
    -------
    act : In(ArrayLayout(signed(9), out_channels)).array(pixels)
    zero : In(out_channels).array(pixels)
        The activation is 0.
    wgt : In(ArrayLayout(signed(8), out_channels))
        1 in max_mode.
    valid : In(1)
        There is a tap in this clock.
    first, last : In(1)
        First and last tap of a pixel group.
    max_mode : In(1)
        Largest activation (not below 0) instead of the sum of products, for all taps of a group.
    acc : Out(ArrayLayout(signed(DW_SUM_BITS), out_channels)).array(pixels)
        Only with acc_valid.
    acc_valid : Out(1)
        One clock for each `last`, `latency` clocks later.

    Notes
    -----
    *Latency*: 5 clocks. *Throughput*: a tap a clock. *Resources*: ceil(pixels / 2) * out_channels
    DSP48E2 (twice as many plain multipliers without `config.packed`, none without
    `config.dw_slices`); 28 bits of carry a lane.
    A product rests while one of its operands is 0, and between taps; in a slice for two pixels,
    while the weight or both activations are 0; without `config.gating` only between taps.
    """

    latency = PackedPair.latency + 1

    def __init__(self, config: Config, *, maxima: bool):
        if not isinstance(config, Config):
            raise TypeError(f"config must be a Config, not {config!r}")
        self._config = config
        self._maxima = maxima
        channels = config.out_channels
        sums = data.ArrayLayout(signed(DW_SUM_BITS), channels)
        super().__init__(
            {
                "act": In(data.ArrayLayout(signed(9), channels)).array(config.pixels),
                "zero": In(channels).array(config.pixels),
                "wgt": In(data.ArrayLayout(signed(8), channels)),
                "valid": In(1),
                "first": In(1),
                "last": In(1),
                "max_mode": In(1),
                "acc": Out(sums).array(config.pixels),
                "acc_valid": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        pixels, channels = self._config.pixels, self._config.out_channels
        pair_class, pair_name = pair_of(self._config)
        beside = {
            name: delay(m, getattr(self, name), pair_class.latency, name=name)
            for name in ("valid", "first", "last", "max_mode")
        }
        m.d.sync += self.acc_valid.eq(beside["valid"] & beside["last"])
        for c in range(channels):
            idle_wgt = Signal(name=f"idle_wgt_{c}")
            m.d.comb += idle_wgt.eq(~self.valid | (self.wgt[c] == 0))
            for i in range(0, pixels, 2):
                pair = Shared(pair_class(), name=pair_name)
                m.submodules[f"pair_{i}_{c}"] = pair
                lanes = range(i, min(i + 2, pixels))
                rests = ~self.valid
                if self._config.gating:
                    rests = idle_wgt | Cat(self.zero[lane][c] for lane in lanes).all()
                m.d.comb += [
                    pair.act0.eq(self.act[i][c]),
                    pair.act1.eq(self.act[i + 1][c] if len(lanes) == 2 else 0),
                    pair.wgt.eq(self.wgt[c]),
                    pair.gate.eq(rests),
                ]
                for lane, product in zip(lanes, (pair.product0, pair.product1), strict=False):
                    name = "skimp_dw_max" if self._maxima else "skimp_dw_sum"
                    total = Shared(DepthwiseSum(maxima=self._maxima), name=name)
                    m.submodules[f"sum_{lane}_{c}"] = total
                    m.d.comb += [
                        total.product.eq(product),
                        total.valid.eq(beside["valid"]),
                        total.first.eq(beside["first"]),
                        total.max_mode.eq(beside["max_mode"]),
                        self.acc[lane][c].eq(total.acc),
                    ]
        return m
