"""Codes for activations in DRAM: their definition, which the hardware is checked against.

A tile is a run of bytes. It is cut into frames of 64, and each frame is coded by itself: its zeros
(bytes equal to the tensor's zero point) by runs or by a bit for each, or not at all where that is
no shorter.
"""

from skimp.rlc.format import (
    FRAME,
    GROUP,
    MASK_BYTES,
    MAX_RUN,
    RAW_FRAME,
    RUN_BITS,
    Code,
    payload_bytes,
)

__all__ = ["StreamError", "decode_tile", "encode_tile"]


class StreamError(ValueError):
    """A coded tile that ends too early or too late, or holds what no encoder writes."""


def _stored(code: Code, frame: bytes, zero: int) -> list[int]:
    """Return the places in a frame whose bytes are stored as levels.

    A run longer than its field can say is cut by a zero that is stored as a level; what follows the
    last byte that is not zero is not stored at all.
    """
    filled = [place for place, value in enumerate(frame) if value != zero]
    if code is Code.BITMAP:
        return filled
    places, before = [], -1
    for place in filled:
        while place - before - 1 > MAX_RUN:
            before += MAX_RUN + 1
            places.append(before)
        places.append(place)
        before = place
    return places


def _encode_frame(code: Code, frame: bytes, zero: int) -> bytes:
    places = _stored(code, frame, zero)
    if payload_bytes(code, len(places)) >= len(frame):
        return bytes([RAW_FRAME]) + frame
    coded = bytearray([len(places)])
    if code is Code.BITMAP:
        if places:
            coded += sum(1 << place for place in places).to_bytes(MASK_BYTES, "little")
            coded += bytes(frame[place] for place in places)
        return bytes(coded)
    runs = [place - before - 1 for before, place in zip([-1, *places], places)]
    for first in range(0, len(places), GROUP):
        group = runs[first : first + GROUP]
        coded.append(sum(run << RUN_BITS * n for n, run in enumerate(group)))
    return bytes(coded) + bytes(frame[place] for place in places)


def encode_tile(code: Code, data: bytes, *, zero: int) -> bytes:
    """Return the coded bytes of a tile.

    Parameters
    ----------
    code : Code
    data : bytes
        At least one.
    zero : int
        Byte that counts as zero: the tensor's zero point, modulo 256.
    """
    if not data:
        raise ValueError("a tile has at least one byte")
    if code is Code.RAW:
        return data
    frames = (data[first : first + FRAME] for first in range(0, len(data), FRAME))
    return b"".join(_encode_frame(code, frame, zero) for frame in frames)


def _places(code: Code, coded: bytes, levels: int) -> tuple[list[int], bytes]:
    """Return where a frame's levels go, and the levels; `coded` is what follows the header."""
    if code is Code.BITMAP:
        mask = int.from_bytes(coded[:MASK_BYTES], "little")
        if mask.bit_count() != levels:
            raise StreamError(f"a mask of {mask.bit_count()} bits for {levels} levels")
        return [n for n in range(FRAME) if mask >> n & 1], coded[MASK_BYTES:]
    places, place = [], -1
    for n in range(levels):
        place += 1 + (coded[n // GROUP] >> RUN_BITS * (n % GROUP) & MAX_RUN)
        places.append(place)
    return places, coded[-(-levels // GROUP) :]


def decode_tile(
    code: Code, coded: bytes, num_bytes: int, *, zero: int, beat_bytes: int = 1
) -> bytes:
    """Return the bytes of a tile.

    Parameters
    ----------
    code : Code
    coded : bytes
        All of the coded tile, in whole beats.
    num_bytes : int
        Bytes of the tile.
    zero : int
    beat_bytes : int
        What follows the coded bytes within their last beat is ignored.

    Raises
    ------
    StreamError
        No encoder makes these bytes of a tile of that size.
    """
    if code is Code.RAW:
        if len(coded) != num_bytes:
            raise StreamError(f"{len(coded)} bytes for a tile of {num_bytes}")
        return coded
    data, at = bytearray(), 0
    while len(data) < num_bytes:
        size = min(FRAME, num_bytes - len(data))
        where = f"frame at byte {at}"
        if at >= len(coded):
            raise StreamError(f"{where}: the tile ends after {len(data)} of {num_bytes} bytes")
        levels = coded[at]
        length = size if levels == RAW_FRAME else payload_bytes(code, levels)
        payload = coded[at + 1 : at + 1 + length]
        if levels != RAW_FRAME and length >= size:
            raise StreamError(f"{where}: {levels} levels are no shorter than {size} bytes")
        if len(payload) < length:
            raise StreamError(f"{where}: {len(payload)} bytes of {length}")
        frame = bytearray([zero]) * size
        if levels == RAW_FRAME:
            frame[:] = payload
        elif levels:
            places, stored = _places(code, payload, levels)
            if places[-1] >= size:
                raise StreamError(f"{where}: a level at byte {places[-1]} of {size}")
            for place, value in zip(places, stored, strict=True):
                frame[place] = value
        data += frame
        at += 1 + length
    if len(coded) - at >= beat_bytes:
        raise StreamError(f"{len(coded) - at} bytes behind the last frame")
    return bytes(data)
