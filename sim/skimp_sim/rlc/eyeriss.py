"""The run-length code of Eyeriss (JSSC 52(1), 2017), to compare with.

Values of 16 bits. A code is a run of up to 31 zeros, in 5 bits, and the value behind it; three of
them and a bit that marks the last word of a stream make a word of 64 bits.
"""

from collections.abc import Iterable

__all__ = ["WORD_BYTES", "coded_size", "decode", "encode"]

WORD_BYTES = 8

_CODES = 3
_RUN_BITS = 5
_MAX_RUN = (1 << _RUN_BITS) - 1
_CODE_BITS = _RUN_BITS + 16
_LAST = 1 << 63


def encode(values: Iterable[int]) -> list[int]:
    """Return the words of a stream of values, each 0 to 65535."""
    codes, run = [], 0
    for value in values:
        if value == 0 and run < _MAX_RUN:
            run += 1
        else:  # a run that is longer goes on behind a zero that is stored as a value
            codes.append(value << _RUN_BITS | run)
            run = 0
    if run:
        codes.append(run - 1)
    words = [
        sum(code << _CODE_BITS * n for n, code in enumerate(codes[first : first + _CODES]))
        for first in range(0, len(codes), _CODES)
    ]
    if words:
        words[-1] |= _LAST
    return words


def decode(words: list[int], num_values: int) -> list[int]:
    """Return the values of a stream.

    Raises
    ------
    ValueError
        The stream does not end with its last word, or holds fewer values.
    """
    values = []
    for n, word in enumerate(words):
        if bool(word & _LAST) != (n == len(words) - 1):
            raise ValueError(f"word {n} of {len(words)}: the bit that marks the last one is wrong")
        for place in range(_CODES):
            code = word >> _CODE_BITS * place
            values += [0] * (code & _MAX_RUN)
            values.append(code >> _RUN_BITS & 0xFFFF)
    if len(values) < num_values:
        raise ValueError(f"{len(values)} values of {num_values}")
    return values[:num_values]  # what fills up the last word decodes to zeros


def coded_size(zeros: float) -> float:
    """Return size with the code over size without, of many values with zeros at random.

    A code takes values up to the first that is not zero, at most 32 of them.
    """
    values_per_code = sum(zeros**n for n in range(_MAX_RUN + 1))
    return 8 * WORD_BYTES / _CODES / 16 / values_per_code
