"""Packing of weights and parameters against the definition, element by element."""

import numpy as np
import pytest

from skimp.configs import PRESETS
from skimp_compiler.weights import check_packable, pack_conv, pack_depthwise, pack_params

CONFIGS = [PRESETS["tiny"], PRESETS["small"], PRESETS["zcu104"]]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
@pytest.mark.parametrize(("k", "c"), [(1, 1), (16, 8), (37, 19), (64, 32)])
def test_conv(config, k, c):
    rng = np.random.default_rng(k * c)
    weights = rng.integers(-127, 128, (k, 3, 2, c)).astype(np.int8)
    packed = pack_conv(weights, config)
    co, ci = config.out_channels, config.in_channels
    assert packed.shape == (-(-k // co), -(-c // ci), 3, 2, co, ci)
    assert packed.flags.c_contiguous
    for index in np.ndindex(packed.shape):
        kb, cb, r, s, lane_k, lane_c = index
        n, m = kb * co + lane_k, cb * ci + lane_c
        assert packed[index] == (weights[n, r, s, m] if n < k and m < c else 0), index


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_depthwise(config):
    rng = np.random.default_rng(1)
    c, ci = 21, config.in_channels
    weights = rng.integers(-128, 128, (1, 2, 3, c)).astype(np.int8)
    packed = pack_depthwise(weights, config)
    for index in np.ndindex(packed.shape):
        cb, r, s, lane = index
        n = cb * ci + lane
        assert packed[index] == (weights[0, r, s, n] if n < c else 0), index


def test_params_are_bias_multiplier_shift_of_a_block():
    config = PRESETS["small"]
    words = pack_params(
        np.arange(20), np.arange(100, 120), np.arange(-20, 0), lanes=8, config=config
    )
    assert words.shape == (3, 3, config.out_channels)
    assert words[1, 0, :8].tolist() == list(range(8, 16))
    assert words[1, 1, :8].tolist() == list(range(108, 116))
    assert words[2, 2, :8].tolist() == [-4, -3, -2, -1, 0, 0, 0, 0]
    assert not words[:, :, 8:].any()
    assert words.astype("<i4").nbytes == 3 * 12 * config.out_channels


def test_what_fits_the_packed_operand():
    """Exhaustive over pairs with an extreme: ((w1 << 19) + w0) in 27 bits signed."""
    values = np.arange(-128, 128)
    for extreme in (-128, -127, 127):
        for other in values:
            for upper, lower in ((extreme, other), (other, extreme)):
                fits = -(1 << 26) <= (upper << 19) + lower < 1 << 26
                pair = np.array([lower, upper], np.int8).reshape(2, 1, 1, 1)
                assert check_packable(pair) == fits, (upper, lower)
    # The last of an odd number of output channels has nothing above it.
    assert check_packable(np.array([1, 1, -128], np.int8).reshape(3, 1, 1, 1))
