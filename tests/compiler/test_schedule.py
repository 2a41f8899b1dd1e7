"""Layers side by side: tiles when their inputs are there, memory while it is kept, the end."""

import numpy as np
import pytest

from skimp.configs import PRESETS
from skimp.isa import Unit
from skimp_compiler.emitter import Emitter
from skimp_compiler.region import Region
from skimp_compiler.schedule import LayerWork, Schedule, Task


class Bench:
    """Made-up layers: what they do, in order, is in `log` as (layer, tile) or (layer, "end")."""

    def __init__(self):
        self.emitter = Emitter(PRESETS["small"])
        self.schedule = Schedule(self.emitter)
        self.log = []

    def begin(self, number, unit, tasks):
        """tasks: Task and what is emitted for it."""

        def steps():
            for tile, (task, emit) in enumerate(tasks):
                yield task
                self.log.append((number, tile))
                emit()

        def on_end():
            self.log.append((number, "end"))

        work = LayerWork(unit=unit, tasks=steps(), op_index=number, on_end=on_end)
        self.schedule.begin(work)
        return work

    def drain(self, unit, region, tile, clocks=10):
        """Drain a tile of one pixel."""
        self.emitter.timeline.hold(unit, lambda take: region.filled(take(clocks), 0, 1, [tile]))


def region(pixels):
    made = Region(num_blocks=1)
    made.expect(pixels)
    return made


def part(made, first, behind):
    return made, 0, 1, first, behind


def test_a_tile_waits_for_what_it_reads_and_the_later_layer_goes_first():
    bench = Bench()
    first, last = region(3), region(3)
    bench.begin(0, Unit.ARRAY, [
        (Task(cycles=1000), lambda n=n: bench.drain(Unit.ARRAY, first, n)) for n in range(3)
    ])  # fmt: skip
    bench.begin(1, Unit.ARRAY, [
        (
            Task(cycles=10, needs=(part(first, n, n + 1),)),
            lambda n=n: bench.drain(Unit.ARRAY, last, n),
        )
        for n in range(3)
    ])  # fmt: skip
    bench.schedule.finish()
    # Tile n of the second layer is there when the unit has done tile n + 1 of the first.
    order = [(0, 0), (0, 1), (1, 0), (0, 2), (0, "end"), (1, 1), (1, 2), (1, "end")]
    assert bench.log == order
    assert not bench.schedule.active


def test_both_units_work_at_once():
    bench = Bench()
    made = region(4)
    work = [(Task(cycles=100), lambda n=n: bench.drain(Unit.ARRAY, made, n)) for n in range(4)]
    bench.begin(0, Unit.ARRAY, work)
    other = [
        (
            Task(cycles=100, needs=(part(made, n, n + 1),)),
            lambda: bench.drain(Unit.DEPTHWISE, region(1), 0),
        )
        for n in range(4)
    ]
    bench.begin(1, Unit.DEPTHWISE, other)
    bench.schedule.finish()
    free = bench.emitter.timeline.free
    assert free[Unit.ARRAY] == 400
    assert free[Unit.DEPTHWISE] < 800, "one tile behind the other"


def test_no_input_needs_nothing():
    bench = Bench()
    bench.begin(0, Unit.ARRAY, [(Task(cycles=1, needs=((), ())), lambda: None)])
    bench.schedule.finish()
    assert bench.log == [(0, 0), (0, "end")]


def test_a_layer_without_tiles_ends_at_once():
    bench = Bench()
    bench.begin(0, Unit.ARRAY, [])
    assert bench.log == [(0, "end")] and not bench.schedule.active


def test_a_tile_waits_for_room():
    """The second layer's words fit only when the first one has given its own back."""
    bench = Bench()
    ring = bench.emitter.rings["wgt"]
    held = []
    size = ring.size

    def take():
        held.append(ring.place(size - 1, keep=True))

    bench.begin(0, Unit.ARRAY, [
        (Task(cycles=10, room=(("wgt", size - 1),)), take),
        (Task(cycles=10), lambda: None),
        (Task(cycles=10), lambda: ring.release(held[0])),
    ])  # fmt: skip
    bench.schedule.step()
    other = bench.begin(1, Unit.DEPTHWISE, [(Task(cycles=10, room=(("wgt", 2),)), lambda: None)])
    bench.schedule.finish_first()
    assert bench.log == [(0, 0), (0, 1), (0, 2), (0, "end")]
    assert bench.schedule.active == [other]
    bench.schedule.finish()
    assert bench.log[4:] == [(1, 0), (1, "end")]


def test_room_that_the_layer_itself_gives_back_first():
    bench = Bench()
    ring = bench.emitter.rings["param"]
    own = ring.place(ring.size, keep=True)

    def take():
        ring.release(own)
        ring.place(ring.size, keep=True)

    bench.begin(0, Unit.ARRAY, [(Task(cycles=1, room=(("param", ring.size, own),)), take)])
    bench.schedule.finish()
    assert bench.log == [(0, 0), (0, "end")]


