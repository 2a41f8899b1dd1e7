"""One wide AXI4 master on narrow ports: data, order, answers, throughput, and what is forgotten.

The ports share one memory (cocotbext-axi slaves); the bench is the master.
"""

import os
import random
from functools import cache

import cocotb
import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, Event, RisingEdge
from cocotbext.axi import AxiBus, AxiSlave, MemoryRegion

from skimp.config import ConfigError
from skimp.dma.axi import Axi4
from skimp.dma.axi_ports import AxiPorts
from skimp_sim.bench.cocotb_run import run_cocotb

RAM_BYTES = 1 << 14
HALF = RAM_BYTES // 2
BAD = RAM_BYTES - 1024
"""From here on every access is answered with an error."""

IDS = ("awid", "bid", "arid", "rid")


class Bench(wiring.Component):
    """Ports with the identifiers that the slaves ask for."""

    def __init__(self, data_bits, num_ports):
        self._inner = AxiPorts(data_bits=data_bits, num_ports=num_ports)
        ids = {name: (In if name in ("bid", "rid") else Out)(4) for name in IDS}
        port = wiring.Signature({**dict(Axi4(data_bits=128).members.items()), **ids})
        super().__init__(
            {
                "bus": In(Axi4(data_bits=data_bits)),
                "forget": In(1),
                **{f"port_{p}": Out(port) for p in range(num_ports)},
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.inner = inner = self._inner
        wiring.connect(m, wiring.flipped(self.bus), inner.bus)
        m.d.comb += inner.forget.eq(self.forget)
        for p, theirs in enumerate(inner.ports):
            ours = getattr(self, f"port_{p}")
            for name, member in Axi4(data_bits=128).members.items():
                a, b = getattr(ours, name), getattr(theirs, name)
                m.d.comb += a.eq(b) if member.flow == Out else b.eq(a)
        return m


class Memory(MemoryRegion):
    """Memory whose end answers with an error; counts what comes."""

    async def _read(self, address, length, **kwargs):
        if address >= BAD:
            raise RuntimeError("no memory here")
        return await super()._read(address, length, **kwargs)

    async def _write(self, address, data, **kwargs):
        if address >= BAD:
            raise RuntimeError("no memory here")
        await super()._write(address, data, **kwargs)


class Master:
    """Drives the wide side; a forgotten run stops at once."""

    def __init__(self, dut, rng, *, beat_bytes, stall):
        self.dut, self.rng, self.beat, self.stall = dut, rng, beat_bytes, stall
        self.tasks = []
        self.quiet()

    def quiet(self):
        for name in ("arvalid", "rready", "awvalid", "wvalid", "bready"):
            getattr(self.dut, f"bus__{name}").value = 0

    def drop(self):
        for task in self.tasks:
            task.cancel()
        self.tasks = []
        self.quiet()

    async def send(self, channel, **values):
        """Offer a transfer until it is taken."""
        dut = self.dut
        while self.rng.random() < self.stall:
            await RisingEdge(dut.clk)
        for name, value in values.items():
            getattr(dut, f"bus__{name}").value = value
        getattr(dut, f"bus__{channel}valid").value = 1
        while True:
            await RisingEdge(dut.clk)
            if getattr(dut, f"bus__{channel}ready").value:
                break
        getattr(dut, f"bus__{channel}valid").value = 0

    async def send_all(self, channel, transfers):
        for values in transfers:
            await self.send(channel, **values)

    async def take(self, channel, names, count):
        """Return that many transfers of an incoming channel."""
        dut, found = self.dut, []
        ready = getattr(dut, f"bus__{channel}ready")
        while len(found) < count:
            is_ready = self.rng.random() >= self.stall
            ready.value = int(is_ready)
            await RisingEdge(dut.clk)
            if is_ready and getattr(dut, f"bus__{channel}valid").value:
                found.append(tuple(int(getattr(dut, f"bus__{name}").value) for name in names))
        ready.value = 0
        return found

    def read(self, bursts):
        """Start reading bursts (address, beats); the task returns (data, resp, last) of each beat."""
        asked = [{"araddr": addr, "arlen": beats - 1} for addr, beats in bursts]
        total = sum(beats for _, beats in bursts)
        self.tasks.append(cocotb.start_soon(self.send_all("ar", asked)))
        task = cocotb.start_soon(self.take("r", ("rdata", "rresp", "rlast"), total))
        self.tasks.append(task)
        return task

    def write(self, bursts):
        """Start writing bursts (address, [(data, strobes)]); the task returns (resp,) of each."""
        asked = [{"awaddr": addr, "awlen": len(beats) - 1} for addr, beats in bursts]
        data = [
            {"wdata": value, "wstrb": strobes, "wlast": int(n == len(beats) - 1)}
            for _, beats in bursts
            for n, (value, strobes) in enumerate(beats)
        ]
        self.tasks.append(cocotb.start_soon(self.send_all("aw", asked)))
        self.tasks.append(cocotb.start_soon(self.send_all("w", data)))
        task = cocotb.start_soon(self.take("b", ("bresp",), len(bursts)))
        self.tasks.append(task)
        return task


def pauses(rng, share):
    while True:
        yield rng.random() < share


async def start(dut, *, seed, stall):
    """Return memory, master, and the slaves' channels."""
    rng = random.Random(seed)
    cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
    dut.forget.value = 0
    master = Master(dut, rng, beat_bytes=int(os.environ["BEAT"]), stall=stall)
    dut.rst.value = 1
    await ClockCycles(dut.clk, 4)
    dut.rst.value = 0
    memory = Memory(RAM_BYTES)
    channels = []
    for p in range(int(os.environ["PORTS"])):
        bus = AxiBus.from_prefix(dut, f"port_{p}_")
        slave = AxiSlave(bus, dut.clk, dut.rst, target=memory)
        read, write = slave.read_if, slave.write_if
        channels += [
            read.ar_channel, read.r_channel, write.aw_channel, write.w_channel, write.b_channel
        ]  # fmt: skip
        cocotb.start_soon(watch(dut, f"port_{p}"))
    for channel in channels:
        if stall:
            channel.set_pause_generator(pauses(random.Random(rng.random()), stall))
    return rng, memory, master, channels


async def watch(dut, port):
    """No burst of a port leaves its 64 bytes; reads and answers are never kept waiting."""
    while True:
        await RisingEdge(dut.clk)
        for channel in ("ar", "aw"):
            if getattr(dut, f"{port}__{channel}valid").value:
                addr = getattr(dut, f"{port}__{channel}addr").value.to_unsigned()
                beats = getattr(dut, f"{port}__{channel}len").value.to_unsigned() + 1
                assert addr // 64 == (addr + 16 * beats - 1) // 64, f"{port} {channel} {addr:#x}"
        assert getattr(dut, f"{port}__rready").value and getattr(dut, f"{port}__bready").value


def random_bursts(rng, beat, low, high, count):
    """Bursts inside 4 KB, of 1 to 20 beats."""
    found = []
    while len(found) < count:
        addr = rng.randrange(low, high, beat)
        beats = rng.choice([1, 2, 16, rng.randint(1, 20)])
        if addr + beats * beat <= min(high, (addr // 4096 + 1) * 4096):
            found.append((addr, beats))
    return found


def random_writes(rng, beat, low, high, count):
    """The same with data and strobes, some of them 0; later ones may overwrite earlier ones."""
    found = []
    for addr, beats in random_bursts(rng, beat, low, high, count):
        whole = (1 << beat) - 1
        data = [
            (rng.getrandbits(8 * beat), rng.choice([0, whole, rng.getrandbits(beat)]))
            for _ in range(beats)
        ]
        found.append((addr, data))
    return found


def check_reads(found, bursts, beat, image):
    beats = iter(found)
    for addr, count in bursts:
        for n in range(count):
            data, resp, last = next(beats)
            at = addr + n * beat
            assert last == (n == count - 1), f"last of {addr:#x}"
            assert resp == (2 if at >= BAD else 0), f"response at {at:#x}"
            if at < BAD:
                wanted = int.from_bytes(image[at : at + beat], "little")
                assert data == wanted, f"data at {at:#x}"


def written_bytes(bursts, beat):
    """Yield (address, value) of every byte that is written."""
    for addr, data in bursts:
        for n, (value, strobes) in enumerate(data):
            for i in range(beat):
                if strobes >> i & 1:
                    yield addr + n * beat + i, value >> 8 * i & 0xFF


def apply_writes(image, bursts, beat):
    for at, value in written_bytes(bursts, beat):
        if at < BAD:
            image[at] = value


@cocotb.test()
async def bench_random(dut):
    """Reads of one half of the memory beside writes of the other, errors at its end."""
    beat = int(os.environ["BEAT"])
    rng, memory, master, _ = await start(
        dut, seed=int(os.environ["SEED"]), stall=float(os.environ["STALL"])
    )
    image = bytearray(rng.randbytes(RAM_BYTES))
    memory[:] = bytes(image)
    for low in (0, HALF):  # what is read first is written then
        reads = random_bursts(rng, beat, low, low + HALF, 24)
        writes = random_writes(rng, beat, HALF - low, RAM_BYTES - low, 24)
        reading, writing = master.read(reads), master.write(writes)
        check_reads(await reading, reads, beat, image)
        answers = await writing
        for (addr, data), (resp,) in zip(writes, answers, strict=True):
            # The slave never sees a beat without strobes.
            bad = any(strobes and addr + n * beat >= BAD for n, (_, strobes) in enumerate(data))
            assert resp == 2 * bad, f"answer to {addr:#x}"
        apply_writes(image, writes, beat)
        assert memory[:] == bytes(image)


@cocotb.test()
async def bench_throughput(dut):
    """Bursts of 1 KB one behind the other: a beat a clock, or what the ports can carry."""
    beat, ports = int(os.environ["BEAT"]), int(os.environ["PORTS"])
    _, _, master, _ = await start(dut, seed=1, stall=0)
    length = min(16, 1024 // beat)
    bursts = [(n * length * beat, length) for n in range(BAD // (length * beat) // 2)]
    total = length * len(bursts)
    share = max(1, beat // 16 // ports)
    clocks = {"r": [], "w": []}
    done = Event()

    async def count():
        clock = 0
        while not done.is_set():
            await RisingEdge(dut.clk)
            clock += 1
            for name, found in clocks.items():
                if getattr(dut, f"bus__{name}valid").value and (
                    getattr(dut, f"bus__{name}ready").value
                ):
                    found.append(clock)

    cocotb.start_soon(count())
    await master.read(bursts)
    await master.write(
        [(addr, [(n, -1 % (1 << beat)) for n in range(length)]) for addr, _ in bursts]
    )
    done.set()
    for name, found in clocks.items():
        assert len(found) == total
        took = found[-1] - found[0] + 1
        assert took <= 1.05 * share * total + 20, f"{name}: {total} beats in {took} clocks"


@cocotb.test()
async def bench_forgets(dut):
    """A master that was reset in the middle finds the ports as if nothing had been."""
    beat, seed = int(os.environ["BEAT"]), int(os.environ["SEED"])
    rng, memory, master, channels = await start(dut, seed=seed, stall=0.3)
    for _ in range(8):
        stuck = rng.random() < 0.5
        hung = rng.sample(channels, len(channels) // 2) if stuck else []
        for channel in hung:
            channel.set_pause_generator(None)
            channel.pause = True
        master.read(random_bursts(rng, beat, 0, HALF, 30))
        lost = random_writes(rng, beat, 0, HALF, 30)
        possible = [{value} for value in memory[:HALF]]
        for at, value in written_bytes(lost, beat):
            possible[at].add(value)
        master.write(lost)
        await ClockCycles(dut.clk, rng.randint(1, 200))
        dut.forget.value = 1
        await RisingEdge(dut.clk)
        dut.forget.value = 0
        master.drop()
        image = bytearray(rng.randbytes(RAM_BYTES))
        reads = random_bursts(rng, beat, HALF, BAD, 6)
        writes = random_writes(rng, beat, HALF, BAD, 6)
        memory[HALF:] = bytes(image[HALF:])
        reading = master.read(reads)
        await ClockCycles(dut.clk, 50)
        for channel in hung:
            channel.pause = False
            channel.set_pause_generator(pauses(random.Random(rng.random()), 0.3))
        check_reads(await reading, reads, beat, image)
        answers = await master.write(writes)
        assert answers == [(0,)] * len(writes)
        apply_writes(image, writes, beat)
        assert memory[HALF:] == bytes(image[HALF:])
        for at, value in enumerate(memory[:HALF]):
            assert value in possible[at], f"nobody wrote {value:#x} to {at:#x}"


SHAPES = [(128, 1), (256, 2), (512, 4), (256, 4)]
bench = cache(Bench)  # one of each for all runs


def run(shape, testcase, **env):
    env = {"BEAT": str(shape[0] // 8), "PORTS": str(shape[1]), **env}
    run_cocotb(bench(*shape), __file__, testcase=testcase, env=env)


@pytest.mark.verilog
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_random_traffic(shape):
    for seed, stall in enumerate(("0", "0.4")):
        run(shape, "bench_random", SEED=str(seed), STALL=stall)


@pytest.mark.verilog
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_throughput(shape):
    run(shape, "bench_throughput")


@pytest.mark.verilog
@pytest.mark.parametrize("shape", SHAPES[:3], ids=str)
def test_forgets(shape):
    run(shape, "bench_forgets", SEED="1")


def test_refuses_what_does_not_fit():
    with pytest.raises(ConfigError, match="a bus of 64 bits: must be 128, 256 or 512"):
        AxiPorts(data_bits=64, num_ports=1)
    with pytest.raises(ConfigError, match="num_ports must be 1, 2 or 4, not 3"):
        AxiPorts(data_bits=256, num_ports=3)
