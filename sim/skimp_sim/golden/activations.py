"""Logistic and hard-swish of int8 tensors."""

import numpy as np

from skimp_compiler.graph import Tensor
from skimp_sim.golden.arithmetic import quantize_multiplier

__all__ = ["hard_swish", "logistic"]

_INT16_MAX = (1 << 15) - 1


def logistic(ifmap: Tensor, ofmap: Tensor, x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) from a table of 256 float32 results, as TFLite's LUTPopulate makes it."""
    values = np.arange(-128, 128, dtype=np.int32)
    real = np.float32(ifmap.scale) * (values - ifmap.zero_point).astype(np.float32)
    with np.errstate(over="ignore"):  # 1 / (1 + inf) is the 0 that is meant
        result = np.float32(1) / (np.float32(1) + np.exp(-real))
    scaled = result * (np.float32(1) / np.float32(ofmap.scale))
    table = np.floor(scaled.astype(np.float64) + 0.5).astype(np.int64) + ofmap.zero_point
    return np.clip(table, -128, 127).astype(np.int8)[x.astype(np.int64) + 128]


def _int16_multiplier(real: float) -> tuple[int, int]:
    """Return a 15-bit multiplier and its exponent (TFLite's DownScaleInt32ToInt16Multiplier)."""
    multiplier, exponent = quantize_multiplier(real)
    return min((multiplier + (1 << 15)) >> 16, _INT16_MAX), exponent


def _truncate(values: np.ndarray, bits: int) -> np.ndarray:
    """Divide by 2**bits towards zero."""
    return np.where(values >= 0, values >> bits, -((-values) >> bits))


def _high_mul_16(a, b) -> np.ndarray:
    """gemmlowp's SaturatingRoundingDoublingHighMul of int16."""
    product = a * np.int64(b)
    nudged = product + np.where(product >= 0, 1 << 14, 1 - (1 << 14))
    return _truncate(nudged, 15)


def _divide_by_pot_16(values: np.ndarray, exponent: int) -> np.ndarray:
    """gemmlowp's RoundingDivideByPOT of int16, whose mask is an int16 too.

    From exponent 16 on the mask is -1: results are then 1 (of 0 and above) or -1, as measured.
    """
    mask = (1 << exponent) - 1 if exponent < 16 else -1
    remainder = values & mask
    threshold = (mask >> 1) + (values < 0)
    return (values >> exponent) + (remainder > threshold)


def hard_swish(ifmap: Tensor, ofmap: Tensor, x: np.ndarray) -> np.ndarray:
    """TFLite's reference_ops::HardSwish: x * relu6(x + 3) / 6 in 16-bit steps."""
    # float32 as in HardSwishPrepare.
    hires_scale = np.float32(1 / 128) * np.float32(ifmap.scale)
    out_mult, out_exponent = _int16_multiplier(float(hires_scale / np.float32(ofmap.scale)))
    relu_mult, relu_exponent = _int16_multiplier(
        float(hires_scale / (np.float32(3) / np.float32(32768)))
    )

    def saturate(values):
        return np.clip(values, -_INT16_MAX - 1, _INT16_MAX)

    hires = (x.astype(np.int64) - ifmap.zero_point) << 7
    scaled = _high_mul_16(hires, out_mult)
    relu = hires
    if relu_exponent > 0:
        relu = saturate(relu << (relu_exponent - 1))
    relu = _high_mul_16(relu, relu_mult)
    if relu_exponent > 0:
        relu = saturate(relu << 1)
    elif relu_exponent < 0:
        relu = _divide_by_pot_16(relu, -relu_exponent)
    relu = (relu + (1 << 15)) >> 1
    out = _divide_by_pot_16(_truncate(relu * scaled, 15), -out_exponent) + ofmap.zero_point
    return np.clip(out, -128, 127).astype(np.int8)
