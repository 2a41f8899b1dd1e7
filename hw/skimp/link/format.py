"""Packets between a host and a board over a serial line: one definition for the RTL and the driver.

    request  sync, tag, opcode, address (32 bits), count (16 bits), [payload], CRC-32
    answer   sync, tag, status, count (16 bits), [payload], CRC-32

Numbers are little-endian. The CRC is that of zlib, over everything between the sync byte and itself.
An opcode with PAYLOAD_BIT brings `count` bytes; one without asks for `count` bytes. One request is
under way at a time. Whoever sees a damaged packet waits until the line has been silent; the board
then answers with a status from LINK_ERRORS, and the host asks again with the same tag: what has
PAYLOAD_BIT is carried out once for a tag, and answered as before the second time. IDENTIFY makes the
board forget the last tag. No Amaranth in here: the driver imports this module too.
"""

import enum
import struct
import zlib
from typing import NamedTuple

__all__ = [
    "ANSWER_BYTES",
    "BAUD",
    "CRC_BYTES",
    "IDENTITY_BYTES",
    "LINK_ERRORS",
    "MAX_BLOCK_BYTES",
    "PAYLOAD_BIT",
    "REQUEST_BYTES",
    "SILENCE_SECONDS",
    "STATUS_IRQ",
    "STATUS_RESET",
    "SYNC_ANSWER",
    "SYNC_REQUEST",
    "VERSION",
    "Answer",
    "Identity",
    "Opcode",
    "Status",
    "pack_answer",
    "pack_request",
    "unpack_answer",
]

VERSION = 1
"""Of this format; a driver refuses another one."""

SYNC_REQUEST = 0xA5
SYNC_ANSWER = 0x5A
PAYLOAD_BIT = 0x80
BAUD = 3_000_000
"""Of our boards: the fastest of an FT231X."""

MAX_BLOCK_BYTES = 1024
"""Most bytes of a payload."""

SILENCE_SECONDS = 0.02
"""Silence that ends a packet, whatever is missing of it. A host may pause for less."""

STATUS_IRQ = 0x80
STATUS_RESET = 0x40
"""Bits of the status byte beside the Status: the interrupt is pending; the core is held in reset."""

_REQUEST = struct.Struct("<BBBIH")
_ANSWER = struct.Struct("<BBBH")
_CRC = struct.Struct("<I")
REQUEST_BYTES = _REQUEST.size
ANSWER_BYTES = _ANSWER.size
CRC_BYTES = _CRC.size
"""Bytes before the payload, with the sync byte; bytes behind it."""


class Opcode(enum.IntEnum):
    """What a request asks for."""

    IDENTIFY = 0x01
    """IDENTITY_BYTES that say what the board is."""
    READ_REGISTER = 0x02
    """4 bytes from the accelerator's AXI4-Lite port."""
    READ_MEMORY = 0x03
    """Bytes from the board's memory, from any address on."""
    POLL = 0x04
    """Nothing but the status byte."""
    WRITE_REGISTER = 0x82
    """4 bytes to the accelerator's AXI4-Lite port."""
    WRITE_MEMORY = 0x83
    """Bytes to the board's memory, from any address on."""
    RESET = 0x84
    """4 bytes: 1 holds the accelerator in reset, 0 lets it go; the memory keeps its contents."""


class Status(enum.IntEnum):
    """How a request ended; the first ones are the response of the bus."""

    OKAY = 0
    SLVERR = 2
    DECERR = 3
    NO_ANSWER = 4
    """The register port did not answer in time."""
    IN_RESET = 5
    """The accelerator is held in reset and has no registers."""
    BAD_OPCODE = 8
    BAD_COUNT = 9
    """The opcode does not move that many bytes."""
    BAD_ADDRESS = 10
    """Outside the memory or the register port."""
    BAD_CRC = 16
    BAD_FRAME = 17
    """A byte was missing, damaged, or no sync byte."""
    TOO_LONG = 18
    """More than MAX_BLOCK_BYTES."""


LINK_ERRORS = frozenset({Status.BAD_CRC, Status.BAD_FRAME, Status.TOO_LONG})
"""The request did not arrive as it was sent: nothing was done, ask again."""


class Identity(NamedTuple):
    """What IDENTIFY answers."""

    version: int
    max_block_bytes: int
    dram_bytes: int
    clock_hz: int
    dram_base: int
    """Bus address of the first byte of the memory."""

    def pack(self) -> bytes:
        """Return IDENTITY_BYTES."""
        return _IDENTITY.pack(*self)

    @classmethod
    def unpack(cls, data: bytes) -> "Identity":
        return cls(*_IDENTITY.unpack(data))


_IDENTITY = struct.Struct("<HHIII")
IDENTITY_BYTES = _IDENTITY.size


class Answer(NamedTuple):
    """A whole answer."""

    tag: int
    status: int
    payload: bytes


def _crc(data: bytes) -> bytes:
    return _CRC.pack(zlib.crc32(data))


def pack_request(tag: int, opcode: int, address: int, count: int, payload: bytes = b"") -> bytes:
    """Return the bytes of a request."""
    packet = _REQUEST.pack(SYNC_REQUEST, tag, opcode, address, count) + payload
    return packet + _crc(packet[1:])


def pack_answer(answer: Answer) -> bytes:
    """Return the bytes of an answer."""
    head = _ANSWER.pack(SYNC_ANSWER, answer.tag, answer.status, len(answer.payload))
    packet = head + answer.payload
    return packet + _crc(packet[1:])


def unpack_answer(head: bytes, rest: bytes) -> Answer | None:
    """Return an answer from its ANSWER_BYTES and the rest, or None where its CRC is wrong."""
    _, tag, status, count = _ANSWER.unpack(head)
    if _crc(head[1:] + rest[:count]) != rest[count:]:
        return None
    return Answer(tag, status, rest[:count])
