"""The clockwork of the cycle model against the modules it stands for."""

import numpy as np
import pytest
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.sim import Simulator

from skimp.configs import PRESETS
from skimp.isa import MASK_BITS, Opcode
from skimp_sim.perf.accounts import Intervals, counts_before
from skimp_sim.perf.kernel import NEVER, Fifo, Semaphores, Unit
from skimp_sim.perf.load import writer_runs
from skimp_sim.perf.read import next_burst
from skimp_sim.perf.timing import timing_of


@pytest.mark.parametrize("depth", [2, 3, 4, 8])
@pytest.mark.parametrize("share", [(0.9, 0.3), (0.3, 0.9), (0.7, 0.7), (1.0, 1.0)])
def test_fifo_is_that_of_the_hardware(depth, share):
    rng = np.random.default_rng(depth)
    dut = SyncFIFOBuffered(width=16, depth=depth)
    model = Fifo(depth)

    async def bench(ctx):
        pushed = popped = 0
        for t in range(600):
            room, there = model.writable(t) <= t, model.visible <= t
            assert ctx.get(dut.w_rdy) == room, t
            assert ctx.get(dut.r_rdy) == there, t
            push, pop = (bool(rng.random() < p) for p in share)
            ctx.set(dut.w_en, push)
            ctx.set(dut.w_data, pushed)
            ctx.set(dut.r_en, pop)
            # Whoever comes first within a clock.
            for what in ("push", "pop") if t % 2 else ("pop", "push"):
                if what == "push" and push and room:
                    model.push(t, pushed + 1)
                    pushed += 1
                elif what == "pop" and pop and there:
                    assert ctx.get(dut.r_data) == popped
                    assert model.pop(t) == popped + 1
                    popped += 1
            await ctx.tick()
        assert popped > 100

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_fifo_foretells_its_room():
    fifo = Fifo(2)
    assert fifo.writable(0) == 0
    fifo.push(0, "a")
    assert fifo.writable(1) == 2
    fifo.push(2, "b")
    assert fifo.writable(3) == NEVER
    assert fifo.visible == 2
    assert fifo.pop(5) == "a"
    assert fifo.visible == 6
    assert fifo.writable(5) == 6


def test_semaphores():
    class Waiter(Unit):
        pass

    semaphores, unit = Semaphores(), Waiter()
    low, high = 1 << 1, 1 << MASK_BITS - 1
    semaphores.waiter[MASK_BITS - 1] = unit
    assert semaphores.clock(0) == 0
    assert semaphores.clock(low | high) == NEVER
    semaphores.post(high, 20)
    assert unit.due == 20
    semaphores.post(low, 15)
    semaphores.post(high, 30)
    assert semaphores.clock(low | high) == 20
    semaphores.take(low | high)
    assert semaphores.clock(high) == 30
    assert semaphores.clock(low) == NEVER


def test_intervals():
    known = Intervals(100, [10, 50, 100], {"a": [(0, 20), (15, 30), (90, 120)], "b": [(7, 7)]})
    assert list(known.upto(known["a"], [10, 50, 100])) == [10, 30, 40]
    assert list(known.upto(known["b"], [10, 50, 100])) == [0, 0, 0]
    assert list(known.upto(~known["a"], [50, 100])) == [20, 60]
    assert list(counts_before([5, 9, 9, 10], [9, 10, 11])) == [1, 3, 4]


def test_bursts_stay_in_4_kb():
    config = PRESETS["small"]
    rng = np.random.default_rng(0)
    for _ in range(200):
        addr = int(rng.integers(0, 4096)) * config.bus_bytes
        left = int(rng.integers(1, 300))
        burst = next_burst(config, addr, left)
        end = addr + burst * config.bus_bytes
        assert 1 <= burst <= min(left, config.burst_beats)
        assert addr // 4096 == (end - 1) // 4096
        assert burst in (left, config.burst_beats) or end % 4096 == 0


class _Load:
    opcode = Opcode.LOAD_IFMAP

    def __init__(self, **fields):
        names = (
            "num_rows num_cols pad_top pad_bottom pad_left pad_right halve stride_w num_blocks"
        ).split()
        self.__dict__.update(dict.fromkeys(names, 0), num_blocks=1, stride_w=1)
        self.__dict__.update(fields)


@pytest.mark.parametrize("config", PRESETS.values(), ids=lambda c: c.name)
def test_runs_hold_every_word(config):
    rng = np.random.default_rng(1)
    for _ in range(300):
        halve = bool(rng.random() < 0.1)
        load = _Load(
            num_rows=int(rng.integers(0, 5)),
            num_cols=int(rng.integers(0, 40)),
            num_blocks=int(rng.integers(1, 4)),
            pad_top=int(rng.integers(0, 3)),
            pad_bottom=int(rng.integers(0, 3)),
            halve=halve,
            **({} if halve else dict(
                pad_left=int(rng.integers(0, 4)),
                pad_right=int(rng.integers(0, 4)),
                stride_w=int(rng.integers(1, 5)),
            )),
        )  # fmt: skip
        runs = writer_runs(config, load)
        assert sum(words for _, words, _ in runs) == (
            load.num_blocks * load.num_rows * load.num_cols
        )
        rows = load.num_blocks * (load.pad_top + load.num_rows + load.pad_bottom)
        cols = load.pad_left + load.num_cols + load.pad_right
        clocks = sum(padding + -(-words // most) for padding, words, most in runs)
        # As many words a clock as the buffer takes.
        pace = config.load_words if load.stride_w == 1 else 1
        if load.stride_w == 2 or load.halve:
            pace = max(1, config.load_words // 2 * 2)
        assert clocks == rows * -(-cols // pace)
        assert all(words or not run for run, (_, words, _) in enumerate(reversed(runs)))


def test_timing_says_nothing(recwarn):
    timing_of.cache_clear()
    timing = timing_of(PRESETS["tiny"])
    assert timing.add_latency > timing.drain_latency > 0
    assert not recwarn.list
