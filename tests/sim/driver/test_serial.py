"""The serial transport against a board in Python whose line loses and damages bytes."""

import random
import struct
import sys
import types
import zlib

import numpy as np
import pytest

from skimp.link.format import (
    IDENTITY_BYTES,
    MAX_BLOCK_BYTES,
    PAYLOAD_BIT,
    STATUS_IRQ,
    STATUS_RESET,
    SYNC_REQUEST,
    VERSION,
    Answer,
    Identity,
    Opcode,
    Status,
    pack_answer,
    pack_request,
    unpack_answer,
)
from skimp_sim.driver import serial
from skimp_sim.driver.serial import SerialPort, SerialTransport
from skimp_sim.driver.transport import TransportError

DRAM_BYTES = 5000
REQUEST = struct.Struct("<BBBIH")


class Board:
    """The other end of a line; `damage` changes what travels, both ways."""

    def __init__(self, *, damage=lambda data: data, version=VERSION):
        self.damage, self.version = damage, version
        self.memory = bytearray(DRAM_BYTES)
        self.registers, self.writes = {0x10: 1, 0x20: 2}, []
        self.irq, self.is_held, self.polls = False, False, 0
        self.slept, self.closed = 0.0, False
        self._to_host, self._last = b"", None

    def write(self, data):
        answer = self._answer(self.damage(data))
        if answer is not None:
            status = answer.status | STATUS_IRQ * self.irq | STATUS_RESET * self.is_held
            self._to_host += self.damage(pack_answer(answer._replace(status=status)))

    def read(self, count, timeout_seconds):
        data, self._to_host = self._to_host[:count], self._to_host[count:]
        return data

    def sleep(self, seconds):
        self.slept += seconds

    def close(self):
        self.closed = True

    def _answer(self, packet):
        """Answer a packet as the hardware does: damage to it in place of an answer to it."""
        if not packet:
            return None
        if len(packet) < REQUEST.size or packet[0] != SYNC_REQUEST:
            return Answer(0, Status.BAD_FRAME, b"")
        _, tag, opcode, address, count = REQUEST.unpack(packet[: REQUEST.size])
        body = packet[REQUEST.size : -4]
        if len(body) != (count if opcode & PAYLOAD_BIT else 0):
            return Answer(tag, Status.BAD_FRAME, b"")
        if struct.pack("<I", zlib.crc32(packet[1:-4])) != packet[-4:]:
            return Answer(tag, Status.BAD_CRC, b"")
        if opcode & PAYLOAD_BIT and self._last is not None and self._last.tag == tag:
            return self._last
        answer = Answer(tag, *self._do(opcode, address, count, body))
        self._last = answer if opcode & PAYLOAD_BIT else None
        return answer

    def _do(self, opcode, address, count, body):
        if opcode == Opcode.IDENTIFY:
            return 0, Identity(self.version, MAX_BLOCK_BYTES, DRAM_BYTES, 1_000_000, 0).pack()
        if opcode == Opcode.READ_REGISTER:
            known = address in self.registers
            return (0, struct.pack("<I", self.registers[address])) if known else (2, b"")
        if opcode == Opcode.WRITE_REGISTER:
            self.writes.append((address, int.from_bytes(body, "little")))
            return 0, b""
        if opcode == Opcode.READ_MEMORY:
            return 0, bytes(self.memory[address : address + count])
        if opcode == Opcode.WRITE_MEMORY:
            self.memory[address : address + count] = body
        if opcode == Opcode.RESET:
            self.is_held = bool(body[0])
        if opcode == Opcode.POLL:
            self.polls += 1
        return 0, b""


def unreliable(seed, permille):
    """Return what damages now and then: a bit, a byte lost, a tail lost, everything lost."""
    chance = random.Random(seed)

    def damage(data):
        if chance.randrange(1000) >= permille:
            return data
        where = chance.randrange(len(data))
        flipped = bytes([data[where] ^ 1 << chance.randrange(8)])
        return chance.choice(
            (
                data[:where] + flipped + data[where + 1 :],
                data[:where] + data[where + 1 :],
                data[:where],
                b"",
            )
        )

    return damage


