"""An accelerator behind a serial line (`skimp.link.format`), real or simulated."""

import time
from contextlib import suppress
from typing import Protocol

import numpy as np

from skimp.link.format import (
    ANSWER_BYTES,
    BAUD,
    CRC_BYTES,
    IDENTITY_BYTES,
    LINK_ERRORS,
    MAX_BLOCK_BYTES,
    SILENCE_SECONDS,
    STATUS_IRQ,
    STATUS_RESET,
    SYNC_ANSWER,
    VERSION,
    Answer,
    Identity,
    Opcode,
    Status,
    pack_request,
    unpack_answer,
)
from skimp_sim.driver.transport import Transport, TransportError

__all__ = ["Line", "SerialPort", "SerialTransport"]

_STATUS_MASK = ~(STATUS_IRQ | STATUS_RESET)
_REGISTER_BYTES = 4

_EXPLAINED = {
    Status.SLVERR: "the register port refuses it (SLVERR)",
    Status.DECERR: "nothing is there (DECERR)",
    Status.NO_ANSWER: "the register port does not answer: reset the board",
    Status.IN_RESET: "the accelerator is held in reset",
    Status.BAD_OPCODE: "the board does not know this request: build its bitstream again",
    Status.BAD_COUNT: "the board does not move so many bytes at once",
    Status.BAD_ADDRESS: "the address is outside",
}


class Line(Protocol):
    """A stream of bytes each way, and the time that passes on it."""

    def write(self, data: bytes) -> None:
        """Send all bytes."""

    def read(self, count: int, timeout_seconds: float) -> bytes:
        """Return `count` bytes, or what of them has come after that time."""

    def sleep(self, seconds: float) -> None:
        """Let time pass."""

    def close(self) -> None:
        """Give the line back."""


class SerialPort:
    """A serial port of this machine, by pyserial.

    Parameters
    ----------
    name : str
        As the system calls it.
    baud : int

    Raises
    ------
    TransportError
        No pyserial, or no such port.
    """

    def __init__(self, name: str, baud: int = BAUD):
        try:
            import serial
        except ImportError as error:
            raise TransportError("pyserial is missing: pip install 'skimp[serial]'") from error
        self._failures = (serial.SerialException, OSError)
        self._name = name
        try:
            self._port = serial.Serial(name, baud, write_timeout=5)
        except (*self._failures, ValueError) as error:
            raise TransportError(f"port {name}: cannot be opened ({error})") from error
        # USB bridges keep short answers for 16 ms otherwise; not every system lets us say so.
        with suppress(*self._failures, AttributeError, NotImplementedError, ValueError):
            self._port.set_low_latency_mode(True)

    def write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except self._failures as error:
            raise TransportError(f"port {self._name}: {error}") from error

    def read(self, count: int, timeout_seconds: float) -> bytes:
        try:
            self._port.timeout = timeout_seconds
            return self._port.read(count)
        except self._failures as error:
            raise TransportError(f"port {self._name}: {error}") from error

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def close(self) -> None:
        self._port.close()


