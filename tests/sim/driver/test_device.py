"""Driver on the RTL: programs without data, every way to stop, and starting again."""

import dataclasses

import numpy as np
import pytest

from skimp.configs import PRESETS
from skimp.isa import COMMAND_BYTES, RECORD_BYTES, LoadTarget, Opcode, assemble
from skimp.regs import COUNTERS, MAGIC, VERSION, register
from skimp_sim.bench.rtl import Channel, RtlSim
from skimp_sim.driver.device import Device, DeviceError, NotDoneError, WasResetError
from skimp_sim.driver.simulated import SimTransport
from skimp_sim.driver.transport import Transport, TransportError

CONFIG = dataclasses.replace(PRESETS["tiny"], name="tiny-dog", watchdog_cycles=1024)
DRAM_BYTES = 1 << 16
pytestmark = pytest.mark.xdist_group(CONFIG.name)
CHECK = assemble(Opcode.CHECK, hash=CONFIG.hash)
END = assemble(Opcode.END)
COMMAND_BEATS = COMMAND_BYTES // CONFIG.word_bytes
PREFETCH_COMMANDS = 40
RECORDS = 0xC000


def layer(number: int) -> bytes:
    return assemble(Opcode.LAYER, layer_id=number, dram_addr=RECORDS + RECORD_BYTES * number)


def load(addr: int) -> bytes:
    return assemble(Opcode.LOAD_LINEAR, dram_addr=addr, num_beats=8, target=LoadTarget.WGT)


@pytest.fixture
def sim():
    sim = RtlSim(CONFIG, dram_bytes=DRAM_BYTES, quick="-O0")
    yield sim
    sim.close()


@pytest.fixture
def device(sim):
    return Device(SimTransport(sim), CONFIG)


def fetched(counters, number: int) -> None:
    """The sequencer reads a little ahead of END, and counts what it reads."""
    assert number <= counters["commands"] <= number + PREFETCH_COMMANDS


def put(sim, address: int, *commands: bytes) -> int:
    data = b"".join(commands)
    sim.dram[address : address + len(data)] = list(data)
    return address


@pytest.mark.verilog
def test_layers_leave_records(sim):
    seen = []
    device = Device(SimTransport(sim, on_event=lambda: seen.append(sim.cycle)), CONFIG)
    sim.watch(RECORDS, RECORDS + 16 * RECORD_BYTES)
    address = put(sim, 0x400, CHECK, load(0x8000), layer(3), load(0x8000), layer(7), END)
    device.run(address)
    counters = device.counters()
    fetched(counters, 6)
    assert counters["read_beats"] == counters["commands"] * COMMAND_BEATS + 16
    assert counters["write_beats"] == 2 * RECORD_BYTES // CONFIG.bus_bytes
    records = [device.record(RECORDS + RECORD_BYTES * n) for n in (3, 7)]
    assert [number for number, _ in records] == [3, 7]
    assert [list(values) for _, values in records] == [[name for name, _ in COUNTERS]] * 2
    first, second = (values["cycles"] for _, values in records)
    assert 0 < first <= second <= counters["cycles"]
    assert len(seen) == 2 and seen[0] < seen[1], "time stands still once for each record"
    parts = "array depthwise stall_dram_read stall_drain stall_dram_write stall_other".split()
    for values in (counters, *(values for _, values in records)):
        assert sum(values[name] for name in parts) == values["cycles"]
    # Nobody else's bytes were written.
    around = sim.dram[RECORDS : RECORDS + 16 * RECORD_BYTES].reshape(16, RECORD_BYTES)
    assert [n for n in range(16) if around[n].any()] == [3, 7]


@pytest.mark.verilog
def test_runs_again(sim, device):
    address = put(sim, 0, CHECK, layer(1), END)
    runs = []
    for _ in range(3):
        device.run(address)
        runs.append(device.counters())
    fetched(runs[0], 3)
    assert runs[0] == runs[1] == runs[2], "start clears the counters"


@pytest.mark.verilog
def test_every_channel_stalled(sim, device):
    for channel in Channel:
        sim.stall(channel, 500, seed=40 + channel)
    address = put(sim, 0, CHECK, *[load(0x1000 * n) for n in range(1, 9)], layer(1), END)
    device.run(address, limit_cycles=100_000)
    fetched(device.counters(), 11)


@pytest.mark.verilog
@pytest.mark.parametrize(
    ("commands", "message"),
    [
        ((assemble(Opcode.CHECK, hash=CONFIG.hash ^ 1), END), "CONFIG_HASH at 0x400: the program"),
        ((CHECK, bytes([99] + [0] * 63), END), "BAD_COMMAND at 0x440: unknown opcode"),
        ((CHECK, load(0x9000), layer(1), END), "BUS_READ at 0x90[0-9a-f]{2}: AXI read error"),
        ((CHECK, load(DRAM_BYTES), layer(1), END), "BUS_READ at 0x10000"),
        ((CHECK, assemble(Opcode.DRAIN, wait=1, num_pixels=1), END), "WATCHDOG at 0x"),
    ],
)
def test_stops_with_a_reason_and_recovers(sim, device, commands, message):
    sim.inject_error(0x9000, 0x9100, 2)
    with pytest.raises(DeviceError, match="^the accelerator stopped: " + message):
        device.run(put(sim, 0x400, *commands), limit_cycles=100_000)
    device.reset()
    device.run(put(sim, 0x800, CHECK, load(0xA000), layer(1), END), limit_cycles=100_000)
    fetched(device.counters(), 4)


