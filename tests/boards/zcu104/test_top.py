"""The top level in simulation: registers, networks, resets, errors, answers that come too late."""

import numpy as np
import pytest
from netlib import random_inputs, random_net
from testconfigs import DUAL

from skimp.isa import Opcode, assemble
from skimp.regs import MAGIC, register
from skimp_boards.zcu104.sim import Zcu104Sim
from skimp_compiler.compiler import compile_graph
from skimp_sim.bench.harness import Channel
from skimp_sim.device_engine import DeviceEngine
from skimp_sim.driver.device import Device, DeviceError, StoppedError
from skimp_sim.driver.simulated import SimTransport
from skimp_sim.executor import run_program
from skimp_sim.golden.network import run_graph

pytestmark = [pytest.mark.verilog, pytest.mark.xdist_group("zcu104-dual")]

DRAM_BYTES = 1 << 20
PROGRAM = assemble(Opcode.CHECK, hash=DUAL.hash) + assemble(Opcode.END)


@pytest.fixture
def sim():
    sim = Zcu104Sim(DUAL, dram_bytes=DRAM_BYTES, quick="-O0")
    yield sim
    sim.close()


def run_net(sim, kind, seed):
    """Run a random layer and hold its output against the golden model."""
    rng = np.random.default_rng(seed)
    graph = random_net(rng, kind)
    inputs = random_inputs(rng, graph)
    golden = run_graph(graph, inputs)
    program = compile_graph(graph, DUAL)
    engine = DeviceEngine(program, Device(SimTransport(sim), DUAL), limit_cycles=10**6)
    result = run_program(graph, program, inputs, engine=engine, keep=False)
    for index in graph.outputs:
        np.testing.assert_array_equal(
            result.values[index], golden[index], err_msg=f"{kind}, seed {seed}"
        )


def test_registers(sim):
    assert sim.read(register("MAGIC").offset) == (0, MAGIC)
    assert sim.read(register("CONFIG_HASH").offset) == (0, DUAL.hash)
    assert sim.write(register("PROGRAM_ADDR").offset, 0x1234_5678) == 0
    assert sim.read(register("PROGRAM_ADDR").offset) == (0, 0x1234_5678)
    assert sim.write(register("MAGIC").offset, 1) == 2
    assert sim.read(0xFF0)[0] == 2


@pytest.mark.parametrize("kind", ["conv", "depthwise", "fully_connected", "add"])
def test_networks(sim, kind):
    """Values do not depend on what the ports make wait, each by itself."""
    run_net(sim, kind, seed=1)
    for channel in Channel:
        sim.stall(channel, 400, seed=3 + channel)
    for seed in range(2, 5):
        run_net(sim, kind, seed)


def test_power_on_reset_in_the_middle(sim):
    """Wherever it comes, with bursts under way on the ports."""
    device = Device(SimTransport(sim), DUAL)
    sim.dram[:64] = list(assemble(Opcode.CHECK, hash=DUAL.hash))
    for clocks in range(1, 90, 7):
        sim.write(register("CTRL").offset, 1)
        assert sim.run(clocks) == clocks
        assert sim.read(register("STATUS").offset) != (0, 0)
        sim.reset()
        assert sim.read(register("STATUS").offset) == (0, 0) and not sim.irq
    sim.dram[: len(PROGRAM)] = list(PROGRAM)
    device.run(0, limit_cycles=10_000)
    run_net(sim, "conv", seed=7)


def test_bus_error(sim):
    device = Device(SimTransport(sim), DUAL)
    sim.dram[: len(PROGRAM)] = list(PROGRAM)
    sim.inject_error(32, 64, 2)  # of the second port: the first one's half is good
    with pytest.raises(StoppedError, match="BUS_READ at 0x0: AXI read error"):
        device.run(0, limit_cycles=100_000)
    sim.inject_error(0, 0, 0)
    device.run(0, limit_cycles=100_000)


def test_bus_that_hangs(sim):
    device = Device(SimTransport(sim), DUAL)
    sim.dram[: len(PROGRAM)] = list(PROGRAM)
    sim.hang(True)
    with pytest.raises(DeviceError, match="WATCHDOG"):
        device.run(0, limit_cycles=100_000)
    sim.hang(False)
    device.run(0, limit_cycles=100_000)


def test_answers_for_the_program_before(sim):
    """They come behind the soft reset; nobody takes them for the new program's."""
    device = Device(SimTransport(sim), DUAL)
    wrong = assemble(Opcode.CHECK, hash=DUAL.hash ^ 1)
    sim.dram[:64] = list(wrong)
    sim.dram[4096 : 4096 + len(PROGRAM)] = list(PROGRAM)
    late = 3 * DUAL.watchdog_cycles // 2
    sim._lib.skimp_latency(sim._handle, late)
    start = sim.cycle
    with pytest.raises(DeviceError, match="WATCHDOG"):
        device.run(0, limit_cycles=100_000)
    sim._lib.skimp_latency(sim._handle, 30)
    device.reset()
    assert sim.cycle < start + late, "the old answers are still to come"
    device.run(4096, limit_cycles=100_000)
    assert sim.cycle > start + late
