"""The integer arithmetic of TFLite's reference kernels: multipliers, rounding, ranges.

All functions work element by element on int64 arrays that hold int32 values.
"""

import math

import numpy as np

__all__ = [
    "INT32_MAX",
    "INT32_MIN",
    "activation_range",
    "fit_single",
    "multiply_double",
    "multiply_float",
    "multiply_single",
    "quantize_multiplier",
    "rounding_divide_by_pot",
    "saturating_doubling_high_mul",
    "wrap_int32",
]

INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1


def wrap_int32(values: np.ndarray) -> np.ndarray:
    """Return int64 values reduced to int32 as two's complement hardware does."""
    return np.asarray(values).astype(np.int64).astype(np.int32).astype(np.int64)


def quantize_multiplier(real: float) -> tuple[int, int]:
    """Return (multiplier, shift) with real = multiplier * 2**(shift - 31).

    The multiplier has 31 bits; shifts below -31 give (0, 0), as in TFLite's QuantizeMultiplier.
    """
    if real == 0.0:
        return 0, 0
    mantissa, shift = math.frexp(real)
    # TfLiteRound rounds halves away from zero.
    multiplier = math.floor(mantissa * (1 << 31) + 0.5)
    if multiplier == 1 << 31:
        multiplier //= 2
        shift += 1
    if shift < -31:
        return 0, 0
    if shift > 30:
        return INT32_MAX, 30
    return multiplier, shift


def saturating_doubling_high_mul(a, b) -> np.ndarray:
    """Return round(a * b / 2**31), halves away from zero except exact negative ones.

    gemmlowp's SaturatingRoundingDoublingHighMul: nudge 2**30 or 1 - 2**30, then divide truncating.
    """
    product = np.asarray(a, np.int64) * np.asarray(b, np.int64)
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    high = np.where(nudged >= 0, nudged >> 31, -((-nudged) >> 31))
    return np.minimum(high, INT32_MAX)


def rounding_divide_by_pot(values, exponent) -> np.ndarray:
    """Return values / 2**exponent, rounded half away from zero (gemmlowp's RoundingDivideByPOT)."""
    values = np.asarray(values, np.int64)
    exponent = np.asarray(exponent, np.int64)
    mask = (np.int64(1) << exponent) - 1
    remainder = values & mask
    threshold = (mask >> 1) + (values < 0)
    return (values >> exponent) + (remainder > threshold)


def multiply_double(values, multiplier, shift) -> np.ndarray:
    """Return values * multiplier * 2**(shift - 31), rounded twice.

    TFLite's MultiplyByQuantizedMultiplier with gemmlowp rounding; `shift` > 0 shifts left first.
    """
    shift = np.asarray(shift, np.int64)
    left = np.maximum(shift, 0)
    right = np.maximum(-shift, 0)
    shifted = wrap_int32(np.asarray(values, np.int64) << left)
    return rounding_divide_by_pot(saturating_doubling_high_mul(shifted, multiplier), right)


def multiply_single(values, multiplier, shift) -> np.ndarray:
    """Return values * multiplier * 2**(shift - 31), rounded once, halves up."""
    shift = np.asarray(shift, np.int64)
    total = 31 - shift
    product = np.asarray(values, np.int64) * np.asarray(multiplier, np.int64)
    return (product + (np.int64(1) << (total - 1))) >> total


def multiply_float(values, real: float) -> np.ndarray:
    """Return values * real in float64, rounded once, half away from zero.

    This is what LiteRT's reference fully connected layer does (measured on ties); `multiply_single`
    with the multiplier of `fit_single` gives the same results in integers.
    """
    product = np.asarray(values, np.float64) * real
    return np.copysign(np.floor(np.abs(product) + 0.5), product).astype(np.int64)


_REACH = np.arange(-6, 8)
"""Sums around a step: the steps of all candidates of `fit_single` lie within (see there)."""


def fit_single(real: float, *, low: int, high: int, sum_min: int, sum_max: int) -> tuple[int, int]:
    """Return (multiplier, shift) with which `multiply_single` equals `multiply_float`.

    The rounded multiplier itself can miss where values * real comes within 2**-32 of a tie, and it
    rounds negative ties up; the next larger one rounds both kinds of ties away from zero. So the
    five nearest multipliers are tried in turn. Both functions are steps that never go down: if
    they agree around each step they agree everywhere. A multiplier m >= 2**30 that is d off moves
    a step at t by t * d / m, which is at most 5 for |t| < 2**31 and d <= 2.5.

    Parameters
    ----------
    real : float
    low, high : int
        Results beyond them are clamped: only the steps between them count.
    sum_min, sum_max : int
        Reachable values.

    Notes
    -----
    Where none of the five fits, the best one is returned. Only layers with steps at huge sums
    (some 2**24 and more) come to that, and they miss by one at single sums.
    """
    multiplier, shift = quantize_multiplier(real)
    if multiplier == 0:
        return multiplier, shift
    steps = np.floor((np.arange(low, high) + 0.5) / real)
    steps = steps[np.abs(steps) < 1 << 31].astype(np.int64)
    values = np.unique(steps[:, None] + _REACH)
    values = values[(values >= sum_min) & (values <= sum_max)]
    wanted = np.clip(multiply_float(values, real), low, high)
    best = None
    for candidate in (multiplier + d for d in (0, 1, -1, 2, -2)):
        if candidate > INT32_MAX:
            continue
        result = np.clip(multiply_single(values, candidate, shift), low, high)
        misses = np.count_nonzero(result != wanted)
        if best is None or misses < best[0]:
            best = misses, candidate
        if misses == 0:
            break
    return best[1], shift


def activation_range(kind: str, scale: float, zero_point: int, low=-128, high=127):
    """Return the smallest and largest stored value after a fused activation.

    TFLite's CalculateActivationRangeQuantized; `kind` is none, relu, relu6 or relu_n1_to_1.
    """

    def stored(real):
        # float32 division, then TfLiteRound.
        quotient = float(np.float32(real) / np.float32(scale))
        return zero_point + int(math.copysign(math.floor(abs(quotient) + 0.5), quotient))

    if kind == "relu":
        return max(low, stored(0.0)), high
    if kind == "relu6":
        return max(low, stored(0.0)), min(high, stored(6.0))
    if kind == "relu_n1_to_1":
        return max(low, stored(-1.0)), min(high, stored(1.0))
    return low, high
