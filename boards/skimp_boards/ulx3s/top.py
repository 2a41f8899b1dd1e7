"""Top level of the ULX3S: clock, resets, lamps, and the accelerator behind the USB serial port."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from skimp.config import Config, ConfigError
from skimp.link.board_link import BoardLink
from skimp.link.format import BAUD
from skimp.top import Skimp
from skimp_boards.ulx3s.pins import CLOCK_MHZ
from skimp_boards.ulx3s.pll import find_dividers, make_pll

__all__ = ["DRAM_BYTES", "Ulx3sTop"]

DRAM_BYTES = 256 << 10
"""Block RAM that serves as DRAM: 128 of the 208 DP16KD."""

_MOST_BAUD_ERROR = 0.01
_DEBOUNCE_CLOCKS = 1 << 16


def _divisor(clock_hz: int, baud: int) -> int:
    divisor = round(clock_hz / baud)
    if divisor < 1 or abs(clock_hz / divisor / baud - 1) > _MOST_BAUD_ERROR:
        raise ConfigError(f"clock_mhz {clock_hz / 1e6:g}: no divisor gives {baud} baud")
    return divisor


class Ulx3sTop(wiring.Component):
    """The pins of the board, as `skimp_boards.ulx3s.pins` places them.

    Parameters
    ----------
    config : Config
        Its clock_mhz is what the PLL makes.
    dram_bytes : int
    divisor : int or None
        Clocks of a bit on the line; None: those of BAUD.
    simulated_hz : int or None
        For a simulation: no PLL, the clock comes in at `clk_25mhz`, and time-outs are made for this
        many clocks a second. The button needs no debouncing there.

    Members
    -------
    clk_25mhz, ftdi_txd, btn_fire1 : In(1)
        The button resets everything; the memory keeps its contents.
    ftdi_rxd, wifi_gpio0 : Out(1)
    led : Out(8)
        From lamp 0: busy, done, error, interrupt, held in reset, damaged packet, receiving, alive.
    """

    def __init__(
        self,
        config: Config,
        *,
        dram_bytes: int = DRAM_BYTES,
        divisor: int | None = None,
        simulated_hz: int | None = None,
    ):
        self._config = config
        self._is_simulated = simulated_hz is not None
        self._clock_hz = simulated_hz or config.clock_mhz * 1_000_000
        self._dividers = find_dividers(CLOCK_MHZ, config.clock_mhz)
        self._link = BoardLink(
            dram_bytes=dram_bytes,
            bus_bits=config.bus_bits,
            clock_hz=self._clock_hz,
            divisor=divisor or _divisor(self._clock_hz, BAUD),
        )
        super().__init__(
            {
                "clk_25mhz": In(1),
                "ftdi_txd": In(1, init=1),
                "ftdi_rxd": Out(1, init=1),
                "btn_fire1": In(1),
                "wifi_gpio0": Out(1),
                "led": Out(8),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = sync = ClockDomain()
        m.domains.always = always = ClockDomain(reset_less=True)
        always.clk = sync.clk
        locked = Signal()
        if self._is_simulated:
            m.d.comb += [sync.clk.eq(self.clk_25mhz), locked.eq(1)]
        else:
            m.submodules.pll = make_pll(
                self._dividers,
                input_mhz=CLOCK_MHZ,
                output_mhz=self._config.clock_mhz,
                i=self.clk_25mhz,
                o=sync.clk,
                locked=locked,
            )

        # Reset at power on, and until the button has been up for a while.
        ready = Signal()
        m.submodules.ready_sync = FFSynchronizer(
            locked & ~self.btn_fire1, ready, o_domain="always", init=0
        )
        waited = Signal(range(16 if self._is_simulated else _DEBOUNCE_CLOCKS))
        resting = Signal(init=1)
        m.d.always += resting.eq(~waited.all())
        with m.If(~ready):
            m.d.always += waited.eq(0)
        with m.Elif(~waited.all()):
            m.d.always += waited.eq(waited + 1)
        m.d.comb += sync.rst.eq(resting)

        m.submodules.link = link = self._link
        skimp = Skimp(self._config)
        m.submodules.skimp = ResetInserter(link.hold_reset)(skimp)
        wiring.connect(m, link.axil, skimp.axil)
        wiring.connect(m, skimp.axi, link.axi)
        alive = Signal(range(self._clock_hz))
        m.d.sync += alive.eq(alive + 1)
        m.d.comb += [
            link.rx_pin.eq(self.ftdi_txd),
            self.ftdi_rxd.eq(link.tx_pin),
            link.irq.eq(skimp.irq),
            self.wifi_gpio0.eq(1),
            self.led.eq(
                Cat(
                    link.status,
                    skimp.irq,
                    link.hold_reset,
                    link.damaged,
                    ~self.ftdi_txd,
                    alive[-1],
                )
            ),
        ]
        return m
