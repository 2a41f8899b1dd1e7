"""Requantisation parameters: a memory of channel blocks and two sets of registers in turn."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.config import Config
from skimp.feed.pipe import delay
from skimp.mem.ram import Ram1R1W

__all__ = ["ParamSets"]


class ParamSets(wiring.Component):
    """Bias, multiplier and shift of a channel block, the next block's read while one works.

    Parameters
    ----------
    config : Config

    Members
    -------
    w_en : In(1), w_addr : In(24), w_data : In(bus_bits)
        Fills the memory, a beat a clock; a block is biases, multipliers, shifts, 32 bits each.
    load : In(1), load_block : In(16), load_set : In(1)
        Starts reading a block into a set of registers.
    loading : Out(1)
        From the clock after `load` until the set is complete.
    select : In(1)
        Set of the sum that enters the pipeline in this clock.
    bias, mult, shift : Out
        Of that sum.

    Notes
    -----
    *Latency*: param_block_beats + 2 clocks to load a set.
    """

    def __init__(self, config: Config):
        self._config = config
        self.load_cycles = config.param_block_beats + 2
        words = data.ArrayLayout(signed(32), config.out_channels)
        super().__init__(
            {
                "w_en": In(1),
                "w_addr": In(24),
                "w_data": In(config.bus_bits),
                "load": In(1),
                "load_block": In(16),
                "load_set": In(1),
                "loading": Out(1),
                "select": In(1),
                "bias": Out(words),
                "shift": Out(data.ArrayLayout(signed(7), config.out_channels)),
                "mult": Out(words),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self._config
        beats, channels = cfg.param_block_beats, cfg.out_channels
        depth = cfg.param_depth * beats
        m.submodules.ram = ram = Ram1R1W(width=cfg.bus_bits, depth=depth)
        addr = Signal(ceil_log2(depth), reset_less=True)
        beat = Signal(range(beats + 1))
        reading = Signal()
        target = Signal()
        m.d.comb += [
            ram.w_en.eq(self.w_en),
            ram.w_addr.eq(self.w_addr),
            ram.w_data.eq(self.w_data),
            ram.r_en.eq(reading),
            ram.r_addr.eq(addr),
        ]
        with m.If(self.load):
            m.d.sync += [
                reading.eq(1),
                beat.eq(0),
                addr.eq(_times(self.load_block, beats)),
                target.eq(self.load_set),
            ]
        with m.Elif(reading):
            m.d.sync += [addr.eq(addr + 1), beat.eq(beat + 1)]
            with m.If(beat == beats - 1):
                m.d.sync += reading.eq(0)
        arrived = delay(m, reading, 1, name="arrived")
        arrived_beat = delay(m, beat, 1, name="arrived_beat", reset_less=True)
        m.d.comb += self.loading.eq(reading | arrived)

        sets = [Signal(beats * cfg.bus_bits, name=f"set_{k}", reset_less=True) for k in range(2)]
        for k in range(2):
            for b in range(beats):
                with m.If(arrived & (arrived_beat == b) & (target == k)):
                    m.d.sync += sets[k].word_select(b, cfg.bus_bits).eq(ram.r_data)

        def word(row, c):
            first, second = (s.word_select(row * channels + c, 32) for s in sets)
            return Mux(self.select, second, first)

        for c in range(channels):
            m.d.comb += [
                self.bias[c].eq(word(0, c).as_signed()),
                self.shift[c].eq(word(2, c)[:7].as_signed()),
                self.mult[c].eq(word(1, c).as_signed()),
            ]
        return m


def _times(value, factor):
    """Return value * factor as a sum of shifts: no slice for a product by a constant."""
    return sum(value << k for k in range(factor.bit_length()) if factor >> k & 1)
