"""Mapped registers and memory, on files in the place of devices."""

import mmap
import os

import numpy as np
import pytest

from skimp.regs import register
from skimp_sim.driver.mapped import MappedTransport, Region
from skimp_sim.driver.open import open_transport
from skimp_sim.driver.transport import TransportError

IRQ = register("IRQ").offset
BASE = 0x7000_0000


@pytest.fixture
def machine(tmp_path):
    """A folder with sys and dev like those of a Zynq with UIO and u-dma-buf."""
    maps = tmp_path / "sys/class/uio/uio3/maps/map0"
    buffer = tmp_path / "sys/class/u-dma-buf/udmabuf0"
    for folder in (maps, buffer, tmp_path / "dev"):
        folder.mkdir(parents=True)
    (maps / "size").write_text("0x00010000\n")
    (buffer / "size").write_text("16384\n")
    (buffer / "phys_addr").write_text(f"{BASE:#018x}\n")
    (tmp_path / "dev/uio3").write_bytes(bytes(4096))
    (tmp_path / "dev/udmabuf0").write_bytes(bytes(16384))
    return tmp_path


def opened(machine, text="uio:uio3,udmabuf0"):
    return open_transport(text, clock_mhz=300, sys=machine / "sys")


def test_registers_and_memory(machine):
    transport = opened(machine)
    assert (transport.dram_base, transport.dram_bytes) == (BASE, 16384)
    transport.write_register(0x20, 0x89ABCDEF)
    assert transport.read_register(0x20) == 0x89ABCDEF
    data = np.arange(5000).astype(np.uint8)
    transport.write_memory(100, data)
    np.testing.assert_array_equal(transport.read_memory(100, 5000), data)
    transport.close()
    assert (machine / "dev/uio3").read_bytes()[0x20:0x24] == bytes.fromhex("efcdab89")
    assert (machine / "dev/udmabuf0").read_bytes()[100:5100] == data.tobytes()


@pytest.mark.parametrize("offset", [-4, 2, 4096])
def test_no_such_register(machine, offset):
    with pytest.raises(TransportError, match="does not exist"):
        opened(machine).read_register(offset)


@pytest.mark.parametrize(("address", "count"), [(-1, 1), (16380, 8), (1 << 40, 1)])
def test_outside_the_memory(machine, address, count):
    transport = opened(machine)
    with pytest.raises(TransportError, match="outside the DRAM"):
        transport.read_memory(address, count)
    with pytest.raises(TransportError, match="outside the DRAM"):
        transport.write_memory(address, bytes(count))


def test_waits_for_the_interrupt(machine):
    """The device file answers every unmasking at once, as an old interrupt would."""
    page = machine / "dev/page"
    page.write_bytes(bytes(4096))
    os.mkfifo(machine / "dev/irq")
    transport = MappedTransport(
        Region(path=page, offset=0, size_bytes=4096),
        Region(path=machine / "dev/udmabuf0", offset=0, size_bytes=16384),
        dram_base=0,
        clock_mhz=300,
        interrupt=machine / "dev/irq",
    )
    assert not transport.wait(300_000), "1 ms, and nothing is pending"
    with page.open("r+b") as file, mmap.mmap(file.fileno(), 4096) as registers:
        registers[IRQ] = 1
    assert transport.wait(300_000_000)
    transport.close()


def test_polls_without_interrupt(machine):
    path = machine / "dev/mem"
    path.write_bytes(bytes(32768))
    transport = MappedTransport.from_memory(4096, 8192, 16384, clock_mhz=300, path=path)
    assert transport.dram_base == 8192
    assert not transport.wait(300_000)
    transport.write_register(IRQ, 1)
    assert transport.wait(300_000)
    transport.close()
    assert path.read_bytes()[4096 + IRQ] == 1


def test_memory_beyond_4_gb(machine):
    (machine / "sys/class/u-dma-buf/udmabuf0/phys_addr").write_text("0x100000000")
    with pytest.raises(TransportError, match="0x100000000 lies beyond the 4 GB"):
        opened(machine)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("uio:uio9,udmabuf0", "uio9/maps/map0/size: no such device: load its driver"),
        ("uio:uio3,udmabuf7", "udmabuf7/size: no such device"),
        ("uio:uio3", "device uio:uio3: write serial:PORT"),
        ("mem:1,2", "device mem:1,2: write"),
        ("mem:a,2,3", "a is no number"),
        ("serial:", "device serial:: write"),
        ("usb:1", "device usb:1: write"),
        ("serial:/dev/none@fast", "fast is no number"),
    ],
)
def test_not_there(machine, text, message):
    with pytest.raises(TransportError, match=message):
        opened(machine, text)


def test_device_that_cannot_be_mapped(machine):
    os.unlink(machine / "dev/udmabuf0")
    with pytest.raises(TransportError, match=r"udmabuf0: 16,384 bytes .* cannot be mapped"):
        opened(machine)
