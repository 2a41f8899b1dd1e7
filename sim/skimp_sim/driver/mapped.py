"""Registers and DRAM mapped into this process: a Zynq's ARM cores and their FPGA."""

import mmap
import os
import select
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skimp.regs import register
from skimp_sim.driver.transport import Transport, TransportError

__all__ = ["MappedTransport", "Region"]

_REGISTER_BYTES = 4096
_BUS_BYTES = 1 << 32
_POLL_SECONDS = 0.0005


@dataclass(frozen=True, kw_only=True)
class Region:
    """A piece of a file that is mapped.

    Parameters
    ----------
    path : Path
    offset : int
        Where in the file it starts.
    size_bytes : int
    """

    path: Path
    offset: int
    size_bytes: int

    def map(self) -> mmap.mmap:
        """Map it, past the caches where the file is memory: the accelerator does not see them.

        Raises
        ------
        TransportError
        """
        try:
            file = os.open(self.path, os.O_RDWR | os.O_SYNC)
            try:
                return mmap.mmap(file, self.size_bytes, offset=self.offset)
            finally:
                os.close(file)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise TransportError(
                f"{self.path}: {self.size_bytes:,} bytes at {self.offset:#x} cannot be mapped "
                f"({why}): look at the device tree, and be root"
            ) from error


class MappedTransport(Transport):
    """An accelerator whose registers and DRAM this processor sees.

    Parameters
    ----------
    registers, memory : Region
    dram_base : int
        Bus address of the memory's first byte.
    clock_mhz : float
        The accelerator's clock.
    interrupt : Path or None
        UIO device of the interrupt; None: poll.

    Raises
    ------
    TransportError
        Something cannot be mapped, or lies where 32-bit addresses do not reach.

    Notes
    -----
    A bus error of the processor's own accesses ends the process (SIGBUS): nothing answers at that
    address.
    """

    def __init__(
        self,
        registers: Region,
        memory: Region,
        *,
        dram_base: int,
        clock_mhz: float,
        interrupt: Path | None = None,
    ):
        if not 0 <= dram_base <= _BUS_BYTES - memory.size_bytes:
            raise TransportError(
                f"the DRAM at {dram_base:#x} lies beyond the 4 GB that the accelerator's addresses "
                "reach: reserve it below"
            )
        self.dram_base, self.dram_bytes = dram_base, memory.size_bytes
        self._clock_mhz = clock_mhz
        self.poll_cycles = int(clock_mhz * 50_000)  # 50 ms
        self._maps = [registers.map()]
        try:
            self._maps.append(memory.map())
            self._interrupt = None if interrupt is None else os.open(interrupt, os.O_RDWR)
        except (TransportError, OSError) as error:
            self._maps.pop(0).close()
            if isinstance(error, TransportError):
                raise
            raise TransportError(
                f"{interrupt}: cannot be opened ({error.strerror}): be root"
            ) from error
        self._registers = np.frombuffer(self._maps[0], "<u4")
        self._memory = np.frombuffer(self._maps[1], np.uint8)

    @classmethod
    def from_uio(
        cls, uio: str, memory: str, *, clock_mhz: float, sys: Path = Path("/sys")
    ) -> "MappedTransport":
        """Return the accelerator behind /dev/UIO, its DRAM a buffer of u-dma-buf.

        Parameters
        ----------
        uio : str
            Name of the UIO device, e.g. "uio0": registers and interrupt.
        memory : str
            Name of the buffer, e.g. "udmabuf0".
        clock_mhz : float
        sys : Path
            Where sysfs is.
        """
        size = _number(sys / "class" / "uio" / uio / "maps" / "map0" / "size")
        buffer = sys / "class" / "u-dma-buf" / memory
        dev = sys.parent / "dev"
        return cls(
            Region(path=dev / uio, offset=0, size_bytes=min(size, _REGISTER_BYTES)),
            Region(path=dev / memory, offset=0, size_bytes=_number(buffer / "size")),
            dram_base=_number(buffer / "phys_addr"),
            clock_mhz=clock_mhz,
            interrupt=dev / uio,
        )

    @classmethod
    def from_memory(
        cls,
        registers: int,
        memory: int,
        size_bytes: int,
        *,
        clock_mhz: float,
        path: Path = Path("/dev/mem"),
    ) -> "MappedTransport":
        """Return the accelerator at physical addresses; its memory must be reserved (`mem=`)."""
        return cls(
            Region(path=path, offset=registers, size_bytes=_REGISTER_BYTES),
            Region(path=path, offset=memory, size_bytes=size_bytes),
            dram_base=memory,
            clock_mhz=clock_mhz,
        )

    def read_register(self, offset: int) -> int:
        return int(self._registers[self._index(offset)])

    def write_register(self, offset: int, value: int) -> None:
        self._registers[self._index(offset)] = value

    def read_memory(self, address: int, count: int) -> np.ndarray:
        self._check(address, count)
        return self._memory[address : address + count].copy()

    def write_memory(self, address: int, data) -> None:
        data = np.frombuffer(bytes(data), np.uint8)
        self._check(address, len(data))
        self._memory[address : address + len(data)] = data

    def wait(self, max_cycles: int) -> bool:
        end = time.monotonic() + max_cycles / (self._clock_mhz * 1e6)
        while not self.read_register(register("IRQ").offset):
            left = end - time.monotonic()
            if left <= 0:
                return False
            if self._interrupt is None:
                time.sleep(min(left, _POLL_SECONDS))
                continue
            # UIO masks an interrupt when it comes, and a 1 unmasks it; it may be an old one.
            os.write(self._interrupt, (1).to_bytes(4, "little"))
            if select.select([self._interrupt], [], [], left)[0]:
                os.read(self._interrupt, 4)
        return True

    def close(self) -> None:
        self._registers = self._memory = None
        if self._interrupt is not None:
            os.close(self._interrupt)
        for one in self._maps:
            one.close()

    def _index(self, offset: int) -> int:
        if offset % 4 or not 0 <= offset < 4 * len(self._registers):
            raise TransportError(f"register {offset:#x} does not exist")
        return offset // 4


def _number(path: Path) -> int:
    try:
        return int(path.read_text(), 0)
    except (OSError, ValueError) as error:
        raise TransportError(
            f"{path}: no such device: load its driver (uio_pdrv_genirq, u-dma-buf)"
        ) from error
