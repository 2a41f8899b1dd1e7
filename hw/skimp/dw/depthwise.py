"""Depthwise unit: every channel with its own weights, sums or maxima over the taps of a window."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from skimp.config import Config
from skimp.feed.pipe import delay
from skimp.prim.dsp48e2 import PackedPair, PlainPair

__all__ = ["DepthwiseUnit"]


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
    acc_valid : Out(1)
        One clock for each `last`, `latency` clocks later.

    Notes
    -----
    *Latency*: 5 clocks. *Throughput*: a tap a clock. *Resources*: ceil(pixels / 2) * in_channels
    DSP48E2 (twice as many plain multipliers without `config.packed`); 32 bits of carry a lane.
    All taps of a group have the same `max_mode`. A slice rests while its weight or both its
    activations are 0, between taps and in max_mode.
    """

    latency = PackedPair.latency + 1

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
        pair_class = PackedPair if self._config.packed else PlainPair
        valid = delay(m, self.valid, depth, name="valid")
        first = delay(m, self.first, depth, name="first", reset_less=True)
        last = delay(m, self.last, depth, name="last", reset_less=True)
        max_mode = delay(m, self.max_mode, depth, name="max_mode", reset_less=True)
        m.d.sync += self.acc_valid.eq(valid & last)

        for c in range(channels):
            idle_wgt = Signal(name=f"idle_wgt_{c}")
            m.d.comb += idle_wgt.eq(~self.valid | self.max_mode | (self.wgt[c] == 0))
            for i in range(0, pixels, 2):
                m.submodules[f"pair_{i}_{c}"] = pair = pair_class()
                lanes = [i] if i + 1 == pixels else [i, i + 1]
                zeros = Cat(self.act[lane][c] == 0 for lane in lanes).all()
                m.d.comb += [
                    pair.act0.eq(self.act[i][c]),
                    pair.act1.eq(self.act[i + 1][c] if len(lanes) == 2 else 0),
                    pair.wgt.eq(self.wgt[c]),
                    pair.gate.eq(idle_wgt | zeros),
                ]
                for lane, product in zip(lanes, (pair.product0, pair.product1), strict=False):
                    self._accumulate(m, lane, c, product, valid, first, max_mode)
        return m

    def _accumulate(self, m, lane, c, product, valid, first, max_mode):
        name = f"{lane}_{c}"
        act = delay(m, self.act[lane][c], PackedPair.latency, name=f"act_{name}", reset_less=True)
        before = Signal(signed(32), name=f"before_{name}")
        largest = Signal(signed(9), name=f"largest_{name}")
        acc = Signal(signed(32), name=f"acc_{name}", reset_less=True)
        m.d.comb += [
            before.eq(Mux(first, 0, acc)),
            largest.eq(before[:9].as_signed()),  # 0 to 255 in max_mode: compare no more than that
            self.acc[lane][c].eq(acc),
        ]
        with m.If(valid):
            with m.If(max_mode):
                m.d.sync += acc.eq(Mux(act > largest, act, largest))
            with m.Else():
                m.d.sync += acc.eq(before + product)