def test_parts_of_a_tile_are_loaded_as_they_come():
    """An early load takes the load unit's clocks alone, between tiles of the layer before."""
    bench = Bench()
    first, last = region(3), region(1)
    bench.begin(0, Unit.ARRAY, [
        (Task(cycles=500), lambda n=n: bench.drain(Unit.ARRAY, first, n)) for n in range(3)
    ])  # fmt: skip
    free = bench.emitter.timeline.free
    before = []

    def load():
        before.append(dict(free))

    parts = [
        (Task(cycles=0, load_cycles=7, needs=(part(first, n, n + 1),), early=True), load)
        for n in range(2)
    ]
    whole = Task(cycles=10, load_cycles=7, needs=(part(first, 0, 3),))
    bench.begin(1, Unit.ARRAY, [*parts, (whole, lambda: bench.drain(Unit.ARRAY, last, 0))])
    bench.schedule.finish()
    order = [entry for entry in bench.log if entry != (0, "end")]
    assert order == [(0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (1, 2), (1, "end")]
    assert before[1][Unit.LOAD] >= before[0][Unit.LOAD] + 7
    assert free[Unit.ARRAY] >= 1510


def test_parts_leave_room_for_the_layers_before():
    """A place held for channels to come must not stop those who make them."""
    bench = Bench()
    ring = bench.emitter.rings["ifmap"]
    words = ring.size // 2 + 1
    made = region(2)
    places = {}

    def tile(number, pixel):
        places[number] = ring.place(words, keep=True)
        bench.drain(Unit.ARRAY, made, pixel)
        ring.release(places[number])

    room = (("ifmap", words),)
    bench.begin(0, Unit.ARRAY, [
        (Task(cycles=1000, room=room), lambda n=n: tile(0, n)) for n in range(2)
    ])  # fmt: skip
    bench.schedule.active[0].tile_words = words
    early = Task(cycles=0, load_cycles=9, needs=(part(made, 0, 1),), room=room, early=True)
    whole = Task(cycles=9, load_cycles=9, needs=(part(made, 0, 2),))

    def hold():
        places[1] = ring.place(words, keep=True)

    work = bench.begin(1, Unit.ARRAY, [
        (early, hold), (whole, lambda: bench.drain(Unit.ARRAY, region(1), 0)),
    ])  # fmt: skip
    work.tile_words = words
    bench.schedule.finish()
    assert bench.log.index((0, "end")) < bench.log.index((1, 0))


def test_nothing_can_go_on():
    bench = Bench()
    never = region(1)
    bench.begin(0, Unit.ARRAY, [(Task(cycles=1, needs=(part(never, 0, 1),)), lambda: None)])
    with pytest.raises(AssertionError, match="no layer under way can go on"):
        bench.schedule.finish()


def test_the_end_of_a_layer_is_behind_its_drains():
    bench = Bench()
    made = region(1)

    def tile():
        bench.emitter.timeline.hold(Unit.ARRAY, lambda take: bench.log.append("drained"))

    bench.begin(0, Unit.ARRAY, [(Task(cycles=500), tile)])
    bench.schedule.finish()
    assert bench.log == [(0, 0), "drained", (0, "end")]
    assert made.ready(0, 1, 0, 1) == np.inf


@pytest.mark.parametrize("seed", range(20))
def test_random_layers(seed):
    """Every tile once, in its layer's order, behind all that it reads; every layer ends."""
    rng = np.random.default_rng(seed)
    bench = Bench()
    timeline = bench.emitter.timeline
    stored = set()
    regions, sizes = [], []
    for number in range(int(rng.integers(2, 7))):
        unit = (Unit.ARRAY, Unit.DEPTHWISE)[rng.integers(2)]
        pixels = int(rng.integers(1, 30))
        made = region(pixels)
        tasks = []
        cuts = sorted({0, pixels, *(int(n) for n in rng.integers(0, pixels + 1, 5))})
        for first, behind in zip(cuts, cuts[1:]):
            reads, needs = set(), ()
            if regions:
                # A window of the layer before, and now and then something older.
                for source in {number - 1, int(rng.integers(number))}:
                    low = min(first, sizes[source] - 1)
                    high = min(behind + int(rng.integers(0, 4)), sizes[source])
                    needs += ((regions[source], 0, 1, low, max(high, low + 1)),)
                    reads |= {(source, n) for n in range(low, max(high, low + 1))}

            def emit(number=number, made=made, first=first, behind=behind, unit=unit, reads=reads):
                assert reads <= stored, f"seed {seed}: layer {number} reads what nobody stored"

                def drain(take):
                    made.filled(take(behind - first), 0, 1, range(first, behind))
                    stored.update((number, n) for n in range(first, behind))

                timeline.hold(unit, drain)

            tasks.append(
                (
                    Task(
                        cycles=int(rng.integers(1, 200)),
                        load_cycles=int(rng.integers(0, 200)),
                        needs=needs,
                    ),
                    emit,
                )
            )
        regions.append(made)
        sizes.append(pixels)
        bench.begin(number, unit, tasks)
    bench.schedule.finish()
    for number, pixels in enumerate(sizes):
        mine = [tile for layer, tile in bench.log if layer == number]
        assert mine == [*range(len(mine) - 1), "end"], f"seed {seed}"
        assert all((number, n) in stored for n in range(pixels))
