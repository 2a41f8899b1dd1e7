"""cocotb runner: AXI4-Lite to a toy register, a failing bench, a bench that hangs."""

import os
import random
from pathlib import Path

import cocotb
import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer
from cocotbext.axi import AxiLiteBus, AxiLiteMaster

from skimp.dma.axi import AxiLite
from skimp_sim.bench.cocotb_run import CocotbError, run_cocotb


class Scratch(wiring.Component):
    """Four words behind AXI4-Lite, one access at a time."""

    axil: In(AxiLite())

    def elaborate(self, platform):
        m = Module()
        bus = self.axil
        words = [Signal(32, name=f"word{i}") for i in range(4)]
        take = Signal()
        m.d.comb += [
            take.eq(bus.awvalid & bus.wvalid & ~bus.bvalid),
            bus.awready.eq(take),
            bus.wready.eq(take),
            bus.arready.eq(~bus.rvalid),
        ]
        with m.If(take):
            m.d.sync += bus.bvalid.eq(1)
            for i, word in enumerate(words):
                with m.If(bus.awaddr[2:4] == i):
                    m.d.sync += word.eq(bus.wdata)
        with m.Elif(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [bus.rvalid.eq(1), bus.rdata.eq(Array(words)[bus.araddr[2:4]])]
        with m.Elif(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        return m


@cocotb.test()
async def bench_registers(dut):
    rng = random.Random(int(os.environ["BENCH_SEED"]))
    cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
    dut.rst.value = 1
    master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "axil_"), dut.clk, dut.rst)
    for _ in range(3):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    want = [rng.getrandbits(32) for _ in range(4)]
    for i, value in enumerate(want):
        await master.write_dword(4 * i, value)
    for i, value in enumerate(want):
        assert await master.read_dword(4 * i) == value


@cocotb.test()
async def bench_wrong(dut):
    await Timer(1, "ns")
    assert dut.axil__bvalid.value == 1, "meant to fail"


@cocotb.test()
async def bench_hangs(dut):
    while True:
        await Timer(1, "us")


@pytest.mark.verilog
def test_axi_lite_master():
    env = {"BENCH_SEED": "5"}
    assert run_cocotb(Scratch(), __file__, testcase="bench_registers", env=env) == 1


@pytest.mark.verilog
def test_failure_is_seen():
    with pytest.raises(CocotbError, match=r"1 of 1 tests failed(.|\n)*meant to fail"):
        run_cocotb(Scratch(), Path(__file__), testcase="bench_wrong")


@pytest.mark.verilog
def test_time_limit():
    with pytest.raises(CocotbError, match="not done after 4 s"):
        run_cocotb(Scratch(), __file__, testcase="bench_hangs", seconds=4)


@pytest.mark.verilog
def test_no_such_test():
    with pytest.raises(CocotbError):
        run_cocotb(Scratch(), __file__, testcase="bench_missing")
