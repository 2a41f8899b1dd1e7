"""Encoder against the codec's definition: every beat, with stalls on every stream."""

import random

import cocotb
import pytest
from cocotb.triggers import ClockCycles
from codecbench import (
    CHUNK,
    CONFIGS,
    NARROW,
    Bench,
    asked,
    beats_of,
    config,
    long_units,
    mixed_units,
    pack,
    run_bench,
    short_unit,
)

from skimp.rlc.encoder import Encoder
from skimp.rlc.format import Code
from skimp_sim.rlc.codec import encode_tile

pytestmark = pytest.mark.verilog


def chunks_of(units, rng) -> list[int]:
    """Return the words of the input; what lies behind a last byte is noise."""
    words = []
    for code, data, zero in units:
        for n in range(0, len(data), CHUNK):
            part = data[n : n + CHUNK]
            full = part + rng.randbytes(CHUNK - len(part))
            words.append(
                pack(
                    (128, int.from_bytes(full, "little")), (5, len(part)),
                    (1, n + CHUNK >= len(data)), (1, code is Code.BITMAP), (8, zero),
                )
            )  # fmt: skip
    return words


def wanted_of(units, beat_bytes) -> list[int]:
    """Return the words of the output."""
    words = []
    for code, data, zero in units:
        beats = beats_of(encode_tile(code, data, zero=zero), beat_bytes)
        words += beats[:-1] + [beats[-1] | 1 << 8 * beat_bytes]
    return words


async def run(dut, units, *, seed, eighths) -> Bench:
    bench = await Bench.start(dut, seed=seed, eighths=eighths)
    await bench.send("i", chunks_of(units, random.Random(seed)))
    await bench.until_idle(20_000)
    found = [payload for _, _, payload in bench.sent]
    wanted = wanted_of(units, config().bus_bytes)
    assert found == wanted, f"seed {seed}"
    return bench


@cocotb.test()
async def bench_units(dut):
    given = asked()
    await run(dut, mixed_units(random.Random(given["seed"])), **given)


@pytest.mark.parametrize("eighths", [0, 4])
@pytest.mark.parametrize("config", CONFIGS)
def test_units(config, eighths):
    """Corner cases and random units of both codes behind each other."""
    run_bench(Encoder, __file__, "bench_units", config, seed=10 + eighths, eighths=eighths)


@cocotb.test()
async def bench_rate(dut):
    """Units of 20 frames that the ring waits for: 5 clocks for a frame, 1 more for the unit."""
    units = long_units(random.Random(3), (0, 0.2, 0.5, 0.8, 1))
    bench = await run(dut, units, seed=1, eighths=0)
    beat_bits = config().bus_bits
    ends = [clock for _, clock, payload in bench.sent if payload >> beat_bits]
    steps = [b - a for a, b in zip(ends, ends[1:])]
    # A last beat that was full leaves up to five clocks earlier than one that was not.
    assert all(abs(step - 101) <= 6 for step in steps), steps
    assert abs(ends[-1] - ends[0] - 9 * 101) <= 6
    taken = bench.taken["i"]
    assert taken[15] - taken[0] == 15  # as fast as they come, until the ring is full


@pytest.mark.parametrize("config", CONFIGS)
def test_rate(config):
    run_bench(Encoder, __file__, "bench_rate", config)


@cocotb.test()
async def bench_latency(dut):
    """Units of one frame on their own, at all phases of a slot."""
    bench = await Bench.start(dut)
    found = set()
    for n in range(10):
        await bench.send("i", chunks_of([short_unit(n)], random.Random(n)))
        await bench.until_idle(100)
        if n:
            await ClockCycles(dut.clk, n)
        found.add(bench.sent[-1][1] - bench.taken["i"][-1])
    assert found == set(range(24, 29))


@pytest.mark.parametrize("config", CONFIGS)
def test_latency(config):
    run_bench(Encoder, __file__, "bench_latency", config)


def test_narrow_bus():
    with pytest.raises(ValueError, match="16 bytes at least, not 8"):
        Encoder(NARROW)
