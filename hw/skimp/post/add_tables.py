"""Second stage of a drain: sums of table entries, for adds and for any function of one value."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from skimp.config import Config
from skimp.feed.pipe import delay
from skimp.isa import TABLE_ENTRIES
from skimp.mem.ram import Ram1R1W

__all__ = ["AddTables"]


class AddTables(wiring.Component):
    """T1[q] + T2[residual] for out_channels channels, a pixel a clock.

    Parameters
    ----------
    config : Config

    Members
    -------
    w_en : In(1), w_addr : In(9), w_data : In(32)
        Fills T1 (first half), then T2, the same for all channels.
    q, residual : In(8 * out_channels), valid : In(1)
    use_residual : In(1)
        0: T1[q] alone.
    sum : Out(ArrayLayout(signed(32), out_channels)), sum_valid : Out(1)
        `latency` clocks later.

    Notes
    -----
    *Latency*: 2 clocks. *Resources*: two memories of 256 x 32 bits a channel.
    """

    latency = 2

    def __init__(self, config: Config):
        self._config = config
        bits = 8 * config.out_channels
        super().__init__(
            {
                "w_en": In(1),
                "w_addr": In(range(2 * TABLE_ENTRIES)),
                "w_data": In(32),
                "q": In(bits),
                "residual": In(bits),
                "valid": In(1),
                "use_residual": In(1),
                "sum": Out(data.ArrayLayout(signed(32), config.out_channels)),
                "sum_valid": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        second = delay(m, self.use_residual, 1, name="use_residual", reset_less=True)
        for c in range(self._config.out_channels):
            terms = []
            for table, operand in enumerate((self.q, self.residual)):
                m.submodules[f"table_{table}_{c}"] = ram = Ram1R1W(width=32, depth=TABLE_ENTRIES)
                m.d.comb += [
                    ram.w_en.eq(self.w_en & (self.w_addr[-1] == table)),
                    ram.w_addr.eq(self.w_addr[:-1]),
                    ram.w_data.eq(self.w_data),
                    ram.r_en.eq(self.valid),
                    ram.r_addr.eq(operand.word_select(c, 8)),
                ]
                terms.append(ram.r_data.as_signed())
            m.d.sync += self.sum[c].eq(terms[0] + Mux(second, terms[1], 0))
        m.d.comb += self.sum_valid.eq(delay(m, self.valid, self.latency, name="valid"))
        return m
