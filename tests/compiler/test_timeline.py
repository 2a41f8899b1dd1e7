"""Estimated clocks of units, slots and drains."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest

from skimp.configs import PRESETS
from skimp.isa import Unit
from skimp_compiler.timeline import AHEAD_CYCLES, LATENCY_CYCLES, START_CYCLES, Timeline

TWO = replace(PRESETS["small"], psum_slots=2, dw_psum_slots=3)


def computed(timeline, unit, cycles, *, ready=0, load_cycles=0) -> float:
    """Emit a task; return the clock in which it is computed."""
    timeline.work(unit, ready, load_cycles, cycles)
    return timeline.free[unit]


def test_a_task_begins_when_its_data_and_the_load_unit_are_there():
    timeline = Timeline(TWO)
    assert timeline.begin(Unit.ARRAY, 0) == 0
    assert timeline.begin(Unit.ARRAY, 130) == 130
    # The load comes first.
    end = computed(timeline, Unit.ARRAY, 100, ready=130, load_cycles=50)
    assert (timeline.now, end) == (130, 130 + 50 + START_CYCLES + 100)
    assert timeline.begin(Unit.DEPTHWISE, 0) == 180, "the load unit is busy"
    # What is there already needs no load.
    assert computed(timeline, Unit.DEPTHWISE, 10) == 10


def test_loads_come_no_more_than_some_clocks_ahead():
    timeline = Timeline(TWO)
    computed(timeline, Unit.ARRAY, 10_000)
    assert timeline.begin(Unit.ARRAY, 0) == 10_000 - AHEAD_CYCLES
    assert timeline.begin(Unit.ARRAY, 9_999) == 9_999
    assert timeline.begin(Unit.DEPTHWISE, 0) == 0
    assert computed(timeline, Unit.ARRAY, 5, load_cycles=7) == 10_005, "loaded by then"


def test_without_a_free_slot_nothing_begins():
    timeline = Timeline(TWO)
    for _ in range(2):
        computed(timeline, Unit.ARRAY, 10)
        timeline.hold(Unit.ARRAY, lambda take: take(1))
    # Nobody knows yet when they are drained.
    assert timeline.begin(Unit.ARRAY, 0) == inf
    assert timeline.begin(Unit.DEPTHWISE, 0) == 0
    timeline.release()
    assert timeline.begin(Unit.ARRAY, 0) < inf


def test_a_slot_is_free_when_it_is_drained():
    timeline = Timeline(TWO)
    there = []
    for cycles in (100, 50):
        computed(timeline, Unit.ARRAY, cycles)
        timeline.hold(Unit.ARRAY, lambda take: there.append(take(70)))
    assert timeline.next_held == 100
    timeline.release()
    assert (timeline.now, timeline.next_held) == (100, 150)
    assert there == [170 + LATENCY_CYCLES]
    # The drain is busy until 170: the second tile, complete at 150, waits.
    timeline.release()
    assert there[1] == 240 + LATENCY_CYCLES
    assert computed(timeline, Unit.ARRAY, 10) == 180
    assert computed(timeline, Unit.ARRAY, 10) == 250
    assert timeline.next_held == inf


def test_two_rows_of_a_tile_free_their_slot_together():
    timeline = Timeline(replace(TWO, dw_psum_slots=2))
    for _ in range(2):
        computed(timeline, Unit.DEPTHWISE, 20)
        for _ in range(2):
            timeline.hold(Unit.DEPTHWISE, lambda take: take(30))
    timeline.release()
    assert timeline.begin(Unit.DEPTHWISE, 0) == inf, "one of two rows"
    timeline.release()
    assert computed(timeline, Unit.DEPTHWISE, 1) == 81


@pytest.mark.parametrize("seed", range(5))
def test_tiles_of_both_units_are_drained_in_the_order_in_which_they_are_complete(seed):
    rng = np.random.default_rng(seed)
    timeline = Timeline(replace(PRESETS["small"], psum_slots=4, dw_psum_slots=4))
    drained = []
    held = 0
    for number in range(100):
        unit = (Unit.ARRAY, Unit.DEPTHWISE)[rng.integers(2)]
        while timeline.begin(unit, 0) == inf:
            timeline.release()
        before = timeline.next_held
        ready, load_cycles, cycles = (int(n) for n in rng.integers((0, 0, 1), (30, 60, 90)))
        end = computed(timeline, unit, cycles, ready=ready, load_cycles=load_cycles)

        def drain(take, end=end, number=number):
            drained.append((end, number, take(int(rng.integers(1, 60)))))

        timeline.hold(unit, drain)
        held += 1
        assert timeline.next_held == min(before, end)
        if rng.random() < 0.2:
            clock = timeline.next_held + int(rng.integers(0, 50))
            timeline.release_until(clock)
            assert timeline.next_held > clock
    timeline.release_until(inf)
    assert len(drained) == held
    assert sorted(number for _, number, _ in drained) == list(range(held))
    there = [clock for _, _, clock in drained]
    assert there == sorted(there), f"seed {seed}: one drain behind the other"
    for end, _, clock in drained:
        assert clock > end + LATENCY_CYCLES
