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
    LoadTarget,
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


def constants(emitter: Emitter, memory: str, low: int, high: int, *, dram_addr: int = 0):
    """Add the load of words [low, high) of a memory of constants; return it."""
    return emitter.add(
        WGT, writes=[(memory, low, high)], target=LoadTarget[memory.upper()], beat_addr=low,
        num_beats=high - low, dram_addr=dram_addr,
    )  # fmt: skip


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
    constants(emitter, "param", 0, 1, dram_addr=0x40)
    emitter.add(STORE, dram_addr=ACTIVATION_BASE + 0x80)
    emitter.add(LOAD, dram_addr=CHIP_BASE + 0x100)
    stream = finished(emitter, 0x1000)
    addresses = [fields["dram_addr"] for _, fields in stream[1:4]]
    assert addresses == [0x40, 0x1080, CHIP_BASE + 0x100]


# Order from accesses: semaphores are given in the end


def test_read_waits_for_the_write_and_write_for_the_reads():
    emitter = Emitter(CONFIG)
    words = [("ifmap", 4, 9)]
    first = emitter.add(LOAD, writes=words)
    early, late = emitter.add(CONV, reads=words), emitter.add(CONV, reads=words)
    again = emitter.add(LOAD, writes=words)
    finished(emitter)
    assert (first.wait, first.post) == (set(), {Semaphore.IFMAP_FULL})
    assert (early.wait, early.post) == ({Semaphore.IFMAP_FULL}, set())
    assert (late.wait, late.post) == (set(), {Semaphore.IFMAP_FREE})
    assert (again.wait, again.post) == ({Semaphore.IFMAP_FREE}, set())


@pytest.mark.parametrize(("low", "high", "waits"), [(0, 4, 0), (3, 5, 1), (8, 9, 1), (9, 12, 0)])
def test_only_words_that_overlap_matter(low, high, waits):
    emitter = Emitter(CONFIG)
    emitter.add(LOAD, writes=[("ifmap", 4, 9)])
    constants(emitter, "param", low, high)
    conv = emitter.add(CONV, reads=[("ifmap", low, high)])
    # The same numbers of another memory are other words.
    drain = emitter.add(DRAIN, reads=[("param", low, high)])
    finished(emitter)
    assert (len(conv.wait), len(drain.wait)) == (waits, 1)


def test_two_readers_do_not_wait_for_each_other():
    emitter = Emitter(CONFIG)
    emitter.add(CONV, reads=[("psum", 0, 9)])
    drain = emitter.add(DRAIN, reads=[("psum", 0, 9)])
    finished(emitter)
    assert not drain.wait


def test_partly_overwritten_words_are_still_known():
    emitter = Emitter(CONFIG)
    emitter.add(CONV, reads=[("ifmap", 0, 10)])
    middle = emitter.add(LOAD, writes=[("ifmap", 4, 6)])
    emitter.add(CONV, reads=[("ifmap", 20, 30)])
    around = emitter.add(LOAD, writes=[("ifmap", 0, 10)])
    other = emitter.add(LOAD, writes=[("ifmap", 29, 31)])
    finished(emitter)
    assert middle.wait == {Semaphore.IFMAP_FREE}
    assert not around.wait, "behind the first CONV already, not behind the second"
    assert other.wait == {Semaphore.IFMAP_FREE}


def test_order_through_another_unit_needs_no_semaphore():
    """Load, compute, drain: a drain that waits for compute is behind the load as well."""
    emitter = Emitter(CONFIG)
    emitter.add(LOAD, writes=[("ifmap", 0, 1), ("residual", 0, 1)])
    emitter.add(CONV, reads=[("ifmap", 0, 1)], writes=[("psum", 0, 1)])
    drain = emitter.add(DRAIN, reads=[("psum", 0, 1), ("residual", 0, 1)])
    again = emitter.add(LOAD, writes=[("ifmap", 0, 1), ("residual", 0, 1)])
    finished(emitter)
    assert drain.wait == {Semaphore.PSUM_FULL}
    assert again.wait == {Semaphore.RESIDUAL_FREE}, "behind the drain, so behind compute"


