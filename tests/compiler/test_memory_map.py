"""Regions of DRAM and places in the activation store never overlap."""

import numpy as np
import pytest

from skimp_compiler.memory_map import ChipMap, MemoryMap

UNIT = MemoryMap.round_up(1)
"""Regions and places are multiples of this."""


def test_unit_is_whole_beats():
    """The widest beats are eight words of 16 bytes."""
    assert UNIT % 128 == 0
    assert [MemoryMap.round_up(n) for n in (0, 1, UNIT, UNIT + 1)] == [UNIT, UNIT, UNIT, 2 * UNIT]


def test_image_holds_every_constant_at_its_address():
    memory = MemoryMap()
    first = memory.constant(b"abc", "first")
    empty = memory.reserve(100, "room")
    second = memory.constant(np.arange(5, dtype="<i4"), "second")
    assert (first, empty, second, memory.end) == (0, UNIT, 2 * UNIT, 3 * UNIT)
    image = memory.image()
    assert len(image) == second + 20
    assert image[:3] == b"abc" and not any(image[3:second])
    assert np.frombuffer(image[second:], "<i4").tolist() == [0, 1, 2, 3, 4]
    assert [what for _, _, what in memory.regions] == ["first", "room", "second"]


@pytest.mark.parametrize("seed", range(10))
def test_places_on_the_chip(seed):
    """Lowest address with room, highest for small places, against a map of every unit.

    None only where there is no room.
    """
    rng = np.random.default_rng(seed)
    units = int(rng.integers(1, 80))
    # A part of a unit at the end is no room.
    chip = ChipMap(units * UNIT + int(rng.integers(UNIT)))
    used = np.zeros(units, bool)
    held = {}
    refused = 0
    for _ in range(300):
        if held and rng.random() < 0.45:
            address = list(held)[rng.integers(len(held))]
            chip.release(address)
            size = held.pop(address)
            used[address // UNIT : address // UNIT + size] = False
            continue
        size = int(rng.integers(1, UNIT * 12))
        need = -(-size // UNIT)
        room = [UNIT * n for n in range(units - need + 1) if not used[n : n + need].any()]
        small = need * UNIT <= units * UNIT // 10
        wanted = (room[-1] if small else room[0]) if room else None
        address = chip.reserve(size)
        assert address == wanted, f"seed {seed}"
        refused += address is None
        if address is not None:
            held[address] = need
            used[address // UNIT : address // UNIT + need] = True
    assert refused


def test_no_store_has_no_places():
    assert ChipMap(0).reserve(1) is None


def test_a_place_is_given_back_once():
    chip = ChipMap(2 * UNIT)
    address = chip.reserve(10)
    chip.release(address)
    with pytest.raises(KeyError):
        chip.release(address)
