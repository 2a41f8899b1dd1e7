"""The board's pins, verilated: the driver's transport over the serial line, button and lamps."""

import numpy as np
import pytest

from skimp.link.format import STATUS_IRQ, Answer, Opcode, Status, pack_answer, pack_request
from skimp.regs import MAGIC, register
from skimp_boards.ulx3s.sim import Ulx3sSim
from skimp_boards.ulx3s.top import DRAM_BYTES
from skimp_sim.driver.serial import SerialTransport
from skimp_sim.driver.transport import TransportError

pytestmark = [pytest.mark.verilog, pytest.mark.xdist_group("ulx3s")]

BUSY, DONE, ERROR, IRQ, HELD, DAMAGED, ALIVE = (1 << n for n in (0, 1, 2, 3, 4, 5, 7))


@pytest.fixture
def board():
    board = Ulx3sSim()
    yield board
    board.close()


def read(transport, name):
    return transport.read_register(register(name).offset)


def write(transport, name, value):
    transport.write_register(register(name).offset, value)


def test_registers_and_memory(board):
    transport = SerialTransport(board)
    assert (transport.dram_base, transport.dram_bytes) == (0, DRAM_BYTES)
    assert read(transport, "MAGIC") == MAGIC
    write(transport, "DRAM_BASE", 0x12345678)
    assert read(transport, "DRAM_BASE") == 0x12345678
    with pytest.raises(TransportError, match="SLVERR"):
        transport.read_register(0x7FC)
    chance = np.random.default_rng(5)
    for address, count in ((0, 1), (1021, 2050), (DRAM_BYTES - 3, 3)):
        data = chance.integers(0, 256, count, np.uint8)
        transport.write_memory(address, data)
        assert (transport.read_memory(address, count) == data).all()
    assert not transport.wait(2000)


def test_a_program_that_is_none_raises_the_interrupt(board):
    """Zeros are no command: error, interrupt and lamp, through the pins."""
    transport = SerialTransport(board)
    transport.write_memory(0, bytes(512))
    write(transport, "PROGRAM_ADDR", 0)
    write(transport, "CTRL", 0b011)
    assert transport.wait(100_000)
    assert read(transport, "STATUS") == 0b100
    board.run(10_000)
    assert board.leds & (BUSY | DONE | ERROR | IRQ) == ERROR | IRQ
    # Held in reset, the registers are away and the memory is not.
    transport.hold_reset(True)
    assert not transport.wait(1000)
    assert board.leds & HELD
    with pytest.raises(TransportError, match="held in reset"):
        read(transport, "STATUS")
    transport.write_memory(5, b"kept")
    transport.hold_reset(False)
    assert read(transport, "STATUS") == 0
    assert transport.read_memory(5, 4).tobytes() == b"kept"
    assert board.leds & (ERROR | IRQ | HELD) == 0


def test_button_and_lamp(board):
    transport = SerialTransport(board)
    write(transport, "DRAM_BASE", 77)
    transport.write_memory(0, b"kept")
    transport.hold_reset(True)
    board.press_reset()
    assert read(transport, "DRAM_BASE") == 0
    assert transport.read_memory(0, 4).tobytes() == b"kept"
    board.sleep(0.6)
    assert board.leds & ALIVE
    board.sleep(0.5)
    assert not board.leds & ALIVE


def test_damage_on_the_line(board):
    """Noise, half a packet, a wrong byte: one answer that says so, and the line is in step again."""
    packet = pack_request(3, Opcode.POLL, 0, 0)
    for damaged, status in (
        (b"\x00\xff\x13", Status.BAD_FRAME),
        (packet[:-2], Status.BAD_FRAME),
        (packet[:3] + b"\x01" + packet[4:], Status.BAD_CRC),
    ):
        board.write(damaged)
        answer = board.read(100, 0.1)
        assert len(answer) == 9 and answer[2] & ~STATUS_IRQ == status
        assert board.leds & DAMAGED
        board.write(packet)
        assert board.read(100, 0.1) == pack_answer(Answer(3, Status.OKAY, b""))
        assert not board.leds & DAMAGED
