"""The board's side of the serial link: packets, damage to them, registers, memory, reset."""

import random
import struct
from dataclasses import dataclass, field

import pytest
from amaranth import *
from amaranth.sim import Simulator

from skimp.link.format import (
    LINK_ERRORS,
    MAX_BLOCK_BYTES,
    STATUS_IRQ,
    STATUS_RESET,
    VERSION,
    Answer,
    Identity,
    Opcode,
    Status,
    pack_answer,
    pack_request,
)
from skimp.link.link import Link
from skimp.mem.axi_memory import AxiMemory

MEMORY_BYTES = 1536
SILENCE = 60
NO_REGISTER, SILENT_REGISTER = 0x7FC, 0x7F8


async def until(ctx, flag, *values):
    """Clock until a flag is set; return values of that clock."""
    while True:
        _, _, is_set, *found = await ctx.tick().sample(flag, *values)
        if is_set:
            return found


@dataclass
class Bench:
    """A link whose host is the test; registers behind it answer late, or never."""

    seed: int = 0
    registers: dict = field(default_factory=lambda: {0x10: 0b101, 0x20: 0xDEADBEEF})
    writes: list = field(default_factory=list)
    sent: bytearray = field(default_factory=bytearray)

    def run(self, host):
        self.random = random.Random(self.seed)
        m = Module()
        m.submodules.memory = memory = AxiMemory(size_bytes=MEMORY_BYTES, data_bits=64)
        m.submodules.link = self.link = link = Link(
            dram_bytes=MEMORY_BYTES,
            clock_hz=48_000_000,
            silence_clocks=SILENCE,
            memory_latency=AxiMemory.port_read_latency,
            look_clocks=97,
        )
        m.d.comb += [
            memory.r_en.eq(link.mem_r_en),
            memory.r_addr.eq(link.mem_addr),
            link.mem_r_data.eq(memory.r_data),
            memory.w_en.eq(link.mem_w_en),
            memory.w_addr.eq(link.mem_addr),
            memory.w_data.eq(link.mem_w_data),
        ]
        simulator = Simulator(m)
        simulator.add_clock(1e-6)
        simulator.add_testbench(self._collect, background=True)
        simulator.add_testbench(self._read_registers, background=True)
        simulator.add_testbench(self._write_registers, background=True)

        async def testbench(ctx):
            self.ctx = ctx
            await host(self)

        simulator.add_testbench(testbench)
        simulator.run()

    async def _collect(self, ctx):
        tx = self.link.tx
        while True:
            ctx.set(tx.ready, self.random.random() < 0.5)
            _, _, valid, ready, byte = await ctx.tick().sample(tx.valid, tx.ready, tx.payload)
            if valid and ready:
                self.sent.append(byte)

    async def _wait(self, ctx):
        for _ in range(self.random.choice((0, 0, 1, 5))):
            await ctx.tick()

    async def _read_registers(self, ctx):
        axil = self.link.axil
        while True:
            await self._wait(ctx)
            ctx.set(axil.arready, 1)
            (addr,) = await until(ctx, axil.arvalid, axil.araddr)
            ctx.set(axil.arready, 0)
            if addr == SILENT_REGISTER:
                continue
            await self._wait(ctx)
            ctx.set(axil.rresp, 0 if addr in self.registers else 2)
            ctx.set(axil.rdata, self.registers.get(addr, 0))
            ctx.set(axil.rvalid, 1)
            await until(ctx, axil.rready)
            ctx.set(axil.rvalid, 0)

    async def _write_registers(self, ctx):
        axil = self.link.axil
        while True:
            taken = {}
            while len(taken) < 2:
                for name in ("aw", "w"):
                    ready = name not in taken and self.random.random() < 0.5
                    ctx.set(getattr(axil, f"{name}ready"), ready)
                _, _, aw, w, addr, value = await ctx.tick().sample(
                    axil.awvalid & axil.awready, axil.wvalid & axil.wready, axil.awaddr, axil.wdata
                )
                taken |= ({"aw": addr} if aw else {}) | ({"w": value} if w else {})
            ctx.set(axil.awready, 0)
            ctx.set(axil.wready, 0)
            if taken["aw"] == SILENT_REGISTER:
                continue
            self.writes.append((taken["aw"], taken["w"]))
            known = taken["aw"] in self.registers
            if known:
                self.registers[taken["aw"]] = taken["w"]
            ctx.set(axil.bresp, 0 if known else 2)
            ctx.set(axil.bvalid, 1)
            await until(ctx, axil.bready)
            ctx.set(axil.bvalid, 0)

    async def send(self, data, damaged=()):
        rx, ctx = self.link.rx, self.ctx
        for i, byte in enumerate(data):
            ctx.set(rx.payload, {"byte": byte, "damaged": i in damaged})
            ctx.set(rx.valid, 1)
            await until(ctx, rx.ready)
            ctx.set(rx.valid, 0)
            await ctx.tick().repeat(self.random.randrange(1, 4))

    async def answer(self, clocks=20_000) -> Answer:
        for _ in range(clocks):
            if len(self.sent) >= 5:
                count = int.from_bytes(self.sent[3:5], "little")
                if len(self.sent) == 9 + count:
                    packet = bytes(self.sent)
                    answer = Answer(packet[1], packet[2], packet[5 : 5 + count])
                    assert packet == pack_answer(answer), self.seed
                    self.sent.clear()
                    return answer
            await self.ctx.tick()
        raise AssertionError(f"no answer, seed {self.seed}: {bytes(self.sent)}")

    async def ask(self, tag, opcode, address=0, count=0, payload=b"") -> Answer:
        await self.send(pack_request(tag, opcode, address, count or len(payload), payload))
        answer = await self.answer()
        assert answer.tag == tag
        return answer


