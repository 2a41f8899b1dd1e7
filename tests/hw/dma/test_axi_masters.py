"""Read and write master against cocotbext-axi: bursts, 4 KB, back-pressure, errors.

A copier joins them: every segment read is written to another address, so the memory tells whether
every beat came, in order and once.
"""

import dataclasses
import itertools
import os
import random

import cocotb
import pytest
from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiBus, AxiRam, AxiSlave, MemoryRegion
from testconfigs import ODD

from skimp.configs import PRESETS
from skimp.dma.axi import Axi4, SegmentLayout
from skimp.dma.axi_read import AxiReader
from skimp.dma.axi_write import AxiWriter
from skimp_sim.bench.cocotb_run import run_cocotb

RAM_BYTES = 1 << 16
BASE = 0x1000_0000
IDS = ("awid", "bid", "arid", "rid")


class Copier(wiring.Component):
    """Reads segments as client 1 and writes the same beats to other segments."""

    def __init__(self, config):
        self._config = config
        ids = {name: (In if name in ("bid", "rid") else Out)(4) for name in IDS}
        bus = Axi4(data_bits=config.bus_bits)
        super().__init__(
            {
                "axi": Out(wiring.Signature({**dict(bus.members.items()), **ids})),
                "from_segments": In(stream.Signature(SegmentLayout)),
                "to_segments": In(stream.Signature(SegmentLayout)),
                "idle": Out(1),
                "read_error": Out(1),
                "write_error": Out(1),
                "error_addr": Out(32),
                "stop": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.reader = reader = AxiReader(self._config)
        m.submodules.writer = writer = AxiWriter(self._config)
        for name, member in Axi4(data_bits=self._config.bus_bits).members.items():
            master = writer if name.startswith(("aw", "w", "b")) else reader
            ours, theirs = getattr(self.axi, name), getattr(master.axi, name)
            m.d.comb += ours.eq(theirs) if member.flow == Out else theirs.eq(ours)
        wiring.connect(m, wiring.flipped(self.from_segments), reader.segments[1])
        wiring.connect(m, wiring.flipped(self.to_segments), writer.segments)
        wiring.connect(m, reader.beats[1], writer.beats)
        m.d.comb += [
            reader.dram_base.eq(BASE),
            writer.dram_base.eq(BASE),
            reader.stop.eq(self.stop),
            writer.stop.eq(self.stop),
            self.idle.eq(reader.idle & writer.idle),
            self.read_error.eq(reader.error),
            self.write_error.eq(writer.error),
            self.error_addr.eq(Mux(reader.error, reader.error_addr, writer.error_addr)),
        ]
        return m


async def reset(dut):
    cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
    for name in ("from_segments", "to_segments"):
        getattr(dut, f"{name}__valid").value = 0
    dut.stop.value = 0
    dut.rst.value = 1
    await ClockCycles(dut.clk, 4)
    dut.rst.value = 0


async def ask(dut, port, segments):
    """Hand segments to a request stream."""
    for addr, beats in segments:
        getattr(dut, f"{port}__payload").value = addr | beats << 32
        getattr(dut, f"{port}__valid").value = 1
        while True:
            await RisingEdge(dut.clk)
            if getattr(dut, f"{port}__ready").value:
                break
        getattr(dut, f"{port}__valid").value = 0


async def until_idle(dut, clocks=20_000):
    quiet = 0
    for _ in range(clocks):
        await RisingEdge(dut.clk)
        quiet = quiet + 1 if dut.idle.value else 0
        if quiet == 20:
            return
    raise AssertionError("the masters do not come to rest")


def stalls(seed, share):
    rng = random.Random(seed)
    while True:
        yield rng.random() < share


def watch_bursts(dut, seen, beat_bytes, burst_beats):
    """Collect bursts and hold them against the rules."""

    async def watch():
        while True:
            await RisingEdge(dut.clk)
            for channel in ("ar", "aw"):
                valid = getattr(dut, f"axi__{channel}valid").value
                if valid and getattr(dut, f"axi__{channel}ready").value:
                    addr = getattr(dut, f"axi__{channel}addr").value.to_unsigned()
                    beats = getattr(dut, f"axi__{channel}len").value.to_unsigned() + 1
                    last = addr + beats * beat_bytes - 1
                    assert addr >> 12 == last >> 12, f"burst at {addr:#x} crosses 4 KB"
                    assert beats <= burst_beats
                    seen.append((channel, addr, beats))

    cocotb.start_soon(watch())


@cocotb.test()
async def bench_copies(dut):
    seed, share = int(os.environ["SEED"]), [float(s) for s in os.environ["STALLS"].split(",")]
    beat, burst = int(os.environ["BEAT"]), int(os.environ["BURST"])
    rng = random.Random(seed)
    await reset(dut)
    ram = AxiRam(AxiBus.from_prefix(dut, "axi_"), dut.clk, dut.rst, size=RAM_BYTES)
    for n, channel in enumerate(
        (
            ram.read_if.ar_channel, ram.read_if.r_channel, ram.write_if.aw_channel,
            ram.write_if.w_channel, ram.write_if.b_channel,
        )
    ):  # fmt: skip
        if share[n]:
            channel.set_pause_generator(stalls(seed + n, share[n]))
    seen = []
    watch_bursts(dut, seen, beat, burst)
    source = bytes(rng.getrandbits(8) for _ in range(RAM_BYTES // 2))
    ram.write(BASE % RAM_BYTES, source)
    reads, writes = [], []
    at, to = 0, RAM_BYTES // 2
    sizes = [1, 2, burst, burst + 1, 3 * burst - 1, 4096 // beat + 3]
    sizes += [rng.randint(1, 4 * burst) for _ in range(6)]
    for size in sizes:
        at += beat * rng.randint(0, 9)
        reads.append((at, size))
        at += size * beat
    total = sum(sizes)
    spans = []
    while total:
        size = min(total, rng.randint(1, 3 * burst))
        to += beat * rng.randint(0, 5)
        writes.append((to, size))
        spans.append((to, size * beat))
        to += size * beat
        total -= size
    assert at <= RAM_BYTES // 2 and to <= RAM_BYTES
    cocotb.start_soon(ask(dut, "from_segments", reads))
    await ask(dut, "to_segments", writes)
    await until_idle(dut)
    wanted = b"".join(source[addr : addr + size * beat] for addr, size in reads)
    got = b"".join(ram.read(BASE % RAM_BYTES + addr, size) for addr, size in spans)
    assert got == wanted, f"seed {seed}"
    for channel, segments in (("ar", reads), ("aw", writes)):
        moved = sum(beats for c, _, beats in seen if c == channel)
        assert moved == sum(size for _, size in segments)


class Failing(MemoryRegion):
    """Memory whose upper half answers with an error."""

    async def _read(self, address, length, **kwargs):
        if address >= self.size // 2:
            raise RuntimeError("no memory here")
        return await super()._read(address, length, **kwargs)

    async def _write(self, address, data, **kwargs):
        if address >= self.size // 2:
            raise RuntimeError("no memory here")
        await super()._write(address, data, **kwargs)


@cocotb.test()
async def bench_errors(dut):
    beat = int(os.environ["BEAT"])
    await reset(dut)
    slave = AxiSlave(AxiBus.from_prefix(dut, "axi_"), dut.clk, dut.rst, target=Failing(1 << 30))
    assert slave is not None
    errors = []

    async def watch():
        while True:
            await RisingEdge(dut.clk)
            for kind in ("read", "write"):
                if getattr(dut, f"{kind}_error").value:
                    errors.append((kind, dut.error_addr.value.to_unsigned()))

    cocotb.start_soon(watch())
    half = (1 << 29) - BASE
    cocotb.start_soon(ask(dut, "from_segments", [(0, 4), (half, 1), (64, 4)]))
    await ask(dut, "to_segments", [(1024, 4), (2048, 1), (half + beat, 4)])
    await until_idle(dut)
    assert errors == [("read", half), ("write", half + beat)]


@cocotb.test()
async def bench_stop(dut):
    """Stopped, the masters finish what is under way and ask for nothing more."""
    beat, burst = int(os.environ["BEAT"]), int(os.environ["BURST"])
    await reset(dut)
    ram = AxiRam(AxiBus.from_prefix(dut, "axi_"), dut.clk, dut.rst, size=RAM_BYTES)
    assert ram is not None
    seen = []
    watch_bursts(dut, seen, beat, burst)
    cocotb.start_soon(ask(dut, "from_segments", [(0, 40 * burst)]))
    cocotb.start_soon(ask(dut, "to_segments", [(RAM_BYTES // 2, 40 * burst)]))
    await ClockCycles(dut.clk, 6 * burst)
    dut.stop.value = 1
    await ClockCycles(dut.clk, 200)
    asked = len(seen)
    assert 0 < asked < 80
    await ClockCycles(dut.clk, 200)
    assert len(seen) == asked


NONE, SOME = 0.0, 0.6
CROSS = list(itertools.product((NONE, SOME), repeat=2))


def environment(config, **more):
    return {"BEAT": str(config.word_bytes), "BURST": str(config.burst_beats), **more}


CONFIGS = [ODD, dataclasses.replace(PRESETS["zcu104"], name="wide-bus", burst_beats=16)]


@pytest.mark.verilog
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_copies(config):
    """Idle on the read side crossed with back-pressure on the write side."""
    for seed, (idle, pressure) in enumerate(CROSS):
        shares = ",".join(map(str, (idle, idle, pressure, pressure, pressure)))
        env = environment(config, SEED=str(seed), STALLS=shares)
        run_cocotb(Copier(config), __file__, testcase="bench_copies", env=env)


@pytest.mark.verilog
@pytest.mark.parametrize("bench", ["bench_errors", "bench_stop"])
def test_errors_and_stop(bench):
    run_cocotb(Copier(ODD), __file__, testcase=bench, env=environment(ODD))
