"""First in, first out, against a deque."""

from collections import deque

import numpy as np
import pytest

from skimp.mem.lut_fifo import LutFifo
from skimp_sim.bench.vectors import run_vectors


@pytest.mark.parametrize("depth", [2, 16])
def test_words_come_in_their_order(depth):
    """Filled to the brim and emptied, by turns; every word is there in the next clock."""
    seed, width = depth, 40
    rng = np.random.default_rng(seed)
    queue = deque()
    inputs, expected = [], []
    for n in range(400):
        share = 0.9 if n // 50 % 2 else 0.2
        has_word, has_room = bool(queue), len(queue) < depth
        push = has_room and rng.random() < 1 - share
        pop = has_word and rng.random() < share
        value = int(rng.integers(1 << width))
        inputs.append({"w_en": int(push), "w_data": value, "r_en": int(pop)})
        expected.append((has_room, has_word, queue[0] if queue else None))
        if pop:
            queue.popleft()
        if push:
            queue.append(value)
    assert not all(has_room for has_room, *_ in expected), "it was full"
    fifo = LutFifo(width=width, depth=depth)
    outputs = run_vectors(fifo, inputs, ["w_rdy", "r_rdy", "r_data"], backend="pysim")
    for n, (got, (room, word, value)) in enumerate(zip(outputs, expected, strict=True)):
        where = f"seed {seed} clock {n}"
        assert (got["w_rdy"], got["r_rdy"]) == (room, word), where
        assert value is None or got["r_data"] == value, where


@pytest.mark.parametrize("depth", [1, 12])
def test_depth_is_checked(depth):
    with pytest.raises(ValueError, match="depth must be a power of two above 1"):
        LutFifo(width=8, depth=depth)
