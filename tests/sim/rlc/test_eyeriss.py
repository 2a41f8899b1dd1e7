"""Eyeriss's code: round trips, the words bit by bit, what a value takes."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skimp_sim.rlc.eyeriss import WORD_BYTES, coded_size, decode, encode


@st.composite
def streams(draw):
    """Values of any density of zeros."""
    eighths = draw(st.integers(0, 8))
    rng = random.Random(draw(st.integers(0, 1 << 32)))
    size = draw(st.integers(0, 500))
    return [0 if rng.randrange(8) < eighths else rng.randrange(1 << 16) for _ in range(size)]


@given(values=streams())
def test_round_trip(values):
    words = encode(values)
    assert all(0 <= word < 1 << 64 for word in words)
    assert decode(words, len(values)) == values


def test_bits_of_a_word():
    """Runs below their values, the first code lowest, the mark on top."""
    assert encode([0, 0, 0x1234, 0xFFFF]) == [1 << 63 | 0xFFFF << 26 | 0x1234 << 5 | 2]
    assert encode([1, 2, 3, 4]) == [3 << 47 | 2 << 26 | 1 << 5, 1 << 63 | 4 << 5]


@pytest.mark.parametrize("zeros, codes", [(0, 1), (31, 1), (32, 2), (63, 2), (64, 3)])
def test_long_runs(zeros, codes):
    """A zero is stored as a value for every 32."""
    for size in (zeros, zeros + 1):
        values = [7] * 5 + [0] * zeros + [9] * (size - zeros)
        assert decode(encode(values), len(values)) == values
    assert len(encode([7] * 2 + [0] * zeros + [9])) == -(-(2 + codes) // 3)


def test_dense_values_grow_by_a_third():
    assert len(encode([1] * 300)) * WORD_BYTES == 300 * 2 * 4 / 3
    assert encode([]) == []


def test_damaged():
    words = encode(list(range(1, 10)))
    with pytest.raises(ValueError, match="word 1 of 2: the bit"):
        decode(words[:2], 6)
    with pytest.raises(ValueError, match="word 0 of 2: the bit"):
        decode([words[2], words[2]], 6)
    with pytest.raises(ValueError, match="9 values of 10"):
        decode(words, 10)


@pytest.mark.parametrize("zeros", [0, 0.1, 0.387, 0.776, 0.885, 0.97])
def test_size_of_random_zeros(zeros):
    rng = random.Random(7)
    values = [0 if rng.random() < zeros else 1 + rng.randrange(65535) for _ in range(60000)]
    size = WORD_BYTES * len(encode(values)) / (2 * len(values))
    assert coded_size(zeros) == pytest.approx(size, rel=0.02)


def test_size_of_nothing_but_zeros():
    assert coded_size(1) == pytest.approx(4 / 3 / 32)
