"""One driver on both boards' top levels, through their pins: what it does, and what goes wrong."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from chains import random_chain
from netlib import random_inputs
from testconfigs import DUAL

from skimp.config import Config
from skimp.isa import RECORD_BYTES, LoadTarget, Opcode, assemble
from skimp_boards.ulx3s.board import BOARD as ULX3S
from skimp_boards.ulx3s.sim import Ulx3sSim
from skimp_boards.zcu104.sim import Zcu104Sim
from skimp_sim.drive import drive_model
from skimp_sim.driver.device import (
    Device,
    NotDoneError,
    StoppedError,
    WasResetError,
    WrongDeviceError,
)
from skimp_sim.driver.serial import SerialTransport
from skimp_sim.driver.simulated import SimTransport
from skimp_sim.driver.transport import Transport, TransportError

pytestmark = pytest.mark.verilog

DRAM_BYTES = 256 << 10
RECORD = 0x8000
END = assemble(Opcode.END)
# Waits for what nothing posts: it runs until somebody stops it.
ENDLESS = assemble(Opcode.DRAIN, wait=1, num_pixels=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rig:
    """A simulated board with the driver's way to it."""

    config: Config
    transport: Transport
    power_on_reset: Callable[[], None]

    def load(self, *commands: bytes, address: int = 0) -> int:
        self.transport.write_memory(address, b"".join(commands))
        return address

    @property
    def check(self) -> bytes:
        return assemble(Opcode.CHECK, hash=self.config.hash)

    @property
    def good(self) -> int:
        """Address of a program that reads, writes and ends."""
        return self.load(
            self.check, read(0x4000), assemble(Opcode.LAYER, layer_id=9, dram_addr=RECORD), END
        )


def read(address: int) -> bytes:
    return assemble(Opcode.LOAD_LINEAR, dram_addr=address, num_beats=8, target=LoadTarget.WGT)


def zcu104() -> Rig:
    sim = Zcu104Sim(DUAL, dram_bytes=DRAM_BYTES, quick="-O0")
    return Rig(config=DUAL, transport=SimTransport(sim), power_on_reset=sim.reset)


def ulx3s() -> Rig:
    sim = Ulx3sSim()
    return Rig(config=ULX3S.config, transport=SerialTransport(sim), power_on_reset=sim.press_reset)


BOARDS = [
    pytest.param(zcu104, id="zcu104", marks=pytest.mark.xdist_group("zcu104-dual")),
    pytest.param(ulx3s, id="ulx3s", marks=pytest.mark.xdist_group("ulx3s")),
]


@pytest.fixture(params=BOARDS)
def rig(request):
    rig = request.param()
    rig.transport.poll_cycles = 500
    yield rig
    rig.transport.close()


@pytest.fixture
def device(rig):
    return Device(rig.transport, rig.config)


def works(rig, device) -> None:
    """A program runs to its end and leaves its record."""
    rig.transport.write_memory(RECORD, bytes(RECORD_BYTES))
    device.run(rig.good, limit_cycles=100_000)
    number, counters = device.record(RECORD)
    assert number == 9
    assert 0 < counters["cycles"] <= device.counters()["cycles"]


def test_networks(rig):
    """Bit-exact, one after the other on the same board."""
    for seed in range(2):
        rng = np.random.default_rng(seed)
        graph = random_chain(rng)
        inputs = random_inputs(rng, graph)
        report = drive_model(graph, inputs, rig.config, rig.transport, checked=True)
        assert report.bit_exact["golden"] is True, f"seed {seed}"
        assert report.cycles > 0


def test_memory(rig):
    data = np.random.default_rng(1).integers(0, 256, 3000).astype(np.uint8)
    rig.transport.write_memory(0x103, data)
    np.testing.assert_array_equal(rig.transport.read_memory(0x103, 3000), data)
    for address in (-4, DRAM_BYTES - 4):
        with pytest.raises(TransportError, match="outside the DRAM"):
            rig.transport.read_memory(address, 8)
        with pytest.raises(TransportError, match="outside the DRAM"):
            rig.transport.write_memory(address, bytes(8))
    with pytest.raises(TransportError, match=r"0xff8"):
        rig.transport.read_register(0xFF8)


def test_wrong_hash_of_hardware(rig):
    other = dataclasses.replace(rig.config, queue_depth=2 * rig.config.queue_depth)
    with pytest.raises(WrongDeviceError, match="hardware was built from configuration"):
        Device(rig.transport, other)
    works(rig, Device(rig.transport, rig.config))


def test_wrong_hash_of_program(rig, device):
    with pytest.raises(StoppedError, match="CONFIG_HASH at 0x400"):
        device.run(rig.load(assemble(Opcode.CHECK, hash=5), END, address=0x400))
    works(rig, device)


def test_bus_error(rig, device):
    """Beyond the memory, and at its very end."""
    for address in (DRAM_BYTES, 0x7FFF_F000):
        with pytest.raises(StoppedError, match=f"BUS_READ at {address:#x}"):
            device.run(rig.load(rig.check, read(address), END, address=0x400))
        works(rig, device)
    layer = assemble(Opcode.LAYER, layer_id=1, dram_addr=DRAM_BYTES)
    with pytest.raises(StoppedError, match=f"BUS_WRITE at {DRAM_BYTES:#x}"):
        device.run(rig.load(rig.check, layer, END, address=0x400))
    works(rig, device)


def test_time_out(rig, device):
    with pytest.raises(NotDoneError, match="not done after 1000 clocks"):
        device.run(rig.load(rig.check, ENDLESS, END, address=0x400), limit_cycles=800)
    works(rig, device)


def test_power_on_reset_while_it_runs(rig, device):
    with pytest.raises(WasResetError, match="was reset while it ran"):
        device.run(
            rig.load(rig.check, ENDLESS, END, address=0x400),
            on_poll=lambda clocks: rig.power_on_reset(),
        )
    works(rig, device)


def test_power_on_reset_while_bursts_are_under_way(rig, device):
    """Answers to what was asked for before must not be taken for others."""
    commands = [read(0x100 * n) for n in range(16)] * 12
    program = rig.load(rig.check, *commands, END, address=0x1000)
    rig.transport.poll_cycles = 100
    with pytest.raises(WasResetError):
        device.run(program, on_poll=lambda clocks: rig.power_on_reset())
    works(rig, device)
