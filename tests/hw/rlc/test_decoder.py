"""Decoder against the codec's definition: bytes, errors, damaged units, stalls on every stream."""

import random

import cocotb
import pytest
from cocotb.triggers import ClockCycles
from codecbench import (
    CHUNK,
    CODES,
    CONFIGS,
    NARROW,
    Bench,
    asked,
    beats_of,
    config,
    long_units,
    mixed_units,
    pack,
    random_unit,
    run_bench,
    short_unit,
)

from skimp.rlc.decoder import Decoder
from skimp.rlc.format import RAW_FRAME, Code
from skimp_sim.rlc.codec import StreamError, decode_tile, encode_tile

pytestmark = pytest.mark.verilog


class Coded:
    """A unit as the decoder gets it; `data` is None where it is damaged."""

    def __init__(self, code, coded, num_bytes, zero, rng):
        beat_bytes = config().bus_bytes
        self.beats = beats_of(coded, beat_bytes, rng)
        self.num_bytes = num_bytes
        self.word = pack(
            (9, len(self.beats)), (20, num_bytes), (1, code is Code.BITMAP), (8, zero)
        )  # fmt: skip
        stored = b"".join(beat.to_bytes(beat_bytes, "little") for beat in self.beats)
        try:
            self.data = decode_tile(code, stored, num_bytes, zero=zero, beat_bytes=beat_bytes)
        except StreamError:
            self.data = None


def encoded(units, rng):
    return [
        Coded(code, encode_tile(code, data, zero=zero), len(data), zero, rng)
        for code, data, zero in units
    ]


async def started(dut, **given) -> Bench:
    return await Bench.start(dut, ("unit", "i"), has_errors=True, **given)


async def send(bench, units):
    words = cocotb.start_soon(bench.send("unit", [unit.word for unit in units]))
    await bench.send("i", [beat for unit in units for beat in unit.beats])
    await words


def check(bench, units, where):
    """Every unit came with its bytes, or, where it is damaged, with as many."""
    words = iter(bench.sent)
    for n, unit in enumerate(units):
        data = b""
        for first in range(0, unit.num_bytes, CHUNK):
            _, _, payload = next(words)
            size = payload >> 8 * CHUNK & 31
            assert size == min(CHUNK, unit.num_bytes - first), (where, n)
            assert payload >> 8 * CHUNK + 5 == (first + CHUNK >= unit.num_bytes), (where, n)
            data += (payload & (1 << 8 * size) - 1).to_bytes(size, "little")
        assert unit.data in (None, data), (where, n)
    assert next(words, None) is None, where


def damaged_units(rng):
    """Return units that are cut, too long, or have a byte changed; and some that are not."""
    beat_bytes = config().bus_bytes
    units = [
        (Code.RUN_LENGTH, b"", 1, 0),
        (Code.BITMAP, b"", 200, 3),
        (Code.RUN_LENGTH, bytes(beat_bytes), 64 * beat_bytes + 1, 0),
        (Code.RUN_LENGTH, bytes([65]) + bytes(63), 64, 0),
        (Code.RUN_LENGTH, bytes([255]) + bytes(90), 300, 0),
        (Code.RUN_LENGTH, bytes([128]), 64, 0),
        (Code.RUN_LENGTH, bytes([192]), 64, 0),
        (Code.RUN_LENGTH, bytes([51]) + bytes(63), 64, 0),
        (Code.RUN_LENGTH, bytes([2, 0b1111, 1, 2]), 7, 0),
        (Code.RUN_LENGTH, bytes([2, 0b1110, 1, 2]), 7, 0),
        (Code.RUN_LENGTH, bytes([2, 0b11111110, 1, 2]), 7, 0),
        (Code.RUN_LENGTH, bytes([17] + [255] * 5) + bytes(17), 64, 0),
        (Code.RUN_LENGTH, bytes([16] + [255] * 4) + bytes(16), 64, 0),
        (Code.RUN_LENGTH, bytes([50] + [255] * 13) + bytes(50), 64, 0),
        (Code.BITMAP, bytes([2, 1, 0, 0, 0, 0, 0, 0, 0, 5, 6]), 64, 0),
        (Code.BITMAP, bytes([1, 3, 0, 0, 0, 0, 0, 0, 0, 5, 6]), 64, 0),
        (Code.BITMAP, bytes([1, 0, 0, 0, 0, 0, 0, 0, 8, 5]), 59, 0),
        (Code.BITMAP, bytes([1, 0, 0, 0, 0, 0, 0, 0, 4, 5]), 59, 0),
        (Code.BITMAP, bytes([1, 1, 0, 0, 0, 0, 0, 0, 8, 5]), 16, 0),
        (Code.BITMAP, bytes([56]) + bytes(64), 64, 0),
        (Code.BITMAP, bytes([55]) + b"\xff" * 6 + b"\x7f\0" + bytes(55), 64, 0),
        (Code.BITMAP, bytes([55]) + b"\xff" * 6 + b"\x7f\0" + bytes(55), 63, 0),
        (Code.BITMAP, bytes([RAW_FRAME]) + bytes(20) + bytes(2 * beat_bytes), 20, 0),
        (Code.BITMAP, bytes(4) + bytes(beat_bytes), 64, 0),
        (Code.BITMAP, bytes(40 * beat_bytes), 64, 0),
        (Code.RUN_LENGTH, bytes([200]) + bytes(40 * beat_bytes), 1000, 0),
    ]
    for _ in range(40):
        code, data, zero = random_unit(rng)
        coded = bytearray(encode_tile(code, data, zero=zero))
        match rng.randrange(5):
            case 0:
                coded = coded[: rng.randrange(len(coded))]
            case 1:
                coded += rng.randbytes(rng.choice([1, 15, 16, 63, 64, 200]))
            case 2 | 3:
                coded[rng.randrange(len(coded))] = rng.randrange(256)
            case 4:
                coded = rng.randbytes(rng.randrange(200))
        units.append((code, bytes(coded), len(data), zero))
    return [Coded(*unit, rng) for unit in units]


