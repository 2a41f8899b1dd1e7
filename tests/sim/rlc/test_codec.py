"""The codec's definition: round trips, the bound on growth, corner cases, damaged streams."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skimp.rlc.format import (
    FRAME,
    MAX_RUN,
    RAW_FRAME,
    Code,
    max_coded_bytes,
    unit_pitch_bytes,
)
from skimp_sim.rlc.codec import StreamError, decode_tile, encode_tile
from skimp_sim.rlc.units import encode_unit

CODES = [Code.RUN_LENGTH, Code.BITMAP]
ZEROS = [0x80, 0, 0x7F]


@st.composite
def tiles(draw, longest=400):
    """Bytes of any density of zeros; runs and their ends anywhere."""
    zero = draw(st.sampled_from(ZEROS))
    eighths = draw(st.integers(0, 8))
    size = draw(st.integers(1, longest))
    rng = random.Random(draw(st.integers(0, 1 << 32)))
    data = bytes(zero if rng.randrange(8) < eighths else rng.randrange(256) for _ in range(size))
    return data, zero


@given(tile=tiles(), code=st.sampled_from(list(Code)))
def test_round_trip(tile, code):
    data, zero = tile
    coded = encode_tile(code, data, zero=zero)
    assert decode_tile(code, coded, len(data), zero=zero) == data


@given(tile=tiles(), code=st.sampled_from(list(Code)))
def test_grows_by_a_64th_at_most(tile, code):
    data, zero = tile
    coded = encode_tile(code, data, zero=zero)
    assert len(coded) <= max_coded_bytes(len(data)) <= len(data) + -(-len(data) // 64)
    if len(data) % 64 == 0:
        assert 64 * len(coded) <= 65 * len(data)


@given(
    tile=tiles(longest=700),
    code=st.sampled_from(CODES),
    unit_bytes=st.integers(1, 300),
    beat_bytes=st.sampled_from([8, 16, 64]),
)
def test_units_one_by_one(tile, code, unit_bytes, beat_bytes):
    """Their beats find every unit without the others, in its place of fixed size."""
    data, zero = tile
    pitch = unit_pitch_bytes(unit_bytes, beat_bytes)
    assert pitch % beat_bytes == 0
    units = [data[first : first + unit_bytes] for first in range(0, len(data), unit_bytes)]
    memory, table = b"", []
    for unit in units:
        # The zero point of a tensor is signed.
        coded = encode_unit(code, unit, zero=(zero ^ 128) - 128, beat_bytes=beat_bytes)
        stored = encode_tile(code, unit, zero=zero)
        table.append(-(-len(stored) // beat_bytes))
        assert len(coded) == table[-1] * beat_bytes <= pitch
        assert coded.ljust(pitch, b"\0") == stored.ljust(pitch, b"\0")
        memory += coded.ljust(pitch, b"\0")
    found = []
    for n, (unit, beats) in enumerate(zip(units, table)):
        coded = memory[n * pitch :][: beats * beat_bytes]
        found.append(decode_tile(code, coded, len(unit), zero=zero, beat_bytes=beat_bytes))
        assert found[-1] == unit
    assert b"".join(found) == data


@given(tile=tiles(), code=st.sampled_from(list(Code)), cut=st.integers(1, 100))
def test_truncated(tile, code, cut):
    data, zero = tile
    coded = encode_tile(code, data, zero=zero)
    with pytest.raises(StreamError):
        decode_tile(code, coded[:-cut], len(data), zero=zero)
    with pytest.raises(StreamError, match="behind" if code is not Code.RAW else "for a tile"):
        decode_tile(code, coded + bytes(cut), len(data), zero=zero)


@given(tile=tiles(), code=st.sampled_from(CODES), beat_bytes=st.sampled_from([16, 64]))
def test_fills_beats(tile, code, beat_bytes):
    """Anything may follow in the last beat, but not a beat more or less."""
    data, zero = tile
    coded = encode_tile(code, data, zero=zero)
    coded += b"\x5a" * (-len(coded) % beat_bytes)
    geometry = dict(zero=zero, beat_bytes=beat_bytes)
    assert decode_tile(code, coded, len(data), **geometry) == data
    with pytest.raises(StreamError):
        decode_tile(code, coded[:-beat_bytes], len(data), **geometry)
    with pytest.raises(StreamError, match="behind"):
        decode_tile(code, coded + bytes(beat_bytes), len(data), **geometry)


@given(
    code=st.sampled_from(CODES), coded=st.binary(min_size=0, max_size=300), size=st.integers(1, 300)
)
def test_any_bytes(code, coded, size):
    """Whatever comes: the right number of bytes or the one kind of error."""
    try:
        data = decode_tile(code, coded, size, zero=7)
    except StreamError:
        return
    assert len(data) == size


@pytest.mark.parametrize("code", CODES)
def test_all_zero(code):
    """A byte for each frame."""
    assert encode_tile(code, bytes([5]) * 200, zero=5) == bytes(4)


@pytest.mark.parametrize("code", CODES)
def test_no_zero(code):
    data = bytes(range(1, 101))
    raw = bytes([RAW_FRAME])
    assert encode_tile(code, data, zero=0) == raw + data[:64] + raw + data[64:]


def test_alternating():
    """0 1 0 2 ...: half the levels, with a run for each or a mask."""
    data = bytes(n // 2 + 1 if n % 2 else 0 for n in range(FRAME))
    levels = data[1::2]
    runs = bytes([0b01010101] * 8)
    assert encode_tile(Code.RUN_LENGTH, data, zero=0) == bytes([32]) + runs + levels
    assert encode_tile(Code.BITMAP, data, zero=0) == bytes([32]) + bytes([0xAA] * 8) + levels


def test_runs_longer_than_a_code_holds():
    """Every fourth zero of a run is stored; zeros at the end of a frame are not."""
    data = bytes(10) + b"\x11" + bytes(53)
    assert encode_tile(Code.RUN_LENGTH, data, zero=0) == bytes([3, 0b101111, 0, 0, 0x11])
    for run in range(FRAME):
        data = bytes(run) + b"\x11"
        coded = encode_tile(Code.RUN_LENGTH, data, zero=0)
        levels = run // (MAX_RUN + 1) + 1
        assert coded[0] == levels or coded == bytes([RAW_FRAME]) + data
        assert decode_tile(Code.RUN_LENGTH, coded, len(data), zero=0) == data


@pytest.mark.parametrize("code", CODES)
def test_one_byte(code):
    assert encode_tile(code, b"\x80", zero=0x80) == b"\x00"
    assert encode_tile(code, b"\x81", zero=0x80) == bytes([RAW_FRAME, 0x81])
    with pytest.raises(ValueError, match="at least one"):
        encode_tile(code, b"", zero=0)


@pytest.mark.parametrize("code", CODES)
def test_two_columns_of_zeros(code):
    """Two neighbouring columns of a plane of 16-byte words are zero, in every row."""
    rng = random.Random(1)
    zero, columns, word = 0x80, 7, 16
    data = b"".join(
        bytes([zero] * word) if n % columns in (3, 4) else rng.randbytes(word) for n in range(7 * 7)
    )
    coded = encode_tile(code, data, zero=zero)
    assert len(coded) < len(data)
    assert decode_tile(code, coded, len(data), zero=zero) == data


@pytest.mark.parametrize(
    "code, coded, size, message",
    [
        (Code.RUN_LENGTH, b"", 1, "ends after 0 of 1"),
        (Code.RUN_LENGTH, bytes([0]), 65, "ends after 64 of 65"),
        (Code.RUN_LENGTH, bytes([65]) + bytes(90), 64, "65 levels"),
        (Code.RUN_LENGTH, bytes([2, 0]), 64, "1 bytes of 3"),
        (Code.RUN_LENGTH, bytes([2, 0b1111, 1, 2]), 7, "a level at byte 7 of 7"),
        (Code.BITMAP, bytes([2, 1, 0, 0, 0, 0, 0, 0, 0, 5, 6]), 64, "a mask of 1 bits"),
        (Code.BITMAP, bytes([1, 0, 0, 0, 0, 0, 0, 0, 8, 5]), 59, "a level at byte 59 of 59"),
        (Code.BITMAP, bytes([56]) + bytes(64), 64, "56 levels are no shorter"),
    ],
)
def test_damaged(code, coded, size, message):
    with pytest.raises(StreamError, match=message):
        decode_tile(code, coded, size, zero=0)
