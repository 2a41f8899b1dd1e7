"""Weight scratchpad: blocks at any distance, and when their words are there."""

import random
from dataclasses import replace

import pytest
from testconfigs import ODD, QUAD, WIDE

from skimp.config import CHAIN
from skimp.configs import PRESETS
from skimp.pe.wgt_spad import WgtSpad
from skimp_sim.bench.vectors import run_vectors

TINY = replace(PRESETS["tiny"], wgt_depth=40)
CONFIGS = [replace(TINY, name=f"tiny{n}", wgt_slices=n) for n in (1, 2, 4)] + [
    replace(config, name=f"{config.name}{n}", wgt_slices=n)
    for config, n in ((ODD, 1), (ODD, 4), (WIDE, 2), (WIDE, 4), (QUAD, 4))
]


def filled(config, pick):
    """Return [block][slice] and the vectors that write it."""
    size, beats = config.wgt_slice_bytes, config.wgt_block_beats
    blocks = [[pick.getrandbits(8 * size) for _ in range(CHAIN)] for _ in range(config.wgt_depth)]
    vectors = []
    for b, block in enumerate(blocks):
        whole = sum(value << 8 * size * k for k, value in enumerate(block))
        for n in range(beats):
            beat = whole >> config.bus_bits * n & (1 << config.bus_bits) - 1
            vectors.append(dict(w_en=1, w_addr=b * beats + n, w_data=beat, r_start=0))
    return blocks, vectors


def some_distances(config, pick):
    """Clocks from read to read: the shortest pass, others in a row, any."""
    shortest = config.min_pass_cycles
    found = [shortest] * 12
    for length in range(shortest, shortest + 8):
        found += [length] * 4
    found += [pick.randint(shortest, shortest + pick.choice([1, 3, 6])) for _ in range(200)]
    return found


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_words_come_while_their_slices_can_take_them(config):
    """Of each block, every word once, behind the swap before (`load_lag` ago) and before its own."""
    seed = 70
    pick = random.Random(seed)
    blocks, vectors = filled(config, pick)
    spad, positions = WgtSpad(config), config.wgt_slices
    words = config.min_pass_cycles
    reads = []
    vectors.append(dict(w_en=0))
    for distance in some_distances(config, pick):
        reads.append((len(vectors), pick.randrange(config.wgt_depth)))
        vectors.append(dict(r_start=1, r_block=reads[-1][1]))
        vectors += [dict(r_start=0, r_block=0)] + [{}] * (distance - 2)
    vectors += [{}] * 2 * CHAIN
    outputs = ["r_word", *(f"r_data__{p}" for p in range(positions))]
    results = run_vectors(spad, vectors, outputs)
    came = {n: [t for t, r in enumerate(results) if r["r_word"] >> n & 1] for n in range(words)}
    for n, clocks in came.items():
        assert len(clocks) == len(reads), f"seed {seed} word {n}"
    for (clock, b), (following, _), *clocks in zip(reads, reads[1:], *came.values()):
        where = f"seed {seed} block {b} read in clock {clock}"
        shown = clock + spad.read_latency
        assert clocks[0] == shown, where
        for n, t in enumerate(clocks):
            skew = n * positions - spad.load_lag
            assert shown + skew <= t < shown + following - clock + skew, f"{where} word {n}"
            for p in range(positions):
                want = blocks[b][n * positions + p]
                assert results[t + p][f"r_data__{p}"] == want, f"{where} word {n} position {p}"


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_a_word_a_clock(config):
    """A port gives one word at a time, and with shortest passes one in every clock."""
    words = config.min_pass_cycles
    vectors = [dict(r_start=int(t % words == 0), r_block=0, w_en=0) for t in range(80)]
    results = run_vectors(WgtSpad(config), vectors, ["r_word"])
    assert all(r["r_word"].bit_count() == 1 for r in results[2 * CHAIN :])
