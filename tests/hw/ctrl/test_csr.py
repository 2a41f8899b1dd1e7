"""Registers over AXI4-Lite with cocotbext-axi's master: access kinds, counters, errors."""

import os
import random
from functools import cache

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp

from skimp import regs
from skimp.configs import PRESETS
from skimp.ctrl.csr import Csr
from skimp.regs import COUNTERS, register
from skimp_sim.bench.cocotb_run import run_cocotb

CONFIG = PRESETS["tiny"]


csr = cache(lambda: Csr(CONFIG))  # one for all runs


def offset(name):
    return register(name).offset


async def start(dut):
    cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
    for name, _ in COUNTERS:
        getattr(dut, f"inc_{name}").value = 0
    for name in "busy done error event error_code error_info layer_id".split():
        getattr(dut, name).value = 0
    dut.rst.value = 1
    master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "axil_"), dut.clk, dut.rst)
    await ClockCycles(dut.clk, 3)
    dut.rst.value = 0
    rng = random.Random(int(os.environ["BENCH_SEED"]))
    if os.environ["BENCH_STALLS"] == "1":
        channels = (
            master.write_if.aw_channel, master.write_if.w_channel, master.write_if.b_channel,
            master.read_if.ar_channel, master.read_if.r_channel,
        )  # fmt: skip
        for channel in channels:
            channel.set_pause_generator(iter(lambda: rng.random() < 0.5, None))
    return master


@cocotb.test()
async def bench_registers(dut):
    bus = await start(dut)
    assert await bus.read_dword(offset("MAGIC")) == regs.MAGIC
    assert await bus.read_dword(offset("VERSION")) == regs.VERSION
    assert await bus.read_dword(offset("CONFIG_HASH")) == CONFIG.hash
    for name, value in (("DRAM_BASE", 0x89ABCDE0), ("PROGRAM_ADDR", 0x01234560)):
        await bus.write_dword(offset(name), value)
        assert await bus.read_dword(offset(name)) == value
    assert dut.dram_base.value == 0x89ABCDE0
    assert dut.program_addr.value == 0x01234560
    await bus.write(offset("DRAM_BASE") + 1, b"\x55")  # one byte only
    assert await bus.read_dword(offset("DRAM_BASE")) == 0x89AB55E0
    dut.error_code.value = 4
    dut.error_info.value = 0xDEAD0000
    dut.layer_id.value = 77
    assert await bus.read_dword(offset("ERROR")) == 4
    assert await bus.read_dword(offset("ERROR_INFO")) == 0xDEAD0000
    assert await bus.read_dword(offset("LAYER_ID")) == 77
    for bit, name in enumerate("busy done error".split()):
        getattr(dut, name).value = 1
        assert await bus.read_dword(offset("STATUS")) == 1 << bit
        getattr(dut, name).value = 0


@cocotb.test()
async def bench_refusals(dut):
    bus = await start(dut)
    for address in (0x24 + 8, 0x7C, 0xFFC):
        assert (await bus.read(address, 4)).resp == AxiResp.SLVERR
        assert (await bus.write(address, b"abcd")).resp == AxiResp.SLVERR
    assert (await bus.write(offset("MAGIC"), b"abcd")).resp == AxiResp.SLVERR
    assert (await bus.read(offset("MAGIC"), 4)).resp == AxiResp.OKAY
    assert await bus.read_dword(offset("MAGIC")) == regs.MAGIC


@cocotb.test()
async def bench_pulses_and_interrupt(dut):
    bus = await start(dut)
    pulses = {"start": 0, "reset": 0}

    async def count():
        while True:
            await RisingEdge(dut.clk)
            for name in pulses:
                pulses[name] += int(getattr(dut, name).value)

    cocotb.start_soon(count())
    for bit, name in ((0, "start"), (2, "reset")):
        await bus.write_dword(offset("CTRL"), 1 << bit)
        await ClockCycles(dut.clk, 3)
        assert pulses == {n: int(n == name) for n in pulses}, name
        pulses[name] = 0
    assert await bus.read_dword(offset("CTRL")) == 0
    await bus.write_dword(offset("CTRL"), 0b10)
    assert await bus.read_dword(offset("CTRL")) == 0b10
    await bus.write_dword(offset("CTRL"), 0)

    async def event():
        dut.event.value = 1
        await RisingEdge(dut.clk)
        dut.event.value = 0
        await ClockCycles(dut.clk, 2)

    await event()
    assert dut.irq.value == 0  # not enabled
    assert await bus.read_dword(offset("IRQ")) == 1
    await bus.write_dword(offset("CTRL"), 0b10)
    assert dut.irq.value == 1
    await bus.write_dword(offset("IRQ"), 1)
    await ClockCycles(dut.clk, 2)
    assert dut.irq.value == 0
    await event()
    assert dut.irq.value == 1


@cocotb.test()
async def bench_counters(dut):
    bus = await start(dut)
    clocks = 70
    for n, (name, _) in enumerate(COUNTERS):
        getattr(dut, f"inc_{name}").value = 1000 * n + 65535 * (n == 0)
    await ClockCycles(dut.clk, clocks)
    for name, _ in COUNTERS:
        getattr(dut, f"inc_{name}").value = 0
    await ClockCycles(dut.clk, 2)
    for n, (name, _) in enumerate(COUNTERS):
        low = await bus.read_dword(offset(f"{name.upper()}_LO"))
        high = await bus.read_dword(offset(f"{name.upper()}_HI"))
        assert (low, high) == (clocks * (1000 * n + 65535 * (n == 0)), 0), name
    # What LAYER writes: low halves in the order of the table, the first one lowest.
    for n in range(len(COUNTERS)):
        low = int(dut.record.value) >> 32 * n & 0xFFFFFFFF
        assert low == clocks * (1000 * n + 65535 * (n == 0)), n
    await bus.write_dword(offset("CTRL"), 1)
    await ClockCycles(dut.clk, 3)
    assert dut.record.value == 0
    for name, _ in COUNTERS:
        assert await bus.read_dword(offset(f"{name.upper()}_LO")) == 0


@pytest.mark.verilog
@pytest.mark.parametrize("stalled", ["0", "1"])
@pytest.mark.parametrize(
    "bench", ["bench_registers", "bench_refusals", "bench_pulses_and_interrupt", "bench_counters"]
)
def test_csr(bench, stalled):
    env = {"BENCH_SEED": "3", "BENCH_STALLS": stalled}
    assert run_cocotb(csr(), __file__, testcase=bench, env=env) == 1
