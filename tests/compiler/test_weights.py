"""Packing of weights and parameters against the definition, element by element."""

from dataclasses import replace

import numpy as np
import pytest
from testconfigs import ODD, WIDE

from skimp.config import CHAIN
from skimp.configs import PRESETS
from skimp_compiler.weights import check_packable, pack_conv, pack_depthwise, pack_params

SMALL = replace(PRESETS["small"], drain_slices=0)
CONFIGS = [
    *PRESETS.values(), ODD, WIDE,
    replace(SMALL, name="two words", bus_words=2), replace(SMALL, name="four words", pixels=4,
    out_channels=32, bus_words=4), replace(SMALL, name="two taps a beat", in_channels=16,
    out_channels=16, bus_words=2, drain_pixels=1),
]  # fmt: skip


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
@pytest.mark.parametrize(("k", "c"), [(1, 1), (16, 8), (37, 19), (64, 32)])
def test_conv(config, k, c):
    """A block is [slice, output channel, chain]; slice s of chain g has channel g * CHAIN + s."""
    rng = np.random.default_rng(k * c)
    weights = rng.integers(-127, 128, (k, 3, 2, c)).astype(np.int8)
    packed = pack_conv(weights, config)
    co, ci = config.out_channels, config.in_channels
    assert packed.shape == (-(-k // co), -(-c // ci), 3, 2, CHAIN, co, ci // CHAIN)
    assert packed.flags.c_contiguous
    assert packed[0, 0, 0, 0].nbytes == config.wgt_block_bytes
    assert packed[0, 0, 0, 0, 0].nbytes == config.wgt_slice_bytes
    for index in np.ndindex(packed.shape):
        kb, cb, r, s, position, lane_k, chain = index
        n, m = kb * co + lane_k, cb * ci + chain * CHAIN + position
        assert packed[index] == (weights[n, r, s, m] if n < k and m < c else 0), index


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
@pytest.mark.parametrize(("r", "s"), [(1, 1), (2, 3), (3, 3)])
def test_depthwise(config, r, s):
    """Words of out_channels bytes, tap behind tap, then zeros up to a whole beat."""
    rng = np.random.default_rng(1)
    c, lanes = 53, config.out_channels
    weights = rng.integers(-128, 128, (1, r, s, c)).astype(np.int8)
    packed = pack_depthwise(weights, config)
    assert packed.shape[::2] == (-(-c // lanes), lanes)
    # The weights of every word of channels are whole beats, with less than a beat of zeros.
    assert packed[0].nbytes % config.bus_bytes == 0
    assert 0 <= packed[0].nbytes - r * s * lanes < config.bus_bytes
    assert packed.flags.c_contiguous
    for index in np.ndindex(packed.shape):
        word, tap, lane = index
        n = word * lanes + lane
        real = tap < r * s and n < c
        assert packed[index] == (weights[0, tap // s, tap % s, n] if real else 0), index


def test_params_are_bias_multiplier_shift_of_a_block():
    words = pack_params(
        np.arange(20), np.arange(100, 120), np.arange(-20, 0), lanes=8, config=SMALL
    )
    assert words.shape == (3, 3, SMALL.out_channels)
    assert words[1, 0, :8].tolist() == list(range(8, 16))
    assert words[1, 1, :8].tolist() == list(range(108, 116))
    assert words[2, 2, :8].tolist() == [-4, -3, -2, -1, 0, 0, 0, 0]
    assert not words[:, :, 8:].any()
    assert words.astype("<i4").nbytes == 3 * 12 * SMALL.out_channels


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
