"""Requests of a host, taken from a line byte by byte and checked (`skimp.link.format`)."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.link.format import (
    CRC_BYTES,
    MAX_BLOCK_BYTES,
    PAYLOAD_BIT,
    REQUEST_BYTES,
    SYNC_REQUEST,
    Status,
)
from skimp.link.uart import ReceivedLayout
from skimp.mem.ram import Ram1R1W

__all__ = ["RequestLayout", "RequestReceiver"]

_HEAD_LAYOUT = data.StructLayout({"tag": 8, "opcode": 8, "address": 32, "count": 16})

RequestLayout = data.StructLayout({"head": _HEAD_LAYOUT, "value": 32, "damage": 8})
"""A request, the last four bytes of its payload as a number, and what is wrong with it (Status)."""


class RequestReceiver(wiring.Component):
    """Finds packets in a line of bytes.

    Parameters
    ----------
    silence_clocks : int
        Silence that ends a packet.

    Members
    -------
    rx : In(stream(ReceivedLayout))
    o : Out(stream(RequestLayout))
        Taken when its answer has been sent; bytes that come before that are dropped. Where `damage`
        is not OKAY the line has been silent and the rest means nothing.
    r_en : In(1), r_addr : In, r_data : Out(8)
        A byte of the payload, a clock later.

    Notes
    -----
    *Latency*: two clocks from the last byte.
    """

    def __init__(self, *, silence_clocks: int):
        if silence_clocks < 1:
            raise ValueError(f"silence_clocks must be positive, not {silence_clocks!r}")
        self._silence_clocks = silence_clocks
        super().__init__(
            {
                "rx": In(stream.Signature(ReceivedLayout)),
                "o": Out(stream.Signature(RequestLayout)),
                "r_en": In(1),
                "r_addr": In(ceil_log2(MAX_BLOCK_BYTES)),
                "r_data": Out(8),
            }
        )

    def elaborate(self, platform):
        m = Module()
        rx, request = self.rx, self.o.payload
        m.submodules.crc = crc = CRC32_ISO_HDLC(data_width=8).create()
        m.submodules.buffer = buffer = Ram1R1W(width=8, depth=MAX_BLOCK_BYTES, ram_style="block")
        head = request.head.as_value()
        bytes_left = Signal(range(MAX_BLOCK_BYTES + 1), reset_less=True)
        place = Signal(ceil_log2(MAX_BLOCK_BYTES), reset_less=True)
        took = Signal()
        silent_for = Signal(range(self._silence_clocks + 1))
        is_silent = Signal()
        m.d.comb += [
            took.eq(rx.valid & rx.ready),
            is_silent.eq(silent_for == self._silence_clocks),
            rx.ready.eq(1),
            crc.data.eq(rx.payload.byte),
            buffer.w_data.eq(rx.payload.byte),
            buffer.w_addr.eq(place),
            buffer.r_en.eq(self.r_en),
            buffer.r_addr.eq(self.r_addr),
            self.r_data.eq(buffer.r_data),
        ]
        with m.If(took):
            m.d.sync += [silent_for.eq(0), bytes_left.eq(bytes_left - 1)]
        with m.Elif(~is_silent):
            m.d.sync += silent_for.eq(silent_for + 1)

        def damaged(status):
            m.d.sync += request.damage.eq(status)
            m.next = "DAMAGED"

        def give_up():
            with m.If(took & rx.payload.damaged):
                damaged(Status.BAD_FRAME)
            with m.Elif(is_silent & ~took):
                damaged(Status.BAD_FRAME)

        is_last = took & (bytes_left == 1)
        with m.FSM():
            with m.State("SILENT"):
                m.d.comb += crc.start.eq(1)
                m.d.sync += request.damage.eq(Status.OKAY)
                with m.If(took):
                    m.d.sync += bytes_left.eq(REQUEST_BYTES - 1)
                    m.next = "HEAD"
                    with m.If(rx.payload.damaged | (rx.payload.byte != SYNC_REQUEST)):
                        damaged(Status.BAD_FRAME)
            with m.State("HEAD"):
                m.d.comb += crc.valid.eq(took)
                with m.If(took):
                    m.d.sync += head.eq(Cat(head[8:], rx.payload.byte))
                with m.If(is_last):
                    m.next = "SORT"
                give_up()
            with m.State("SORT"):
                m.d.comb += rx.ready.eq(0)
                m.d.sync += [bytes_left.eq(CRC_BYTES), place.eq(0)]
                m.next = "CHECK"
                with m.If((request.head.opcode & PAYLOAD_BIT).any() & request.head.count.any()):
                    m.d.sync += bytes_left.eq(request.head.count)
                    m.next = "PAYLOAD"
                    with m.If(request.head.count > MAX_BLOCK_BYTES):
                        damaged(Status.TOO_LONG)
            with m.State("PAYLOAD"):
                m.d.comb += [crc.valid.eq(took), buffer.w_en.eq(took)]
                with m.If(took):
                    m.d.sync += [
                        place.eq(place + 1),
                        request.value.eq(Cat(request.value[8:], rx.payload.byte)),
                    ]
                with m.If(is_last):
                    m.d.sync += bytes_left.eq(CRC_BYTES)
                    m.next = "CHECK"
                give_up()
            with m.State("CHECK"):
                m.d.comb += crc.valid.eq(took)
                with m.If(is_last):
                    m.next = "VERDICT"
                give_up()
            with m.State("VERDICT"):
                m.d.comb += rx.ready.eq(0)
                m.next = "WHOLE"
                with m.If(~crc.match_detected):
                    damaged(Status.BAD_CRC)
            with m.State("DAMAGED"):
                with m.If(is_silent & ~took):
                    m.next = "WHOLE"
            with m.State("WHOLE"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "SILENT"
        return m
