"""The emitter's order: waits follow from what commands touch, none too few and none too many."""

from itertools import pairwise

import numpy as np
import pytest
from schedule import edges, run_schedule

from skimp.configs import PRESETS
from skimp.isa import (
    CHANNELS,
    CHIP_BASE,
    COMMAND_BYTES,
    COMMANDS,
    MAX_COUNT,
    Opcode,
    Semaphore,
    Unit,
    parse,
)
from skimp_compiler import emitter as emitter_module
from skimp_compiler.emitter import ACTIVATION_BASE, Emitter, Ring
from skimp_compiler.region import Region

CONFIG = PRESETS["tiny"]
LOAD, WGT, CONV, DRAIN, STORE = (
    Opcode.LOAD_IFMAP, Opcode.LOAD_LINEAR, Opcode.CONV, Opcode.DRAIN, Opcode.STORE,
)  # fmt: skip


def parsed(data: bytes):
    return [parse(data[at : at + COMMAND_BYTES]) for at in range(0, len(data), COMMAND_BYTES)]


def finished(emitter: Emitter, activation_addr: int = 0):
    """Return (opcode, fields) of everything from CHECK to END."""
    return parsed(emitter.finish(activation_addr=activation_addr)[: -Emitter.TAIL_BYTES])


def region(**options) -> Region:
    return Region(**(dict(num_blocks=2) | options))


def test_check_first_end_last_zeros_behind():
    emitter = Emitter(CONFIG)
    emitter.end_layer(7, 0x40)
    size = emitter.size_bytes
    data = emitter.finish(activation_addr=0)
    assert len(data) == size
    assert not any(data[-Emitter.TAIL_BYTES :])
    stream = parsed(data[: -Emitter.TAIL_BYTES])
    assert [opcode for opcode, _ in stream] == [Opcode.CHECK, Opcode.LAYER, Opcode.END]
    assert stream[0][1]["hash"] == CONFIG.hash
    assert (stream[1][1]["layer_id"], stream[1][1]["dram_addr"]) == (7, 0x40)


def test_wait_that_nothing_posts_is_refused():
    emitter = Emitter(CONFIG)
    emitter.add(DRAIN).wait.add(Semaphore.PSUM_FULL)
    with pytest.raises(AssertionError, match="1 DRAIN waits for PSUM_FULL for ever"):
        emitter.finish(activation_addr=0)


def test_counter_that_overflows_is_refused():
    emitter = Emitter(CONFIG)
    for _ in range(MAX_COUNT + 1):
        emitter.add(STORE).post.add(Semaphore.OFMAP_FREE)
    with pytest.raises(AssertionError, match="OFMAP_FREE overflows"):
        emitter.finish(activation_addr=0)


def test_activations_move_behind_the_constants():
    emitter = Emitter(CONFIG)
    emitter.add(WGT, dram_addr=0x40)
    emitter.add(STORE, dram_addr=ACTIVATION_BASE + 0x80)
    emitter.add(LOAD, dram_addr=CHIP_BASE + 0x100)
    stream = finished(emitter, 0x1000)
    addresses = [fields["dram_addr"] for _, fields in stream[1:4]]
    assert addresses == [0x40, 0x1080, CHIP_BASE + 0x100]


# Order from accesses


def test_read_waits_for_the_write_and_write_for_the_reads():
    emitter = Emitter(CONFIG)
    words = [("ifmap", 4, 9)]
    first = emitter.add(LOAD, writes=words)
    early, late = emitter.add(CONV, reads=words), emitter.add(CONV, reads=words)
    again = emitter.add(LOAD, writes=words)
    assert (first.wait, first.post) == (set(), {Semaphore.IFMAP_FULL})
    assert (early.wait, early.post) == ({Semaphore.IFMAP_FULL}, set())
    assert (late.wait, late.post) == (set(), {Semaphore.IFMAP_FREE})
    assert (again.wait, again.post) == ({Semaphore.IFMAP_FREE}, set())
    finished(emitter)


@pytest.mark.parametrize(("low", "high", "waits"), [(0, 4, 0), (3, 5, 1), (8, 9, 1), (9, 12, 0)])
def test_only_words_that_overlap_matter(low, high, waits):
    emitter = Emitter(CONFIG)
    emitter.add(LOAD, writes=[("ifmap", 4, 9)])
    emitter.add(WGT, writes=[("param", low, high)])
    assert len(emitter.add(CONV, reads=[("ifmap", low, high)]).wait) == waits
    # The same numbers of another memory are other words.
    assert len(emitter.add(DRAIN, reads=[("param", low, high)]).wait) == 1


def test_two_readers_do_not_wait_for_each_other():
    emitter = Emitter(CONFIG)
    emitter.add(CONV, reads=[("psum", 0, 9)])
    assert not emitter.add(DRAIN, reads=[("psum", 0, 9)]).wait