def u32(value):
    return struct.pack("<I", value)


def test_says_what_it_is():
    async def host(bench):
        answer = await bench.ask(7, Opcode.IDENTIFY, count=16)
        assert answer == Answer(7, Status.OKAY, answer.payload)
        identity = Identity.unpack(answer.payload)
        assert identity == (VERSION, MAX_BLOCK_BYTES, MEMORY_BYTES, 48_000_000, 0)

    Bench().run(host)


@pytest.mark.parametrize("seed", range(2))
def test_registers_and_memory(seed):
    async def host(bench):
        image = bytearray(MEMORY_BYTES)
        for start in range(0, MEMORY_BYTES, 768):
            written = await bench.ask(start // 768, Opcode.WRITE_MEMORY, start, 0, bytes(768))
            assert written.status == Status.OKAY
        for tag in range(10, 20):
            count = bench.random.choice((1, 2, 7, 8, 9, 33))
            address = bench.random.choice((0, MEMORY_BYTES - count, bench.random.randrange(1200)))
            data = bench.random.randbytes(count)
            answer = await bench.ask(tag, Opcode.WRITE_MEMORY, address, 0, data)
            assert answer == (tag, Status.OKAY, b"")
            image[address : address + count] = data
            start, length = bench.random.randrange(1400), bench.random.choice((1, 3, 100))
            answer = await bench.ask(tag, Opcode.READ_MEMORY, start, length)
            assert answer == (tag, Status.OKAY, bytes(image[start : start + length])), seed
        for start in range(0, MEMORY_BYTES, MAX_BLOCK_BYTES):
            count = min(MAX_BLOCK_BYTES, MEMORY_BYTES - start)
            answer = await bench.ask(99, Opcode.READ_MEMORY, start, count)
            assert answer.payload == image[start : start + count]
        assert (await bench.ask(1, Opcode.READ_REGISTER, 0x20, 4)).payload == u32(0xDEADBEEF)
        assert (await bench.ask(2, Opcode.WRITE_REGISTER, 0x20, 4, u32(77))).status == 0
        assert (await bench.ask(3, Opcode.READ_REGISTER, 0x20, 4)).payload == u32(77)
        assert bench.writes == [(0x20, 77)]
        assert bench.ctx.get(bench.link.status) == 0b101

    Bench(seed).run(host)


def test_refuses_what_it_cannot_do():
    async def host(bench):
        refused = [
            (Opcode.READ_MEMORY, MEMORY_BYTES - 3, 4, b"", Status.BAD_ADDRESS),
            (Opcode.READ_MEMORY, 0xFFFF_FFFF, 2, b"", Status.BAD_ADDRESS),
            (Opcode.READ_MEMORY, 0, 0, b"", Status.BAD_COUNT),
            (Opcode.READ_MEMORY, 0, MAX_BLOCK_BYTES + 1, b"", Status.BAD_COUNT),
            (Opcode.WRITE_MEMORY, MEMORY_BYTES - 1, 0, b"ab", Status.BAD_ADDRESS),
            (Opcode.WRITE_MEMORY, 1 << 31, 0, b"ab", Status.BAD_ADDRESS),
            (Opcode.READ_REGISTER, 0x1010, 4, b"", Status.BAD_ADDRESS),
            (Opcode.READ_REGISTER, 0x10, 3, b"", Status.BAD_COUNT),
            (Opcode.WRITE_REGISTER, 0x20, 0, b"123", Status.BAD_COUNT),
            (Opcode.READ_REGISTER, NO_REGISTER, 4, b"", Status.SLVERR),
            (Opcode.WRITE_REGISTER, NO_REGISTER, 0, u32(1), Status.SLVERR),
            (Opcode.READ_REGISTER, SILENT_REGISTER, 4, b"", Status.NO_ANSWER),
            (Opcode.WRITE_REGISTER, SILENT_REGISTER, 0, u32(1), Status.NO_ANSWER),
            (Opcode.IDENTIFY, 0, 4, b"", Status.BAD_COUNT),
            (Opcode.POLL, 0, 4, b"", Status.BAD_COUNT),
            (0x55, 0, 0, b"", Status.BAD_OPCODE),
            (0xD5, 0, 0, b"12345", Status.BAD_OPCODE),
        ]
        for tag, (opcode, address, count, payload, status) in enumerate(refused):
            answer = await bench.ask(tag, opcode, address, count, payload)
            assert answer == (tag, status, b""), (opcode, address)
            assert (await bench.ask(100 + tag, Opcode.READ_REGISTER, 0x10, 4)).status == 0
        assert bench.registers[0x20] == 0xDEADBEEF

    Bench().run(host)


def test_carries_out_a_write_once_for_a_tag():
    async def host(bench):
        for _ in range(3):
            answer = await bench.ask(9, Opcode.WRITE_REGISTER, 0x20, 0, u32(5))
            assert answer.status == Status.OKAY
            answer = await bench.ask(10, Opcode.WRITE_REGISTER, NO_REGISTER, 0, u32(6))
            assert answer.status == Status.SLVERR
            assert (await bench.ask(10, Opcode.WRITE_REGISTER, NO_REGISTER, 0, u32(6))).status == 2
        assert bench.writes == [(0x20, 5), (NO_REGISTER, 6)] * 3
        # A host that starts anew may start with the tag of the one before it.
        await bench.ask(10, Opcode.IDENTIFY, count=16)
        await bench.ask(10, Opcode.WRITE_REGISTER, 0x20, 0, u32(8))
        assert bench.writes[-1] == (0x20, 8)

    Bench().run(host)


def test_holds_the_reset_and_tells_the_interrupt():
    async def host(bench):
        link, ctx = bench.link, bench.ctx
        assert (await bench.ask(1, Opcode.POLL)).status == Status.OKAY
        ctx.set(link.irq, 1)
        assert (await bench.ask(2, Opcode.POLL)).status == STATUS_IRQ
        ctx.set(link.irq, 0)
        assert (await bench.ask(3, Opcode.RESET, 0, 0, u32(1))).status == STATUS_RESET
        assert ctx.get(link.hold_reset) == 1
        held = STATUS_RESET | Status.IN_RESET
        assert (await bench.ask(4, Opcode.READ_REGISTER, 0x10, 4)).status == held
        assert (await bench.ask(5, Opcode.WRITE_REGISTER, 0x20, 0, u32(1))).status == held
        await bench.ask(6, Opcode.WRITE_MEMORY, 5, 0, b"memory stays")
        assert (await bench.ask(7, Opcode.READ_MEMORY, 5, 12)).payload == b"memory stays"
        await ctx.tick().repeat(200)
        assert ctx.get(link.status) == 0
        assert (await bench.ask(8, Opcode.RESET, 0, 0, u32(0))).status == Status.OKAY
        assert (await bench.ask(9, Opcode.READ_REGISTER, 0x10, 4)).payload == u32(0b101)
        assert not bench.writes

    Bench().run(host)


@pytest.mark.parametrize("seed", range(3))
def test_survives_damage(seed):
    """Whatever happens to a packet, its request is not carried out, and the next one is."""

    async def host(bench):
        chance = bench.random
        for n in range(12):
            data = chance.randbytes(chance.choice((1, 4, 20)))
            packet = bytearray(pack_request(n, Opcode.WRITE_MEMORY, 8, len(data), data))
            damaged, kind = (), n % 6
            if kind == 0:
                packet[chance.randrange(len(packet))] ^= chance.choice((1, 16, 255))
            elif kind == 1:
                del packet[chance.randrange(len(packet))]
            elif kind == 2:
                del packet[chance.randrange(1, len(packet)) :]
            elif kind == 3:
                packet.insert(chance.randrange(len(packet)), chance.randrange(256))
            elif kind == 4:
                damaged = {chance.randrange(len(packet))}
            else:
                packet[7:9] = struct.pack("<H", MAX_BLOCK_BYTES + 1)
            await bench.ask(200 + n, Opcode.WRITE_MEMORY, 8, 0, bytes(20))
            await bench.send(packet, damaged)
            answer = await bench.answer()
            # A byte inserted or lost before the sync byte may leave the packet whole.
            assert answer.status in LINK_ERRORS, (seed, n, kind, answer)
            assert bench.ctx.get(bench.link.damaged)
            await bench.ctx.tick().repeat(3 * SILENCE)
            assert not bench.sent, "one answer to a damaged packet"
            assert (await bench.ask(n, Opcode.READ_MEMORY, 8, 20)).payload == bytes(20), (seed, n)
            assert not bench.ctx.get(bench.link.damaged)

    Bench(seed).run(host)
