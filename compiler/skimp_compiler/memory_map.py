"""Memory of a program: regions of DRAM by name, and room in the activation store."""

import numpy as np

__all__ = ["ChipMap", "MemoryMap"]

_ALIGN = 128

_SMALL = 10
"""Part of the activation store that a small place takes at most."""


class MemoryMap:
    """Hands out DRAM regions and collects the contents of those that are constant.

    Regions are multiples of 128 bytes, so that bursts of neighbours do not share a beat.
    """

    def __init__(self):
        self._next = 0
        self._data: list[tuple[int, bytes]] = []
        self.regions: list[tuple[int, int, str]] = []

    @property
    def end(self) -> int:
        """First byte behind everything."""
        return self._next

    @staticmethod
    def round_up(size_bytes: int) -> int:
        """Bytes that a region of that size takes."""
        return -(-max(size_bytes, 1) // _ALIGN) * _ALIGN

    def reserve(self, size_bytes: int, what: str) -> int:
        """Return the address of a new region."""
        address = self._next
        self._next += self.round_up(size_bytes)
        self.regions.append((address, size_bytes, what))
        return address

    def constant(self, data: bytes | np.ndarray, what: str) -> int:
        """Return the address of a new region with contents."""
        data = data.tobytes() if isinstance(data, np.ndarray) else bytes(data)
        address = self.reserve(len(data), what)
        self._data.append((address, data))
        return address

    def image(self) -> bytes:
        """Return DRAM from 0 to the end of the last constant."""
        end = max((address + len(data) for address, data in self._data), default=0)
        image = bytearray(end)
        for address, data in self._data:
            image[address : address + len(data)] = data
        return bytes(image)


class ChipMap:
    """Places in the activation store, given back when nobody needs them any more.

    Parameters
    ----------
    size_bytes : int
    """

    def __init__(self, size_bytes: int):
        self._size = size_bytes // _ALIGN * _ALIGN
        self._used: dict[int, int] = {}  # address -> end

    def reserve(self, size_bytes: int) -> int | None:
        """Return an address with room, or None.

        Large places come from below, small ones from above: small ones live longer, as inputs of
        adds, and would lie between the large ones.
        """
        size = -(-size_bytes // _ALIGN) * _ALIGN
        if size <= self._size // _SMALL:
            address = self._size
            for start, end in sorted(self._used.items(), reverse=True):
                if address - end >= size:
                    break
                address = start
            if address < size:
                return None
            self._used[address - size] = address
            return address - size
        address = 0
        for start, end in sorted(self._used.items()):
            if start - address >= size:
                break
            address = end
        if address + size > self._size:
            return None
        self._used[address] = address + size
        return address

    def release(self, address: int) -> None:
        """Give a place back."""
        del self._used[address]