@pytest.mark.verilog
def test_bus_that_hangs(sim, device):
    address = put(sim, 0, CHECK, END)
    sim.hang(True)
    with pytest.raises(DeviceError, match="WATCHDOG"):
        device.run(address, limit_cycles=100_000)
    sim.hang(False)
    device.reset()
    device.run(address, limit_cycles=100_000)


@pytest.mark.verilog
def test_limit_and_progress(sim, device, monkeypatch):
    monkeypatch.setattr(SimTransport, "poll_cycles", 100)
    sim.hang(True)
    polls = []
    with pytest.raises(DeviceError, match="not done after 400 clocks"):
        device.run(put(sim, 0, CHECK, END), on_poll=polls.append, limit_cycles=300)
    assert polls == [100, 200, 300, 400]


class Registers(Transport):
    """Hardware that only has its identification."""

    dram_base = 0x1000
    dram_bytes = 1 << 16

    def __init__(self, **values):
        self.values = {register(name).offset: value for name, value in values.items()}

    def read_register(self, offset):
        return self.values.get(offset, 0)

    def write_register(self, offset, value):
        self.values[offset] = value

    def read_memory(self, address, count):
        return np.zeros(count, np.uint8)

    def write_memory(self, address, data): ...

    def wait(self, max_cycles):
        return False


GOOD = {"MAGIC": MAGIC, "VERSION": VERSION, "CONFIG_HASH": CONFIG.hash}


def test_sets_the_base():
    hardware = Registers(**GOOD)
    device = Device(hardware, CONFIG)
    with pytest.raises(DeviceError, match="does not start: reset it first"):
        device.run(0)
    assert hardware.read_register(register("DRAM_BASE").offset) == 0x1000


class Forgetful(Registers):
    """Hardware that forgets what it is told: a power-on reset."""

    def write_register(self, offset, value): ...


def test_reset_by_somebody_else():
    device = Device(Forgetful(**GOOD), CONFIG)
    with pytest.raises(WasResetError, match="was reset while it ran"):
        device.run(0)


@pytest.mark.verilog
def test_given_up_and_run_again(sim, device):
    device.run(put(sim, 0, CHECK, layer(1), END))
    long = put(sim, 0x400, CHECK, *[load(0x1000 * n) for n in range(1, 9)] * 40, END)
    wanted = device.counters()
    with pytest.raises(NotDoneError, match="not done after 100 clocks"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SimTransport, "poll_cycles", 100)
            device.run(long, limit_cycles=50)
    assert sim.read(register("STATUS").offset) == (0, 0), "it was stopped"
    device.run(0)
    assert device.counters() == wanted


@pytest.mark.verilog
def test_buffers(sim, device):
    """Two programs, each with a base of its own."""
    buffers = [device.allocate(0x4000) for _ in range(2)]
    records = []
    for number, buffer in enumerate(buffers):
        program = b"".join((CHECK, assemble(Opcode.LAYER, layer_id=number, dram_addr=0x2000), END))
        buffer[: len(program)] = np.frombuffer(program, np.uint8)
        assert buffer[: len(program)].tobytes() == program
    for buffer in buffers:
        device.run(0, dram=buffer)
        records.append(device.record(0x2000, dram=buffer)[0])
    assert records == [0, 1]
    with pytest.raises(ValueError, match="5 bytes do not fit into 4"):
        buffers[0][:4] = bytes(5)
    with pytest.raises(DeviceError, match=r"the board's DRAM: 40,960 bytes .* 32,768 of 65,536"):
        device.allocate(0xA000)
    buffers[0].free()
    assert device.allocate(1).offset == 0


def test_registers_that_do_not_exist(sim):
    transport = SimTransport(sim)
    with pytest.raises(TransportError, match=r"register 0xffc cannot be read \(response 2\)"):
        transport.read_register(0xFFC)
    with pytest.raises(TransportError, match="register 0x0 cannot be written"):
        transport.write_register(0, 1)
    with pytest.raises(TransportError, match="bytes 0xfffc to 0x10004 lie outside the DRAM"):
        transport.write_memory(DRAM_BYTES - 4, bytes(8))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"MAGIC": 0xDEAD}, r"no skimp accelerator here \(magic 0xdead, not 0x534b4d50"),
        (
            {"VERSION": VERSION + (1 << 16)},
            f"hardware version {(VERSION >> 16) + 1} is not {VERSION >> 16}",
        ),
        ({"CONFIG_HASH": 5}, "hardware was built from configuration 0x00000005, not tiny-dog"),
    ],
)
def test_refuses_other_hardware(change, message):
    with pytest.raises(DeviceError, match=message):
        Device(Registers(**(GOOD | change)), CONFIG)


def test_minor_version_may_differ():
    Device(Registers(**(GOOD | {"VERSION": VERSION + 1})), CONFIG)
