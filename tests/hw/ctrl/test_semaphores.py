"""Semaphores against a counter for each: grants, simultaneous posts and takes, clear."""

import random

import pytest

from skimp.ctrl.semaphores import NUM_SEMAPHORES, Semaphores
from skimp_sim.bench.vectors import run_vectors


@pytest.mark.parametrize("backend", ["pysim", pytest.param("verilator", marks=pytest.mark.verilog)])
@pytest.mark.parametrize("seed", [1, 2])
def test_counts(seed, backend):
    rng = random.Random(seed)
    counts = [0] * NUM_SEMAPHORES
    # Every semaphore has one unit that waits for it.
    mine = [[s for s in range(NUM_SEMAPHORES) if s % 4 == u] for u in range(4)]
    waits = [0] * 4
    vectors, expected = [], []
    for _ in range(600):
        waits = [
            w or sum(1 << s for s in mine[u] if rng.random() < 0.4) for u, w in enumerate(waits)
        ]
        granted = [all(counts[s] for s in range(16) if waits[u] >> s & 1) for u in range(4)]
        take = [g and rng.random() < 0.7 for g in granted]
        posts = [
            sum(1 << s for s in range(NUM_SEMAPHORES) if rng.random() < 0.06) for _ in range(4)
        ]
        clear = rng.random() < 0.01
        vectors.append(
            {f"wait__{u}": waits[u] for u in range(4)}
            | {f"post__{u}": posts[u] for u in range(4)}
            | {"take": sum(t << u for u, t in enumerate(take)), "clear": int(clear)}
        )
        expected.append(
            {
                "granted": sum(g << u for u, g in enumerate(granted)),
                "available": sum((c > 0) << s for s, c in enumerate(counts)),
            }
        )
        for s in range(NUM_SEMAPHORES):
            counts[s] += sum(p >> s & 1 for p in posts)
            counts[s] -= sum(t and waits[u] >> s & 1 for u, t in enumerate(take))
            counts[s] = 0 if clear else min(counts[s], 255)
        waits = [0 if t else w for t, w in zip(take, waits)]
    results = run_vectors(
        Semaphores(num_units=4), vectors, ["granted", "available"], backend=backend
    )
    assert results == expected, f"seed {seed}"
