"""Registers behind AXI4-Lite, made from the register table."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from skimp import regs
from skimp.config import Config
from skimp.dma.axi import RESP_OKAY, RESP_SLVERR, AxiLite
from skimp.regs import COUNTERS, REGISTERS, Access

__all__ = ["Csr"]

_HALF_BITS = 32
_INCREMENT_BITS = 16


class Csr(wiring.Component):
    """AXI4-Lite slave with the registers of `skimp.regs`.

    Parameters
    ----------
    config : Config

    Members
    -------
    axil : In(AxiLite)
        SLVERR for an address without register and for a write to a read-only one.
    start, reset : Out(1)
        Pulses.
    dram_base, program_addr : Out(32)
    busy, done, error, event : In(1)
    error_code : In(8), error_info : In(32), layer_id : In(16)
    inc_NAME : In(16)
        For each counter of the table, what this clock adds.
    record : Out
        Low halves of all counters, the first one lowest.
    irq : Out(1)

    Notes
    -----
    *Latency*: a read answers two clocks after its address, a write one clock after address and
    data. Reading the low half of a counter holds the high half for the next read.
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "axil": In(AxiLite()),
                "start": Out(1),
                "reset": Out(1),
                "dram_base": Out(32),
                "program_addr": Out(32),
                "busy": In(1),
                "done": In(1),
                "error": In(1),
                "event": In(1),
                "error_code": In(8),
                "error_info": In(32),
                "layer_id": In(16),
                **{f"inc_{name}": In(_INCREMENT_BITS) for name, _ in COUNTERS},
                "record": Out(32 * len(COUNTERS)),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        axil = self.axil
        irq_enable, irq_pending = Signal(), Signal()
        high_half = Signal(_HALF_BITS, reset_less=True)
        # The high half has its sum ready and waits for the low half's carry: two short chains.
        low, high = (
            {name: Signal(_HALF_BITS, name=f"count_{name}_{half}") for name, _ in COUNTERS}
            for half in ("low", "high")
        )
        for name, _ in COUNTERS:
            total = Signal(_HALF_BITS + 1, name=f"total_{name}")
            m.d.comb += total.eq(low[name] + getattr(self, f"inc_{name}"))
            m.d.sync += low[name].eq(total)
            with m.If(total[-1]):
                m.d.sync += high[name].eq(high[name] + 1)
            with m.If(self.start):
                m.d.sync += [low[name].eq(0), high[name].eq(0)]
        m.d.comb += self.record.eq(Cat(low.values()))

        values = {
            "MAGIC.value": Const(regs.MAGIC, 32),
            "VERSION.value": Const(regs.VERSION, 32),
            "CONFIG_HASH.value": Const(self._config.hash, 32),
            "CTRL.irq_enable": irq_enable,
            "STATUS.busy": self.busy,
            "STATUS.done": self.done,
            "STATUS.error": self.error,
            "ERROR.code": self.error_code,
            "ERROR_INFO.value": self.error_info,
            "IRQ.pending": irq_pending,
            "DRAM_BASE.value": self.dram_base,
            "PROGRAM_ADDR.value": self.program_addr,
            "LAYER_ID.value": self.layer_id,
        }
        for name, count in low.items():
            values[f"{name.upper()}_LO.value"] = count
            values[f"{name.upper()}_HI.value"] = high_half

        # Write: address and data are taken together, once the last answer is gone.
        write = Signal()
        m.d.comb += [
            write.eq(axil.awvalid & axil.wvalid & (~axil.bvalid | axil.bready)),
            axil.awready.eq(write),
            axil.wready.eq(write),
        ]
        with m.If(axil.bready):
            m.d.sync += axil.bvalid.eq(0)
        m.d.sync += [self.start.eq(0), self.reset.eq(0)]
        pulses = {"CTRL.start": self.start, "CTRL.reset": self.reset}
        m.d.comb += self.irq.eq(irq_pending & irq_enable)
        with m.If(write):
            m.d.sync += [axil.bvalid.eq(1), axil.bresp.eq(RESP_SLVERR)]
            with m.Switch(axil.awaddr[2:]):
                for register in REGISTERS:
                    writable = [b for b in register.bits if b.access is not Access.R]
                    if not writable:
                        continue
                    with m.Case(register.offset >> 2):
                        m.d.sync += axil.bresp.eq(RESP_OKAY)
                        for b in writable:
                            self._write(m, f"{register.name}.{b.name}", b, values, pulses)
        with m.If(self.event):
            m.d.sync += irq_pending.eq(1)

        # Read
        read = Signal()
        m.d.comb += [
            read.eq(axil.arvalid & (~axil.rvalid | axil.rready)),
            axil.arready.eq(read),
        ]
        with m.If(axil.rready):
            m.d.sync += axil.rvalid.eq(0)
        with m.If(read):
            m.d.sync += [axil.rvalid.eq(1), axil.rresp.eq(RESP_SLVERR), axil.rdata.eq(0)]
            with m.Switch(axil.araddr[2:]):
                for register in REGISTERS:
                    with m.Case(register.offset >> 2):
                        m.d.sync += axil.rresp.eq(RESP_OKAY)
                        for b in register.bits:
                            value = values.get(f"{register.name}.{b.name}")
                            if value is not None:
                                m.d.sync += axil.rdata[b.lsb : b.lsb + b.width].eq(value)
                        if register.name.endswith("_LO"):
                            name = register.name.removesuffix("_LO").lower()
                            m.d.sync += high_half.eq(high[name])
        return m

    def _write(self, m, name, b, values, pulses):
        """Effect of a write on one field, byte strobes honoured."""
        axil = self.axil
        for byte in range(b.lsb // 8, (b.lsb + b.width - 1) // 8 + 1):
            low, high = max(b.lsb, 8 * byte), min(b.lsb + b.width, 8 * byte + 8)
            data = axil.wdata[low:high]
            with m.If(axil.wstrb[byte]):
                if b.access is Access.W1P:
                    m.d.sync += pulses[name].eq(data)
                elif b.access is Access.W1C:
                    with m.If(data):
                        m.d.sync += values[name].eq(0)
                else:
                    m.d.sync += values[name][low - b.lsb : high - b.lsb].eq(data)
