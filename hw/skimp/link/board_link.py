"""Everything between the pins of a serial line and the ports of an accelerator."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from skimp.dma.axi import Axi4, AxiLite
from skimp.link.format import SILENCE_SECONDS
from skimp.link.link import Link
from skimp.link.uart import UartReceiver, UartSender
from skimp.mem.axi_memory import AxiMemory

__all__ = ["BoardLink"]

_BYTE_BITS = 10


class BoardLink(wiring.Component):
    """A memory for the accelerator, and a host's way to it and to the registers.

    Parameters
    ----------
    dram_bytes : int
        Block RAM that serves as DRAM.
    bus_bits : int
        Bits of its AXI4 port.
    clock_hz : int
    divisor : int
        Clocks of a bit on the line.

    Members
    -------
    rx_pin : In(1), tx_pin : Out(1)
    axil : Out(AxiLite), irq : In(1)
        The accelerator's registers.
    axi : In(Axi4)
        The accelerator's memory.
    hold_reset : Out(1)
        The accelerator is to be held in reset; its bursts are forgotten.
    status : Out(3)
        STATUS register as seen last: busy, done, error.
    damaged : Out(1)
        The last packet did not arrive as it was sent.
    """

    def __init__(self, *, dram_bytes: int, bus_bits: int, clock_hz: int, divisor: int):
        silence_clocks = round(clock_hz * SILENCE_SECONDS)
        if silence_clocks < 4 * _BYTE_BITS * divisor:
            raise ValueError(
                f"divisor must leave room for four bytes in {silence_clocks} clocks, not {divisor!r}"
            )
        self._memory = AxiMemory(size_bytes=dram_bytes, data_bits=bus_bits)
        self._link = Link(
            dram_bytes=dram_bytes,
            clock_hz=clock_hz,
            silence_clocks=silence_clocks,
            memory_latency=AxiMemory.port_read_latency,
        )
        self._divisor = divisor
        super().__init__(
            {
                "rx_pin": In(1, init=1),
                "tx_pin": Out(1, init=1),
                "axil": Out(AxiLite()),
                "irq": In(1),
                "axi": In(Axi4(data_bits=bus_bits)),
                "hold_reset": Out(1),
                "status": Out(3),
                "damaged": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = UartReceiver(divisor=self._divisor)
        m.submodules.sender = sender = UartSender(divisor=self._divisor)
        m.submodules.link = link = self._link
        m.submodules.memory = memory = self._memory
        wiring.connect(m, receiver.o, link.rx)
        wiring.connect(m, link.tx, sender.i)
        wiring.connect(m, link.axil, wiring.flipped(self.axil))
        wiring.connect(m, wiring.flipped(self.axi), memory.axi)
        m.d.comb += [
            receiver.pin.eq(self.rx_pin),
            self.tx_pin.eq(sender.pin),
            link.irq.eq(self.irq),
            memory.r_en.eq(link.mem_r_en),
            memory.r_addr.eq(link.mem_addr),
            link.mem_r_data.eq(memory.r_data),
            memory.w_en.eq(link.mem_w_en),
            memory.w_addr.eq(link.mem_addr),
            memory.w_data.eq(link.mem_w_data),
            memory.reset_bus.eq(link.hold_reset),
            self.hold_reset.eq(link.hold_reset),
            self.status.eq(link.status),
            self.damaged.eq(link.damaged),
        ]
        return m
