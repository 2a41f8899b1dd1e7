"""Average pools divide by a multiplication: exact for every sum that can come."""

import numpy as np
import pytest

from skimp.isa import MAX_SHIFT, MIN_SHIFT
from skimp_compiler.graph import ModelError
from skimp_compiler.lower_depthwise import exact_division


def average(acc, count):
    """The way AWAY rounds."""
    multiplier, shift = exact_division(count)
    return np.sign(acc) * (((np.abs(acc) + count // 2) * multiplier) >> (31 - shift))


def reference(acc, count):
    """TFLite's: half is added away from zero, then C's division."""
    return np.where(acc > 0, (acc + count // 2) // count, -((-acc + count // 2) // count))


@pytest.mark.parametrize("count", [*range(1, 66), 81, 100, 121, 144, 169, 196, 225, 255, 256, 257])
def test_every_sum_of_small_windows(count):
    acc = np.arange(-128 * count, 128 * count + 1, dtype=np.int64)
    np.testing.assert_array_equal(average(acc, count), reference(acc, count))


@pytest.mark.parametrize("count", [49 * 49, 112 * 112, 65535, 65536, 65537, 1 << 20, (1 << 22) - 1])
def test_sums_around_every_step_of_large_windows(count):
    steps = np.arange(-128, 129, dtype=np.int64)[:, None] * count + count // 2
    acc = (steps + np.arange(-3, 4)).reshape(-1)
    acc = acc[np.abs(acc) <= 128 * count]
    np.testing.assert_array_equal(average(acc, count), reference(acc, count))


@pytest.mark.parametrize("count", [1, 2, 3, 49, 1000, 1 << 16, 1 << 22])
def test_fits_the_hardware(count):
    multiplier, shift = exact_division(count)
    assert 0 < multiplier < 1 << 31
    assert MIN_SHIFT <= shift <= MAX_SHIFT


def test_too_many_values_are_refused():
    with pytest.raises(ModelError, match="too large"):
        exact_division(1 << 30)
