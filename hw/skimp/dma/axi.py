"""AXI4 and AXI4-Lite as signatures, seen from the master; transfers stay in order, no IDs."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = [
    "RESP_OKAY",
    "RESP_SLVERR",
    "Axi4",
    "AxiLite",
    "SegmentLayout",
    "WriteBeatLayout",
    "burst_split",
]

RESP_OKAY = 0
RESP_SLVERR = 2

BURST_INCR = 1
BOUNDARY_BYTES = 4096
"""A burst must not cross a multiple of this (AXI4 specification, "Burst address")."""

SegmentLayout = data.StructLayout({"addr": 32, "beats": 24})
"""A run of beats: byte address from DRAM_BASE, number of beats (not 0)."""


def WriteBeatLayout(config):
    """A beat to write: data, the words of it that are written, and whether it ends a command."""
    return data.StructLayout({"data": config.bus_bits, "words": config.bus_words, "end": 1})


class Axi4(wiring.Signature):
    """AXI4 with 32-bit addresses.

    Parameters
    ----------
    data_bits : int
    """

    def __init__(self, *, data_bits):
        self.data_bits = data_bits
        super().__init__(
            {
                "awaddr": Out(32),
                "awlen": Out(8),
                "awsize": Out(3),
                "awburst": Out(2),
                "awvalid": Out(1),
                "awready": In(1),
                "wdata": Out(data_bits),
                "wstrb": Out(data_bits // 8),
                "wlast": Out(1),
                "wvalid": Out(1),
                "wready": In(1),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
                "araddr": Out(32),
                "arlen": Out(8),
                "arsize": Out(3),
                "arburst": Out(2),
                "arvalid": Out(1),
                "arready": In(1),
                "rdata": In(data_bits),
                "rresp": In(2),
                "rlast": In(1),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )


class AxiLite(wiring.Signature):
    """AXI4-Lite with 32-bit data.

    Parameters
    ----------
    addr_bits : int
    """

    def __init__(self, *, addr_bits=12):
        self.addr_bits = addr_bits
        super().__init__(
            {
                "awaddr": Out(addr_bits),
                "awvalid": Out(1),
                "awready": In(1),
                "wdata": Out(32),
                "wstrb": Out(4),
                "wvalid": Out(1),
                "wready": In(1),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
                "araddr": Out(addr_bits),
                "arvalid": Out(1),
                "arready": In(1),
                "rdata": In(32),
                "rresp": In(2),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )


def burst_split(m, *, addr, beats_left, burst_beats, beat_bytes, name="burst"):
    """Return the beats of the next burst: as many as are left, fit a burst, and stay in 4 KB.

    Parameters
    ----------
    m : Module
    addr, beats_left : Signal
    burst_beats, beat_bytes : int
    name : str
        Name of the signal.
    """
    beats_per_page = BOUNDARY_BYTES // beat_bytes
    shift = beat_bytes.bit_length() - 1
    to_boundary = Signal(range(beats_per_page + 1), name=f"{name}_to_boundary")
    most = Signal(range(burst_beats + 1), name=f"{name}_most")
    burst = Signal(range(burst_beats + 1), name=name)
    m.d.comb += [
        to_boundary.eq(beats_per_page - addr[shift:12]),
        most.eq(Mux(to_boundary < burst_beats, to_boundary, burst_beats)),
        burst.eq(Mux(beats_left < most, beats_left, most)),
    ]
    return burst