def test_array_and_depthwise_unit_have_memories_of_their_own():
    emitter = Emitter(CONFIG)
    found = {}
    for unit, lead in ((CONV, ""), (Opcode.DEPTHWISE, "dw_")):
        emitter.add(LOAD, writes=[(f"{lead}ifmap", 0, 9)])
        constants(emitter, f"{lead}wgt", 0, 9)
        reads = [(f"{lead}ifmap", 0, 9), (f"{lead}wgt", 0, 9)]
        compute = emitter.add(unit, reads=reads, writes=[(f"{lead}psum", 0, 9)])
        found[lead] = compute, emitter.add(DRAIN, reads=[(f"{lead}psum", 0, 9)])
    finished(emitter)
    assert [c.wait for c in found[""]] == [
        {Semaphore.IFMAP_FULL, Semaphore.WGT_FULL},
        {Semaphore.PSUM_FULL},
    ]
    assert [c.wait for c in found["dw_"]] == [
        {Semaphore.DW_IFMAP_FULL, Semaphore.DW_WGT_FULL},
        {Semaphore.DW_PSUM_FULL},
    ]


def test_units_without_a_channel_are_refused():
    emitter = Emitter(CONFIG)
    emitter.add(STORE, writes=[("ifmap", 0, 1)])
    emitter.add(LOAD, writes=[("ifmap", 0, 1)])
    with pytest.raises(AssertionError, match="LOAD_IFMAP cannot wait for STORE"):
        emitter.finish(activation_addr=0)


def test_loads_wait_for_what_is_stored_not_for_the_store():
    emitter = Emitter(CONFIG)
    made = region()
    ofmap = [("ofmap", 0, 1)]
    emitter.add(DRAIN, writes=ofmap)
    store = emitter.add(STORE, reads=ofmap, stores=(made, 0, 2, 0, 20))
    load = emitter.add(LOAD, loads=(made, 0, 1, 0, 5))
    drain = emitter.add(DRAIN, writes=ofmap)
    other = emitter.add(LOAD, loads=(made, 1, 1, 0, 20))
    finished(emitter)
    assert load.wait == {Semaphore.STORED}
    assert drain.wait == {Semaphore.OFMAP_FREE}
    assert store.post == {Semaphore.STORED, Semaphore.OFMAP_FREE}
    assert not other.wait, "the same store"


def test_stored_in_another_step_is_there():
    before, emitter = Emitter(CONFIG), Emitter(CONFIG)
    made = region()
    before.add(STORE, stores=(made, 0, 2, 0, 20))
    load = emitter.add(LOAD, loads=(made, 0, 2, 0, 20))
    finished(before)
    finished(emitter)
    assert not load.wait


# Any list of commands: the semaphores are just enough, and every timing finishes

UNITS = {
    LOAD: (["ifmap", "dw_ifmap", "residual"], []),
    WGT: (["wgt", "dw_wgt", "param"], []),
    CONV: (["psum"], ["ifmap", "wgt"]),
    Opcode.DEPTHWISE: (["dw_psum"], ["dw_ifmap", "dw_wgt"]),
    DRAIN: (["ofmap"], ["psum", "dw_psum", "param", "residual"]),
    STORE: ([], ["ofmap"]),
}
"""What commands write and read."""