class SerialTransport(Transport):
    """Registers and memory of a board through packets; what gets lost on the way is sent again.

    Parameters
    ----------
    line : Line
        Closed with the transport.

    Raises
    ------
    TransportError
        No board answers, or one with another format of packets.
    """

    TRIES = 5
    """How often a request is sent before the line is given up."""

    ANSWER_SECONDS = 0.5
    """How long a board may take for an answer, over and above the time on the line."""

    _POLL_SECONDS = 0.001
    _LONG_SECONDS = 0.02
    """Longest pause between two looks at the interrupt."""

    def __init__(self, line: Line):
        self._line = line
        self._tag = 0
        identity = Identity.unpack(self._ask(Opcode.IDENTIFY, 0, IDENTITY_BYTES).payload)
        if identity.version != VERSION:
            raise TransportError(
                f"the board speaks version {identity.version} of the serial protocol, not "
                f"{VERSION}: build its bitstream again"
            )
        self._block_bytes = min(MAX_BLOCK_BYTES, identity.max_block_bytes)
        self.clock_hz = identity.clock_hz
        self.dram_base = identity.dram_base
        self.dram_bytes = identity.dram_bytes

    @classmethod
    def open(cls, port: str, baud: int | None = None) -> "SerialTransport":
        """Return the transport of a board at a serial port of this machine.

        Raises
        ------
        TransportError
        """
        line = SerialPort(port, baud or BAUD)
        try:
            return cls(line)
        except TransportError:
            line.close()
            raise

    def read_register(self, offset: int) -> int:
        answer = self._ask(Opcode.READ_REGISTER, offset, _REGISTER_BYTES)
        return int.from_bytes(answer.payload, "little")

    def write_register(self, offset: int, value: int) -> None:
        self._ask(Opcode.WRITE_REGISTER, offset, payload=value.to_bytes(4, "little"))

    def read_memory(self, address: int, count: int) -> np.ndarray:
        self._check(address, count)
        data = bytearray()
        while len(data) < count:
            length = min(self._block_bytes, count - len(data))
            data += self._ask(Opcode.READ_MEMORY, address + len(data), length).payload
        return np.frombuffer(data, np.uint8)

    def write_memory(self, address: int, data) -> None:
        data = bytes(data)
        self._check(address, len(data))
        for start in range(0, len(data), self._block_bytes):
            block = data[start : start + self._block_bytes]
            self._ask(Opcode.WRITE_MEMORY, address + start, payload=block)

    def wait(self, max_cycles: int) -> bool:
        left, pause = max_cycles / self.clock_hz, self._POLL_SECONDS
        while True:
            if self._ask(Opcode.POLL).status & STATUS_IRQ:
                return True
            if left <= 0:
                return False
            self._line.sleep(min(pause, left))
            left -= pause
            pause = min(2 * pause, self._LONG_SECONDS)

    def hold_reset(self, on: bool) -> None:
        """Hold the accelerator in its power-on reset, or let it go; the memory is kept.

        Raises
        ------
        TransportError
        """
        self._ask(Opcode.RESET, payload=int(on).to_bytes(4, "little"))

    def close(self) -> None:
        self._line.close()

    def _ask(self, opcode: Opcode, address: int = 0, count: int = 0, payload=b"") -> Answer:
        """Return the answer to a request whose payload has the right length.

        Raises
        ------
        TransportError
            The board refuses, or does not answer.
        """
        self._tag = (self._tag + 1) % 256
        packet = pack_request(self._tag, opcode, address, count or len(payload), payload)
        why = "no answer"
        for _ in range(self.TRIES):
            self._line.write(packet)
            answer, why = self._answer(0 if payload else count)
            if answer is not None:
                break
        else:
            raise TransportError(
                f"the board does not answer ({why}): look at the cable, the port and the bitstream"
            )
        status = answer.status & _STATUS_MASK
        if status != Status.OKAY:
            what = f"{opcode.name.lower().replace('_', ' ')} at {address:#x}"
            raise TransportError(f"{what}: {_EXPLAINED.get(status, f'status {status}')}")
        return answer

    def _answer(self, count: int) -> tuple[Answer | None, str]:
        """Return the answer to the last request; None and why not, once the line is silent."""
        seconds = self.ANSWER_SECONDS
        while True:
            head = self._line.read(ANSWER_BYTES, seconds)
            if not head:
                return None, "no answer"
            length = int.from_bytes(head[3:], "little")
            whole = len(head) == ANSWER_BYTES and head[0] == SYNC_ANSWER
            if not whole or length > MAX_BLOCK_BYTES:
                break
            rest = self._line.read(length + CRC_BYTES, seconds)
            answer = unpack_answer(head, rest) if len(rest) == length + CRC_BYTES else None
            if answer is None:
                break
            status = answer.status & _STATUS_MASK
            if status in LINK_ERRORS:
                return None, f"requests arrive damaged: {Status(status).name}"
            if answer.tag == self._tag and length == (0 if status else count):
                return answer, ""
            # The late answer to a request that was sent twice: ours comes behind it.
        while self._line.read(MAX_BLOCK_BYTES, SILENCE_SECONDS):
            continue
        return None, "answers arrive damaged"
