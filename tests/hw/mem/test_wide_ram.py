"""Wide memory, filled lane by lane, against a table of lanes."""

import random

import pytest

from skimp.mem.wide_ram import WideRam
from skimp_sim.bench.vectors import run_vectors


@pytest.mark.parametrize("backend", ["pysim", pytest.param("verilator", marks=pytest.mark.verilog)])
@pytest.mark.parametrize(("lanes", "lane_width", "depth"), [(1, 8, 4), (3, 64, 9), (16, 128, 6)])
def test_lanes_in_whole_words_out(lanes, lane_width, depth, backend):
    seed = lanes * lane_width + depth
    rng = random.Random(seed)
    words = [[0] * lanes for _ in range(depth)]
    fill = [(addr, lane) for addr in range(depth) for lane in range(lanes)]
    vectors, expected = [], []
    seen = None
    for clock in range(len(fill) + 400):
        filling = clock < len(fill)
        write, lane = fill[clock] if filling else (rng.randrange(depth), rng.randrange(lanes))
        w_en = int(filling or rng.random() < 0.7)
        read = rng.randrange(depth)
        r_en = int(not filling and not (w_en and read == write) and rng.random() < 0.7)
        w_data = rng.getrandbits(lane_width)
        expected.append(seen)
        if r_en:
            seen = sum(v << lane_width * k for k, v in enumerate(words[read]))
        if w_en:
            words[write][lane] = w_data
        vectors.append(
            dict(w_en=w_en, w_addr=write, w_lane=lane, w_data=w_data, r_en=r_en, r_addr=read)
        )
    dut = WideRam(lanes=lanes, lane_width=lane_width, depth=depth)
    assert dut.read_latency == 1
    results = run_vectors(dut, vectors, ["r_data"], backend=backend)
    for clock, want in enumerate(expected):
        if want is not None:
            assert results[clock]["r_data"] == want, f"seed {seed} clock {clock}"


@pytest.mark.parametrize("lanes", [0, -2])
def test_refuses_lanes(lanes):
    with pytest.raises(ValueError, match=f"lanes must be positive, not {lanes}"):
        WideRam(lanes=lanes, lane_width=8, depth=4)
