"""Toggles of memories' outputs and of the registers around them: what is not wanted rests."""

import os
import random
from collections import Counter
from dataclasses import replace
from functools import cache

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from togglebench import SideBySide, counts_of, drive, pack, run_counted, show

from skimp.configs import load_config
from skimp.mem.pixel_ram import PixelRam
from skimp.pe.psum_spad import PsumSpad

pytestmark = pytest.mark.verilog

DEPTH, READS = 48, 200
PSUM = replace(load_config("tiny"), psum_depth=12)
PIXELS = replace(PSUM, out_channels=16, act_words=4)
BANKS, BLOCKS = PIXELS.chip_words, PIXELS.ofmap_blocks
SETTLE = 4


async def start(dut) -> random.Random:
    cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
    drive(dut, dict(w_count=0, r_en=0, valid=0, rd_en=0))
    return random.Random(int(os.environ["SEED"]))


async def clock(dut, **vector):
    drive(dut, vector)
    await RisingEdge(dut.clk)


async def counted(dut, block: str, before: Counter) -> Counter:
    """Return what has changed since, once all has come through."""
    for _ in range(SETTLE):
        await RisingEdge(dut.clk)
    return counts_of(dut)[block] - before


@cocotb.test()
async def bench_pixel_ram(dut):
    """Only memories that hold a wanted pixel of a run, and of those the block, change."""
    rng = await start(dut)
    seed = os.environ["SEED"]
    bits = PIXELS.word_bits
    table = [rng.getrandbits(bits * BLOCKS) for _ in range(DEPTH)]
    for pixel, value in enumerate(table):
        await clock(dut, w_count=1, w_pixel=pixel, w_data__0=value)
    await clock(dut, w_count=0)
    shown = {}

    async def read(first, block, lanes):
        """Read, and return what changes by memory."""
        await clock(dut, r_en=1, r_pixel=first, r_block=block, r_lanes=lanes)
        changed = Counter()
        for pixel in (first + n for n in range(BANKS) if lanes >> n & 1):
            name = f"bank_{pixel % BANKS}_{block}"
            word = table[pixel] >> bits * block & (1 << bits) - 1
            changed[name] += (shown.get(name, 0) ^ word).bit_count()
            shown[name] = word
        return changed

    for block in range(BLOCKS):
        await read(0, block, (1 << BANKS) - 1)
    show(f"memory of pixels, seed {seed}: toggles of {BANKS * BLOCKS} memories, by pixels wanted")
    totals = []
    for wanted in range(BANKS + 1):
        await clock(dut, r_en=0)
        before, expected = (await counted(dut, "ram", Counter())), Counter()
        for _ in range(READS):
            lanes = sum(1 << n for n in rng.sample(range(BANKS), wanted))
            expected += await read(rng.randrange(DEPTH - BANKS + 1), rng.randrange(BLOCKS), lanes)
        await clock(dut, r_en=0, r_lanes=(1 << BANKS) - 1)
        found = await counted(dut, "ram", before)
        assert found == expected, f"seed {seed}, {wanted} wanted"
        totals.append(sum(found.values()))
        show(f"{wanted:>6}{totals[-1]:>9}")
    for wanted, total in enumerate(totals):
        assert abs(total - totals[-1] * wanted / BANKS) < 0.05 * totals[-1], f"seed {seed}"


@cocotb.test()
async def bench_psum_spad(dut):
    """Sums change where a value comes, finished ones where they are read; else both rest."""
    rng = await start(dut)
    seed = os.environ["SEED"]
    channels = PSUM.out_channels
    sums, shown, expected = {}, [0] * channels, Counter()

    def noise():
        return dict(
            value=rng.getrandbits(32 * channels), first=rng.getrandbits(1),
            last=rng.getrandbits(1), slot=rng.randrange(PSUM.psum_slots),
            addr=rng.randrange(PSUM.psum_depth), rd_slot=rng.randrange(PSUM.psum_slots),
            rd_addr=rng.randrange(PSUM.psum_depth),
        )  # fmt: skip

    before = await counted(dut, "psum", Counter())
    for n in range(10 * PSUM.psum_depth):
        addr, last = n % PSUM.psum_depth, n >= 9 * PSUM.psum_depth
        values = [rng.randrange(-(1 << 20), 1 << 20) for _ in range(channels)]
        await clock(
            dut, valid=1, first=int(n < PSUM.psum_depth), last=int(last), slot=1, addr=addr,
            value=pack(values, 32),
        )  # fmt: skip
        sums[addr] = [a + b for a, b in zip(sums.get(addr, [0] * channels), values)]
        expected["adders"] += sum(
            ((a ^ b) & (1 << 32) - 1).bit_count() for a, b in zip(shown, sums[addr])
        )
        shown = sums[addr]
    await clock(dut, valid=0)
    busy = await counted(dut, "psum", before)
    assert busy["adders"] == expected["adders"] and busy["finished"] == 0, f"seed {seed}: {busy}"
    before = counts_of(dut)["psum"]
    for _ in range(10 * PSUM.psum_depth):
        await clock(dut, valid=0, rd_en=0, **noise())
    idle = await counted(dut, "psum", before)
    assert idle["adders"] == idle["finished"] == 0, f"seed {seed}: {idle}"
    # The noise has left everything as it was, and reading moves only what is read.
    before, port = counts_of(dut)["psum"], 0
    for addr, row in sums.items():
        await clock(dut, rd_en=1, rd_slot=1, rd_addr=addr)
        await clock(dut, rd_en=0)
        assert dut.psum__rd_data.value.to_unsigned() == pack(row, 32), f"seed {seed}, {addr}"
        expected["finished"] += (port ^ pack(row, 32)).bit_count()
        port = pack(row, 32)
    drained = await counted(dut, "psum", before)
    assert drained == Counter(finished=expected["finished"]), f"seed {seed}: {drained}"
    show(f"psum spad, seed {seed}: toggles of {channels} channels in as many clocks")
    show(f"{'':>8}{'values':>9}{'adders':>9}{'finished':>9}")
    for name, found in (("busy", busy), ("idle", idle)):
        show(f"{name:>8}" + "".join(f"{found[u]:>9}" for u in ("values", "adders", "finished")))


@cache
def side_by_side() -> SideBySide:
    ram = PixelRam(PIXELS, depth=DEPTH, write_pixels=1, read_pixels=BANKS, read_words=True)
    return SideBySide({"ram": ram, "psum": PsumSpad(PSUM)})


def group(path, name):
    """Return the memory, or which registers in front of one."""
    if path:
        return path.partition(".")[0]
    return {"s1_value": "values", "s2_sum": "adders"}.get("_".join(name.split("_")[:2]))


@pytest.mark.parametrize("bench", ["bench_pixel_ram", "bench_psum_spad"])
def test_memories(bench):
    print(run_counted(side_by_side(), __file__, bench, group=group, seed=5))
