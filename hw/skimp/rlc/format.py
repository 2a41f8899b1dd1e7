"""Numbers of the codes for activations in DRAM: `skimp_sim.rlc.codec` defines them.

No Amaranth in here: compiler and models import this module too.
"""

import enum

__all__ = [
    "CODEC_BYTES",
    "FRAME",
    "GROUP",
    "MASK_BYTES",
    "MAX_RUN",
    "RAW_FRAME",
    "RUN_BITS",
    "Code",
    "max_coded_bytes",
    "payload_bytes",
    "unit_pitch_bytes",
]

FRAME = 64
"""Bytes of a frame; its header is one byte more, so data grow by 1/64 at most."""

RAW_FRAME = 64
"""Header of a frame whose bytes follow as they are; others say how many levels are stored."""

RUN_BITS = 2
"""Width of a run: by measurement the best on real activations (`python -m skimp_sim.rlc.measure`)."""

MAX_RUN = (1 << RUN_BITS) - 1

GROUP = 8 // RUN_BITS
"""Codes whose runs share a byte."""

MASK_BYTES = FRAME // 8

CODEC_BYTES = 16
"""Plain bytes that encoder and decoder take or give in a clock."""


class Code(enum.IntEnum):
    """How a tensor lies in DRAM; the compiler chooses by tensor."""

    RAW = 0
    RUN_LENGTH = 1
    BITMAP = 2


def payload_bytes(code: Code, levels: int) -> int:
    """Return the bytes behind the header of a frame with that many stored levels."""
    if levels == 0:
        return 0
    if code is Code.BITMAP:
        return MASK_BYTES + levels
    return levels + -(-levels // GROUP)


def max_coded_bytes(num_bytes: int) -> int:
    """Return the most that a tile can take: a header for each frame."""
    return num_bytes + -(-num_bytes // FRAME)


def unit_pitch_bytes(num_bytes: int, beat_bytes: int) -> int:
    """Return the bytes from one unit of a tensor to the next: the most that one takes, in beats."""
    return -(-max_coded_bytes(num_bytes) // beat_bytes) * beat_bytes
