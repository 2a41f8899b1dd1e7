"""Queue of words: part of a beat in, up to a beat's worth of words out."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.config import Config
from skimp.mem.lut_ram import LutRam

__all__ = ["WordFifo"]


class WordFifo(wiring.Component):
    """First in, first out, in words; pushes take up to chip_words of them a clock, pops up to load_words.

    Parameters
    ----------
    config : Config
    num_beats : int
        Room, in beats of the activation store; a power of two.

    Members
    -------
    w_first : In, w_count : In
        First valid word of `w_data` and number of valid words; 0: nothing is pushed. The caller
        keeps to the room.
    w_data : In(chip_bits)
    room_words : Out
        Words that can be pushed.
    r_count : In
        Words taken in this clock, at most `level`.
    level : Out
        Words that can be taken.
    r_data : Out(word_bits).array(load_words)
        The oldest words; those beyond `level` mean nothing.

    Notes
    -----
    *Latency*: 1 clock from push to level. *Resources*: chip_words LUT RAMs and two rotators.
    """

    def __init__(self, config: Config, *, num_beats: int):
        self._config = config
        self._num_beats = num_beats
        words = config.chip_words
        self._capacity = num_beats * words
        if num_beats < 2 or num_beats & (num_beats - 1):
            raise ValueError(f"num_beats must be a power of two above 1, not {num_beats!r}")
        super().__init__(
            {
                "w_first": In(range(max(words, 2))),
                "w_count": In(range(words + 1)),
                "w_data": In(config.chip_bits),
                "room_words": Out(range(self._capacity + 1), init=self._capacity),
                "r_count": In(range(config.load_words + 1)),
                "level": Out(range(self._capacity + 1)),
                "r_data": Out(config.word_bits).array(config.load_words),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self._config
        lanes, bits = cfg.chip_words, cfg.word_bits
        shift = ceil_log2(lanes)
        w_ptr = Signal(ceil_log2(self._capacity))
        r_ptr = Signal(ceil_log2(self._capacity))
        w_bank, r_bank = w_ptr[:shift], r_ptr[:shift]
        m.d.sync += [
            w_ptr.eq(w_ptr + self.w_count),
            r_ptr.eq(r_ptr + self.r_count),
            self.level.eq(self.level + self.w_count - self.r_count),
            self.room_words.eq(self.room_words - self.w_count + self.r_count),
        ]

        words = []
        for b in range(lanes):
            m.submodules[f"bank_{b}"] = ram = LutRam(width=bits, depth=self._num_beats)
            nth = Signal(max(shift, 1), name=f"nth_{b}")
            source = Signal(max(shift, 1), name=f"source_{b}")
            if shift:
                m.d.comb += [nth.eq(b - w_bank), source.eq(nth + self.w_first)]
            m.d.comb += [
                ram.w_en.eq(nth < self.w_count),
                ram.w_addr.eq((w_ptr >> shift) + (w_bank > b if shift else 0)),
                ram.w_data.eq(self.w_data.word_select(source, bits) if shift else self.w_data),
                ram.r_addr.eq((r_ptr >> shift) + (r_bank > b if shift else 0)),
            ]
            words.append(ram.r_data)
        for n in range(cfg.load_words):
            if not shift:
                m.d.comb += self.r_data[0].eq(words[0])
                continue
            with m.Switch(r_bank):
                for first in range(lanes):
                    with m.Case(first):
                        m.d.comb += self.r_data[n].eq(words[(first + n) % lanes])
        return m
