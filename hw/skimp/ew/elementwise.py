"""Elementwise unit: sums of two table entries, for adds and for any function of one int8 value."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.config import Config
from skimp.feed.pipe import delay
from skimp.mem.ram import Ram1R1W

__all__ = ["ElementwiseUnit"]

_ENTRIES = 256


class ElementwiseUnit(wiring.Component):
    """T1[x1] + T2[x2] for in_channels channels, one pixel a clock.

    Parameters
    ----------
    config : Config

    Members
    -------
    w_en, w_addr, w_data : In
        Fills the tables, a bus word (in_channels / 4 entries) a clock: T1, then T2.
    act : In(ArrayLayout(signed(9), in_channels)).array(pixels)
        The low byte is the index.
    take_a, take_b : In(1)
        `act` is the first, the second operand; take_b follows take_a.
    value : Out(ArrayLayout(signed(32), in_channels)), value_valid : Out(1), value_pixel : Out
        From `latency` clocks after take_b on, a pixel a clock.

    Notes
    -----
    *Latency*: 3 clocks. *Throughput*: a pixel group every `interval` clocks from take_a to take_a.
    *Resources*: two memories of 256 x 32 bits a channel.
    """

    latency = 3

    def __init__(self, config: Config):
        self._config = config
        self.interval = max(2, config.pixels + 1)
        channels = config.in_channels
        self._entries_per_word = channels // 4
        super().__init__(
            {
                "w_en": In(1),
                "w_addr": In(16),
                "w_data": In(config.bus_bits),
                "act": In(data.ArrayLayout(signed(9), channels)).array(config.pixels),
                "take_a": In(1),
                "take_b": In(1),
                "value": Out(data.ArrayLayout(signed(32), channels)),
                "value_valid": Out(1),
                "value_pixel": Out(range(max(config.pixels, 2))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self._config
        pixels, channels = cfg.pixels, cfg.in_channels
        per_word = self._entries_per_word
        words = _ENTRIES // per_word

        operand_bits = 8 * channels
        first = [Signal(operand_bits, name=f"first_{i}", reset_less=True) for i in range(pixels)]
        second = [Signal(operand_bits, name=f"second_{i}", reset_less=True) for i in range(pixels)]
        pixel = Signal(range(max(pixels, 2)))
        serving = Signal()
        for i in range(pixels):
            bytes_i = Cat(self.act[i][c][:8] for c in range(channels))
            with m.If(self.take_a):
                m.d.sync += first[i].eq(bytes_i)
            with m.If(self.take_b):
                m.d.sync += second[i].eq(bytes_i)
        with m.If(self.take_b):
            m.d.sync += [serving.eq(1), pixel.eq(0)]
        with m.Elif(serving):
            m.d.sync += pixel.eq(pixel + 1)
            with m.If(pixel == pixels - 1):
                m.d.sync += serving.eq(0)

        a, b = Signal(operand_bits), Signal(operand_bits)
        with m.Switch(pixel):
            for i in range(pixels):
                with m.Case(i):
                    m.d.comb += [a.eq(first[i]), b.eq(second[i])]

        select_bits = ceil_log2(per_word)
        for c in range(channels):
            terms = []
            for table, operand in enumerate((a, b)):
                m.submodules[f"table_{table}_{c}"] = ram = Ram1R1W(width=cfg.bus_bits, depth=words)
                index = operand.word_select(c, 8)
                select = delay(
                    m, index[:select_bits], 1, name=f"select_{table}_{c}", reset_less=True
                )
                m.d.comb += [
                    ram.w_en.eq(self.w_en & (self.w_addr // words == table)),
                    ram.w_addr.eq(self.w_addr % words),
                    ram.w_data.eq(self.w_data),
                    ram.r_en.eq(serving),
                    ram.r_addr.eq(index >> select_bits),
                ]
                terms.append(ram.r_data.word_select(select, 32).as_signed())
            m.d.sync += self.value[c].eq(terms[0] + terms[1])
        m.d.comb += [
            self.value_valid.eq(delay(m, serving, 2, name="serving")),
            self.value_pixel.eq(delay(m, pixel, 2, name="pixel", reset_less=True)),
        ]
        return m
