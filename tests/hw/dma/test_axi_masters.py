"""Read and write master against cocotbext-axi: bursts, 4 KB, strobes, turns, room, errors.

A copier joins them: every segment read is written to another address, so the memory tells whether
every beat came, in order and once, and whether only its strobed words were written.
"""

import dataclasses
import itertools
import os
import random
from functools import cache

import cocotb
import pytest
from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiBus, AxiRam, AxiSlave, MemoryRegion
from testconfigs import ODD, QUAD, WIDE

from skimp.dma.axi import Axi4, SegmentLayout
from skimp.dma.axi_read import AxiReader
from skimp.dma.axi_write import AxiWriter
from skimp_sim.bench.cocotb_run import run_cocotb

RAM_BYTES = 1 << 16
BASE = 0x1000_0000
CLIENTS = 3
PART = RAM_BYTES // 4
IDS = ("awid", "bid", "arid", "rid")


class Copier(wiring.Component):
    """Reads segments as client 1 and writes the same beats to other segments.

    A word whose bit 0 is set is not written.
    """

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
                "sent": Out(8),
                "answered": Out(8),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.reader = reader = AxiReader(self._config, num_clients=2)
        m.submodules.writer = writer = AxiWriter(self._config)
        for name, member in Axi4(data_bits=self._config.bus_bits).members.items():
            master = writer if name.startswith(("aw", "w", "b")) else reader
            ours, theirs = getattr(self.axi, name), getattr(master.axi, name)
            m.d.comb += ours.eq(theirs) if member.flow == Out else theirs.eq(ours)
        wiring.connect(m, wiring.flipped(self.from_segments), reader.segments[1])
        wiring.connect(m, wiring.flipped(self.to_segments), writer.segments)
        read, write = reader.beats[1], writer.beats
        m.d.comb += [
            write.payload.data.eq(read.payload),
            write.payload.words.eq(
                Cat(
                    ~read.payload.word_select(n, self._config.word_bits)[0]
                    for n in range(self._config.bus_words)
                )
            ),
            write.valid.eq(read.valid),
            read.ready.eq(write.ready),
            reader.room[1].eq(0xFFFF),
            self.sent.eq(writer.sent),
            self.answered.eq(writer.answered),
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


async def reset(dut, ports=("from_segments", "to_segments")):
    cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
    for name in ports:
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


def watch_answers(dut):
    """Hold `sent` and `answered` against the bursts on the bus; return their counts."""
    counts = {"sent": 0, "answered": 0}

    async def watch():
        while True:
            await RisingEdge(dut.clk)
            for name, count in counts.items():
                assert getattr(dut, name).value.to_unsigned() == count % 256, name
            last = dut.axi__wlast.value
            counts["sent"] += int(dut.axi__wvalid.value and dut.axi__wready.value and last)
            counts["answered"] += int(dut.axi__bvalid.value and dut.axi__bready.value)

    cocotb.start_soon(watch())
    return counts


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
    word = int(os.environ["WORD"])
    seen = []
    watch_bursts(dut, seen, beat, burst)
    counts = watch_answers(dut)
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
    singles = int(os.environ.get("SINGLES", 0))
    while total:
        size = min(total, 1 if len(writes) < singles else rng.randint(1, 3 * burst))
        to += beat * rng.randint(0, 5)
        writes.append((to, size))
        spans.append((to, size * beat))
        to += size * beat
        total -= size
    assert at <= RAM_BYTES // 2 and to <= RAM_BYTES
    before = bytes(rng.getrandbits(8) for _ in range(RAM_BYTES // 2))
    ram.write((BASE + RAM_BYTES // 2) % RAM_BYTES, before)
    cocotb.start_soon(ask(dut, "from_segments", reads))
    await ask(dut, "to_segments", writes)
    await until_idle(dut)
    moved = b"".join(source[addr : addr + size * beat] for addr, size in reads)
    wanted, done = bytearray(before), 0
    for addr, size in spans:
        for at in range(addr, addr + size, word):
            if not moved[done] & 1:
                place = at - RAM_BYTES // 2
                wanted[place : place + word] = moved[done : done + word]
            done += word
    got = ram.read((BASE + RAM_BYTES // 2) % RAM_BYTES, RAM_BYTES // 2)
    assert got == wanted, f"seed {seed}"
    bursts = sum(channel == "aw" for channel, _, _ in seen)
    assert counts == {"sent": bursts, "answered": bursts} and bursts > singles
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


class Readers(wiring.Component):
    """The read master with three clients."""

    def __init__(self, config):
        self._config = config
        ids = {name: (In if name in ("bid", "rid") else Out)(4) for name in IDS}
        bus = Axi4(data_bits=config.bus_bits)
        members = {"axi": Out(wiring.Signature({**dict(bus.members.items()), **ids}))}
        for k in range(CLIENTS):
            members |= {
                f"segments_{k}": In(stream.Signature(SegmentLayout)),
                f"beats_{k}": Out(stream.Signature(config.bus_bits)),
                f"room_{k}": In(16),
            }
        super().__init__(members | {"stop": In(1), "idle": Out(1), "inc_beats": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.reader = reader = AxiReader(self._config, num_clients=CLIENTS)
        for name, member in Axi4(data_bits=self._config.bus_bits).members.items():
            ours, theirs = getattr(self.axi, name), getattr(reader.axi, name)
            if name.startswith(("ar", "r")):
                m.d.comb += ours.eq(theirs) if member.flow == Out else theirs.eq(ours)
        for k in range(CLIENTS):
            ours = getattr(self, f"segments_{k}")
            wiring.connect(m, wiring.flipped(ours), reader.segments[k])
            wiring.connect(m, reader.beats[k], wiring.flipped(getattr(self, f"beats_{k}")))
            m.d.comb += reader.room[k].eq(getattr(self, f"room_{k}"))
        m.d.comb += [
            reader.dram_base.eq(BASE),
            reader.stop.eq(self.stop),
            self.idle.eq(reader.idle),
            self.inc_beats.eq(reader.inc_beats),
        ]
        return m


async def start_readers(dut):
    for k in range(CLIENTS):
        getattr(dut, f"beats_{k}__ready").value = 1
        getattr(dut, f"room_{k}").value = 0
    await reset(dut, [f"segments_{k}" for k in range(CLIENTS)])


def client_of(addr):
    """Clients read from parts of the memory of their own."""
    return (addr - BASE) % RAM_BYTES // PART


@cocotb.test()
async def bench_room(dut):
    """Each client's beats, in order and once; none is asked for that its queue cannot take.

    A client says how much its queue holds; the queue always takes, so nothing ever waits on the
    bus, and never runs over. One with room for less than a burst is not asked for at all.
    """
    seed = int(os.environ["SEED"])
    beat, burst = int(os.environ["BEAT"]), int(os.environ["BURST"])
    rng = random.Random(seed)
    await start_readers(dut)
    ram = AxiRam(AxiBus.from_prefix(dut, "axi_"), dut.clk, dut.rst, size=RAM_BYTES)
    ram.read_if.r_channel.set_pause_generator(stalls(seed, 0.3))
    source = bytes(rng.getrandbits(8) for _ in range(RAM_BYTES))
    ram.write(BASE % RAM_BYTES, source)
    capacities = (3 * burst, 2 * burst + 3, burst - 1 if seed % 2 else burst)
    wanted, segments = [[] for _ in range(CLIENTS)], [[] for _ in range(CLIENTS)]
    for k in range(CLIENTS):
        at = k * PART
        while True:
            at += beat * rng.randrange(4)
            beats = rng.choice([1, burst, rng.randint(1, 3 * burst)])
            if at + beats * beat > (k + 1) * PART:
                break
            segments[k].append((at, beats))
            for n in range(beats):
                wanted[k].append(source[at + n * beat :][:beat])
            at += beats * beat
        cocotb.start_soon(ask(dut, f"segments_{k}", segments[k]))
    levels, got = [0] * CLIENTS, [[] for _ in range(CLIENTS)]
    counted = 0
    last_clock = 0
    for clock in range(30 * sum(map(len, wanted))):
        for k, capacity in enumerate(capacities):
            getattr(dut, f"room_{k}").value = capacity - levels[k]
        await RisingEdge(dut.clk)
        if dut.axi__rvalid.value:
            assert dut.axi__rready.value, f"seed {seed} clock {clock}: a beat waits"
        counted += int(dut.inc_beats.value)
        for k, capacity in enumerate(capacities):
            if getattr(dut, f"beats_{k}__valid").value:
                value = getattr(dut, f"beats_{k}__payload").value.to_unsigned()
                got[k].append(value.to_bytes(beat, "little"))
                levels[k] += 1
                last_clock = clock
            assert levels[k] <= capacity, f"seed {seed} clock {clock}: client {k} runs over"
            levels[k] -= min(levels[k], int(rng.random() < 0.3))
        if clock - last_clock > 40 * burst:
            break
    for k, capacity in enumerate(capacities):
        assert got[k] == (wanted[k] if capacity >= burst else []), f"seed {seed} client {k}"
    assert counted == sum(map(len, got))
    assert dut.idle.value == (min(capacities) >= burst)


@cocotb.test()
async def bench_turns(dut):
    """Client 0 goes first, the others take turns burst by burst, whatever client 0 does."""
    beat, burst = int(os.environ["BEAT"]), int(os.environ["BURST"])
    rng = random.Random(3)
    await start_readers(dut)
    ram = AxiRam(AxiBus.from_prefix(dut, "axi_"), dut.clk, dut.rst, size=RAM_BYTES)
    ram.read_if.ar_channel.set_pause_generator(stalls(4, 0.3))
    for k in range(CLIENTS):
        getattr(dut, f"room_{k}").value = 0xFFFF
    bursts = PART // (beat * burst)
    for k in range(1, CLIENTS):
        cocotb.start_soon(ask(dut, f"segments_{k}", [(k * PART, bursts * burst)]))
    order, asked = [], []

    async def watch():
        while True:
            await RisingEdge(dut.clk)
            if dut.axi__arvalid.value and dut.axi__arready.value:
                order.append(client_of(dut.axi__araddr.value.to_unsigned()))
            if dut.segments_0__valid.value and dut.segments_0__ready.value:
                asked.append(len(order))

    cocotb.start_soon(watch())
    for n in range(10):
        await ClockCycles(dut.clk, rng.choice([1, burst // 2, rng.randrange(5 * burst)]))
        await ask(dut, "segments_0", [(n * beat * burst, burst)])
    await until_idle(dut)
    others = [k for k in order if k]
    assert others == [1, 2] * bursts, others
    places = [n for n, k in enumerate(order) if not k]
    assert len(places) == len(asked) == 10
    # One address of another client may stand on the bus already.
    assert all(place - before <= 1 for place, before in zip(places, asked, strict=True)), order


NONE, SOME = 0.0, 0.6
CROSS = list(itertools.product((NONE, SOME), repeat=2))


def environment(config, **more):
    return {
        "BEAT": str(config.bus_bytes),
        "WORD": str(config.word_bytes),
        "BURST": str(config.burst_beats),
        **more,
    }


copier, readers = cache(Copier), cache(Readers)  # one of each for all runs
CONFIGS = [ODD, dataclasses.replace(WIDE, burst_beats=8), QUAD]


@pytest.mark.verilog
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_copies(config):
    """Idle on the read side crossed with back-pressure on the write side."""
    for seed, (idle, pressure) in enumerate(CROSS):
        shares = ",".join(map(str, (idle, idle, pressure, pressure, pressure)))
        env = environment(config, SEED=str(seed), STALLS=shares)
        run_cocotb(copier(config), __file__, testcase="bench_copies", env=env)


@pytest.mark.verilog
def test_counts_of_bursts_wrap():
    """More than 256 bursts: the counts go on from 0."""
    env = environment(ODD, SEED="5", STALLS="0,0,0.3,0,0.6", SINGLES="300")
    run_cocotb(copier(ODD), __file__, testcase="bench_copies", env=env)


@pytest.mark.verilog
@pytest.mark.parametrize("bench", ["bench_errors", "bench_stop"])
def test_errors_and_stop(bench):
    run_cocotb(copier(ODD), __file__, testcase=bench, env=environment(ODD))


@pytest.mark.verilog
@pytest.mark.parametrize("config", [ODD, QUAD], ids=lambda c: c.name)
def test_room(config):
    for seed in range(4):
        env = environment(config, SEED=str(seed))
        run_cocotb(readers(config), __file__, testcase="bench_room", env=env)


@pytest.mark.verilog
@pytest.mark.parametrize("config", [ODD, QUAD], ids=lambda c: c.name)
def test_turns(config):
    run_cocotb(readers(config), __file__, testcase="bench_turns", env=environment(config))


def test_refuses_one_client():
    with pytest.raises(ValueError, match="num_clients must be at least 2, not 1"):
        AxiReader(ODD, num_clients=1)
