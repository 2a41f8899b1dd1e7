"""DRAM model and harness, with a small master that keeps the rules of AXI4 or breaks one."""

from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

from skimp.configs import PRESETS
from skimp_sim.bench import rtl, verilator
from skimp_sim.bench.rtl import Channel, RtlError, RtlSim
from skimp_sim.bench.verilator import ToolError

pytestmark = pytest.mark.verilog

TOY = Path(__file__).with_name("toy_master.v")
DRAM_BYTES = 1 << 16
READ, WRITE, AR_CHANGES, AR_DROPS, WLAST_EARLY, SIZE = range(1, 7)
FIXED, DATA_FIRST, W_CHANGES, AW_CHANGES, SILENT = range(7, 12)
MODE, ADDR, LAST, RESP = 0, 4, 8, 12


@pytest.fixture
def sim(monkeypatch):
    monkeypatch.setattr(rtl, "top_verilog", lambda config: TOY.read_text())
    sim = RtlSim(PRESETS["tiny"], dram_bytes=DRAM_BYTES, latency_cycles=20, quick="-O0")
    yield sim
    sim.close()


def go(sim, mode: int, addr: int, *, limit: int = 2000) -> int:
    assert sim.write(ADDR, addr) == 0
    assert sim.write(MODE, mode) == 0
    return sim.run(limit)


def test_read(sim):
    sim.dram[0x1000:0x1020] = np.arange(32)
    clocks = go(sim, READ, 0x1000)
    assert sim.irq
    assert 20 < clocks < 32, "20 clocks to the first beat, 4 beats, a few registers"
    assert sim.read(LAST) == (0, 0x1B1A1918)
    assert sim.read(RESP) == (0, 0)


def test_write(sim):
    go(sim, WRITE, 0x2000)
    assert sim.irq
    assert sim.read(RESP) == (0, 0)
    words = sim.dram[0x1FF8:0x2028].view("<u4").tolist()
    assert words == [0, 0, 0x2000, 0, 0x2000, 1, 0x2000, 2, 0x2000, 3, 0, 0]


def test_latency_and_cycle_counter(sim):
    before = sim.cycle
    fast = go(sim, READ, 0)
    sim._lib.skimp_latency(sim._handle, 120)
    assert go(sim, READ, 0) == fast + 100
    assert sim.cycle > before + 2 * fast + 100


def test_stops_at_the_limit(sim):
    sim.hang(True)
    assert go(sim, READ, 0, limit=500) == 500
    assert not sim.irq
    sim.hang(False)
    assert sim.run(500) < 100
    assert sim.irq


@pytest.mark.parametrize("channel", Channel)
def test_stalls_delay_but_do_not_change(sim, channel):
    seed = 3 + channel
    sim.dram[:64] = np.arange(64)
    plain = [go(sim, READ, 0), go(sim, WRITE, 0x100)]
    sim.stall(channel, 900, seed)
    stalled = [0, 0]
    for _ in range(10):
        stalled[0] += go(sim, READ, 0)
        assert sim.read(LAST)[1] == 0x1B1A1918, f"seed {seed}"
        stalled[1] += go(sim, WRITE, 0x100)
        assert sim.dram[0x118:0x11C].view("<u4")[0] == 0x100, f"seed {seed}"
    index = int(channel not in (Channel.AR, Channel.R))
    assert stalled[index] > 10 * plain[index] + 20, f"seed {seed}"
    assert stalled[1 - index] == 10 * plain[1 - index], f"seed {seed}"


def test_stalls_repeat_with_their_seed(sim):
    def clocks(seed):
        sim.stall(Channel.R, 700, seed)
        return [go(sim, READ, 0) for _ in range(8)]

    assert clocks(1) == clocks(1) != clocks(2)


@pytest.mark.parametrize("response", [2, 3])
@pytest.mark.parametrize("mode", [READ, WRITE])
def test_injected_error(sim, mode, response):
    sim.inject_error(0x3000, 0x3020, response)
    go(sim, mode, 0x3000)
    assert sim.read(RESP) == (0, response)
    go(sim, mode, 0x2000)
    assert sim.read(RESP) == (0, 0)
    sim.inject_error(0, 0, 0)
    go(sim, mode, 0x3000)
    assert sim.read(RESP) == (0, 0)


@pytest.mark.parametrize("mode", [READ, WRITE])
def test_outside_of_the_memory(sim, mode):
    go(sim, mode, DRAM_BYTES)
    assert sim.read(RESP) == (0, 3)


def test_data_waits_for_its_address(sim):
    sim.dram[:] = 0
    assert go(sim, DATA_FIRST, 0x1000) == 2000, "nothing ends, and no rule is broken"
    assert not sim.dram.any()


@pytest.mark.parametrize(
    ("mode", "addr", "message"),
    [
        (READ, 0x0FF0, "read burst crosses 4 KB"),
        (WRITE, 0x0FF0, "write burst crosses 4 KB"),
        (READ, 0x1004, "read address is not aligned"),
        (SIZE, 0x1000, "read size is not the bus width"),
        (FIXED, 0x1000, "read burst is not INCR"),
        (AR_CHANGES, 0x1000, "AR changed while it waited"),
        (AR_DROPS, 0x1000, "AR changed while it waited"),
        (AW_CHANGES, 0x1000, "AW changed while it waited"),
        (W_CHANGES, 0x1000, "W changed while it waited"),
        (WLAST_EARLY, 0x1000, "WLAST is wrong"),
    ],
)
def test_broken_rules(sim, mode, addr, message):
    for channel in (Channel.AR, Channel.AW, Channel.W):
        sim.stall(channel, 800, seed=9)
    with pytest.raises(RtlError, match=f"AXI4 rule broken: clock [0-9]+: {message}"):
        go(sim, mode, addr)


def test_registers(sim):
    assert sim.read(0x20) == (2, 0), "the slave's error is handed on"
    sim.write(MODE, SILENT)
    with pytest.raises(RtlError, match="register 0x8 does not answer"):
        sim.read(LAST)
    with pytest.raises(RtlError, match="register 0x4 does not answer"):
        sim.write(ADDR, 1)


def test_waves(sim, tmp_path):
    path = tmp_path / "toy.vcd"
    traced = RtlSim(PRESETS["tiny"], dram_bytes=DRAM_BYTES, waves=path, quick="-O0")
    go(traced, READ, 0)
    traced.close()
    assert "axi__arvalid" in path.read_text()
    with pytest.raises(RtlError, match="cannot be written"):
        RtlSim(
            PRESETS["tiny"], dram_bytes=DRAM_BYTES, waves=tmp_path / "no" / "toy.vcd", quick="-O0"
        )


def test_wave_formats(sim, tmp_path, monkeypatch):
    with pytest.raises(RtlError, match=r"waves are written as \.fst or \.vcd"):
        RtlSim(PRESETS["tiny"], dram_bytes=DRAM_BYTES, waves=tmp_path / "toy.png")
    monkeypatch.setattr(verilator.subprocess, "run", lambda *a, **k: CompletedProcess(a, 1))
    with pytest.raises(ToolError, match="liblz4-dev"):
        RtlSim(PRESETS["tiny"], dram_bytes=DRAM_BYTES, waves=tmp_path / "toy.fst")


def test_toggles_of_another_module():
    with pytest.raises(ValueError, match="toggles are counted in this configuration's own Verilog"):
        RtlSim(PRESETS["tiny"], dram_bytes=DRAM_BYTES, verilog="module skimp();", toggles=True)
