"""Driver: loads, starts, waits, reads counters; the same on simulation and board."""

import numpy as np

from skimp.config import Config
from skimp.isa import ERROR_HELP, RECORD_BYTES, Error
from skimp.regs import COUNTERS, MAGIC, VERSION, register
from skimp_sim.driver.heap import Heap, HeapError
from skimp_sim.driver.transport import Transport

__all__ = [
    "Buffer",
    "Device",
    "DeviceError",
    "NotDoneError",
    "StoppedError",
    "WasResetError",
    "WrongDeviceError",
]


class DeviceError(RuntimeError):
    """The accelerator is not the expected one, stopped, or does not finish; one line."""


class WrongDeviceError(DeviceError):
    """Other hardware, or none."""


class StoppedError(DeviceError):
    """The accelerator stopped with an error; the next run resets it and can start.

    Parameters
    ----------
    code : int
        Register ERROR.
    info : int
        Register ERROR_INFO.
    """

    def __init__(self, code: int, info: int):
        error = Error(code) if code in set(Error) else None
        help_text = ERROR_HELP.get(error, "unknown error code")
        name = error.name if error is not None else str(code)
        super().__init__(f"the accelerator stopped: {name} at {info:#x}: {help_text}")
        self.code, self.info = code, info


class NotDoneError(DeviceError):
    """Out of time; what ran is given up, and the next run can start."""


class WasResetError(DeviceError):
    """A power-on reset came while it ran; it can start again."""


class Buffer:
    """A piece of an accelerator's DRAM, read and written by slices of bytes.

    Parameters
    ----------
    transport : Transport
    heap : Heap
        Where it goes back to.
    offset : int
        Bytes from the transport's first byte of DRAM.
    size_bytes : int
    """

    def __init__(self, transport: Transport, heap: Heap, offset: int, size_bytes: int):
        self._transport, self._heap = transport, heap
        self.offset, self.size_bytes = offset, size_bytes

    def _range(self, where: slice) -> tuple[int, int]:
        start, stop, step = where.indices(self.size_bytes)
        if step != 1:
            raise ValueError("a buffer is read and written in order")
        return start, max(start, stop)

    def __getitem__(self, where: slice) -> np.ndarray:
        start, stop = self._range(where)
        return self._transport.read_memory(self.offset + start, stop - start)

    def __setitem__(self, where: slice, data) -> None:
        start, stop = self._range(where)
        if len(data) != stop - start:
            raise ValueError(f"{len(data)} bytes do not fit into {stop - start}")
        self._transport.write_memory(self.offset + start, data)

    def free(self) -> None:
        """Give it back."""
        self._heap.free(self.offset)