def test_partly_overwritten_words_are_still_known():
    emitter = Emitter(CONFIG)
    emitter.add(CONV, reads=[("ifmap", 0, 10)])
    middle = emitter.add(LOAD, writes=[("ifmap", 4, 6)])
    assert middle.wait == {Semaphore.IFMAP_FREE}
    emitter.add(CONV, reads=[("ifmap", 20, 30)])
    # Behind the first CONV already, not behind the second.
    assert not emitter.add(LOAD, writes=[("ifmap", 0, 10)]).wait
    assert emitter.add(LOAD, writes=[("ifmap", 29, 31)]).wait == {Semaphore.IFMAP_FREE}


def test_order_through_another_unit_needs_no_semaphore():
    """Load, compute, drain: a drain that waits for compute is behind the load as well."""
    emitter = Emitter(CONFIG)
    emitter.add(LOAD, writes=[("ifmap", 0, 1), ("residual", 0, 1)])
    emitter.add(CONV, reads=[("ifmap", 0, 1)], writes=[("psum", 0, 1)])
    drain = emitter.add(DRAIN, reads=[("psum", 0, 1), ("residual", 0, 1)])
    assert drain.wait == {Semaphore.PSUM_FULL}
    again = emitter.add(LOAD, writes=[("ifmap", 0, 1), ("residual", 0, 1)])
    assert again.wait == {Semaphore.RESIDUAL_FREE}, "behind the drain, so behind compute"
    finished(emitter)


def test_units_without_a_channel_are_refused():
    emitter = Emitter(CONFIG)
    emitter.add(STORE, writes=[("ifmap", 0, 1)])
    with pytest.raises(AssertionError, match="LOAD_IFMAP cannot wait for STORE"):
        emitter.add(LOAD, writes=[("ifmap", 0, 1)])


def test_loads_wait_for_what_is_stored_not_for_the_store():
    emitter = Emitter(CONFIG)
    made = region()
    ofmap = [("ofmap", 0, 1)]
    emitter.add(DRAIN, writes=ofmap)
    store = emitter.add(STORE, reads=ofmap, stores=(made, 0, 2, 0, 20))
    load = emitter.add(LOAD, loads=(made, 0, 1, 0, 5))
    assert (load.wait, store.post) == ({Semaphore.STORED}, {Semaphore.STORED})
    assert emitter.add(DRAIN, writes=ofmap).wait == {Semaphore.OFMAP_FREE}
    assert store.post == {Semaphore.STORED, Semaphore.OFMAP_FREE}
    assert not emitter.add(LOAD, loads=(made, 1, 1, 0, 20)).wait, "the same store"
    finished(emitter)


def test_stored_in_another_step_is_there():
    before, emitter = Emitter(CONFIG), Emitter(CONFIG)
    made = region()
    before.add(STORE, stores=(made, 0, 2, 0, 20))
    assert not emitter.add(LOAD, loads=(made, 0, 2, 0, 20)).wait
    finished(before)


# Any list of commands: the semaphores are just enough, and every timing finishes

UNITS = {
    LOAD: (["ifmap", "residual"], []),
    WGT: (["wgt", "param"], []),
    CONV: (["psum"], ["ifmap", "wgt"]),
    DRAIN: (["ofmap"], ["psum", "param", "residual"]),
    STORE: ([], ["ofmap"]),
}
"""What commands write and read."""


def random_emitter(rng, length: int):
    """Commands with random accesses; return the emitter, and every access by command number."""
    emitter = Emitter(CONFIG)
    regions = [region(num_blocks=3) for _ in range(2)]
    touched = [None]

    def some(memories):
        for memory in memories:
            if rng.random() < 0.7:
                low = int(rng.integers(0, 8))
                yield memory, low, low + int(rng.integers(1, 5))

    for _ in range(length):
        opcode = list(UNITS)[rng.integers(len(UNITS))]
        writes, reads = (list(some(memories)) for memories in UNITS[opcode])
        part = None
        if opcode in (LOAD, STORE) and rng.random() < 0.8:
            which, block, first = (int(rng.integers(n)) for n in (2, 3, 12))
            many, pixels = int(rng.integers(1, 4 - block)), int(rng.integers(1, 13 - first))
            part = regions[which], block, many, first, first + pixels
        name = {LOAD: "loads", STORE: "stores"}.get(opcode)
        emitter.add(opcode, reads=reads, writes=writes, **({name: part} if part else {}))
        touched.append((reads, writes, part))
    return emitter, touched