@cocotb.test()
async def bench_units(dut):
    given = asked()
    rng = random.Random(given["seed"])
    units = encoded(mixed_units(rng), rng)
    bench = await started(dut, **given)
    await send(bench, units)
    await bench.until_idle(500)
    check(bench, units, given)
    assert not bench.errors


@pytest.mark.parametrize("eighths", [0, 4])
@pytest.mark.parametrize("config", CONFIGS)
def test_units(config, eighths):
    """Corner cases and random units of both codes behind each other."""
    run_bench(Decoder, __file__, "bench_units", config, seed=20 + eighths, eighths=eighths)


@cocotb.test()
async def bench_damaged(dut):
    """Damaged units among whole ones, without a pause."""
    given = asked()
    rng = random.Random(given["seed"])
    whole = encoded([random_unit(rng, longest=250) for _ in range(50)], rng)
    units = damaged_units(rng) + whole
    refused = sum(unit.data is None for unit in units)
    assert 25 < refused < len(units) - 50
    rng.shuffle(units)
    bench = await started(dut, **given)
    await send(bench, units)
    await bench.until_idle(500)
    check(bench, units, given)
    assert len(bench.errors) >= refused, given


@pytest.mark.parametrize("eighths", [0, 4])
@pytest.mark.parametrize("config", CONFIGS)
def test_damaged(config, eighths):
    """A damaged unit ends with as many bytes as a whole one; the next one is right."""
    run_bench(Decoder, __file__, "bench_damaged", config, seed=30 + eighths, eighths=eighths)


@cocotb.test()
async def bench_errors(dut):
    """Units on their own: an error for each that is damaged, before it ends, and no others."""
    rng = random.Random(9)
    bench = await started(dut, eighths=1)
    for n, unit in enumerate(damaged_units(rng)):
        bench.sent, bench.errors = [], []
        await send(bench, [unit])
        await bench.until_idle(800)
        check(bench, [unit], n)
        assert bool(bench.errors) == (unit.data is None), n
        assert all(clock <= bench.sent[-1][0] for clock in bench.errors), n


@pytest.mark.parametrize("config", CONFIGS)
def test_errors(config):
    run_bench(Decoder, __file__, "bench_errors", config)


@cocotb.test()
async def bench_rate(dut):
    """Units of 20 frames and of one: 5 clocks for a frame, none between units."""
    rng = random.Random(3)
    units = long_units(rng, (1, 0.8, 0.5, 0.2, 0))
    units += [(CODES[n % 2], bytes([7, 0, 0, 7] * 16), 0) for n in range(6)]
    units = encoded(units, rng)
    bench = await started(dut)
    await send(bench, units)
    await bench.until_idle(1000)
    check(bench, units, "")
    clocks = [clock for _, clock, _ in bench.sent]
    assert clocks == [clocks[0] + n // 4 * 5 + n % 4 for n in range(10 * 80 + 6 * 4)]


@pytest.mark.parametrize("config", CONFIGS)
def test_rate(config):
    run_bench(Decoder, __file__, "bench_rate", config)


@cocotb.test()
async def bench_latency(dut):
    """Units of one frame on their own, at all phases of a slot."""
    bench = await started(dut)
    found = set()
    for n in range(10):
        (unit,) = encoded([short_unit(n)], random.Random(n))
        before = len(bench.sent)
        await send(bench, [unit])
        await bench.until_idle(100)
        if n:
            await ClockCycles(dut.clk, n)
        found.add(bench.sent[before][1] - bench.taken["i"][-1])
    assert found == set(range(17, 22)), found


@pytest.mark.parametrize("config", CONFIGS)
def test_latency(config):
    run_bench(Decoder, __file__, "bench_latency", config)


def test_narrow_bus():
    with pytest.raises(ValueError, match="16 bytes at least, not 8"):
        Decoder(NARROW)
