"""Driver: starts programs, waits, reads counters; the same on simulation and board."""

from skimp.config import Config
from skimp.isa import ERROR_HELP, RECORD_BYTES, Error
from skimp.regs import COUNTERS, MAGIC, VERSION, register
from skimp_sim.driver.transport import Transport

__all__ = ["Device", "DeviceError"]


class DeviceError(RuntimeError):
    """The accelerator is not the expected one, stopped, or does not finish; one line."""


class Device:
    """One accelerator.

    Parameters
    ----------
    transport : Transport
    config : Config
        What the hardware must have been built from.

    Raises
    ------
    DeviceError
        Other magic, major version or configuration hash.
    """

    POLL_CYCLES = 20_000
    """Clocks between two looks at the progress."""

    def __init__(self, transport: Transport, config: Config):
        self._transport = transport
        self._config = config
        if self._read("MAGIC") != MAGIC:
            raise DeviceError(f"no skimp accelerator here (magic {self._read('MAGIC'):#x})")
        found = self._read("VERSION")
        if found >> 16 != VERSION >> 16:
            raise DeviceError(f"hardware version {found >> 16} is not {VERSION >> 16}: rebuild it")
        if self._read("CONFIG_HASH") != config.hash:
            raise DeviceError(
                f"hardware was built from configuration {self._read('CONFIG_HASH'):#010x}, not "
                f"{config.name} ({config.hash:#010x}): build it again or choose its configuration"
            )
        self._write("DRAM_BASE", transport.dram_base)

    def run(self, address: int, *, on_poll=None, limit_cycles=None) -> None:
        """Run a program to its END.

        Parameters
        ----------
        address : int
            First command, bytes from the start of the DRAM.
        on_poll : callable or None
            Called with the clocks so far, now and then.
        limit_cycles : int or None
            Give up after that many clocks.

        Raises
        ------
        DeviceError
            Stopped with an error, or not done in time.
        """
        self._write("PROGRAM_ADDR", address)
        self._write("CTRL", self._ctrl("start", "irq_enable"))
        waited = 0
        while True:
            if not self._transport.wait(self.POLL_CYCLES):
                waited += self.POLL_CYCLES
                if not self._read("STATUS"):
                    raise DeviceError("the accelerator does not start: reset it first")
                if on_poll is not None:
                    on_poll(waited)
                if limit_cycles is not None and waited > limit_cycles:
                    raise DeviceError(f"not done after {waited} clocks")
                continue
            self._write("IRQ", 1)
            status = self._read("STATUS")
            if status & self._bit("STATUS", "error"):
                raise DeviceError(self._explain_error())
            if status & self._bit("STATUS", "done"):
                return

    def reset(self) -> None:
        """Soft reset: behind an error, before the next run."""
        self._write("CTRL", self._ctrl("reset"))
        self._transport.wait(100)
        self._write("IRQ", 1)

    def counters(self) -> dict[str, int]:
        """Return every counter since the start."""
        return {
            name: self._read(f"{name.upper()}_LO") | self._read(f"{name.upper()}_HI") << 32
            for name, _ in COUNTERS
        }

    def record(self, address: int) -> tuple[int, dict[str, int]]:
        """Return layer_id and counters since the start that a LAYER command wrote to DRAM."""
        words = self._transport.dram[address : address + RECORD_BYTES].view("<u4")
        names = [name for name, _ in COUNTERS]
        return int(words[0]) & 0xFFFF, dict(zip(names, (int(w) for w in words[1:])))

    def _explain_error(self) -> str:
        code, info = self._read("ERROR"), self._read("ERROR_INFO")
        error = Error(code) if code in set(Error) else None
        help_text = ERROR_HELP.get(error, "unknown error code")
        name = error.name if error is not None else str(code)
        return f"the accelerator stopped: {name} at {info:#x}: {help_text}"

    def _read(self, name: str) -> int:
        return self._transport.read_register(register(name).offset)

    def _write(self, name: str, value: int) -> None:
        self._transport.write_register(register(name).offset, value)

    def _bit(self, name: str, field: str) -> int:
        return 1 << next(b.lsb for b in register(name).bits if b.name == field)

    def _ctrl(self, *fields: str) -> int:
        return sum(self._bit("CTRL", field) for field in fields)
