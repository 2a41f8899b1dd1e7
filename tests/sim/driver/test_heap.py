"""Pieces of a memory: none overlap, all come back, and a full memory says so."""

import random

import pytest

from skimp_sim.driver.heap import PAGE_BYTES, Heap, HeapError

SIZE = 64 * PAGE_BYTES


@pytest.mark.parametrize("seed", range(20))
def test_random(seed):
    rng, heap, pieces = random.Random(seed), Heap(SIZE), {}
    for _ in range(300):
        if pieces and rng.random() < 0.45:
            offset = rng.choice(sorted(pieces))
            heap.free(offset)
            del pieces[offset]
            continue
        size = rng.randint(1, 8 * PAGE_BYTES)
        try:
            offset = heap.allocate(size)
        except HeapError as error:
            assert len(str(error).splitlines()) == 1
            used = sum(-(-s // PAGE_BYTES) * PAGE_BYTES for s in pieces.values())
            assert SIZE - used < size or len(pieces) > 1, f"seed {seed}: room was there"
            continue
        assert offset % PAGE_BYTES == 0 and offset + size <= SIZE
        for other, taken in pieces.items():
            assert offset + size <= other or other + taken <= offset, f"seed {seed}"
        pieces[offset] = size


def test_odd_end():
    heap = Heap(PAGE_BYTES + 64)
    assert heap.allocate(PAGE_BYTES + 64) == 0
    with pytest.raises(HeapError, match="1 bytes are wanted; 0 of 4,160 are free"):
        heap.allocate(1)
