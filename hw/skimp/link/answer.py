"""Answers to a host, byte by byte, with their CRC (`skimp.link.format`)."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

from skimp.link.format import ANSWER_BYTES, CRC_BYTES, SYNC_ANSWER

__all__ = ["AnswerLayout", "AnswerSender"]

AnswerLayout = data.StructLayout({"tag": 8, "status": 8, "count": 16})


class AnswerSender(wiring.Component):
    """Makes packets of answers.

    Members
    -------
    i : In(stream(AnswerLayout))
        Taken with the last byte.
    payload : In(stream(8))
        `count` bytes are taken.
    tx : Out(stream(8))

    Notes
    -----
    *Throughput*: the line's.
    """

    i: stream.Interface
    payload: stream.Interface
    tx: stream.Interface

    def __init__(self):
        super().__init__(
            {
                "i": In(stream.Signature(AnswerLayout)),
                "payload": In(stream.Signature(8)),
                "tx": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        tx = self.tx
        m.submodules.crc = crc = CRC32_ISO_HDLC(data_width=8).create()
        shift = Signal(8 * max(ANSWER_BYTES, CRC_BYTES), reset_less=True)
        bytes_left = Signal(16, reset_less=True)
        sent = Signal()
        is_last = Signal()
        is_sync = Signal(reset_less=True)
        m.d.comb += [
            sent.eq(tx.valid & tx.ready),
            is_last.eq(sent & (bytes_left == 1)),
            tx.payload.eq(shift[:8]),
            crc.data.eq(tx.payload),
        ]
        with m.If(sent):
            m.d.sync += [bytes_left.eq(bytes_left - 1), shift.eq(shift[8:]), is_sync.eq(0)]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += crc.start.eq(1)
                m.d.sync += [
                    shift.eq(Cat(C(SYNC_ANSWER, 8), self.i.payload)),
                    bytes_left.eq(ANSWER_BYTES),
                    is_sync.eq(1),
                ]
                with m.If(self.i.valid):
                    m.next = "HEAD"
            with m.State("HEAD"):
                m.d.comb += [tx.valid.eq(1), crc.valid.eq(sent & ~is_sync)]
                with m.If(is_last):
                    m.d.sync += bytes_left.eq(self.i.payload.count)
                    m.next = "PAYLOAD"
                    with m.If(self.i.payload.count == 0):
                        m.next = "CHECK"
            with m.State("PAYLOAD"):
                m.d.comb += [
                    tx.valid.eq(self.payload.valid),
                    tx.payload.eq(self.payload.payload),
                    self.payload.ready.eq(tx.ready),
                    crc.valid.eq(sent),
                ]
                with m.If(is_last):
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += [shift.eq(crc.crc), bytes_left.eq(CRC_BYTES)]
                m.next = "CRC"
            with m.State("CRC"):
                m.d.comb += tx.valid.eq(1)
                with m.If(is_last):
                    m.d.comb += self.i.ready.eq(1)
                    m.next = "IDLE"
        return m
