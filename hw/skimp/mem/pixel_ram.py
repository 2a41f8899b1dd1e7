"""Memory of pixels: runs of neighbours in, runs of neighbours out, channel blocks apart."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.config import Config
from skimp.mem.ram import Ram1R1W
from skimp.prim.choose import choose

__all__ = ["PixelRam"]


class PixelRam(wiring.Component):
    """Pixels of out_channels bytes; ofmap side of the GLB, and residual buffer.

    Pixel p lies in bank p mod chip_words; each bank has a memory for every channel block, so that
    any run of up to chip_words neighbours is read or written at once. One side moves whole pixels,
    the other one words of a single channel block.

    Parameters
    ----------
    config : Config
    depth : int
        Pixels; a multiple of chip_words.
    write_pixels, read_pixels : int
        Longest run, at most chip_words.
    read_words : bool
        Words are read (ofmap), or written (residual).

    Members
    -------
    w_count : In
        Pixels written in this clock; 0: none.
    w_pixel : In(16)
        First pixel.
    w_data : In(8 * out_channels).array(write_pixels), or In(word_bits).array(write_pixels)
    r_en : In(1), r_pixel : In(16)
        First pixel, modulo the depth.
    r_lanes : In(read_pixels)
        Pixels of the run that are wanted; memories that hold none of them rest.
    r_data : Out(8 * out_channels).array(read_pixels), or Out(word_bits).array(read_pixels)
        `read_latency` clocks later, held while r_en is 0; what was not wanted means nothing.
    w_blocks : In(ofmap_blocks), or r_block : In
        Channel blocks that words are written to, one bit each; channel block that is read.
    """

    read_latency = 1

    def __init__(
        self, config: Config, *, depth: int, write_pixels: int, read_pixels: int, read_words: bool
    ):
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
        self._read_words = read_words
        whole, word = 8 * config.out_channels, config.word_bits
        block = {"w_blocks": In(config.ofmap_blocks)}
        if read_words:
            block = {"r_block": In(range(max(config.ofmap_blocks, 2)))}
        super().__init__(
            {
                "w_count": In(range(write_pixels + 1)),
                "w_pixel": In(16),
                "w_data": In(whole if read_words else word).array(write_pixels),
                "r_en": In(1),
                "r_pixel": In(16),
                "r_lanes": In(read_pixels),
                "r_data": Out(word if read_words else whole).array(read_pixels),
                **block,
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg, banks = self._config, self._banks
        blocks = range(cfg.ofmap_blocks)
        shift = ceil_log2(banks)
        w_bank, r_bank = self.w_pixel[:shift], self.r_pixel[:shift]
        turned = self._turned(m, w_bank)
        words = []
        for b in range(banks):
            # Which pixel of the run lies in this bank.
            w_nth = Signal(max(shift, 1), name=f"w_nth_{b}")
            w_en = Signal(name=f"w_en_{b}")
            w_row, r_row = Signal(16, name=f"w_row_{b}"), Signal(16, name=f"r_row_{b}")
            w_data = turned[b % len(turned)]
            wanted = Signal(name=f"wanted_{b}")
            of_run = [*self.r_lanes, *[C(0)] * (banks - self._read_pixels)]
            m.d.comb += wanted.eq(self.r_en & choose((b - r_bank)[:shift], of_run))
            m.d.comb += [
                w_nth.eq((b - w_bank)[:shift] if shift else 0),
                w_en.eq(w_nth < self.w_count),
                w_row.eq((self.w_pixel >> shift) + (w_bank > b if shift else 0)),
                r_row.eq((self.r_pixel >> shift) + (r_bank > b if shift else 0)),
            ]
            words.append([])
            for k in blocks:
                ram = Ram1R1W(width=cfg.word_bits, depth=self._depth // banks)
                m.submodules[f"bank_{b}_{k}"] = ram
                word = w_data.word_select(k, cfg.word_bits) if self._read_words else w_data
                m.d.comb += [
                    ram.w_en.eq(w_en if self._read_words else w_en & self.w_blocks[k]),
                    ram.w_addr.eq(w_row),
                    ram.w_data.eq(word),
                    ram.r_en.eq(wanted & (self.r_block == k) if self._read_words else wanted),
                    ram.r_addr.eq(r_row),
                ]
                words[b].append(ram.r_data)

        read_bank = Signal(max(shift, 1), reset_less=True)
        read_block = Signal(range(max(len(blocks), 2)), reset_less=True)
        with m.If(self.r_en):
            m.d.sync += read_bank.eq(r_bank)
            if self._read_words:
                m.d.sync += read_block.eq(self.r_block)
        if not self._read_words:
            words = [[Cat(parts)] for parts in words]
        # Two steps: the block and upper bits of the bank, so many that a LUT a bit does it, then the
        # lower bits.
        low = min(shift, max(0, ceil_log2(len(words[0])) + shift - 2))
        nearby = [Signal.like(self.r_data[0], name=f"nearby_{b}") for b in range(banks)]
        for b in range(banks):
            near = [
                words[(b + first) % banks][k]
                for k in range(len(words[0]))
                for first in range(0, banks, 1 << low)
            ]
            m.d.comb += nearby[b].eq(choose(Cat(read_bank[low:shift], read_block), near))
        for n in range(self._read_pixels):
            lanes = [nearby[(first + n) % banks] for first in range(1 << low)]
            m.d.comb += self.r_data[n].eq(choose(read_bank[:low], lanes))
        return m

    def _turned(self, m, w_bank):
        """Return what the banks take: bank b the element b modulo their number.

        That is a power of two, no less than the longest run.
        """
        bits = ceil_log2(self._write_pixels)
        turned = [Signal.like(self.w_data[0], name=f"turned_{t}") for t in range(1 << bits)]
        for t, word in enumerate(turned):
            m.d.comb += word.eq(choose((t - w_bank)[:bits], self.w_data))
        return turned
