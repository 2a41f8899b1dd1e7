"""What stands in the programmable logic of a ZCU104: the accelerator between the ports of its PS."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from skimp.config import Config
from skimp.dma.axi import Axi4, AxiLite
from skimp.dma.axi_ports import AxiPorts
from skimp.top import Skimp

__all__ = ["PORT_BITS", "Zcu104Top", "num_ports"]

PORT_BITS = 128
"""Of the PS's HP ports."""

_ADDR_BITS = 49  # of an HP port
_CACHE = 0b0011  # bufferable, may be merged and split
_RESET_STAGES = 3


def num_ports(config: Config) -> int:
    """Return how many HP ports carry a beat a clock."""
    return max(1, config.bus_bits // PORT_BITS)


class Zcu104Top(wiring.Component):
    """Accelerator with AXI4-Lite for HPM0 and AXI4 masters for HP0, HP1, ...: all on one clock.

    Parameters
    ----------
    config : Config
        With a bus of 128, 256 or 512 bits: 1, 2 or 4 HP ports carry a beat of it a clock.
    second_clock : bool
        Adds `aclk2x`.

    Members
    -------
    aclk : In(1)
    aclk2x : In(1)
        Twice aclk, in phase with it; reserved for slices that work twice a clock and used by
        nothing yet.
    aresetn : In(1)
        Low at any time resets everything at once; what follows it is in step with aclk. The PS
        ports must be reset with it, or be at rest: what is under way on them is lost. A program
        that went astray is ended by the soft reset of the registers instead.
    s_axi_* : AXI4-Lite slave, 32 bit
        Registers (docs/registers.md).
    m_axi_hp0_*, ... : AXI4 masters, 128 bit
        DRAM, spread over the ports by address (`AxiPorts`). Addresses are those of the lower 4 GB.
    irq : Out(1)
        High until it is cleared in the registers.
    """

    def __init__(self, config: Config, *, second_clock: bool = False):
        self._config = config
        self._num_ports = num_ports(config)
        self._fabric = AxiPorts(
            data_bits=config.bus_bits, num_ports=self._num_ports, port_bits=PORT_BITS
        )
        members = {"aclk": In(1), "aresetn": In(1), "irq": Out(1)}
        if second_clock:
            members["aclk2x"] = In(1)
        for name, member in AxiLite().members.items():
            members[f"s_axi_{name}"] = member.flip()
        members |= {"s_axi_awprot": In(3), "s_axi_arprot": In(3)}
        port = dict(Axi4(data_bits=PORT_BITS).members.items())
        for p in range(self._num_ports):
            for name, member in port.items():
                members[f"m_axi_hp{p}_{name}"] = member
            for channel in ("ar", "aw"):
                members[f"m_axi_hp{p}_{channel}addr"] = Out(_ADDR_BITS)
                members[f"m_axi_hp{p}_{channel}cache"] = Out(4)
                members[f"m_axi_hp{p}_{channel}prot"] = Out(3)
        super().__init__(members)
        self._mark_interfaces()

    def _mark_interfaces(self):
        """Say to Vivado's block design what it could only guess from the names."""
        buses = ["s_axi", *(f"m_axi_hp{p}" for p in range(self._num_ports))]
        for port, info, parameter in (
            (
                self.aclk,
                "clock:1.0 aclk CLK",
                f"ASSOCIATED_BUSIF {':'.join(buses)}, ASSOCIATED_RESET aresetn",
            ),
            (self.aresetn, "reset:1.0 aresetn RST", "POLARITY ACTIVE_LOW"),
            (self.irq, "interrupt:1.0 irq INTERRUPT", "SENSITIVITY LEVEL_HIGH"),
        ):
            port.attrs["X_INTERFACE_INFO"] = f"xilinx.com:signal:{info}"
            port.attrs["X_INTERFACE_PARAMETER"] = parameter

    def elaborate(self, platform):
        m = Module()
        # The reset comes at once and goes in step with the clock.
        m.domains.sync = sync = ClockDomain()
        m.domains.reset_chain = chain = ClockDomain(async_reset=True, local=True)
        stages = [
            Signal(init=1, name=f"reset_stage_{n}", attrs={"ASYNC_REG": "TRUE"})
            for n in range(_RESET_STAGES)
        ]
        m.d.reset_chain += [ours.eq(before) for ours, before in zip(stages, [0, *stages])]
        m.d.comb += [
            chain.clk.eq(self.aclk),
            chain.rst.eq(~self.aresetn),
            sync.clk.eq(self.aclk),
            sync.rst.eq(stages[-1]),
        ]

        m.submodules.skimp = skimp = Skimp(self._config)
        m.submodules.ports = ports = self._fabric
        wiring.connect(m, skimp.axi, ports.bus)
        m.d.comb += [ports.forget.eq(skimp.core_reset), self.irq.eq(skimp.irq)]
        for name, member in AxiLite().members.items():
            ours, theirs = getattr(self, f"s_axi_{name}"), getattr(skimp.axil, name)
            m.d.comb += theirs.eq(ours) if member.flow == Out else ours.eq(theirs)
        for p, port in enumerate(ports.ports):
            for name, member in Axi4(data_bits=PORT_BITS).members.items():
                ours, theirs = getattr(self, f"m_axi_hp{p}_{name}"), getattr(port, name)
                m.d.comb += ours.eq(theirs) if member.flow == Out else theirs.eq(ours)
            for channel in ("ar", "aw"):
                m.d.comb += getattr(self, f"m_axi_hp{p}_{channel}cache").eq(_CACHE)
        return m
