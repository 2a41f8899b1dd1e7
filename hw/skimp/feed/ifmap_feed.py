"""From GLB words to array operands: zero point off, idle lanes silent, gated work counted."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from skimp.config import Config
from skimp.feed.pipe import delay

__all__ = ["IfmapFeed"]


class IfmapFeed(wiring.Component):
    """Subtract the zero point and count what zero gating saves.

    Lanes that are not enabled carry 0, which the units gate like any other zero.

    Parameters
    ----------
    config : Config

    Members
    -------
    data : In(8 * in_channels).array(pixels)
        Words from the GLB.
    lane_en : In(pixels)
        Lanes with a real pixel, in the same clock as `data`.
    in_zp : In(signed(8))
        Same clock.
    ci_en : In(in_channels)
        Channels that are real, same clock; only for counting.
    macs_per_act : In(8)
        MACs that one activation takes part in, same clock; 0 where none are counted.
    act : Out(ArrayLayout(signed(9), in_channels)).array(pixels)
        ifmap - in_zp, `latency` clocks later.
    inc_macs_gated : Out(16)
        MACs gated, some clocks later.

    Notes
    -----
    *Latency*: 1 clock.
    """

    latency = 1

    def __init__(self, config: Config):
        self._config = config
        pixels, channels = config.pixels, config.in_channels
        super().__init__(
            {
                "data": In(config.word_bits).array(pixels),
                "lane_en": In(pixels),
                "in_zp": In(signed(8)),
                "ci_en": In(channels),
                "macs_per_act": In(8),
                "act": Out(data.ArrayLayout(signed(9), channels)).array(pixels),
                "inc_macs_gated": Out(16),
            }
        )

    def elaborate(self, platform):
        m = Module()
        pixels, channels = self._config.pixels, self._config.in_channels
        counts = []
        for i in range(pixels):
            zeros = Signal(channels, name=f"zeros_{i}", reset_less=True)
            for c in range(channels):
                value = Signal(signed(8), name=f"ifmap_{i}_{c}")
                m.d.comb += value.eq(self.data[i].word_select(c, 8))
                with m.If(self.lane_en[i]):
                    m.d.sync += self.act[i][c].eq(value - self.in_zp)
                with m.Else():
                    m.d.sync += self.act[i][c].eq(0)
                m.d.sync += zeros[c].eq((value == self.in_zp) & self.lane_en[i] & self.ci_en[c])
            count = Signal(range(channels + 1), name=f"zero_count_{i}", reset_less=True)
            m.d.sync += count.eq(_popcount(zeros))
            counts.append(count)
        total = Signal(range(pixels * channels + 1), reset_less=True)
        macs = delay(m, self.macs_per_act, 3, name="macs_per_act")
        m.d.sync += total.eq(_tree(counts))

        # Their product, by shifts and sums in two clocks: too small to be worth a slice.
        rows = [Mux(macs[k], total << k, 0) for k in range(len(macs))]
        pairs = []
        for k in range(0, len(rows), 2):
            pair = Signal(16, name=f"rows_{k}_{k + 1}", reset_less=True)
            m.d.sync += pair.eq(rows[k] + rows[k + 1])
            pairs.append(pair)
        m.d.sync += self.inc_macs_gated.eq(_tree(pairs))
        return m


def _tree(terms):
    """Sum as a balanced tree, so that widths and depth stay small."""
    terms = list(terms)
    while len(terms) > 1:
        pairs = [a + b for a, b in zip(terms[::2], terms[1::2])]
        terms = pairs + (terms[-1:] if len(terms) % 2 else [])
    return terms[0]


def _popcount(bits):
    return _tree(bits[k] for k in range(len(bits)))
