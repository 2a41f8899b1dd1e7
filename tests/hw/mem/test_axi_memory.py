"""Block RAM behind AXI4: bursts, strobes, stalls, responses, and the port of bytes beside it."""

import random

import pytest
from amaranth.sim import Simulator

from skimp.mem.axi_memory import AxiMemory

SIZE_BYTES, BEAT_BYTES = 512, 8
OKAY, SLVERR, DECERR = 0, 2, 3


def run(*benches, size_bytes=SIZE_BYTES):
    """Run benches on a memory, each an async function of it; the first one ends the run."""
    dut = AxiMemory(size_bytes=size_bytes, data_bits=8 * BEAT_BYTES)
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    for n, bench in enumerate(benches):

        async def testbench(ctx, bench=bench):
            await bench(ctx, dut)

        simulator.add_testbench(testbench, background=n > 0)
    simulator.run()
    return dut


async def until(ctx, flag, *values):
    while True:
        _, _, is_set, *found = await ctx.tick().sample(flag, *values)
        if is_set:
            return found


async def pause(ctx, chance, most=3):
    for _ in range(chance.randrange(most + 1)):
        await ctx.tick()


async def write(ctx, dut, address, beats, strobes, *, chance=None, size=3, burst=1):
    axi, chance = dut.axi, chance or random.Random(0)
    ctx.set(axi.awaddr, address)
    ctx.set(axi.awlen, len(beats) - 1)
    ctx.set(axi.awsize, size)
    ctx.set(axi.awburst, burst)
    ctx.set(axi.awvalid, 1)
    await until(ctx, axi.awready)
    ctx.set(axi.awvalid, 0)
    for n, (beat, strobe) in enumerate(zip(beats, strobes)):
        await pause(ctx, chance)
        ctx.set(axi.wdata, beat)
        ctx.set(axi.wstrb, strobe)
        ctx.set(axi.wlast, n == len(beats) - 1)
        ctx.set(axi.wvalid, 1)
        await until(ctx, axi.wready)
        ctx.set(axi.wvalid, 0)
    await pause(ctx, chance)
    ctx.set(axi.bready, 1)
    (response,) = await until(ctx, axi.bvalid, axi.bresp)
    ctx.set(axi.bready, 0)
    return response


async def read(ctx, dut, address, count, *, stall=0.0, chance=None, size=3, burst=1):
    """Return the beats; all but the last lack RLAST, and all have one response."""
    axi, chance = dut.axi, chance or random.Random(0)
    ctx.set(axi.araddr, address)
    ctx.set(axi.arlen, count - 1)
    ctx.set(axi.arsize, size)
    ctx.set(axi.arburst, burst)
    ctx.set(axi.arvalid, 1)
    await until(ctx, axi.arready)
    ctx.set(axi.arvalid, 0)
    beats, responses, clocks = [], set(), 0
    while len(beats) < count:
        ctx.set(axi.rready, chance.random() >= stall)
        _, _, valid, ready, beat, response, is_last = await ctx.tick().sample(
            axi.rvalid, axi.rready, axi.rdata, axi.rresp, axi.rlast
        )
        clocks += 1
        assert clocks < 100 * count, "no beat"
        if valid and ready:
            beats.append(beat)
            responses.add(response)
            assert is_last == (len(beats) == count)
    ctx.set(axi.rready, 0)
    assert len(responses) == 1
    return responses.pop(), beats, clocks


def test_latency_and_throughput():
    async def bench(ctx, dut):
        _, _, one = await read(ctx, dut, 0, 1)
        _, _, many = await read(ctx, dut, 64, 32)
        assert one == AxiMemory.read_latency
        assert many == AxiMemory.read_latency + 31

    run(bench)


