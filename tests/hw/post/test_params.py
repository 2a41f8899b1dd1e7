"""Parameter sets: blocks loaded into one set while the other one works."""

import random

import pytest
from testconfigs import ODD, WIDE

from skimp.configs import PRESETS
from skimp.post.params import ParamSets
from skimp_sim.bench.vectors import run_vectors

BACKENDS = ["pysim", pytest.param("verilator", marks=pytest.mark.verilog)]


def beats_of(config, block):
    """Beats of a block's biases, multipliers and shifts, each 32 bits."""
    words = [word for row in block for word in row]
    bits = sum((word & 0xFFFFFFFF) << 32 * n for n, word in enumerate(words))
    mask = (1 << config.bus_bits) - 1
    return [bits >> config.bus_bits * n & mask for n in range(config.param_block_beats)]


def pack(words, bits):
    return sum((word & (1 << bits) - 1) << bits * c for c, word in enumerate(words))


def random_block(config, rng):
    channels = range(config.out_channels)
    return [
        [rng.getrandbits(32) for _ in channels],
        [rng.getrandbits(31) for _ in channels],
        [rng.randint(-31, 7) for _ in channels],
    ]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("config", [PRESETS["tiny"], ODD, WIDE], ids=lambda c: c.name)
def test_sets_in_turn(config, backend):
    """Every sum sees its own set, while the other one is loaded and the memory is filled."""
    seed = 70 + config.bus_words
    rng = random.Random(seed)
    dut = ParamSets(config)
    assert dut.load_cycles == config.param_block_beats + 2
    depth, beats = config.param_depth, config.param_block_beats
    memory = {}
    sets = [None, None]
    vectors, expected = [], []

    def clock(select, *, loading=0, **inputs):
        """One clock in which a sum takes its parameters from a set, or from none (None)."""
        vectors.append(dict(w_en=0, load=0, load_set=rng.randrange(2), select=select or 0) | inputs)
        expected.append((loading, None if select is None else sets[select]))

    def fill(number, select, loading=()):
        """Write a block, beat by beat in any order, at any pace."""
        memory[number] = random_block(config, rng)
        for n, data in rng.sample(list(enumerate(beats_of(config, memory[number]))), beats):
            while rng.random() < 0.2:
                clock(select)
            clock(select, w_en=1, w_addr=number * beats + n, w_data=data)

    for number in range(depth):
        fill(number, None)
    for _ in range(40):
        target = rng.randrange(2)
        other = 1 - target if sets[1 - target] is not None else None
        # The set that is loaded next is not at work any more when its first beat comes.
        for _ in range(rng.choice([0, 0, 1, 5])):
            clock(rng.choice([k for k in (0, 1) if sets[k] is not None] or [None]))
        number = rng.randrange(depth)
        clock(other, load=1, load_set=target, load_block=number)
        sets[target] = None
        spare = (number + 1) % depth
        memory[spare] = random_block(config, rng)
        new = beats_of(config, memory[spare])
        for n in range(dut.load_cycles - 1):
            write = dict(w_en=1, w_addr=spare * beats + n, w_data=new[n]) if n < beats else {}
            # The block asked for, and no other one, whatever these say now.
            clock(other, loading=1, load_block=rng.randrange(depth), **write)
        sets[target] = memory[number]
        clock(target)  # complete: it can be selected at once
    results = run_vectors(dut, vectors, ["bias", "shift", "mult", "loading"], backend=backend)
    for n, ((loading, block), got) in enumerate(zip(expected, results, strict=True)):
        assert got["loading"] == loading, f"seed {seed} clock {n}"
        if block is not None:
            assert got["bias"] == pack(block[0], 32), f"seed {seed} clock {n}"
            assert got["shift"] == pack(block[2], 7), f"seed {seed} clock {n}"
            assert got["mult"] == pack(block[1], 32), f"seed {seed} clock {n}"


@pytest.mark.parametrize("backend", BACKENDS)
def test_neighbouring_sums_of_both_sets(backend):
    """The set changes with every sum."""
    seed = 5
    rng = random.Random(seed)
    config = PRESETS["tiny"]
    dut = ParamSets(config)
    blocks = [random_block(config, rng) for _ in range(2)]
    vectors = []
    for number, block in enumerate(blocks):
        for n, data in enumerate(beats_of(config, block)):
            addr = number * config.param_block_beats + n
            vectors.append(dict(w_en=1, w_addr=addr, w_data=data, load=0))
    for number in range(2):
        vectors.append(dict(w_en=0, load=1, load_block=number, load_set=number))
        vectors += [dict(load=0)] * (dut.load_cycles - 1)
    start = len(vectors)
    chosen = [0, 1, 0, 0, 1, 1] + [rng.randrange(2) for _ in range(40)]
    vectors += [dict(select=select) for select in chosen]
    results = run_vectors(dut, vectors, ["bias", "shift", "mult"], backend=backend)[start:]
    for n, select in enumerate(chosen):
        assert results[n]["bias"] == pack(blocks[select][0], 32), f"sum {n}"
        assert results[n]["shift"] == pack(blocks[select][2], 7), f"sum {n}"
        assert results[n]["mult"] == pack(blocks[select][1], 32), f"sum {n}"
