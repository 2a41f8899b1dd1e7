"""Depthwise unit: every channel with its own weights, sums or maxima over the taps of a window."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from skimp.config import Config
from skimp.feed.pipe import delay
from skimp.prim.dsp48e2 import PackedPair, PlainPair
from skimp.prim.lut_pair import LutPair
from skimp.prim.shared import Shared

__all__ = ["DepthwiseUnit"]

_HALF = 16
"""Bits of half an accumulator: a product's without its sign."""


class DepthwiseUnit(wiring.Component):
    """A tap a clock for pixels x in_channels lanes; the accumulator stays with its pixel.

    Two pixels share a slice, because they share the weight.

    Parameters
    ----------
    config : Config

    Members
    -------
    act : In(ArrayLayout(signed(9), in_channels)).array(pixels)
    wgt : In(ArrayLayout(signed(8), in_channels))
    valid : In(1)
        There is a tap in this clock.
    first, last : In(1)
        First and last tap of a pixel group.
    max_mode : In(1)
        Largest activation (not below 0) instead of the sum of products.
    acc : Out(ArrayLayout(signed(32), in_channels)).array(pixels)
        Only with acc_valid.
    acc_valid : Out(1)
        One clock for each `last`, `latency` clocks later.

    Notes
    -----
    *Latency*: 6 clocks. *Throughput*: a tap a clock. *Resources*: ceil(pixels / 2) * in_channels
    DSP48E2 (twice as many plain multipliers without `config.packed`, none without
    `config.dw_slices`); 41 bits of carry a lane.
    All taps of a group have the same `max_mode`. A pair rests while its weight or both its
    activations are 0, between taps and in max_mode.
    """

    latency = PackedPair.latency + 2

    def __init__(self, config: Config):
        if not isinstance(config, Config):
            raise TypeError(f"config must be a Config, not {config!r}")
        self._config = config
        channels = config.in_channels
        super().__init__(
            {
                "act": In(data.ArrayLayout(signed(9), channels)).array(config.pixels),
                "wgt": In(data.ArrayLayout(signed(8), channels)),
                "valid": In(1),
                "first": In(1),
                "last": In(1),
                "max_mode": In(1),
                "acc": Out(data.ArrayLayout(signed(32), channels)).array(config.pixels),
                "acc_valid": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        pixels, channels = self._config.pixels, self._config.in_channels
        depth = PackedPair.latency
        if not self._config.dw_slices:
            pair_class, pair_name = LutPair, "skimp_lut_pair"
        elif self._config.packed:
            pair_class, pair_name = PackedPair, "skimp_packed_pair"
        else:
            pair_class, pair_name = PlainPair, "skimp_plain_pair"
        valid = delay(m, self.valid, depth, name="valid")
        first = delay(m, self.first, depth, name="first", reset_less=True)
        last = delay(m, self.last, depth, name="last", reset_less=True)
        max_mode = delay(m, self.max_mode, depth, name="max_mode", reset_less=True)
        valid_d1 = delay(m, valid, 1, name="valid_high")
        first_d1 = delay(m, first, 1, name="first_high", reset_less=True)
        last_d1 = delay(m, last, 1, name="last_high", reset_less=True)
        control = (valid, first, max_mode, valid_d1, first_d1)
        m.d.sync += self.acc_valid.eq(valid_d1 & last_d1)

        for c in range(channels):
            idle_wgt = Signal(name=f"idle_wgt_{c}")
            m.d.comb += idle_wgt.eq(~self.valid | self.max_mode | (self.wgt[c] == 0))
            for i in range(0, pixels, 2):
                pair = Shared(pair_class(), name=pair_name)
                m.submodules[f"pair_{i}_{c}"] = pair
                lanes = [i] if i + 1 == pixels else [i, i + 1]
                zeros = Cat(self.act[lane][c] == 0 for lane in lanes).all()
                m.d.comb += [
                    pair.act0.eq(self.act[i][c]),
                    pair.act1.eq(self.act[i + 1][c] if len(lanes) == 2 else 0),
                    pair.wgt.eq(self.wgt[c]),
                    pair.gate.eq(idle_wgt | zeros),
                ]
                for lane, product in zip(lanes, (pair.product0, pair.product1), strict=False):
                    self._accumulate(m, lane, c, product, control)
        return m

    def _accumulate(self, m, lane, c, product, control):
        """Add in two halves, a clock apart: 32 bits of carry are too long for one.

        The half that follows adds what the first one leaves: its carry, less the product's sign.
        """
        name = f"{lane}_{c}"
        valid, first, max_mode, valid_d1, first_d1 = control
        act = delay(m, self.act[lane][c], PackedPair.latency, name=f"act_{name}", reset_less=True)
        low = Signal(_HALF, name=f"low_{name}", reset_less=True)
        low_d1 = Signal(_HALF, name=f"low_{name}_d1", reset_less=True)
        high = Signal(_HALF, name=f"high_{name}", reset_less=True)
        rest = Signal(signed(2), name=f"rest_{name}", reset_less=True)
        largest = Signal(8, name=f"largest_{name}", reset_less=True)
        low_sum = Signal(_HALF + 1, name=f"low_sum_{name}")
        before = Signal(8, name=f"before_{name}")
        m.d.comb += [
            low_sum.eq(Mux(first, 0, low) + product[:_HALF]),
            before.eq(Mux(first, 0, largest)),
            self.acc[lane][c].eq(Cat(low_d1, high).as_signed()),
        ]
        with m.If(valid):
            m.d.sync += [
                low.eq(low_sum),
                rest.eq(low_sum[_HALF] - product[_HALF]),
                largest.eq(Mux(max_mode, Mux(act > before, act, before), 0)),
            ]
        with m.If(valid_d1):
            m.d.sync += high.eq(Mux(first_d1, 0, high) + rest)
        # One of the two is 0: products in max_mode, the largest activation otherwise.
        m.d.sync += low_d1.eq(low | largest)
