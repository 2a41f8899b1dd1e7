"""Between real numbers, uint8 and int8."""

import numpy as np

from skimp_compiler.graph import Tensor
from skimp_sim.golden.arithmetic import multiply_double, quantize_multiplier

__all__ = ["dequantize", "quantize"]


def quantize(ifmap: Tensor, ofmap: Tensor, x: np.ndarray) -> np.ndarray:
    """TFLite's AffineQuantize of float32, or Requantize of int8 and uint8."""
    info = np.iinfo(ofmap.dtype)
    if ifmap.dtype == np.float32:
        quotient = x.astype(np.float32) / np.float32(ofmap.scale)
        # Halves away from zero; adding 0.5 in double is exact.
        rounded = np.copysign(np.floor(np.abs(quotient.astype(np.float64)) + 0.5), quotient)
        out = rounded.astype(np.int64) + ofmap.zero_point
    else:
        multiplier, shift = quantize_multiplier(ifmap.scale / ofmap.scale)
        out = multiply_double(x.astype(np.int64) - ifmap.zero_point, multiplier, shift)
        out = out + ofmap.zero_point
    return np.clip(out, info.min, info.max).astype(ofmap.dtype)


def dequantize(ifmap: Tensor, x: np.ndarray) -> np.ndarray:
    """TFLite's Dequantize: scale * (x - zero_point) in float32 (product in double)."""
    centred = x.astype(np.int64) - ifmap.zero_point
    return (centred.astype(np.float64) * float(ifmap.scale)).astype(np.float32)
