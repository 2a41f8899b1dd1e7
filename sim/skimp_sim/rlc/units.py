"""Units of coded activations as they lie in DRAM: whole beats."""

import numpy as np

from skimp.rlc.format import FRAME, RAW_FRAME, Code, payload_bytes
from skimp_compiler.program import TensorPlace
from skimp_sim.rlc.codec import StreamError, decode_tile, encode_tile

__all__ = ["beats_taken", "encode_unit", "plain_bytes"]


def encode_unit(code: Code, data: bytes, *, zero: int, beat_bytes: int) -> bytes:
    """Return the coded bytes of a unit with zeros behind them, whole beats."""
    coded = encode_tile(code, data, zero=zero % 256)
    return coded.ljust(-(-len(coded) // beat_bytes) * beat_bytes, b"\0")


def _coded_bytes(code: Code, coded: bytes, num_bytes: int) -> int:
    """Return the length of a unit from its frames' headers."""
    at = 0
    for first in range(0, num_bytes, FRAME):
        if at >= len(coded):
            raise StreamError(f"the unit ends after {first} of {num_bytes} bytes")
        size, levels = min(FRAME, num_bytes - first), coded[at]
        at += 1 + (size if levels == RAW_FRAME else payload_bytes(code, levels))
    return at


def _units(place: TensorPlace, memory: np.ndarray):
    """Yield the address of each unit of a coded activation, and the memory that it may take."""
    for n in range(place.num_units):
        start = place.address + n * place.coding.pitch_bytes
        yield start, memory[start : start + place.coding.pitch_bytes].tobytes()


def beats_taken(place: TensorPlace, memory: np.ndarray, beat_bytes: int) -> dict[int, int]:
    """Return the beats that each unit of a coded activation takes, by its address.

    Parameters
    ----------
    place : TensorPlace
    memory : np.ndarray
        uint8: DRAM.
    beat_bytes : int
    """
    unit_bytes = place.coding.unit_words * place.block
    return {
        address: -(-_coded_bytes(place.coding.code, coded, unit_bytes) // beat_bytes)
        for address, coded in _units(place, memory)
    }


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
    for n, (_, coded) in enumerate(_units(place, memory)):
        coded = coded[: _coded_bytes(coding.code, coded, unit_bytes)]
        plane.append(decode_tile(coding.code, coded, unit_bytes, zero=place.zero_point % 256))
        if (n + 1) % (place.num_units // place.num_blocks) == 0:
            plane.append(bytes(gap))
    return b"".join(plane)