def random_emitter(rng, length: int):
    """Commands with random accesses; return the emitter, and command and accesses of each."""
    emitter = Emitter(CONFIG)
    regions = [region(num_blocks=3) for _ in range(2)]
    added = []

    def words(memory):
        low = int(rng.integers(0, 8))
        return memory, low, low + int(rng.integers(1, 5))

    def some(memories):
        return [words(memory) for memory in memories if rng.random() < 0.7]

    for _ in range(length):
        emitter.timeline.now += int(rng.integers(0, 40))
        opcode = list(UNITS)[rng.integers(len(UNITS))]
        if opcode is WGT:
            access = words(UNITS[WGT][0][rng.integers(3)])
            added.append((constants(emitter, *access), [], [access], None))
            continue
        writes, reads = (some(memories) for memories in UNITS[opcode])
        part = None
        if opcode in (LOAD, STORE) and rng.random() < 0.8:
            which, block, first = (int(rng.integers(n)) for n in (2, 3, 12))
            many, pixels = int(rng.integers(1, 4 - block)), int(rng.integers(1, 13 - first))
            part = regions[which], block, many, first, first + pixels
        name = {LOAD: "loads", STORE: "stores"}.get(opcode)
        fields = {"dma_blocks": 1, "seg_count": 1, "seg_words": 4} if opcode is LOAD else {}
        options = {name: part} if part else {}
        command = emitter.add(opcode, reads=reads, writes=writes, **options, **fields)
        added.append((command, reads, writes, part))
    return emitter, added


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


def conflicts(emitter, added):
    """Yield (earlier, later) of commands that must not change places, by number in the end."""
    numbers = {id(command): n for n, command in enumerate(emitter._commands)}
    for later, (second, reads, writes, part) in enumerate(added):
        for first, before_reads, before_writes, stored in added[:later]:
            pair = numbers[id(first)], numbers[id(second)]
            pairs = [(a, b) for a in writes for b in before_reads + before_writes]
            pairs += [(a, b) for a in reads for b in before_writes]
            if any(a[0] == b[0] and a[1] < b[2] and b[1] < a[2] for a, b in pairs):
                yield pair
            if part and stored and second.opcode is LOAD and first.opcode is STORE:
                here, b0, num, start, end = part
                there, c0, many, low, high = stored
                blocks = b0 < c0 + many and c0 < b0 + num
                if here is there and blocks and start < high and low < end:
                    yield ("memory", pair[0]), pair[1]


@pytest.mark.parametrize("seed", range(20))
def test_every_conflict_is_ordered_and_no_semaphore_is_idle(seed):
    """In the order in which commands were added, wherever loads of constants went."""
    rng = np.random.default_rng(seed)
    emitter, added = random_emitter(rng, 60)
    stream = finished(emitter)
    found = edges(stream)
    over = behind(stream, found)
    wanted = list(conflicts(emitter, added))
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


@pytest.mark.parametrize(("size", "align"), [(10, 1), (64, 8), (17, 4)])
def test_ring_keeps_places_until_they_are_released(size, align):
    """Against a table of all words: nothing is placed on what is kept, and `fits` says so before."""
    rng = np.random.default_rng(size + 1)
    ring, kept, refused = Ring(size, align=align), {}, 0
    for _ in range(600):
        if kept and rng.random() < 0.4:
            start = list(kept)[rng.integers(len(kept))]
            ring.release(start)
            del kept[start]
            continue
        used = np.zeros(size + 1, bool)
        used[size] = True
        for start, words in kept.items():
            used[start : start + words] = True
        words = int(rng.integers(1, size // 2 + 2))
        room = [
            n for n in range(0, size, align) if n + words <= size and not used[n : n + words].any()
        ]
        assert ring.fits(words) == bool(room), (words, kept)
        if not room:
            refused += 1
            with pytest.raises(AssertionError, match=f"{words} words in a memory of {size}"):
                ring.place(words)
            continue
        keep = bool(rng.integers(2))
        start = ring.place(words, keep=keep)
        assert start in room
        if keep:
            kept[start] = words
    assert refused


def test_ring_fits_where_the_own_place_goes_before():
    ring = Ring(10)
    own = ring.place(6, keep=True)
    ring.place(2, keep=True)
    assert not ring.fits(5)
    assert ring.fits(6, own) and not ring.fits(7, own)
    ring.release(own)
    assert ring.place(6, keep=True) == 0
    # What was never kept may be given back.
    ring.release(None)


def test_ring_keeps_nothing_of_no_words():
    ring = Ring(4)
    ring.place(0, keep=True)
    assert ring.fits(4)
