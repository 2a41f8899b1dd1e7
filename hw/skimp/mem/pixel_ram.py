"""Memory of pixels: runs of neighbours in, runs of neighbours out, channel blocks apart."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.config import Config
from skimp.mem.ram import Ram1R1W

__all__ = ["PixelRam"]


class PixelRam(wiring.Component):
    """Pixels of out_channels bytes; ofmap side of the GLB, and residual buffer.

    Pixel p lies in bank p mod chip_words; each bank has a memory for every channel block, so that
    any run of up to chip_words neighbours is read or written at once.

    Parameters
    ----------
    config : Config
    depth : int
        Pixels; a multiple of chip_words.
    write_pixels, read_pixels : int
        Longest run, at most chip_words.

    Members
    -------
    w_count : In
        Pixels written in this clock; 0: none.
    w_pixel : In(16), w_blocks : In(ofmap_blocks)
        First pixel; blocks that are written.
    w_data : In(8 * out_channels).array(write_pixels)
    r_en : In(1), r_pixel : In(16), r_blocks : In(ofmap_blocks)
        First pixel, modulo the depth; blocks that are read.
    r_data : Out(8 * out_channels).array(read_pixels)
        `read_latency` clocks later, held while r_en is 0.
    """

    read_latency = 1

    def __init__(self, config: Config, *, depth: int, write_pixels: int, read_pixels: int):
        self._banks = config.chip_words
        if depth % self._banks or depth <= 0:
            raise ValueError(f"depth must be a multiple of {self._banks}, not {depth!r}")
        for name, value in (("write_pixels", write_pixels), ("read_pixels", read_pixels)):
            if not 1 <= value <= self._banks:
                raise ValueError(f"{name} must be 1 to {self._banks}, not {value!r}")
        self._config = config
        self._depth = depth
        self._write_pixels = write_pixels
        self._read_pixels = read_pixels
        bits, blocks = 8 * config.out_channels, config.ofmap_blocks
        super().__init__(
            {
                "w_count": In(range(write_pixels + 1)),
                "w_pixel": In(16),
                "w_blocks": In(blocks),
                "w_data": In(bits).array(write_pixels),
                "r_en": In(1),
                "r_pixel": In(16),
                "r_blocks": In(blocks),
                "r_data": Out(bits).array(read_pixels),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg, banks = self._config, self._banks
        shift = ceil_log2(banks)
        w_bank, r_bank = self.w_pixel[:shift], self.r_pixel[:shift]
        read_bank = Signal(max(shift, 1), reset_less=True)
        with m.If(self.r_en):
            m.d.sync += read_bank.eq(r_bank)

        words = []
        for b in range(banks):
            # Which pixel of the run lies in this bank.
            w_nth = Signal(max(shift, 1), name=f"w_nth_{b}")
            w_en = Signal(name=f"w_en_{b}")
            w_row, r_row = Signal(16, name=f"w_row_{b}"), Signal(16, name=f"r_row_{b}")
            w_data = Signal(8 * cfg.out_channels, name=f"w_data_{b}")
            m.d.comb += [
                w_nth.eq((b - w_bank)[:shift] if shift else 0),
                w_en.eq(w_nth < self.w_count),
                w_row.eq((self.w_pixel >> shift) + (w_bank > b if shift else 0)),
                r_row.eq((self.r_pixel >> shift) + (r_bank > b if shift else 0)),
            ]
            with m.Switch(w_nth):
                for n in range(self._write_pixels):
                    with m.Case(n):
                        m.d.comb += w_data.eq(self.w_data[n])
            parts = []
            for k in range(cfg.ofmap_blocks):
                ram = Ram1R1W(width=cfg.word_bits, depth=self._depth // banks)
                m.submodules[f"bank_{b}_{k}"] = ram
                m.d.comb += [
                    ram.w_en.eq(w_en & self.w_blocks[k]),
                    ram.w_addr.eq(w_row),
                    ram.w_data.eq(w_data.word_select(k, cfg.word_bits)),
                    ram.r_en.eq(self.r_en & self.r_blocks[k]),
                    ram.r_addr.eq(r_row),
                ]
                parts.append(ram.r_data)
            words.append(Cat(parts))

        with m.Switch(read_bank):
            for first in range(banks):
                with m.Case(first):
                    for n in range(self._read_pixels):
                        m.d.comb += self.r_data[n].eq(words[(first + n) % banks])
        return m
