"""Memory with one read and one write port against a list of words."""

import random

import pytest

from skimp.mem.ram import Ram1R1W
from skimp_sim.bench.vectors import run_vectors

BACKENDS = ["pysim", pytest.param("verilator", marks=pytest.mark.verilog)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("width", "depth", "granularity"), [(8, 16, None), (33, 9, None), (32, 12, 8), (64, 5, 16)]
)
def test_reads_what_was_written(width, depth, granularity, backend):
    seed = width + depth
    rng = random.Random(seed)
    granule = granularity or width
    num_granules = width // granule
    words = [0] * depth
    vectors, expected = [], []
    seen = None
    for clock in range(500):
        read, write = rng.randrange(depth), rng.randrange(depth)
        r_en, w_en = rng.randrange(2), rng.getrandbits(num_granules)
        if read == write:
            r_en = 0  # what such a read returns is undefined
        if clock < depth:
            write, w_en, r_en = clock, (1 << num_granules) - 1, 0
        w_data = rng.getrandbits(width)
        expected.append(seen)
        if r_en:
            seen = words[read]
        for g in range(num_granules):
            if w_en >> g & 1:
                mask = (1 << granule) - 1 << g * granule
                words[write] = words[write] & ~mask | w_data & mask
        vectors.append(dict(r_en=r_en, r_addr=read, w_en=w_en, w_addr=write, w_data=w_data))
    dut = Ram1R1W(width=width, depth=depth, granularity=granularity)
    assert dut.read_latency == 1
    results = run_vectors(dut, vectors, ["r_data"], backend=backend)
    for clock, want in enumerate(expected):
        if want is not None:
            assert results[clock]["r_data"] == want, f"seed {seed} clock {clock}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(width=0, depth=4), "must be positive, not 0 and 4"),
        (dict(width=8, depth=-1), "must be positive, not 8 and -1"),
        (dict(width=12, depth=4, granularity=8), r"must divide width \(12\), not 8"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        Ram1R1W(**arguments)
