"""What spreading a wide bus over ports takes, by Yosys: LUT RAM, no register for a word of it."""

import pytest

from skimp.dma.axi_ports import AxiPorts
from skimp_boards.blocks import Block
from skimp_boards.synth_blocks import synthesise_block
from skimp_boards.synth_checks import MAX_LEVELS

pytest.importorskip("pyosys")

READ_BUFFER = -(-130 // 7) * 8
"""LUTs of 64 words of 128 bits and a response: a RAM64M8 (8 LUTs) holds 7 bits of each."""

QUEUE = 8
"""LUTs of a queue of 64 words of up to 7 bits."""


def test_two_ports():
    ports = 2
    block = Block(name="axi_ports", make=lambda: AxiPorts(data_bits=128 * ports, num_ports=ports))
    found = synthesise_block(block, cache=None)
    # Each port has a read buffer and answers; both share an order of reads and one of writes.
    assert found["lutram"] == ports * (READ_BUFFER + QUEUE) + 2 * QUEUE
    assert found["bram36"] == found["uram"] == found["dsp"] == 0
    # Of which two words of each port wait at the bus, one each way, and one goes to the master.
    assert found["ff"] < 1800
    assert found["lut"] < 1200
    assert max(n for n in found["levels"].values() if n is not None) <= MAX_LEVELS