def behind(stream, found):
    """Return, per command and per what it stores, the set of commands that are over before it."""
    over, stored = [], {}
    last, last_store = {}, None
    takes = {}
    for poster, taker, semaphore in found:
        takes.setdefault(taker, []).append((poster, semaphore))
    for n, (opcode, _) in enumerate(stream):
        unit = COMMANDS[opcode].unit
        before = set() if unit not in last else over[last[unit]] | {last[unit]}
        for poster, semaphore in takes.get(n, ()):
            if semaphore is Semaphore.STORED:
                before |= stored[poster] | {("memory", poster)}
            else:
                before |= over[poster] | {poster}
        over.append(before)
        last[unit] = n
        if unit is Unit.STORE:
            stored[n] = before | {n}
            if last_store is not None:
                stored[n] |= stored[last_store] | {("memory", last_store)}
            last_store = n
    return over


def conflicts(stream, touched):
    """Yield (earlier, later) of commands that must not change places, pair by pair."""
    for later in range(1, len(touched)):
        reads, writes, part = touched[later]
        for earlier in range(1, later):
            before_reads, before_writes, stored = touched[earlier]
            if COMMANDS[stream[later][0]].unit is COMMANDS[stream[earlier][0]].unit:
                continue
            pairs = [(a, b) for a in writes for b in before_reads + before_writes]
            pairs += [(a, b) for a in reads for b in before_writes]
            if any(a[0] == b[0] and a[1] < b[2] and b[1] < a[2] for a, b in pairs):
                yield earlier, later
            if part and stored and stream[later][0] is LOAD and stream[earlier][0] is STORE:
                here, b0, num, first, end = part
                there, c0, many, start, stop = stored
                blocks = b0 < c0 + many and c0 < b0 + num
                if here is there and blocks and first < stop and start < end:
                    yield ("memory", earlier), later


@pytest.mark.parametrize("seed", range(20))
def test_every_conflict_is_ordered_and_no_semaphore_is_idle(seed):
    rng = np.random.default_rng(seed)
    emitter, touched = random_emitter(rng, 60)
    stream = finished(emitter)
    found = edges(stream)
    over = behind(stream, found)
    wanted = list(conflicts(stream, touched))
    assert wanted
    for earlier, later in wanted:
        assert earlier in over[later], f"seed {seed}: {later} does not wait for {earlier}"
    for poster, taker, semaphore in found:
        source = Unit.MEMORY if semaphore is Semaphore.STORED else COMMANDS[stream[poster][0]].unit
        assert CHANNELS[source, COMMANDS[stream[taker][0]].unit] is semaphore
        rest = behind(stream, [edge for edge in found if edge != (poster, taker, semaphore)])
        missing = [pair for pair in wanted if pair[0] not in rest[pair[1]]]
        assert missing, f"seed {seed}: {taker} waits for {poster}, but nothing needs it"
    for depth in (1, 2, 5):
        run_schedule(stream, queue_depth=depth, rng=rng)


def test_the_judge_sees_a_missing_order(monkeypatch):
    """Without conflicts between a read and a later write, the test above must fail."""

    def forgetful(self, memory, low, high, unit, writing):
        return [] if writing else conflicts_of(self, memory, low, high, unit, writing)

    conflicts_of = Emitter._conflicts
    monkeypatch.setattr(emitter_module.Emitter, "_conflicts", forgetful)
    with pytest.raises(AssertionError, match="does not wait for"):
        test_every_conflict_is_ordered_and_no_semaphore_is_idle(1)


def test_schedule_finds_a_deadlock():
    """The judge of other tests: a load in the wrong place blocks a queue of two."""
    wait = 1 << Semaphore.IFMAP_FREE
    load = LOAD, {"wait": wait, "post": 0}
    conv = CONV, {"wait": 0, "post": wait}
    rng = np.random.default_rng(0)
    run_schedule([conv, load, conv, load], queue_depth=2, rng=rng)
    with pytest.raises(AssertionError, match="nothing can proceed"):
        run_schedule([load, load, load, conv, conv, conv], queue_depth=2, rng=rng)
    with pytest.raises(AssertionError, match="posts that nobody takes"):
        run_schedule([conv], queue_depth=2, rng=rng)


# Rings


@pytest.mark.parametrize(("size", "align"), [(10, 1), (64, 4), (17, 4), (2, 1)])
def test_ring_hands_out_places_in_turn(size, align):
    rng = np.random.default_rng(size)
    ring = Ring(size, align=align)
    places = []
    for _ in range(200):
        words = int(rng.integers(1, size + 1))
        start = ring.place(words)
        assert start % align == 0 and start >= 0 and start + words <= size
        places.append((start, words))
    assert places[0][0] == 0
    for (start, words), (following, more) in pairwise(places):
        behind = -(-(start + words) // align) * align
        assert following == (behind if behind + more <= size else 0)


def test_ring_refuses_what_it_cannot_hold():
    with pytest.raises(AssertionError, match="11 words in a memory of 10"):
        Ring(10).place(11)