class Device:
    """One accelerator.

    Parameters
    ----------
    transport : Transport
    config : Config
        What the hardware must have been built from.
    exclusive : bool
        Nobody else can touch or reset the hardware between two runs, so that what was written is
        still there: fewer register accesses, in a simulation whose clocks are compared exactly.

    Raises
    ------
    WrongDeviceError
        Other magic, major version or configuration hash.
    """

    _GIVE_UP_CYCLES = 500
    """What a burst under way should need to end."""

    def __init__(self, transport: Transport, config: Config, *, exclusive: bool = False):
        self._exclusive = exclusive
        self._transport = transport
        self._config = config
        self._heap = Heap(transport.dram_bytes)
        self._identify()
        self._base = transport.dram_base
        self._write("DRAM_BASE", self._base)
        self._is_settled = exclusive

    def allocate(self, size_bytes: int) -> Buffer:
        """Return a buffer in the accelerator's DRAM.

        Raises
        ------
        DeviceError
            There is not so much left.
        """
        try:
            return Buffer(self._transport, self._heap, self._heap.allocate(size_bytes), size_bytes)
        except HeapError as error:
            raise DeviceError(f"the board's DRAM: {error}") from error

    def run(
        self, address: int, *, dram: Buffer | None = None, on_poll=None, limit_cycles=None
    ) -> None:
        """Run a program to its END.

        What an earlier run left behind, an error or a program that was given up, is reset first.

        Parameters
        ----------
        address : int
            First command, bytes from the start of its DRAM.
        dram : Buffer or None
            What the program's addresses count from; None: all of the DRAM.
        on_poll : callable or None
            Called with the clocks so far, now and then.
        limit_cycles : int or None
            Give up after that many clocks.

        Raises
        ------
        StoppedError
            An error of the program, the bus or the watchdog.
        NotDoneError, WasResetError
        TransportError
            The accelerator cannot be reached.
        """
        self._settle(self._transport.dram_base + (dram.offset if dram else 0))
        self._is_settled = False
        self._write("PROGRAM_ADDR", address)
        self._write("CTRL", self._ctrl("start", "irq_enable"))
        waited = 0
        while not self._transport.wait(self._transport.poll_cycles):
            waited += self._transport.poll_cycles
            if not self._read("STATUS"):
                self._explain_silence()
            if on_poll is not None:
                on_poll(waited)
            if limit_cycles is not None and waited > limit_cycles:
                self._write("CTRL", self._ctrl("reset"))
                self._idle_within(self._GIVE_UP_CYCLES)
                raise NotDoneError(
                    f"not done after {waited} clocks: allow it more, or look for what it waits for"
                )
        self._write("IRQ", 1)
        status = self._read("STATUS")
        if status & self._bit("STATUS", "error"):
            raise StoppedError(self._read("ERROR"), self._read("ERROR_INFO"))
        if not status & self._bit("STATUS", "done"):
            self._explain_silence()
        self._is_settled = self._exclusive

    def reset(self) -> None:
        """Soft reset: what runs is given up, and the next run may start.

        Raises
        ------
        DeviceError
            The bus hangs for longer than the watchdog waits.
        """
        self._write("CTRL", self._ctrl("reset"))
        if not self._idle_within(self._config.watchdog_cycles + self._transport.poll_cycles):
            raise DeviceError("a soft reset does not come through: use the power-on reset")
        self._write("IRQ", 1)

    def _idle_within(self, cycles: int) -> bool:
        """Wait until nothing runs and no error stands; say whether it came to that."""
        step = 100
        while True:
            self._transport.wait(step)
            if not self._read("STATUS"):
                return True
            cycles -= step
            if cycles <= 0:
                return False
            step = min(2 * step, cycles, self._transport.poll_cycles)

    def counters(self) -> dict[str, int]:
        """Return every counter since the start."""
        return {
            name: self._read(f"{name.upper()}_LO") | self._read(f"{name.upper()}_HI") << 32
            for name, _ in COUNTERS
        }

    def record(self, address: int, *, dram: Buffer | None = None) -> tuple[int, dict[str, int]]:
        """Return layer_id and counters since the start that a LAYER command wrote to DRAM."""
        start = address + (dram.offset if dram else 0)
        words = self._transport.read_memory(start, RECORD_BYTES).view("<u4")
        names = [name for name, _ in COUNTERS]
        return int(words[0]) & 0xFFFF, dict(zip(names, (int(w) for w in words[1:])))

    def _settle(self, base: int) -> None:
        """Bring the hardware to where a program can start."""
        if self._is_settled and base == self._base:
            return
        if self._read("STATUS") & ~self._bit("STATUS", "done"):
            self.reset()
        self._write("DRAM_BASE", base)
        self._write("IRQ", 1)
        self._base = base

    def _identify(self) -> None:
        magic, found = self._read("MAGIC"), self._read("VERSION")
        if magic != MAGIC:
            raise WrongDeviceError(
                f"no skimp accelerator here (magic {magic:#x}, not {MAGIC:#x}): "
                "look at the address and at the bitstream"
            )
        if found >> 16 != VERSION >> 16:
            raise WrongDeviceError(
                f"hardware version {found >> 16} is not {VERSION >> 16}: rebuild it"
            )
        if self._read("CONFIG_HASH") != self._config.hash:
            raise WrongDeviceError(
                f"hardware was built from configuration {self._read('CONFIG_HASH'):#010x}, not "
                f"{self._config.name} ({self._config.hash:#010x}): build it again or choose its "
                "configuration"
            )

    def _explain_silence(self) -> None:
        """Raise what is true of an accelerator that was started and says nothing."""
        if self._read("CTRL") & self._bit("CTRL", "irq_enable"):
            raise DeviceError("the accelerator does not start: reset it first")
        self._identify()
        raise WasResetError(
            "the accelerator was reset while it ran (power-on reset): start the program again"
        )

    def _read(self, name: str) -> int:
        return self._transport.read_register(register(name).offset)

    def _write(self, name: str, value: int) -> None:
        self._transport.write_register(register(name).offset, value)

    def _bit(self, name: str, field: str) -> int:
        return 1 << next(b.lsb for b in register(name).bits if b.name == field)

    def _ctrl(self, *fields: str) -> int:
        return sum(self._bit("CTRL", field) for field in fields)
