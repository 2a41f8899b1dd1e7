"""AXI4 and AXI4-Lite as signatures, seen from the master; transfers stay in order, no IDs."""

from typing import NamedTuple

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = [
    "BURST_INCR",
    "RESP_DECERR",
    "RESP_OKAY",
    "RESP_SLVERR",
    "Axi4",
    "AxiLite",
    "BurstSplit",
    "SegmentLayout",
    "WriteBeatLayout",
    "burst_split",
]

RESP_OKAY = 0
RESP_SLVERR = 2
RESP_DECERR = 3

BURST_INCR = 1
BOUNDARY_BYTES = 4096
"""A burst must not cross a multiple of this (AXI4 specification, "Burst address")."""

SegmentLayout = data.StructLayout({"addr": 32, "beats": 24})
"""A run of beats: byte address from DRAM_BASE, number of beats (not 0)."""


def WriteBeatLayout(config):
    """A beat to write: data, and the words of it that are written."""
    return data.StructLayout({"data": config.bus_bits, "words": config.bus_words})


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


class BurstSplit(NamedTuple):
    """Next burst of a segment, and what is left of the segment behind it."""

    beats: Signal
    is_last: Signal
    """The segment ends with the burst; `next_addr` and `next_beats_left` mean nothing then."""
    next_addr: Signal
    next_beats_left: Signal


def burst_split(m, *, addr, beats_left, burst_beats, beat_bytes, name="burst") -> BurstSplit:
    """Split off the next burst: as many beats as are left, fit a burst, and stay in 4 KB.

    Parameters
    ----------
    m : Module
    addr, beats_left : Signal
    burst_beats, beat_bytes : int
    name : str
        Prefix of the signals' names.
    """
    beats_per_page = BOUNDARY_BYTES // beat_bytes
    shift = beat_bytes.bit_length() - 1
    page_shift = BOUNDARY_BYTES.bit_length() - 1
    offset, page = addr[shift:page_shift], addr[page_shift:]
    crosses, fills_page = Signal(name=f"{name}_crosses"), Signal(name=f"{name}_fills_page")
    most = Signal(range(burst_beats + 1), name=f"{name}_most")
    split = BurstSplit(
        beats=Signal(range(burst_beats + 1), name=name),
        is_last=Signal(name=f"{name}_is_last"),
        next_addr=Signal(len(addr), name=f"{name}_next_addr"),
        next_beats_left=Signal(len(beats_left), name=f"{name}_next_beats_left"),
    )
    # Up to the boundary: -offset, written out, as a carry chain is slower for so few bits.
    to_boundary = Cat(offset[0], *(offset[i] ^ offset[:i].any() for i in range(1, len(offset))))
    low, high = beats_left[: len(most)], beats_left[len(most) :]
    next_offset = Mux(fills_page, 0, offset + burst_beats)[: len(offset)]
    m.d.comb += [
        crosses.eq(offset > beats_per_page - burst_beats),
        fills_page.eq(offset >= beats_per_page - burst_beats),
        most.eq(Mux(crosses, to_boundary, burst_beats)),
        split.is_last.eq(~high.any() & (low <= most)),
        split.beats.eq(Mux(split.is_last, low, most)),
        split.next_addr.eq(Cat(addr[:shift], next_offset, Mux(fills_page, page + 1, page))),
        split.next_beats_left.eq(beats_left - most),
    ]
    return split
