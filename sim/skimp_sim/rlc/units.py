"""Units of coded activations as they lie in DRAM: whole beats."""

import numpy as np

from skimp.rlc.format import FRAME, RAW_FRAME, Code, payload_bytes
from skimp_compiler.program import TensorPlace
from skimp_sim.rlc.codec import StreamError, decode_tile, encode_tile

__all__ = ["decode_unit", "encode_unit", "plain_bytes"]


def encode_unit(code: Code, data: bytes, *, zero: int, beat_bytes: int) -> bytes:
    """Return the coded bytes of a unit with zeros behind them, whole beats."""
    coded = encode_tile(code, data, zero=zero % 256)
    return coded.ljust(-(-len(coded) // beat_bytes) * beat_bytes, b"\0")


def decode_unit(code: Code, coded: bytes, num_bytes: int, *, zero: int) -> bytes:
    """Return the bytes of a unit from memory that begins with it.

    Raises
    ------
    StreamError
        No encoder makes these bytes of a unit of that size.
    """
    at = 0
    for first in range(0, num_bytes, FRAME):
        if at >= len(coded):
            raise StreamError(f"the unit ends after {first} of {num_bytes} bytes")
        size, levels = min(FRAME, num_bytes - first), coded[at]
        at += 1 + (size if levels == RAW_FRAME else payload_bytes(code, levels))
    return decode_tile(code, coded[:at], num_bytes, zero=zero % 256)


def plain_bytes(place: TensorPlace, memory: np.ndarray) -> bytes:
    """Return the bytes that a coded activation would have without a code.

    Parameters
    ----------
    place : TensorPlace
    memory : np.ndarray
        uint8: DRAM.
    """
    coding = place.coding
    unit_bytes = coding.unit_words * place.block
    gap = (place.plane_words - place.height * place.width) * place.block
    plane = []
    for n in range(place.num_units):
        start = place.address + n * coding.pitch_bytes
        coded = memory[start : start + coding.pitch_bytes].tobytes()
        plane.append(decode_unit(coding.code, coded, unit_bytes, zero=place.zero_point))
        if (n + 1) % (place.num_units // place.num_blocks) == 0:
            plane.append(bytes(gap))
    return b"".join(plane)
