"""From GLB words to operands: zero point off, idle lanes silent, gated work counted."""

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
    channels : int
        Of a word.
    rows : int
        Rows of output pixels that take the same words, 1 or 2.
    macs_bits : int
        Bits of macs_per_act.

    Members
    -------
    data : In(8 * channels).array(pixels)
        Words from the GLB.
    lane_en : In(pixels).array(rows)
        Lanes with a real pixel, in the same clock as `data`.
    in_zp : In(signed(8))
        Same clock.
    ci_en : In(channels)
        Channels that are real, same clock; only for counting.
    macs_per_act : In(macs_bits)
        MACs that one activation takes part in for each row, same clock; 0 where none are counted.
    act : Out(ArrayLayout(signed(9), channels)).array(pixels)
        ifmap - in_zp, `latency` clocks later.
    zero : Out(channels).array(pixels)
        With `act`: it is 0.
    inc_macs_gated : Out(16)
        MACs gated, some clocks later.

    Notes
    -----
    *Latency*: 1 clock.
    """

    latency = 1

    def __init__(self, config: Config, *, channels: int, rows: int = 1, macs_bits: int = 8):
        self._pixels = config.pixels
        self._channels = channels
        self._rows = rows
        super().__init__(
            {
                "data": In(8 * channels).array(config.pixels),
                "lane_en": In(config.pixels).array(rows),
                "in_zp": In(signed(8)),
                "ci_en": In(channels),
                "macs_per_act": In(macs_bits),
                "act": Out(data.ArrayLayout(signed(9), channels)).array(config.pixels),
                "zero": Out(channels).array(config.pixels),
                "inc_macs_gated": Out(16),
            }
        )

    def elaborate(self, platform):
        m = Module()
        channels = self._channels
        ci_en = delay(m, self.ci_en, 1, name="ci_en", reset_less=True)
        counts = []
        for i in range(self._pixels):
            working = Signal(self._rows, name=f"working_{i}")
            m.d.comb += working.eq(Cat(lane_en[i] for lane_en in self.lane_en))
            working_d1 = delay(m, working, 1, name=f"working_{i}")
            zeros = Signal(channels, name=f"zeros_{i}", reset_less=True)
            for c in range(channels):
                value = self.data[i].word_select(c, 8).as_signed()
                with m.If(working.any()):
                    m.d.sync += self.act[i][c].eq(value - self.in_zp)
                with m.Else():
                    m.d.sync += self.act[i][c].eq(0)
                m.d.comb += self.zero[i][c].eq(self.act[i][c] == 0)
            m.d.sync += zeros.eq(self.zero[i] & ci_en & working_d1.any().replicate(channels))
            twice = delay(m, working_d1.all(), 1, name=f"twice_{i}") if self._rows == 2 else 0
            count = Signal(
                range(self._rows * channels + 1), name=f"zero_count_{i}", reset_less=True
            )
            zero_count = _popcount(zeros)
            m.d.sync += count.eq(Mux(twice, zero_count << 1, zero_count))
            counts.append(count)
        total = Signal(range(self._rows * self._pixels * channels + 1), reset_less=True)
        macs = delay(m, self.macs_per_act, 4, name="macs_per_act")
        m.d.sync += total.eq(_tree(counts))

        # Their product, by shifts and sums in two clocks: too small to be worth a slice.
        rows = [Mux(macs[k], total << k, 0) for k in range(len(macs))]
        pairs = []
        for k in range(0, len(rows), 2):
            pair = Signal(16, name=f"rows_{k}_{k + 1}", reset_less=True)
            m.d.sync += pair.eq(_tree(rows[k : k + 2]))
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
