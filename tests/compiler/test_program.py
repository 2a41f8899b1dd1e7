"""Tensors as bytes: every byte where the definition of its place says, and back."""

import numpy as np
import pytest

from skimp.isa import CHIP_BASE
from skimp_compiler.program import Fold, TensorPlace, pack, unpack


def place_of(height, width, channels, *, block=8, bus_words=1, **options) -> TensorPlace:
    wanted = dict(
        index=0, address=0, height=height, width=width, channels=channels, block=block,
        plane_words=-(-height * width // bus_words) * bus_words,
        shape=(1, height, width, channels), zero_point=-7,
    )  # fmt: skip
    return TensorPlace(**(wanted | options))


@pytest.mark.parametrize("seed", range(20))
def test_byte_by_byte(seed):
    rng = np.random.default_rng(seed)
    height, width = (int(n) for n in rng.integers(1, 7, 2))
    channels, block = int(rng.integers(1, 40)), int(rng.choice([8, 16]))
    place = place_of(height, width, channels, block=block, bus_words=int(rng.choice([1, 2, 4])))
    values = rng.integers(-128, 128, place.shape).astype(np.int8)
    data = np.frombuffer(pack(place, values), np.int8)
    assert data.size == place.size_bytes == place.num_blocks * place.plane_words * block
    wanted = np.full(data.size, place.zero_point)
    for y, x, c in np.ndindex(height, width, channels):
        at = (c // block * place.plane_words + y * width + x) * block + c % block
        wanted[at] = values[0, y, x, c]
    np.testing.assert_array_equal(data, wanted, err_msg=f"seed {seed}")
    # What lies behind a plane and beyond the last channel is not looked at.
    noisy = data.copy()
    pixel = np.arange(data.size) // block % place.plane_words
    channel = np.arange(data.size) // block // place.plane_words * block
    channel += np.arange(data.size) % block
    noisy[(pixel >= height * width) | (channel >= channels)] = 99
    np.testing.assert_array_equal(unpack(place, noisy.tobytes()), values)


@pytest.mark.parametrize("perm", [(0, 3, 1, 2), (0, 2, 1, 3), (0, 2, 3, 1)])
@pytest.mark.parametrize("bus_words", [1, 4])
def test_transposed_views(perm, bus_words):
    rng = np.random.default_rng(1)
    nhwc = rng.integers(-128, 128, (1, 3, 5, 11)).astype(np.int8)
    plain = place_of(3, 5, 11, bus_words=bus_words)
    view = nhwc.transpose(perm)
    for shape in (view.shape, view.shape[1:]):
        place = place_of(3, 5, 11, bus_words=bus_words, perm=perm, shape=shape)
        data = pack(place, view.reshape(shape))
        assert data == pack(plain, nhwc)
        np.testing.assert_array_equal(unpack(place, data), view.reshape(shape))


@pytest.mark.parametrize("seed", range(20))
def test_fold_lays_kernel_columns_side_by_side(seed):
    """Channel s * C + c of column q is channel c of column q * stride - pad_left + s."""
    rng = np.random.default_rng(seed)
    height, in_width, c = (int(n) for n in rng.integers(1, 9, 3))
    fold = Fold(
        num_s=int(rng.integers(2, 8)), stride=int(rng.integers(1, 5)),
        pad_left=int(rng.integers(0, 4)),
    )  # fmt: skip
    width = int(rng.integers(1, 8))
    place = place_of(
        height, width, fold.num_s * c, bus_words=2, shape=(1, height, in_width, c), fold=fold
    )
    values = rng.integers(-128, 128, place.shape).astype(np.int8)
    folded = place_of(height, width, fold.num_s * c, bus_words=2)
    got = unpack(folded, pack(place, values))
    for y, q, s, k in np.ndindex(height, width, fold.num_s, c):
        x = q * fold.stride - fold.pad_left + s
        wanted = values[0, y, x, k] if 0 <= x < in_width else place.zero_point
        assert got[0, y, q, s * c + k] == wanted, f"seed {seed}: {y}, {q}, {s}, {k}"
    with pytest.raises(ValueError, match="tensor 0 is folded"):
        unpack(place, pack(place, values))


def test_where_a_place_lies():
    assert not place_of(1, 1, 1, address=CHIP_BASE - 64).on_chip
    assert place_of(1, 1, 1, address=CHIP_BASE).on_chip
