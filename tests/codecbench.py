"""What the benches of both halves of the codec share: units, and streams that stall."""

import dataclasses
import os
import random
from functools import cache

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from skimp.config import Config
from skimp.configs import PRESETS, load_config
from skimp.rlc.format import CODEC_BYTES, FRAME, Code, payload_bytes
from skimp_sim.bench.cocotb_run import run_cocotb

__all__ = [
    "CHUNK",
    "CODES",
    "CONFIGS",
    "NARROW",
    "Bench",
    "asked",
    "beats_of",
    "config",
    "corner_units",
    "long_units",
    "mixed_units",
    "pack",
    "random_unit",
    "run_bench",
    "short_unit",
]

CODES = [Code.RUN_LENGTH, Code.BITMAP]

CONFIGS = [pytest.param(PRESETS[name], id=name) for name in ("small", "zcu104")]

NARROW = dataclasses.replace(PRESETS["small"], bus_words=1, tile_table_depth=0)
"""A bus of 8 bytes: too few for a codec."""

CHUNK = CODEC_BYTES


_codec = cache(lambda component, config: component(config))  # one of each for all runs


def run_bench(component: type, bench: str, testcase: str, config: Config, *, seed=1, eighths=0):
    """Run a bench of a file on a half of the codec; the bench finds what is `asked` for."""
    env = dict(CONFIG=config.name, SEED=str(seed), EIGHTHS=str(eighths))
    run_cocotb(_codec(component, config), bench, testcase=testcase, env=env)


def config() -> Config:
    """Return the configuration that a bench runs with."""
    return load_config(os.environ["CONFIG"])


def asked() -> dict[str, int]:
    """Return the seed of a bench, and in how many eighths of the clocks streams stall."""
    return {name: int(os.environ[name.upper()]) for name in ("seed", "eighths")}


class Bench:
    """A codec with its streams in the hands of coroutines.

    Parameters
    ----------
    dut : cocotb handle
    seed : int
        Of the stalls.
    eighths : int
        Of the clocks in which a stream stalls.

    Members
    -------
    clock : int
        Counts; reset ends before 0.
    taken : dict of list
        Port -> clocks in which the codec took a word.
    sent : list of (int, int, int)
        First clock of a word at the output, clock in which it left, payload.
    errors : list of int
        Clocks with an error.
    """

    def __init__(self, dut, *, seed: int, eighths: int):
        self.dut, self.rng, self.eighths = dut, random.Random(seed), eighths
        self.clock = -1
        self.taken: dict[str, list[int]] = {}
        self.sent: list[tuple[int, int, int]] = []
        self.errors: list[int] = []

    @classmethod
    async def start(cls, dut, ports=("i",), *, seed=1, eighths=0, has_errors=False) -> "Bench":
        """Return a bench whose codec is behind its reset."""
        bench = cls(dut, seed=seed, eighths=eighths)
        cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
        for port in ports:
            getattr(dut, f"{port}__valid").value = 0
        dut.o__ready.value = 0
        dut.rst.value = 1
        await ClockCycles(dut.clk, 4)
        dut.rst.value = 0
        bench._watcher = cocotb.start_soon(bench._watch(has_errors))
        return bench

    def stalls(self) -> bool:
        return self.rng.randrange(8) < self.eighths

    async def _watch(self, has_errors):
        """Count clocks, take what comes, and see that it waits until it is taken."""
        dut, waiting, ready = self.dut, None, False
        while True:
            await RisingEdge(dut.clk)
            self.clock += 1
            valid = bool(dut.o__valid.value)
            assert valid or waiting is None, f"clock {self.clock}: a word went away"
            if valid:
                payload = dut.o__payload.value.to_unsigned()
                first = self.clock if waiting is None else waiting[0]
                assert waiting in (None, (first, payload)), f"clock {self.clock}: it changed"
                waiting = (first, payload)
                if ready:
                    self.sent.append((first, self.clock, payload))
                    waiting = None
            if has_errors and dut.error.value:
                self.errors.append(self.clock)
            ready = not self.stalls()
            dut.o__ready.value = ready

    async def send(self, port: str, words):
        """Hand words to a stream."""
        dut = self.dut
        valid, ready, payload = (
            getattr(dut, f"{port}__{name}") for name in ("valid", "ready", "payload")
        )
        taken = self.taken.setdefault(port, [])
        for word in words:
            while self.stalls():
                await RisingEdge(dut.clk)
            payload.value, valid.value = word, 1
            while True:
                await RisingEdge(dut.clk)
                if ready.value:
                    break
            taken.append(self.clock)
            valid.value = 0

    async def until_idle(self, clocks: int):
        """Wait until nothing is inside for some clocks."""
        quiet = 0
        for _ in range(clocks):
            await RisingEdge(self.dut.clk)
            quiet = quiet + 1 if self.dut.idle.value and not self.dut.o__valid.value else 0
            if quiet == 20:
                return
        raise AssertionError(f"the codec does not come to rest; {len(self.sent)} words came")


