"""Ifmap side of the global buffer: one bank per pixel lane, rotated so that lanes keep their bank."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.config import Config
from skimp.feed.glb_address import BANK_BITS, ROW_BITS
from skimp.mem.ram import Ram1R1W
from skimp.prim.choose import choose

__all__ = ["IfmapGlb", "connect_fill", "fill_ports"]


def fill_ports(config: Config) -> dict:
    """Return the members that say what is written, and where."""
    words = config.load_words
    pair_words = max(1, words // 2)
    return {
        "w_count": In(range(words + 1)),
        "w_row": In(ROW_BITS),
        "w_bank": In(BANK_BITS),
        "w_data": In(config.word_bits).array(words),
        "w2_count": In(range(pair_words + 1)),
        "w2_row": In(ROW_BITS),
        "w2_bank": In(BANK_BITS),
        "w2_data": In(config.word_bits).array(pair_words),
    }


def connect_fill(m, outer, inner, *, prefix=""):
    """Drive the members of `fill_ports` of `inner` from those of `outer`, which have a prefix."""
    for port in ("w", "w2"):
        for name in ("count", "row", "bank"):
            source = getattr(outer, f"{prefix}{port}_{name}")
            m.d.comb += getattr(inner, f"{port}_{name}").eq(source)
        words = getattr(outer, f"{prefix}{port}_data")
        for n, word in enumerate(getattr(inner, f"{port}_data")):
            m.d.comb += word.eq(words[n])


class IfmapGlb(wiring.Component):
    """Banked ifmap buffer: up to load_words neighbours a clock in, a word for each pixel lane out.

    Lane i reads bank (bank + i) mod pixels: two lanes never want the same bank, so nothing stalls.

    Parameters
    ----------
    config : Config
    depth : int
        Words of a bank.
    blocks : int
        Channel blocks of a pixel that a word holds.

    Members
    -------
    w_count : In
        Words written in this clock, to neighbouring addresses; 0: none.
    w_row : In(16), w_bank : In(4)
        Where the first one goes.
    w_data : In(word_bits).array(load_words)
        Blocks of in_channels bytes, channel 0 lowest.
    w2_count, w2_row, w2_bank, w2_data : In
        A second run of up to load_words / 2 words, in other banks than the first.
    w_blocks : In(blocks)
        Which blocks of the words are written, all with the same data.
    bank : In(4)
        Bank of lane 0.
    row : In(16).array(pixels)
        Row that each lane reads.
    lane_en : In(pixels)
        Lanes that want their word; the others' banks are not read.
    data : Out(blocks * word_bits).array(pixels)
        Word of each lane, `latency` clocks later; undefined for lanes that were not enabled.

    Notes
    -----
    *Latency*: 3 clocks: rotate the rows, read, rotate the words back.
    *Resources*: pixels banks of depth x blocks x in_channels bytes.
    Reading a word in the clock in which it is written returns the old or the new word.
    """

    latency = 3

    def __init__(self, config: Config, *, depth: int, blocks: int = 1):
        self._config = config
        self._depth = depth
        self._blocks = blocks
        pixels = config.pixels
        super().__init__(
            fill_ports(config)
            | {
                "w_blocks": In(blocks),
                "bank": In(BANK_BITS),
                "row": In(ROW_BITS).array(pixels),
                "lane_en": In(pixels),
                "data": Out(blocks * config.word_bits).array(pixels),
            }
        )

    def elaborate(self, platform):
        m = Module()
        pixels, word_bits = self._config.pixels, self._config.word_bits
        addr_bits = ceil_log2(self._depth)
        bank_d1 = Signal(BANK_BITS, reset_less=True)
        bank_d2 = Signal(BANK_BITS, reset_less=True)
        m.d.sync += [bank_d1.eq(self.bank), bank_d2.eq(bank_d1)]

        words = []
        for b in range(pixels):
            m.submodules[f"bank_{b}"] = ram = Ram1R1W(
                width=self._blocks * word_bits, depth=self._depth, granularity=word_bits
            )
            bank_row = Signal(addr_bits, name=f"bank_row_{b}", reset_less=True)
            bank_en = Signal(name=f"bank_en_{b}")
            with m.Switch(self.bank):
                for shift in range(pixels):
                    lane = (b - shift) % pixels
                    with m.Case(shift):
                        m.d.sync += [bank_row.eq(self.row[lane]), bank_en.eq(self.lane_en[lane])]
            m.d.comb += [
                ram.r_en.eq(bank_en),
                ram.r_addr.eq(bank_row),
            ]
            # Word n of a run goes to bank w_bank + n, in the next row behind the last bank.
            runs = (
                (self.w_count, self.w_row, self.w_bank, self.w_data),
                (self.w2_count, self.w2_row, self.w2_bank, self.w2_data),
            )
            ports = []
            for count, row, first, run_data in runs:
                here, over = Signal(name=f"here_{b}"), Signal(name=f"over_{b}")
                place = Signal(range(pixels), name=f"place_{b}")  # which word of the run
                with m.Switch(first):
                    for k in range(pixels):
                        n = (b - k) % pixels
                        with m.Case(k):
                            m.d.comb += [place.eq(n), here.eq(count > n), over.eq(n > b)]
                ports.append((here, row[:addr_bits] + over, choose(place, run_data)))
            (here, row, word), (here2, row2, word2) = ports
            m.d.comb += [
                ram.w_en.eq(Mux(here | here2, self.w_blocks, 0)),
                ram.w_addr.eq(Mux(here2, row2, row)),
                ram.w_data.eq(Mux(here2, word2, word).replicate(self._blocks)),
            ]
            words.append(ram.r_data)

        place = Signal(range(pixels))
        m.d.comb += place.eq(bank_d2)
        for i in range(pixels):
            m.d.sync += self.data[i].eq(choose(place, words[i:] + words[:i]))
        return m
