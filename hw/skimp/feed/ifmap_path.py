"""From the ifmap buffer to operands: what the array and the depthwise unit have in common."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from skimp.config import Config
from skimp.feed.glb_address import BANK_BITS, ROW_BITS
from skimp.feed.ifmap_feed import IfmapFeed
from skimp.feed.ifmap_glb import IfmapGlb, connect_fill, fill_ports
from skimp.feed.pipe import delay

__all__ = ["IfmapPath"]


class IfmapPath(wiring.Component):
    """An ifmap buffer and its feed, with the control that travels beside the words.

    Parameters
    ----------
    config : Config
    depth : int
        Words of a bank of the buffer.
    blocks : int
        Channel blocks of a word.
    rows, macs_bits : int
        As for `IfmapFeed`.

    Members
    -------
    w_*, w2_* : In
        Fill the buffer, as for `IfmapGlb`.
    bank : In(4), row : In(16).array(pixels), lane_en : In(pixels).array(rows)
    in_zp : In(signed(8)), ci_en : In(channels), macs_per_act : In(macs_bits)
        As for `IfmapGlb` and `IfmapFeed`, all in the clock of the read.
    act, zero : Out
        As from `IfmapFeed`, `latency` clocks later.
    inc_macs_gated : Out(16)

    Notes
    -----
    *Latency*: 4 clocks.
    """

    latency = IfmapGlb.latency + IfmapFeed.latency

    def __init__(
        self, config: Config, *, depth: int, blocks: int = 1, rows: int = 1, macs_bits: int = 8
    ):
        channels = blocks * config.in_channels
        self._config = config
        self._depth, self._blocks = depth, blocks
        self._feed = dict(channels=channels, rows=rows, macs_bits=macs_bits)
        super().__init__(
            fill_ports(config)
            | {
                "w_blocks": In(blocks),
                "bank": In(BANK_BITS),
                "row": In(ROW_BITS).array(config.pixels),
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
        cfg = self._config
        m.submodules.glb = glb = IfmapGlb(cfg, depth=self._depth, blocks=self._blocks)
        m.submodules.feed = feed = IfmapFeed(cfg, **self._feed)
        connect_fill(m, self, glb)
        wanted = Const(0, cfg.pixels)
        for r, lane_en in enumerate(self.lane_en):
            wanted |= lane_en
            m.d.comb += feed.lane_en[r].eq(delay(m, lane_en, glb.latency, name=f"lane_en_{r}"))
        m.d.comb += [
            glb.w_blocks.eq(self.w_blocks),
            glb.bank.eq(self.bank),
            glb.lane_en.eq(wanted),
            self.inc_macs_gated.eq(feed.inc_macs_gated),
        ]
        for name in ("in_zp", "ci_en", "macs_per_act"):
            beside = delay(m, getattr(self, name), glb.latency, name=name, reset_less=True)
            m.d.comb += getattr(feed, name).eq(beside)
        for i in range(cfg.pixels):
            m.d.comb += [
                glb.row[i].eq(self.row[i]),
                feed.data[i].eq(glb.data[i]),
                self.act[i].eq(feed.act[i]),
                self.zero[i].eq(feed.zero[i]),
            ]
        return m