def pack(*fields: tuple[int, int]) -> int:
    """Return fields, each (bits, value), lowest first, as one number."""
    word, shift = 0, 0
    for bits, value in fields:
        assert 0 <= value < 1 << bits
        word |= value << shift
        shift += bits
    return word


def beats_of(data: bytes, beat_bytes: int, rng=None) -> list[int]:
    """Return bytes as beats; what fills up the last one is noise, or zeros without `rng`."""
    missing = -len(data) % beat_bytes
    data += rng.randbytes(missing) if rng else bytes(missing)
    return [
        int.from_bytes(data[n : n + beat_bytes], "little") for n in range(0, len(data), beat_bytes)
    ]


def random_unit(rng: random.Random, *, longest=500) -> tuple[Code, bytes, int]:
    """Return a code, bytes of any density of zeros, and the zero."""
    zero, share = rng.choice([0x80, 0, rng.randrange(256)]), rng.choice([0, 1, rng.random()])
    size = rng.choice([1, 16, FRAME - 1, FRAME, FRAME + 1, rng.randint(1, longest)])
    data = bytes(zero if rng.random() < share else rng.randrange(256) for _ in range(size))
    return rng.choice(CODES), data, zero


def _break_even(code: Code, size: int) -> int:
    """Return the fewest levels with which a frame stays raw."""
    return next(n for n in range(1, FRAME + 1) if payload_bytes(code, n) >= size)


def corner_units() -> list[tuple[Code, bytes, int]]:
    """Return (code, bytes, zero): all zero, no zero, alternating, long runs, a byte, columns."""
    rng = random.Random(2)
    some = bytes(n % 255 + 1 for n in range(300))
    columns = b"".join(bytes(16) if n % 7 in (3, 4) else some[n : n + 16] for n in range(49))
    runs = [bytes(n) + b"\x21" + bytes(FRAME - 1 - n) for n in range(FRAME)]
    units = [
        (code, data, zero)
        for code in CODES
        for data, zero in (
            (bytes(200), 0),
            (b"\x80" * 128, 0x80),
            (bytes(64 * 64), 0),  # headers only: the last one ends a beat
            (some, 0),
            (bytes(n % 2 * 7 for n in range(256)), 0),
            (bytes((n + 1) % 2 * 7 for n in range(192)), 0),
            (b"".join(runs), 0),
            (bytes(64) + b"\x05" * 64 + bytes(64) + b"\x05", 0),
            (b"\x00", 0),
            (b"\x01", 0),
            (columns, 0),
            *((some[:size], 0) for size in range(13, 20)),
        )
    ]
    # Around the number of levels at which a frame stays raw, in full frames and short ones; levels
    # first, so that each run is one for the run-length code.
    for code in CODES:
        for size in (FRAME, 63, 37, 17, 16, 10):
            for more in (-1, 0, 1):
                filled = min(size, _break_even(code, size) + more)
                units.append((code, some[:filled] + bytes(size - filled), 0))
                frame = bytearray(some[:filled] + bytes(size - filled))
                rng.shuffle(frame)
                units.append((code, bytes(frame), 0))
    return units


def mixed_units(rng: random.Random) -> list[tuple[Code, bytes, int]]:
    """Return corner cases and random units in any order."""
    units = corner_units() + [random_unit(rng) for _ in range(60)]
    rng.shuffle(units)
    return units


def long_units(rng: random.Random, shares) -> list[tuple[Code, bytes, int]]:
    """Return units of 20 frames of both codes for each share of zeros."""
    units = []
    for share in shares:
        data = bytes(0 if rng.random() < share else 7 for _ in range(20 * FRAME))
        units += [(code, data, 0) for code in CODES]
    return units


def short_unit(n: int) -> tuple[Code, bytes, int]:
    """Return a unit of one frame, of either code in turn."""
    return CODES[n % 2], bytes(range(1, 21)) + bytes(44), 0