@pytest.mark.parametrize("seed", range(3))
def test_random_traffic(seed):
    """Bursts and bytes at random, both sides stalling: what is read is what was written."""
    chance = random.Random(seed)
    image = bytearray(SIZE_BYTES)

    async def bench(ctx, dut):
        for address in range(0, SIZE_BYTES, BEAT_BYTES):
            assert await write(ctx, dut, address, [0], [255]) == OKAY
        for _ in range(40):
            count = chance.choice((1, 2, 5, 16))
            address = BEAT_BYTES * chance.randrange(SIZE_BYTES // BEAT_BYTES - count + 1)
            if chance.random() < 0.5:
                beats = [chance.getrandbits(64) for _ in range(count)]
                strobes = [chance.choice((255, 255, chance.getrandbits(8))) for _ in range(count)]
                assert await write(ctx, dut, address, beats, strobes, chance=chance) == OKAY
                for n, (beat, strobe) in enumerate(zip(beats, strobes)):
                    for lane in range(BEAT_BYTES):
                        if strobe >> lane & 1:
                            where = address + BEAT_BYTES * n + lane
                            image[where] = beat >> (8 * lane) & 255
            else:
                stall = chance.choice((0, 0.5, 0.9))
                response, beats, _ = await read(
                    ctx, dut, address, count, stall=stall, chance=chance
                )
                wanted = image[address : address + BEAT_BYTES * count]
                found = b"".join(beat.to_bytes(8, "little") for beat in beats)
                assert (response, found) == (OKAY, bytes(wanted)), seed

    async def bytes_beside(ctx, dut):
        """Reads that take the memory from the bus, now and then."""
        aside = random.Random(seed + 100)
        while True:
            await pause(ctx, aside, 4)
            ctx.set(dut.r_addr, aside.randrange(SIZE_BYTES))
            ctx.set(dut.r_en, 1)
            await ctx.tick()
            ctx.set(dut.r_en, 0)

    run(bench, bytes_beside)


def test_port_of_bytes():
    async def bench(ctx, dut):
        for address in range(40):
            ctx.set(dut.w_addr, 100 + address)
            ctx.set(dut.w_data, 3 * address)
            ctx.set(dut.w_en, 1)
            await ctx.tick()
        ctx.set(dut.w_en, 0)
        _, beats, _ = await read(ctx, dut, 104, 4)
        assert b"".join(b.to_bytes(8, "little") for b in beats) == bytes(range(12, 108, 3))
        for address in (39, 0, 7, 8):
            ctx.set(dut.r_addr, 100 + address)
            ctx.set(dut.r_en, 1)
            await ctx.tick()
            ctx.set(dut.r_en, 0)
            for _ in range(AxiMemory.port_read_latency - 1):
                await ctx.tick()
            assert ctx.get(dut.r_data) == 3 * address

    run(bench)


@pytest.mark.parametrize(
    ("address", "count", "options", "response"),
    [
        (SIZE_BYTES, 1, {}, DECERR),
        (SIZE_BYTES - 8, 2, {}, DECERR),
        (0xFFFF_FFF8, 2, {}, DECERR),
        (0x8000_0000, 1, {}, DECERR),
        (0, 2, {"burst": 0}, SLVERR),
        (0, 2, {"burst": 2}, SLVERR),
        (0, 2, {"size": 2}, SLVERR),
    ],
)
def test_refuses(address, count, options, response):
    """Nothing is written or read, least of all at the address that is left when bits are cut."""

    async def bench(ctx, dut):
        mark = 0x0123456789ABCDEF
        for place in (0, 8, SIZE_BYTES - 8):
            assert await write(ctx, dut, place, [mark], [255]) == OKAY
        assert await write(ctx, dut, address, [1] * count, [255] * count, **options) == response
        found, beats, _ = await read(ctx, dut, address, count, **options)
        assert (found, beats) == (response, [0] * count)
        for place in (0, 8, SIZE_BYTES - 8):
            assert (await read(ctx, dut, place, 1))[:2] == (OKAY, [mark])

    run(bench)


def test_a_reset_of_the_bus_forgets_bursts_and_keeps_the_memory():
    async def bench(ctx, dut):
        assert await write(ctx, dut, 0, [7, 8, 9], [255] * 3) == OKAY
        ctx.set(dut.axi.araddr, 0)
        ctx.set(dut.axi.arlen, 30)
        ctx.set(dut.axi.arsize, 3)
        ctx.set(dut.axi.arburst, 1)
        ctx.set(dut.axi.arvalid, 1)
        await until(ctx, dut.axi.arready)
        ctx.set(dut.axi.arvalid, 0)
        ctx.set(dut.axi.awlen, 5)
        ctx.set(dut.axi.awvalid, 1)
        await until(ctx, dut.axi.awready)
        ctx.set(dut.axi.awvalid, 0)
        await ctx.tick().repeat(20)
        ctx.set(dut.reset_bus, 1)
        await ctx.tick()
        ctx.set(dut.reset_bus, 0)
        for _ in range(5):
            assert not ctx.get(dut.axi.rvalid)
            await ctx.tick()
        assert (await read(ctx, dut, 0, 3))[:2] == (OKAY, [7, 8, 9])
        assert await write(ctx, dut, 8, [5], [255]) == OKAY

    run(bench)


@pytest.mark.parametrize("bits, size", [(24, 96), (8, 64), (64, 12), (64, 0)])
def test_refuses_what_cannot_be_built(bits, size):
    with pytest.raises(ValueError, match="must be"):
        AxiMemory(size_bytes=size, data_bits=bits)
