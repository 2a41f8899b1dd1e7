"""Pins, clock and board: what the top level has is what is constrained, and what can be made."""

import re
from dataclasses import replace

import pytest

from skimp.config import ConfigError
from skimp_boards.board import load_board
from skimp_boards.ulx3s.board import BOARD
from skimp_boards.ulx3s.pins import CLOCK_PIN, PINS, constraints
from skimp_boards.ulx3s.pll import Dividers, find_dividers
from skimp_boards.ulx3s.top import DRAM_BYTES, Ulx3sTop
from skimp_sim.bench.vectors import flat_ports

# From the board's own constraint file, doc/constraints/ulx3s_v20.lpf of github.com/emard/ulx3s.
BALLS = {
    "clk_25mhz": "G2", "ftdi_rxd": "L4", "ftdi_txd": "M1", "wifi_gpio0": "L2", "btn_fire1": "R1",
    "led[0]": "B2", "led[1]": "C2", "led[2]": "C1", "led[3]": "D2", "led[4]": "D1", "led[5]": "E2",
    "led[6]": "E1", "led[7]": "H3",
}  # fmt: skip


def test_every_port_has_its_pin():
    assert {port: pin.site for port, pin in PINS.items()} == BALLS
    ports = {}
    for name, (direction, value) in flat_ports(Ulx3sTop(BOARD.config)).items():
        bits = [name] if len(value) == 1 else [f"{name}[{n}]" for n in range(len(value))]
        ports |= dict.fromkeys(bits, direction)
    assert set(ports) == set(PINS)
    for port, direction in ports.items():
        assert (PINS[port].drive_ma is None) == (direction == "input"), port


def test_constraints():
    text = constraints()
    located = dict(re.findall(r'^LOCATE COMP "(.*)" SITE "(.*)";$', text, re.M))
    assert located == BALLS
    assert len(re.findall(r"^IOBUF PORT .* IO_TYPE=LVCMOS33( DRIVE=4)?;$", text, re.M)) == len(PINS)
    assert f'FREQUENCY PORT "{CLOCK_PIN}" 25 MHZ;' in text
    assert all(line.endswith(";") for line in text.splitlines())


def test_board():
    assert load_board("ulx3s") is BOARD
    assert BOARD.part.startswith("LFE5U-85F-6")
    assert not BOARD.config.packed and not BOARD.config.urams
    assert DRAM_BYTES & (DRAM_BYTES - 1) == 0


@pytest.mark.parametrize("output", [25, 30, 40, 45, 50, 100])
def test_pll(output):
    found = find_dividers(25, output)
    assert 25 * found.feedback == output * found.reference
    assert 25 / found.reference >= 3.125
    assert 400 <= output * found.output <= 800


def test_pll_as_ecppll_has_it():
    """What `ecppll -i 25 -o 40` and `-o 50` print."""
    assert find_dividers(25, 40) == Dividers(5, 8, 15)
    assert find_dividers(25, 50) == Dividers(1, 2, 12)


def test_refuses_clocks():
    with pytest.raises(ConfigError, match="clock_mhz 31: the PLL cannot make it from 25 MHz"):
        Ulx3sTop(replace(BOARD.config, clock_mhz=31))
    with pytest.raises(ConfigError, match="clock_mhz 25: no divisor gives 3000000 baud"):
        Ulx3sTop(replace(BOARD.config, clock_mhz=25))
