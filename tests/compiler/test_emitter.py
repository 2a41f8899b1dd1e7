"""The emitter refuses command lists that could hang, and finishes those that cannot."""

import numpy as np
import pytest
from schedule import run_schedule

from skimp.configs import PRESETS
from skimp.isa import COMMAND_BYTES, Opcode, Semaphore, parse
from skimp_compiler.emitter import ACTIVATION_BASE, Emitter

CONFIG = PRESETS["tiny"]


def parsed(data: bytes):
    return [parse(data[at : at + COMMAND_BYTES]) for at in range(0, len(data), COMMAND_BYTES)]


def test_check_first_end_last_zeros_behind():
    emitter = Emitter(CONFIG)
    emitter.end_layer(7)
    size = emitter.size_bytes
    data = emitter.finish(activation_addr=0)
    assert len(data) == size
    assert not any(data[-Emitter.TAIL_BYTES :])
    stream = parsed(data[: -Emitter.TAIL_BYTES])
    assert [opcode for opcode, _ in stream] == [Opcode.CHECK, Opcode.LAYER, Opcode.END]
    assert stream[0][1]["hash"] == CONFIG.hash
    assert stream[1][1]["layer_id"] == 7


def test_wait_that_nothing_posts_is_refused():
    emitter = Emitter(CONFIG)
    emitter.add(Opcode.DRAIN).wait.add(Semaphore.PSUM_FULL)
    with pytest.raises(AssertionError, match="waits for PSUM_FULL for ever"):
        emitter.finish(activation_addr=0)


def test_post_does_not_pass_a_fence():
    emitter = Emitter(CONFIG)
    emitter.add(Opcode.CONV).post.add(Semaphore.PSUM_FULL)
    emitter.end_layer(0)
    emitter.add(Opcode.DRAIN).wait.add(Semaphore.PSUM_FULL)
    with pytest.raises(AssertionError, match="for ever"):
        emitter.finish(activation_addr=0)


def test_counter_that_overflows_is_refused():
    emitter = Emitter(CONFIG)
    for _ in range(256):
        emitter.add(Opcode.STORE).post.add(Semaphore.OFMAP_FREE)
    with pytest.raises(AssertionError, match="OFMAP_FREE overflows"):
        emitter.finish(activation_addr=0)


@pytest.mark.parametrize("num_slots", [1, 2, 3])
def test_buffer_waits_from_its_second_round_on(num_slots):
    emitter = Emitter(CONFIG)
    buffer = emitter.buffer("ifmap", num_slots=num_slots)
    for n in range(7):
        assert buffer.begin_fill() == n % num_slots
        load = emitter.add(Opcode.LOAD_IFMAP)
        buffer.fill(load)
        buffer.end_fill()
        assert load.wait == ({Semaphore.IFMAP_FREE} if n >= num_slots else set())
        first, last = emitter.add(Opcode.CONV), emitter.add(Opcode.CONV)
        buffer.use(first)
        buffer.use(last)
        buffer.release()
        assert (first.wait, first.post) == ({Semaphore.IFMAP_FULL}, set())
        assert (last.wait, last.post) == (set(), {Semaphore.IFMAP_FREE})
    emitter.finish(activation_addr=0)


def test_activations_move_behind_the_constants():
    emitter = Emitter(CONFIG)
    emitter.add(Opcode.LOAD_LINEAR, dram_addr=0x40)
    emitter.add(Opcode.STORE, dram_addr=ACTIVATION_BASE + 0x80)
    stream = parsed(emitter.finish(activation_addr=0x1000)[: -Emitter.TAIL_BYTES])
    assert [fields["dram_addr"] for _, fields in stream[1:3]] == [0x40, 0x1080]


def test_schedule_finds_a_deadlock():
    """The judge of other tests: a load in the wrong place blocks a queue of two."""
    wait = 1 << Semaphore.IFMAP_FREE
    load = Opcode.LOAD_IFMAP, {"wait": wait, "post": 0}
    conv = Opcode.CONV, {"wait": 0, "post": wait}
    rng = np.random.default_rng(0)
    run_schedule([conv, load, conv, load], queue_depth=2, rng=rng)
    with pytest.raises(AssertionError, match="nothing can proceed"):
        run_schedule([load, load, load, conv, conv, conv], queue_depth=2, rng=rng)
