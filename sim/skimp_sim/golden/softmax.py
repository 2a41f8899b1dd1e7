"""Softmax in gemmlowp's fixed point, as TFLite's reference_ops::Softmax computes it for int8.

A number with i integer bits is an int32 that counts units of 2**(i - 31).
"""

import math

import numpy as np

from skimp_sim.golden.arithmetic import (
    INT32_MAX,
    INT32_MIN,
    quantize_multiplier,
    rounding_divide_by_pot,
)
from skimp_sim.golden.arithmetic import saturating_doubling_high_mul as _mul

__all__ = ["exp_on_negative", "reciprocal_of_one_plus", "softmax"]

_DIFF_BITS = 5
_SUM_BITS = 12
_BARREL = (
    (-2, 1672461947),
    (-1, 1302514674),
    (0, 790015084),
    (1, 290630308),
    (2, 39332535),
    (3, 720401),
    (4, 242),
)
"""(e, round(exp(-2**e) * 2**31)): factors of the exponential by the bits of its argument."""


def _saturate(values) -> np.ndarray:
    return np.clip(values, INT32_MIN, INT32_MAX)


def _exp_last_quarter(a) -> np.ndarray:
    """exp(a) for a in [-1/4, 0), 0 integer bits: Taylor of fourth order around -1/8."""
    x = a + (1 << 28)
    x2 = _mul(x, x)
    x3 = _mul(x2, x)
    x4 = _mul(x2, x2)
    third = 715827883
    tail = _mul(rounding_divide_by_pot(x4, 2) + x3, third) + x2
    exp_eighth = 1895147668
    return _saturate(exp_eighth + _mul(exp_eighth, x + rounding_divide_by_pot(tail, 1)))


def exp_on_negative(a) -> np.ndarray:
    """exp(a) with 0 integer bits of a <= 0 with 5 integer bits."""
    a = np.asarray(a, np.int64)
    quarter = 1 << 24
    within = (a & (quarter - 1)) - quarter
    result = _exp_last_quarter(_saturate(within << _DIFF_BITS))
    remainder = within - a
    for exponent, factor in _BARREL:
        bit = (remainder >> (26 + exponent)) & 1
        result = np.where(bit, _mul(result, factor), result)
    return np.where(a == 0, INT32_MAX, result)


def reciprocal_of_one_plus(a) -> np.ndarray:
    """1 / (1 + a) for a in [0, 1), 0 integer bits: three Newton steps."""
    a = np.asarray(a, np.int64)
    half_denominator = (a + INT32_MAX + 1) >> 1  # rounding half sum of non-negative numbers
    x = 1515870810 + _mul(half_denominator, -1010580540)  # 48/17 - 32/17 d, 2 integer bits
    for _ in range(3):
        error = (1 << 29) - _mul(half_denominator, x)
        x = x + _saturate(_mul(x, error) << 2)
    return _saturate(x << 1)


def softmax(x: np.ndarray, *, scale: float, beta: float) -> np.ndarray:
    """Softmax over the last axis, to scale 1/256 and zero point -128."""
    real = min(beta * scale * (1 << (31 - _DIFF_BITS)), (1 << 31) - 1.0)
    multiplier, left = quantize_multiplier(real)
    radius = math.floor(((1 << _DIFF_BITS) - 1) * (1 << (31 - _DIFF_BITS)) / (1 << left))
    diff = x.astype(np.int64) - x.max(axis=-1, keepdims=True)
    counted = diff >= -radius
    exps = exp_on_negative(_mul(np.where(counted, diff, 0) << left, multiplier))
    total = np.where(counted, rounding_divide_by_pot(exps, _SUM_BITS), 0).sum(-1, keepdims=True)
    leading = 32 - np.frompyfunc(int.bit_length, 1, 1)(total.astype(object)).astype(np.int64)
    inverse = reciprocal_of_one_plus((total << leading) - (1 << 31))
    over = _SUM_BITS - leading
    out = rounding_divide_by_pot(_mul(inverse, exps), over + 31 - 8) - 128
    return np.where(counted, np.clip(out, -128, 127), -128).astype(np.int8)
