"""Queue of words against a list: parts of beats in, up to a beat's worth out, full and empty."""

import dataclasses
import random

import pytest
from testconfigs import ODD, QUAD, WIDE

from skimp.dma.word_fifo import WordFifo
from skimp_sim.bench.vectors import run_vectors

SPREAD = dataclasses.replace(ODD, name="spread", act_words=8)
"""Eight words in, three out."""

EVEN = dataclasses.replace(WIDE, name="even", act_words=2)
BACKENDS = ["pysim", pytest.param("verilator", marks=pytest.mark.verilog)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("num_beats", [2, 16])
@pytest.mark.parametrize("config", [ODD, EVEN, QUAD, SPREAD], ids=lambda c: c.name)
def test_words_in_order(config, num_beats, backend):
    """Level, room and every word that can be taken, behind any lead, in every clock.

    The load swings: mostly pushes until it is full, mostly pops until it is empty.
    """
    lanes, bits, most = config.chip_words, config.word_bits, config.load_words
    seed = 100 * num_beats + lanes
    rng = random.Random(seed)
    capacity = num_beats * lanes
    queue = []
    vectors, expected, leads = [], [], []
    levels = set()
    filling = True
    for _ in range(1500):
        expected.append(list(queue))
        levels.add(len(queue))
        if len(queue) == capacity or not queue:
            filling = not queue
        busy = rng.random() < (0.9 if filling else 0.3)
        first = rng.choice([0, rng.randrange(lanes)])
        count = min(rng.randint(1, lanes - first) if busy else 0, capacity - len(queue))
        taken = rng.randint(0, most) if rng.random() < (0.3 if filling else 0.9) else 0
        taken = min(taken, len(queue))
        words = [rng.getrandbits(bits) for _ in range(lanes)]
        queue = queue[taken:] + words[first : first + count]
        data = sum(word << bits * n for n, word in enumerate(words))
        pop = dict(r_en=1, r_count=taken) if taken else dict(r_en=0, r_count=rng.randint(0, most))
        leads.append(rng.randint(0, most) if rng.random() < 0.5 else 0)
        pop["r_lead"] = leads[-1]
        vectors.append(dict(w_first=first, w_count=count, w_data=data, **pop))
    assert levels >= {0, capacity, capacity - 1}
    outputs = ["level", "room_words", *(f"r_data__{n}" for n in range(most))]
    dut = WordFifo(config, num_beats=num_beats)
    results = run_vectors(dut, vectors, outputs, backend=backend)
    for clock, (held, lead, got) in enumerate(zip(expected, leads, results, strict=True)):
        where = f"seed {seed} clock {clock}"
        assert got["level"] == len(held), where
        assert got["room_words"] == capacity - len(held), where
        for n, word in enumerate(held[: most - lead]):
            assert got[f"r_data__{lead + n}"] == word, f"{where} word {n}"


@pytest.mark.parametrize("num_beats", [0, 1, 6])
def test_refuses(num_beats):
    with pytest.raises(ValueError, match=f"a power of two above 1, not {num_beats}"):
        WordFifo(QUAD, num_beats=num_beats)
