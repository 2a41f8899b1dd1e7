"""Who has which part of an accelerator's DRAM."""

__all__ = ["PAGE_BYTES", "Heap", "HeapError"]

PAGE_BYTES = 4096
"""Pieces start at multiples of this: no burst crosses one (AXI4)."""


class HeapError(RuntimeError):
    """There is not so much left; one line."""


class Heap:
    """Pieces of a memory, the first gap that is large enough.

    Parameters
    ----------
    size_bytes : int
    """

    def __init__(self, size_bytes: int):
        self._size_bytes = size_bytes
        self._pieces: dict[int, int] = {}

    def allocate(self, size_bytes: int) -> int:
        """Return where a piece starts.

        Raises
        ------
        HeapError
        """
        wanted = -(-max(1, size_bytes) // PAGE_BYTES) * PAGE_BYTES
        start = 0
        for offset, size in sorted(self._pieces.items()):
            if offset - start >= wanted:
                break
            start = offset + size
        # The last piece may end with the memory, within its last page.
        if start + size_bytes > self._size_bytes:
            taken = sum(self._pieces.values())
            raise HeapError(
                f"{size_bytes:,} bytes are wanted; {max(0, self._size_bytes - taken):,} of "
                f"{self._size_bytes:,} are free: choose a smaller network or free a buffer"
            )
        self._pieces[start] = wanted
        return start

    def free(self, offset: int) -> None:
        """Give a piece back."""
        del self._pieces[offset]
