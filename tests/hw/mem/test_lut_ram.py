"""Memory with a combinational read, against a list."""

import numpy as np
import pytest

from skimp.mem.lut_ram import LutRam
from skimp_sim.bench.vectors import run_vectors


def test_words_come_in_the_same_clock():
    seed, depth, width = 4, 12, 40
    print("seed", seed)
    rng = np.random.default_rng(seed)
    contents = [None] * depth
    inputs, expected = [], []
    for n in range(300):
        address = n if n < depth else int(rng.integers(depth))
        enable = n < depth or bool(rng.integers(2))
        read = int(rng.integers(min(n, depth))) if n else 0
        value = int(rng.integers(1 << width))
        inputs.append({"w_en": int(enable), "w_addr": address, "w_data": value, "r_addr": read})
        expected.append(contents[read] if n else None)
        if enable:
            contents[address] = value
    outputs = run_vectors(LutRam(width=width, depth=depth), inputs, ["r_data"], backend="pysim")
    for n, (got, want) in enumerate(zip(outputs, expected)):
        assert want is None or got["r_data"] == want, f"clock {n}"


@pytest.mark.parametrize("width, depth", [(0, 4), (4, 0)])
def test_sizes_are_checked(width, depth):
    with pytest.raises(ValueError, match="must be positive"):
        LutRam(width=width, depth=depth)
