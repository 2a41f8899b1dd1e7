"""Encoder against the codec's definition: every beat, with stalls on every stream."""

import dataclasses
import os
import random

import cocotb
import pytest
from cocotb.triggers import ClockCycles
from codecbench import CODES, Bench, beats_of, corner_units, pack, random_unit
from testconfigs import on_rtl

from skimp.configs import PRESETS, load_config
from skimp.rlc.encoder import Encoder
from skimp.rlc.format import FRAME, Code
from skimp_sim.bench.cocotb_run import run_cocotb
from skimp_sim.rlc.codec import encode_tile

pytestmark = pytest.mark.verilog
CONFIGS = on_rtl(PRESETS["small"], PRESETS["zcu104"])
CHUNK = 16


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


def config():
    return load_config(os.environ["CONFIG"])


async def run(dut, units, *, seed, eighths) -> Bench:
    bench = Bench(dut, seed=seed, eighths=eighths)
    await bench.start()
    await bench.send("i", chunks_of(units, random.Random(seed)))
    await bench.until_idle(20_000)
    found = [payload for _, _, payload in bench.sent]
    wanted = wanted_of(units, config().bus_bytes)
    assert found == wanted, f"seed {seed}"
    return bench


@cocotb.test()
async def bench_units(dut):
    seed, eighths = int(os.environ["SEED"]), int(os.environ["EIGHTHS"])
    rng = random.Random(seed)
    units = corner_units() + [random_unit(rng) for _ in range(60)]
    rng.shuffle(units)
    await run(dut, units, seed=seed, eighths=eighths)


@pytest.mark.parametrize("eighths", [0, 4])
@pytest.mark.parametrize("config", CONFIGS)
def test_units(config, eighths):
    """Corner cases and random units of both codes behind each other."""
    env = dict(CONFIG=config.name, SEED=str(10 + eighths), EIGHTHS=str(eighths))
    run_cocotb(Encoder(config), __file__, testcase="bench_units", env=env)


@cocotb.test()
async def bench_rate(dut):
    """Units of 20 frames that the ring waits for: 5 clocks for a frame, 1 more for the unit."""
    rng = random.Random(3)
    units = []
    for share in (0, 0.2, 0.5, 0.8, 1):
        data = bytes(0 if rng.random() < share else 7 for _ in range(20 * FRAME))
        units += [(code, data, 0) for code in CODES]
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
    run_cocotb(Encoder(config), __file__, testcase="bench_rate", env=dict(CONFIG=config.name))


@cocotb.test()
async def bench_latency(dut):
    """Units of one frame on their own, at all phases of a slot."""
    bench = Bench(dut, seed=1, eighths=0)
    await bench.start()
    found = set()
    for n in range(10):
        unit = (CODES[n % 2], bytes(range(1, 21)) + bytes(44), 0)
        await bench.send("i", chunks_of([unit], random.Random(n)))
        await bench.until_idle(100)
        if n:
            await ClockCycles(dut.clk, n)
        found.add(bench.sent[-1][1] - bench.taken["i"][-1])
    assert found == set(range(24, 29))


@pytest.mark.parametrize("config", CONFIGS)
def test_latency(config):
    run_cocotb(Encoder(config), __file__, testcase="bench_latency", env=dict(CONFIG=config.name))


def test_narrow_bus():
    narrow = dataclasses.replace(PRESETS["small"], bus_words=1, tile_table_depth=0)
    with pytest.raises(ValueError, match="16 bytes at least, not 8"):
        Encoder(narrow)
