"""Loads of constants moved forward: never too far, never too late, weights ahead."""

import numpy as np
import pytest

from skimp.isa import CHIP_BASE, LoadTarget, Opcode
from skimp_compiler import prefetch
from skimp_compiler.emitter import Command


def prefetched(commands, *, bus_words=1, queue_depth=16):
    return prefetch.prefetched(commands, bus_words=bus_words, queue_depth=queue_depth)


OTHERS = (LoadTarget.PARAM, LoadTarget.DW_WGT, LoadTarget.TABLE)


def load(target=LoadTarget.WGT, *, beats=10, when=0, needed=()):
    fields = {"target": target, "num_beats": beats}
    return Command(Opcode.LOAD_LINEAR, fields, None, when=when, needed=list(needed))


def other(opcode=Opcode.CONV, *, when=0, needed=(), **fields):
    return Command(opcode, fields, None, when=when, needed=list(needed))


def ifmap(words, *, when=0, dram_addr=0):
    return other(
        Opcode.LOAD_IFMAP, when=when, dram_addr=dram_addr, dma_blocks=1, seg_count=1,
        seg_words=words,
    )  # fmt: skip


def queue_of(command):
    """Commands of the same kind keep their order."""
    if command.opcode is not Opcode.LOAD_LINEAR:
        return "rest"
    return "weights" if command.fields["target"] is LoadTarget.WGT else "others"


def random_commands(rng, length):
    """Commands that need earlier ones of other kinds, as the emitter finds them."""
    commands, when = [], 0
    for _ in range(length):
        when += int(rng.exponential(200)) * bool(rng.integers(2))
        # Drains held back are emitted late: clocks go back now and then.
        now = max(0, when - int(rng.integers(0, 300)) * (rng.random() < 0.2))
        kind = rng.integers(4)
        if kind == 0:
            command = load(beats=int(rng.integers(1, 400)), when=now)
        elif kind == 1:
            command = load(OTHERS[rng.integers(3)], beats=int(rng.integers(1, 60)), when=now)
        elif kind == 2:
            base = CHIP_BASE if rng.integers(2) else 0
            command = ifmap(int(rng.integers(0, 2000)), when=now, dram_addr=base)
        else:
            command = other(when=now)
        candidates = [c for c in commands if queue_of(c) != queue_of(command)]
        for _ in range(int(rng.integers(0, 3))):
            if candidates:
                command.needed.append(candidates[rng.integers(len(candidates))])
        commands.append(command)
    return commands


@pytest.mark.parametrize("seed", range(30))
def test_order_and_constraints_are_kept(seed):
    rng = np.random.default_rng(seed)
    commands = random_commands(rng, int(rng.integers(1, 200)))
    bus_words, queue_depth = rng.choice([1, 2, 4]), rng.choice([2, 4, 16, 64])
    result = prefetched(commands, bus_words=int(bus_words), queue_depth=int(queue_depth))
    assert sorted(map(id, result)) == sorted(map(id, commands)), "every command once"
    place = {id(command): n for n, command in enumerate(result)}
    for kind in ("rest", "weights", "others"):
        before = [c for c in commands if queue_of(c) == kind]
        assert [c for c in result if queue_of(c) == kind] == before, f"seed {seed}: {kind}"
    for command in commands:
        for needed in command.needed:
            assert place[id(needed)] < place[id(command)], f"seed {seed}"
    # No later than they were: what needs them, or comes behind them in memory, is still behind.
    for n, command in enumerate(commands):
        if command.opcode is Opcode.LOAD_LINEAR:
            assert all(place[id(command)] < place[id(later)] for later in commands[n + 1 :]
                       if queue_of(later) == "rest"), f"seed {seed}"  # fmt: skip


@pytest.mark.parametrize(("queue_depth", "ahead"), [(4, 3), (16, 3), (32, 6)])
def test_weights_go_as_far_ahead_as_the_queue_takes(queue_depth, ahead):
    first, *rest = [other() for _ in range(4)]
    weights = [load() for _ in range(8)]
    result = prefetched([first, *rest, *weights], queue_depth=queue_depth)
    assert result[: ahead + 1] == [*weights[:ahead], first]
    # Time passes: the next ones follow, before they are due.
    late = [other(when=clock) for clock in (0, 5000, 10_000)]
    result = prefetched([*late, *weights], queue_depth=queue_depth)
    assert result == [
        *weights[:ahead], late[0], *weights[ahead : 2 * ahead], late[1], *weights[2 * ahead :],
        late[2],
    ]  # fmt: skip


def test_weights_stay_behind_what_they_overwrite():
    reader, between = other(), other()
    weights = load(needed=[reader])
    assert prefetched([reader, between, weights]) == [reader, weights, between]


def test_weights_behind_weights_that_must_wait():
    """They stay in order, so that the ring of the memory goes round."""
    reader, between = other(), other()
    first, second = load(needed=[between]), load()
    assert prefetched([reader, between, first, second]) == [reader, between, first, second]


def test_others_come_some_clocks_before_their_use():
    ahead = prefetch._AHEAD_CYCLES
    early, middle, late = other(when=0), other(when=1000), other(when=2000)
    params = load(LoadTarget.PARAM, when=ahead + 1000)
    user = other(Opcode.DRAIN, when=ahead + 1000, needed=[params])
    result = prefetched([early, middle, late, params, user])
    assert result == [early, params, middle, late, user]


def test_a_map_from_dram_holds_weights_up():
    """DRAM is busy; a map on the chip leaves it free."""
    before, behind = other(), other(when=5000)
    weights = [load(beats=1) for _ in range(6)]

    def ahead(dram_addr):
        """Loads of weights in front of the last command before they are due."""
        commands = [before, ifmap(100_000, dram_addr=dram_addr), behind, *weights]
        return prefetched(commands).index(behind) - 2

    assert ahead(CHIP_BASE) == len(weights) > ahead(0) >= 3


def test_while_maps_come_from_dram_weights_wait_for_their_turn():
    """They are not urgent, and would hold the map up; behind the last map they go ahead."""
    late = 2 * prefetch._AHEAD_CYCLES
    picture = ifmap(100, when=0)
    weights = load(when=late)
    first, middle, user = other(), other(when=late - prefetch._AHEAD_CYCLES), other(when=late)
    rows = ifmap(100, when=late)
    result = prefetched([first, picture, middle, rows, weights, user])
    assert result == [first, picture, weights, middle, rows, user]
    result = prefetched([first, picture, middle, weights, user])
    assert result == [first, picture, weights, middle, user]
    soon = other(when=late - 2 * prefetch._AHEAD_CYCLES + 1)
    result = prefetched([first, picture, soon, rows, weights, user])
    assert result == [first, picture, soon, weights, rows, user]


def test_maps_of_padding_alone_need_no_dram():
    padding = other(Opcode.LOAD_IFMAP)
    assert prefetched([padding]) == [padding]


def test_nothing():
    assert prefetched([]) == []
