"""Semaphores against a counter for each: grants, simultaneous posts and takes, clear."""

import random

import pytest

from skimp.ctrl.semaphores import NUM_SEMAPHORES, Semaphores
from skimp.isa import MAX_COUNT
from skimp_sim.bench.vectors import run_vectors


def pack(bits):
    return sum(bool(bit) << u for u, bit in enumerate(bits))


@pytest.mark.parametrize("backend", ["pysim", pytest.param("verilator", marks=pytest.mark.verilog)])
@pytest.mark.parametrize("seed", [1, 2])
def test_counts(seed, backend):
    rng = random.Random(seed)
    counts = [0] * NUM_SEMAPHORES
    # Every semaphore has one unit that waits for it.
    mine = [[s for s in range(NUM_SEMAPHORES) if s % 4 == u] for u in range(4)]
    waits = [0] * 4
    granted = [False] * 4
    vectors, expected = [], []
    for _ in range(600):
        waits = [
            w if w or granted[u] else sum(1 << s for s in mine[u] if rng.random() < 0.4)
            for u, w in enumerate(waits)
        ]
        # Who is granted something goes on asking for it.
        asks = [g or rng.random() < 0.8 for g in granted]
        take = [g and rng.random() < 0.7 for g in granted]
        posts = [
            sum(1 << s for s in range(NUM_SEMAPHORES) if rng.random() < 0.06) for _ in range(4)
        ]
        clear = rng.random() < 0.01
        vectors.append(
            {f"wait__{u}": waits[u] for u in range(4)}
            | {f"post__{u}": posts[u] for u in range(4)}
            | {"take": pack(take), "asks": pack(asks), "clear": int(clear)}
        )
        expected.append(
            {
                "granted": pack(granted),
                "available": sum((c > 0) << s for s, c in enumerate(counts)),
            }
        )
        granted = [
            all(counts[s] for s in range(NUM_SEMAPHORES) if waits[u] >> s & 1)
            and asks[u]
            and not (take[u] or clear)
            for u in range(4)
        ]
        for s in range(NUM_SEMAPHORES):
            counts[s] += sum(p >> s & 1 for p in posts)
            counts[s] -= sum(t and waits[u] >> s & 1 for u, t in enumerate(take))
            counts[s] = 0 if clear else min(counts[s], MAX_COUNT)
        waits = [0 if t else w for t, w in zip(take, waits)]
    results = run_vectors(
        Semaphores(num_units=4), vectors, ["granted", "available"], backend=backend
    )
    assert results == expected, f"seed {seed}"


@pytest.mark.parametrize("backend", ["pysim", pytest.param("verilator", marks=pytest.mark.verilog)])
def test_counts_to_the_largest_count(backend):
    """MAX_COUNT posts of one semaphore are all kept, and no more is granted than that."""
    posts = [{"post__0": 1 << 5, "post__1": 1 << 5}] * (MAX_COUNT // 2)
    posts += [{"post__1": 0}] * (MAX_COUNT % 2) + [{"post__0": 0, "post__1": 0}]
    ask, take = ({"wait__1": 1 << 5, "asks": 2, "take": take} for take in (0, 2))
    takes = [ask, take] * MAX_COUNT + [ask, ask]
    results = run_vectors(
        Semaphores(num_units=2), posts + takes, ["granted", "available"], backend=backend
    )
    seen = results[len(posts) :]
    assert all(r["available"] == 1 << 5 for r in seen[:-2])
    assert all(r["granted"] == 2 for r in seen[1:-2:2])
    assert seen[-1] == {"granted": 0, "available": 0}
