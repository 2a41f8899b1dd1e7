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


def finish(emitter):
    emitter.finish(activation_addr=0)


def test_stores_wait_until_what_lay_there_is_read():
    emitter = Emitter(PRESETS["tiny"])
    old = region()
    load = dict(writes=[("ifmap", 0, 1)], loads=(old, 0, 1, 0, 1))
    emitter.add(Opcode.LOAD_IFMAP, **load)
    new = region(older=[old])
    # Nothing here depends on the load: the store could come first.
    emitter.add(Opcode.STORE, stores=(new, 0, 1, 0, 1))
    with pytest.raises(AssertionError, match="overwritten while it is still read"):
        finish(emitter)
    # What is computed from it is behind it.
    emitter = Emitter(PRESETS["tiny"])
    old = region()
    emitter.add(Opcode.LOAD_IFMAP, **(load | {"loads": (old, 0, 1, 0, 1)}))
    new = region(older=[old])
    emitter.add(Opcode.CONV, reads=[("ifmap", 0, 1)], writes=[("psum", 0, 1)])
    emitter.add(Opcode.DRAIN, reads=[("psum", 0, 1)], writes=[("ofmap", 0, 1)])
    emitter.add(Opcode.STORE, reads=[("ofmap", 0, 1)], stores=(new, 0, 1, 0, 1))
    finish(emitter)


def test_a_drain_may_wait_for_the_loads_of_what_lay_there():
    emitter = Emitter(PRESETS["tiny"])
    old = region()
    emitter.add(Opcode.LOAD_IFMAP, writes=[("ifmap", 0, 1)], loads=(old, 0, 1, 0, 1))
    new = region(older=[old])
    drain = emitter.add(Opcode.DRAIN, writes=[("ofmap", 0, 1)], after=new.older_loads)
    emitter.add(Opcode.STORE, reads=[("ofmap", 0, 1)], stores=(new, 0, 1, 0, 1))
    finish(emitter)
    assert len(drain.wait) == 1


def test_loads_of_another_step_are_over():
    before = Emitter(PRESETS["tiny"])
    old = region()
    before.add(Opcode.LOAD_IFMAP, loads=(old, 0, 1, 0, 1))
    new = region(older=[old])
    emitter = Emitter(PRESETS["tiny"])
    emitter.add(Opcode.STORE, stores=(new, 0, 1, 0, 1))
    finish(emitter)


def test_an_activation_that_nobody_read_is_no_hindrance():
    emitter = Emitter(PRESETS["tiny"])
    emitter.add(Opcode.STORE, stores=(region(older=[region()]), 0, 1, 0, 1))
    finish(emitter)


@pytest.mark.parametrize("seed", range(5))
def test_ready_when_every_pixel_is_filled(seed):
    """Against a table of every pixel of every block: the latest of those asked for."""
    rng = np.random.default_rng(seed)
    made = region()
    made.expect(PIXELS)
    clocks = np.full((BLOCKS, PIXELS), np.inf)
    for clock in range(1, 60):
        block0, num_blocks, first, behind = random_part(rng)
        pixels = np.arange(first, behind)[:: rng.integers(1, 3)]
        made.filled(clock, block0, num_blocks, pixels)
        clocks[block0 : block0 + num_blocks, pixels] = clock
        block0, num_blocks, first, behind = random_part(rng)
        wanted = clocks[block0 : block0 + num_blocks, first:behind].max()
        assert made.ready(block0, num_blocks, first, behind) == wanted, f"seed {seed}"
    assert np.isfinite(clocks).any() and made.ready(0, 1, 0, 0) == 0


def test_what_no_layer_under_way_makes_is_there():
    made = region()
    made.filled(50, 0, BLOCKS, np.arange(PIXELS))
    assert made.ready(0, BLOCKS, 0, PIXELS) == 0
    made.expect(PIXELS)
    assert made.ready(0, 1, 0, 1) == np.inf
