"""Who wrote an activation, against a table of every pixel; and whose bytes it was before."""

import numpy as np
import pytest

from skimp.configs import PRESETS
from skimp.isa import Opcode
from skimp_compiler.emitter import Emitter
from skimp_compiler.region import Region

BLOCKS, PIXELS = 4, 15


def region(**options) -> Region:
    return Region(num_blocks=BLOCKS, **options)


def random_part(rng):
    block0, first = int(rng.integers(BLOCKS)), int(rng.integers(PIXELS))
    num_blocks = int(rng.integers(1, BLOCKS - block0 + 1))
    return block0, num_blocks, first, int(rng.integers(first + 1, PIXELS + 1))


@pytest.mark.parametrize("seed", range(10))
def test_writers_are_the_last_stores(seed):
    """The latest store that touches a block's pixels: those before it are over with it."""
    rng = np.random.default_rng(seed)
    emitter, made = Emitter(PRESETS["tiny"]), region()
    stores = []
    for _ in range(40):
        part = random_part(rng)
        if rng.random() < 0.6:
            stores.append((emitter.add(Opcode.STORE, stores=(made, *part)), part))
        block0, num_blocks, first, behind = random_part(rng)
        wanted = set()
        for block in range(block0, block0 + num_blocks):
            touching = [
                command
                for command, (b, n, low, high) in stores
                if b <= block < b + n and low < behind and first < high
            ]
            wanted |= set(touching[-1:])
        found = made.writers(block0, num_blocks, first, behind)
        assert len(found) == len(set(found))
        assert set(found) == wanted, f"seed {seed}"


def test_blocks_beyond_the_last_are_nobody_s():
    """A drained pixel may hold more channel blocks than the tensor has left."""
    emitter, made = Emitter(PRESETS["tiny"]), region()
    store = emitter.add(Opcode.STORE, stores=(made, 3, 2, 0, PIXELS))
    assert made.writers(3, 2, 0, 1) == [store]
    assert made.writers(2, 1, 0, PIXELS) == []


def test_stores_wait_until_what_lay_there_is_read():
    emitter = Emitter(PRESETS["tiny"])
    old = region()
    emitter.add(Opcode.LOAD_IFMAP, writes=[("ifmap", 0, 1)], loads=(old, 0, 1, 0, 1))
    new = region(older=[old])
    # Nothing here depends on the load: the store could come first.
    with pytest.raises(AssertionError, match="overwritten while it is still read"):
        emitter.add(Opcode.STORE, stores=(new, 0, 1, 0, 1))
    # What is computed from it is behind it.
    emitter.add(Opcode.CONV, reads=[("ifmap", 0, 1)], writes=[("psum", 0, 1)])
    emitter.add(Opcode.DRAIN, reads=[("psum", 0, 1)], writes=[("ofmap", 0, 1)])
    emitter.add(Opcode.STORE, reads=[("ofmap", 0, 1)], stores=(new, 0, 1, 0, 1))


def test_loads_of_another_step_are_over():
    before = Emitter(PRESETS["tiny"])
    old = region()
    before.add(Opcode.LOAD_IFMAP, loads=(old, 0, 1, 0, 1))
    new = region(older=[old])
    Emitter(PRESETS["tiny"]).add(Opcode.STORE, stores=(new, 0, 1, 0, 1))


def test_an_activation_that_nobody_read_is_no_hindrance():
    emitter = Emitter(PRESETS["tiny"])
    emitter.add(Opcode.STORE, stores=(region(older=[region()]), 0, 1, 0, 1))