def test_packets():
    packet = pack_request(7, Opcode.WRITE_MEMORY, 0x1234, 3, b"abc")
    assert packet[:9] == bytes((0xA5, 7, 0x83, 0x34, 0x12, 0, 0, 3, 0))
    assert packet[9:] == b"abc" + struct.pack("<I", zlib.crc32(packet[1:12]))
    answer = Answer(7, Status.OKAY, b"xy")
    sent = pack_answer(answer)
    assert unpack_answer(sent[:5], sent[5:]) == answer
    for n in range(1, len(sent)):
        wrong = bytearray(sent)
        wrong[n] ^= 4
        if n not in (3, 4):  # with another length it is another packet
            assert unpack_answer(bytes(wrong[:5]), bytes(wrong[5:])) is None
    assert len(Identity(1, 2, 3, 4, 5).pack()) == IDENTITY_BYTES


@pytest.mark.parametrize(("seed", "permille"), [(0, 0), (1, 100), (2, 200), (3, 200)])
def test_everything_arrives_once(seed, permille):
    board = Board(damage=unreliable(seed, permille))
    transport = SerialTransport(board)
    transport.TRIES = 40
    assert (transport.dram_base, transport.dram_bytes) == (0, DRAM_BYTES)
    chance, written = np.random.default_rng(seed), []
    image = np.zeros(DRAM_BYTES, np.uint8)
    for n in range(300):
        transport.write_register(0x20, n)
        written.append((0x20, n))
        assert transport.read_register(0x10) == 1
        start = int(chance.integers(DRAM_BYTES - 3000))
        data = chance.integers(0, 256, int(chance.choice((0, 1, 100, 2500))), np.uint8)
        transport.write_memory(start, data)
        image[start : start + len(data)] = data
        assert (transport.read_memory(start, 3000) == image[start : start + 3000]).all()
    assert board.writes == written
    assert (np.frombuffer(board.memory, np.uint8) == image).all()
    transport.close()
    assert board.closed


def test_waits():
    board = Board()
    transport = SerialTransport(board)
    assert not transport.wait(300_000)
    assert 0.28 < board.slept < 0.32, "clocks of the board"
    assert board.polls < 30
    board.irq = True
    assert transport.wait(300_000)
    assert board.slept < 0.32
    transport.hold_reset(True)
    assert board.is_held
    transport.hold_reset(False)
    assert not board.is_held


def test_refusals_are_one_line():
    transport = SerialTransport(Board())
    with pytest.raises(TransportError, match=r"read register at 0x44: .*SLVERR"):
        transport.read_register(0x44)
    for address, count in ((0, DRAM_BYTES + 1), (-1, 1), (DRAM_BYTES, 1)):
        with pytest.raises(TransportError, match="outside the DRAM"):
            transport.read_memory(address, count)
        with pytest.raises(TransportError, match="outside the DRAM"):
            transport.write_memory(address, bytes(count))
    with pytest.raises(TransportError, match=r"speaks version 9 .* not 1"):
        SerialTransport(Board(version=9))
    with pytest.raises(TransportError, match=r"does not answer .no answer.: look at the cable"):
        SerialTransport(Board(damage=lambda data: b""))
    with pytest.raises(TransportError, match="requests arrive damaged: BAD_CRC"):
        SerialTransport(Board(damage=lambda data: data[:-1] if data[0] == SYNC_REQUEST else data))


def test_a_late_answer_is_not_taken_for_the_next_one():
    board = Board()
    transport = SerialTransport(board)
    board._to_host = pack_answer(Answer(transport._tag, 0, struct.pack("<I", 99)))
    assert transport.read_register(0x10) == 1


class _Port:
    """What we use of pyserial's Serial."""

    def __init__(self, name, baud, write_timeout):
        if name != "good":
            raise serial_module().SerialException("no such device")
        self.baudrate, self.timeout, self.sent = baud, None, b""

    def set_low_latency_mode(self, on):
        raise NotImplementedError

    def write(self, data):
        self.sent += data

    def read(self, count):
        raise OSError("unplugged")

    def close(self):
        pass


def serial_module():
    return sys.modules["serial"]


def test_serial_port(monkeypatch):
    module = types.ModuleType("serial")
    module.SerialException = type("SerialException", (OSError,), {})
    module.Serial = _Port
    monkeypatch.setitem(sys.modules, "serial", module)
    with pytest.raises(TransportError, match=r"port bad: cannot be opened .no such device"):
        SerialTransport.open("bad")
    port = SerialPort("good", 1_000_000)
    assert port._port.baudrate == 1_000_000
    port.write(b"ab")
    with pytest.raises(TransportError, match="port good: unplugged"):
        port.read(1, 0.1)
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(TransportError, match=r"pyserial is missing: pip install 'skimp\[serial\]'"):
        serial.SerialTransport.open("good")
