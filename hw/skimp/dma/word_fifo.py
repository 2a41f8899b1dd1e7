"""Queue of words: part of a beat in, up to a beat's worth of words out."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.config import Config
from skimp.mem.lut_ram import LutRam

__all__ = ["WordFifo", "at_most"]


def at_most(value, limit):
    """Return value <= limit, for a few bits and a number: a table, where `<=` is a carry chain."""
    return Const((2 << limit) - 1, 1 << len(value)).bit_select(value, 1)


def _turn(m, name, words, places):
    """Return words so that word number `places` comes first: half of them first, then quarters."""
    for bit in reversed(range(len(places))):
        turned = [Signal(len(word), name=f"{name}_{bit}_{n}") for n, word in enumerate(words)]
        for n, word in enumerate(turned):
            other = words[(n + (1 << bit)) % len(words)]
            m.d.comb += word.eq(Mux(places[bit], other, words[n]))
        words = turned
    return words


class WordFifo(wiring.Component):
    """First in, first out, in words: up to chip_words of them in and load_words out a clock.

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
    r_en : In(1), r_count : In
        Words taken in this clock, at most `level`.
    level : Out
        Words that can be taken.
    r_lead : In
        Words in front of the oldest one in `r_data`; they cost nothing, as the words are turned.
    r_data : Out(word_bits).array(load_words)
        The oldest words; those before them and beyond `level` mean nothing.

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
                "r_en": In(1),
                "r_count": In(range(config.load_words + 1)),
                "level": Out(range(self._capacity + 1)),
                "r_lead": In(range(config.load_words + 1)),
                "r_data": Out(config.word_bits).array(config.load_words),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self._config
        lanes, bits = cfg.chip_words, cfg.word_bits
        shift = ceil_log2(lanes)
        bits_of_ptr = ceil_log2(self._capacity)
        w_ptr, r_ptr = (Signal(bits_of_ptr, name=name) for name in ("w_ptr", "r_ptr"))
        # A row further on, for the banks that the pointer has passed.
        w_ahead, r_ahead = (
            Signal(bits_of_ptr, init=lanes, name=name) for name in ("w_ahead", "r_ahead")
        )
        w_bank, r_bank = w_ptr[:shift], r_ptr[:shift]
        # r_en comes late: it chooses.
        m.d.sync += [
            w_ptr.eq(w_ptr + self.w_count),
            w_ahead.eq(w_ahead + self.w_count),
            self.level.eq(Mux(self.r_en, self.level - self.r_count, self.level) + self.w_count),
            self.room_words.eq(
                Mux(self.r_en, self.room_words + self.r_count, self.room_words) - self.w_count
            ),
        ]
        with m.If(self.r_en):
            m.d.sync += [r_ptr.eq(r_ptr + self.r_count), r_ahead.eq(r_ahead + self.r_count)]

        # Words that are the same in both halves of a beat make the first step free.
        pushed = [self.w_data.word_select(b, bits) for b in range(lanes)]
        pushed = _turn(m, "pushed", pushed, (self.w_first - w_bank)[:shift])

        filled, w_en = Signal(lanes), Signal(lanes)
        m.d.comb += filled.eq(Cat(~at_most(self.w_count, n) for n in range(lanes)))
        with m.Switch(w_bank):
            for first in range(lanes):
                with m.Case(first):
                    m.d.comb += w_en.eq(filled.rotate_left(first))

        words = []
        for b in range(lanes):
            m.submodules[f"bank_{b}"] = ram = LutRam(width=bits, depth=self._num_beats)
            m.d.comb += [
                ram.w_en.eq(w_en[b]),
                ram.w_addr.eq(Mux(at_most(w_bank, b), w_ptr, w_ahead) >> shift if shift else w_ptr),
                ram.w_data.eq(pushed[b]),
                ram.r_addr.eq(Mux(at_most(r_bank, b), r_ptr, r_ahead) >> shift if shift else r_ptr),
            ]
            words.append(ram.r_data)
        turn = (r_bank - self.r_lead)[:shift]
        for ours, word in zip(self.r_data, _turn(m, "popped", words, turn)):
            m.d.comb += ours.eq(word)
        return m
