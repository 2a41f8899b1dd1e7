"""How a driver reaches an accelerator: registers, DRAM, and the interrupt."""

from abc import ABC, abstractmethod

import numpy as np

__all__ = ["Transport", "TransportError"]


class TransportError(RuntimeError):
    """The way to the accelerator does not answer, or refuses; one line: what, and what to do."""


class Transport(ABC):
    """Registers and DRAM of one accelerator, simulated or on a board."""

    dram_base: int
    """Bus address of the first byte of the DRAM that is ours."""
    dram_bytes: int
    """Bytes of DRAM that are ours."""
    poll_cycles: int = 20_000
    """Clocks between two looks at an accelerator that runs."""

    @abstractmethod
    def read_register(self, offset: int) -> int:
        """Return a register of 32 bits.

        Raises
        ------
        TransportError
            No answer, or a bus error.
        """

    @abstractmethod
    def write_register(self, offset: int, value: int) -> None:
        """Write a register of 32 bits; errors as `read_register`."""

    @abstractmethod
    def read_memory(self, address: int, count: int) -> np.ndarray:
        """Return a copy of bytes (uint8), address counted from dram_base; errors as above."""

    @abstractmethod
    def write_memory(self, address: int, data) -> None:
        """Write bytes (anything with a buffer), address counted from dram_base; errors as above."""

    @abstractmethod
    def wait(self, max_cycles: int) -> bool:
        """Wait for the interrupt, about that many clocks at most; say whether it is pending."""

    def close(self) -> None:
        """Give everything back."""
        return

    def _check(self, address: int, count: int) -> None:
        """Refuse bytes that are not in the DRAM."""
        if address < 0 or count < 0 or address + count > self.dram_bytes:
            raise TransportError(
                f"bytes {address:#x} to {address + count:#x} lie outside the DRAM "
                f"({self.dram_bytes:,} bytes)"
            )
