"""Carries out what a host asks for over a serial line: registers, memory, reset."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp import regs
from skimp.dma.axi import RESP_OKAY, AxiLite
from skimp.link.answer import AnswerSender
from skimp.link.format import (
    MAX_BLOCK_BYTES,
    STATUS_IRQ,
    STATUS_RESET,
    VERSION,
    Identity,
    Opcode,
    Status,
)
from skimp.link.request import RequestReceiver
from skimp.link.uart import ReceivedLayout

__all__ = ["Link"]

_REGISTER_BYTES = 4
_STATUS_BITS = 6

assert (STATUS_RESET, STATUS_IRQ) == (1 << _STATUS_BITS, 2 << _STATUS_BITS)

_PATIENCE_CLOCKS = 256
"""How long a register may take to answer."""


class Link(wiring.Component):
    """Requests in, answers out, one after the other (`skimp.link.format`).

    Parameters
    ----------
    dram_bytes : int
        Of the memory behind the port of bytes.
    clock_hz : int
        Clocks a second, as IDENTIFY tells it.
    silence_clocks : int
        Silence on the line that ends a packet.
    memory_latency : int
        Clocks from mem_r_en to mem_r_data.
    look_clocks : int
        Clocks between two looks at the STATUS register, for lamps.

    Members
    -------
    rx : In(stream(ReceivedLayout)), tx : Out(stream(8))
        The line; bytes that come while a request is carried out or answered are dropped.
    axil : Out(AxiLite)
    mem_addr, mem_r_en, mem_w_en, mem_w_data : Out, mem_r_data : In(8)
        A byte of memory each.
    irq : In(1)
    hold_reset : Out(1)
        The host holds the accelerator in reset.
    status : Out(3)
        STATUS register as seen last: busy, done, error.
    damaged : Out(1)
        The last packet did not arrive as it was sent.

    Notes
    -----
    *Throughput*: the line's; a block of n bytes is written in 2 n clocks behind its packet.
    *Limits*: a register access without answer is given up after 256 clocks, which AXI4-Lite does
    not know: only a reset mends such a bus.
    """

    def __init__(
        self,
        *,
        dram_bytes: int,
        clock_hz: int,
        silence_clocks: int,
        memory_latency: int,
        look_clocks: int = 1 << 12,
    ):
        numbers = {
            "dram_bytes": dram_bytes,
            "clock_hz": clock_hz,
            "memory_latency": memory_latency,
            "look_clocks": look_clocks,
        }
        for name, number in numbers.items():
            if not 1 <= number < 1 << 32:
                raise ValueError(f"{name} must be 1 to 2^32 - 1, not {number!r}")
        self._identity = Identity(VERSION, MAX_BLOCK_BYTES, dram_bytes, clock_hz, 0)
        self._silence_clocks = silence_clocks
        self._memory_latency = memory_latency
        self._look_clocks = look_clocks
        super().__init__(
            {
                "rx": In(stream.Signature(ReceivedLayout)),
                "tx": Out(stream.Signature(8)),
                "axil": Out(AxiLite()),
                "mem_addr": Out(ceil_log2(dram_bytes)),
                "mem_r_en": Out(1),
                "mem_r_data": In(8),
                "mem_w_en": Out(1),
                "mem_w_data": Out(8),
                "irq": In(1),
                "hold_reset": Out(1),
                "status": Out(3),
                "damaged": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        axil = self.axil
        m.submodules.receiver = receiver = RequestReceiver(silence_clocks=self._silence_clocks)
        m.submodules.sender = sender = AnswerSender()
        wiring.connect(m, wiring.flipped(self.rx), receiver.rx)
        wiring.connect(m, sender.tx, wiring.flipped(self.tx))
        request, answer = receiver.o.payload, sender.i.payload
        head = request.head

        status = Signal(_STATUS_BITS, reset_less=True)
        count = Signal(range(MAX_BLOCK_BYTES + 1), reset_less=True)
        from_memory = Signal(reset_less=True)
        identity = self._identity.pack()
        outgoing = Signal(8 * len(identity), reset_less=True)
        last_tag = Signal(8, reset_less=True)
        last_status = Signal(_STATUS_BITS, reset_less=True)
        has_last = Signal()
        m.d.comb += [
            answer.tag.eq(head.tag),
            # The interrupt as it is when the status byte leaves, not when the request came.
            answer.status.eq(Cat(status, self.hold_reset, self.irq)),
            answer.count.eq(count),
        ]

        # The payload of an answer: bytes of a register, or of memory one by one.
        fetching, fetched = Signal(range(self._memory_latency + 1)), Signal()
        byte = Signal(8, reset_less=True)
        m.d.comb += [
            sender.payload.payload.eq(Mux(from_memory, byte, outgoing[:8])),
            sender.payload.valid.eq(~from_memory | fetched),
        ]
        fetch_next = Signal()
        m.d.sync += fetch_next.eq(0)
        m.d.comb += [self.mem_r_en.eq(fetch_next), self.mem_w_data.eq(receiver.r_data)]
        with m.If(fetching != 0):
            m.d.sync += fetching.eq(fetching - 1)
        with m.If(fetching == 1):
            m.d.sync += [byte.eq(self.mem_r_data), fetched.eq(1)]
        with m.If(self.mem_r_en):
            m.d.sync += fetching.eq(self._memory_latency)

        place = Signal(ceil_log2(MAX_BLOCK_BYTES), reset_less=True)
        end = Signal(33)
        is_inside = Signal()
        m.d.comb += [
            end.eq(head.address + head.count),
            is_inside.eq(end <= self._identity.dram_bytes),
            receiver.r_addr.eq(place),
        ]
        patience = Signal(range(_PATIENCE_CLOCKS))
        address_sent, data_sent = Signal(), Signal()
        look_timer, is_looking = Signal(range(self._look_clocks)), Signal()
        m.d.comb += [
            axil.araddr.eq(Mux(is_looking, regs.register("STATUS").offset, head.address)),
            axil.awaddr.eq(head.address),
            axil.wdata.eq(request.value),
            axil.wstrb.eq(-1),
        ]
        with m.If(self.hold_reset):
            m.d.sync += self.status.eq(0)
        with m.If(look_timer != 0):
            m.d.sync += look_timer.eq(look_timer - 1)

        def end_with(value, *, bytes_=0):
            m.d.sync += [status.eq(value), count.eq(bytes_)]
            m.next = "ANSWER"

        def if_good(*rules):
            """Answer with the first status whose rule is broken; carry on inside the Else."""
            for i, (broken, value) in enumerate(rules):
                with m.If(broken) if i == 0 else m.Elif(broken):
                    end_with(value)
            return m.Else()

        def register_rules():
            return if_good(
                (head.count != _REGISTER_BYTES, Status.BAD_COUNT),
                (head.address[len(axil.araddr) :].any(), Status.BAD_ADDRESS),
                (self.hold_reset, Status.IN_RESET),
            )

        def memory_rules():
            return if_good(
                ((head.count == 0) | (head.count > MAX_BLOCK_BYTES), Status.BAD_COUNT),
                (~is_inside, Status.BAD_ADDRESS),
            )

        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [
                    from_memory.eq(0),
                    is_looking.eq(0),
                    address_sent.eq(0),
                    data_sent.eq(0),
                    patience.eq(-1),
                    place.eq(0),
                    self.mem_addr.eq(head.address),
                ]
                with m.If(receiver.o.valid):
                    m.d.sync += self.damaged.eq(request.damage != Status.OKAY)
                    m.next = "DECODE"
                    with m.If(request.damage != Status.OKAY):
                        end_with(request.damage)
                with m.Elif((look_timer == 0) & ~self.hold_reset):
                    m.d.sync += [is_looking.eq(1), look_timer.eq(self._look_clocks - 1)]
                    m.next = "READ"
            with m.State("DECODE"):
                m.d.sync += [last_tag.eq(head.tag), has_last.eq(head.opcode[-1])]
                with m.If(has_last & head.opcode[-1] & (head.tag == last_tag)):
                    end_with(last_status)
                with m.Else():
                    with m.Switch(head.opcode):
                        with m.Case(Opcode.IDENTIFY):
                            m.d.sync += outgoing.eq(int.from_bytes(identity, "little"))
                            with if_good((head.count != len(identity), Status.BAD_COUNT)):
                                end_with(Status.OKAY, bytes_=len(identity))
                        with m.Case(Opcode.READ_REGISTER):
                            with register_rules():
                                m.next = "READ"
                        with m.Case(Opcode.WRITE_REGISTER):
                            with register_rules():
                                m.next = "WRITE"
                        with m.Case(Opcode.READ_MEMORY):
                            with memory_rules():
                                m.d.comb += self.mem_r_en.eq(1)
                                m.d.sync += [from_memory.eq(1), fetched.eq(0)]
                                end_with(Status.OKAY, bytes_=head.count)
                        with m.Case(Opcode.WRITE_MEMORY):
                            with memory_rules():
                                m.next = "COPY"
                        with m.Case(Opcode.POLL):
                            with if_good((head.count != 0, Status.BAD_COUNT)):
                                end_with(Status.OKAY)
                        with m.Case(Opcode.RESET):
                            with if_good((head.count != _REGISTER_BYTES, Status.BAD_COUNT)):
                                m.d.sync += self.hold_reset.eq(request.value[0])
                                end_with(Status.OKAY)
                        with m.Default():
                            end_with(Status.BAD_OPCODE)
            with m.State("READ"):
                m.d.comb += [axil.arvalid.eq(~address_sent), axil.rready.eq(1)]
                m.d.sync += patience.eq(patience - 1)
                with m.If(axil.arready):
                    m.d.sync += address_sent.eq(1)
                with m.If(axil.rvalid):
                    m.d.sync += outgoing.eq(axil.rdata)
                    end_with(axil.rresp, bytes_=Mux(axil.rresp == RESP_OKAY, _REGISTER_BYTES, 0))
                with m.Elif(patience == 0):
                    end_with(Status.NO_ANSWER)
                with m.If(is_looking & (axil.rvalid | (patience == 0))):
                    m.d.sync += self.status.eq(axil.rdata)
                    m.next = "IDLE"
            with m.State("WRITE"):
                m.d.comb += [
                    axil.awvalid.eq(~address_sent),
                    axil.wvalid.eq(~data_sent),
                    axil.bready.eq(1),
                ]
                m.d.sync += patience.eq(patience - 1)
                with m.If(axil.awready):
                    m.d.sync += address_sent.eq(1)
                with m.If(axil.wready):
                    m.d.sync += data_sent.eq(1)
                with m.If(axil.bvalid):
                    end_with(axil.bresp)
                with m.Elif(patience == 0):
                    end_with(Status.NO_ANSWER)
            with m.State("COPY"):
                m.d.comb += receiver.r_en.eq(1)
                m.next = "COPY_BYTE"
            with m.State("COPY_BYTE"):
                m.d.comb += self.mem_w_en.eq(1)
                m.d.sync += [self.mem_addr.eq(self.mem_addr + 1), place.eq(place + 1)]
                m.next = "COPY"
                with m.If(place == (head.count - 1)[: len(place)]):
                    end_with(Status.OKAY)
            with m.State("ANSWER"):
                m.d.comb += [sender.i.valid.eq(1), receiver.o.ready.eq(sender.i.ready)]
                m.d.sync += last_status.eq(status)
                with m.If(sender.payload.valid & sender.payload.ready):
                    m.d.sync += [
                        outgoing.eq(outgoing >> 8),
                        self.mem_addr.eq(self.mem_addr + 1),
                        fetched.eq(0),
                        fetch_next.eq(from_memory),
                    ]
                with m.If(sender.i.ready):
                    m.next = "IDLE"
        return m
