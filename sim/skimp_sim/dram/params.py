"""Numbers of the DRAM model: one place for the Python model, the C++ model and the documents."""

import dataclasses
from dataclasses import dataclass

__all__ = ["Ddr4Params"]


@dataclass(frozen=True)
class Ddr4Params:
    """A DDR4-2400 channel of 64 bit, its controller and the path to the fabric.

    The default is one rank of eight 8 Gb x8 devices of speed bin 2400 CL17 ("-083"), a common
    module; `zcu104` has what is soldered to that board. ``t_``, ``cl`` and ``cwl`` are in DDR
    clocks (2 beats of 8 bytes each; 0.833 ns at 1200 MHz), queue depths in bursts of the bus,
    ``read_latency`` and ``write_latency`` in fabric clocks.

    Attributes
    ----------
    fabric_mhz, ddr_mhz : int
        Only their ratio counts. DDR4-2400 has a 1200 MHz clock.
    burst_bytes, data_clocks : int
        Bytes of one column access (BL8 x 64 bit) and the DDR clocks it takes on the data bus.
    bank_groups, banks_per_group : int
        x8 devices: 4 groups of 4 banks; x16: 2 of 4.
    page_bytes : int
        Bytes of an open row over the rank: 1 KB in each of eight devices, 2 KB in each of four.
    cl, cwl : int
        From a read or write command to its data. The write latency of 2400 is 12 or 16.
    t_rcd, t_rp, t_ras : int
        Activate to column command; precharge to activate; activate to precharge (32 ns). tRC is
        t_ras + t_rp.
    t_rfc, t_refi : int
        A refresh of all banks of an 8 Gb device (350 ns) and its period (7.8 us up to 85 deg C).
        A period of 0 turns refresh off.
    t_ccd_s, t_ccd_l, t_rrd_s, t_rrd_l, t_wtr_s, t_wtr_l : int
        Column to column, activate to activate, end of write data to read, in another bank group
        (s) and in the same one (l). t_rrd is 3.3 ns (at least 4 clocks) and 4.9 ns, t_wtr 2.5 ns
        and 7.5 ns.
    t_faw : int
        At most four activates in this time (21 ns for 1 KB pages).
    t_wr, t_rtp : int
        End of write data to precharge (15 ns); read command to precharge (7.5 ns).
    t_bubble : int
        Idle clocks between read data and write data; a preamble and the turn of the drivers.
    port_bytes : int
        Width of one AXI port of the processing system: 128 bit. A wider bus is spread over several.
    read_queue, write_queue : int
        Bursts under way. A read leaves the queue with its last beat on the bus, a write with its
        last data on the DRAM. The ports of the device have 16 at most (UG1085).
    write_high, write_low : int
        Queued writes that make the controller leave reads, and to which it then goes down.
    run : int
        Bursts in a row: a direction that the other waits for may go on for so many. (Writes that
        come as fast as the DRAM takes them would never let a read through, nor the reverse.)
    lookahead : int
        Bursts behind the one under way whose rows may be opened ahead.
    read_latency : int
        **Assumption**: interconnect, clock crossings and controller pipeline of a read, both ways,
        beyond what the DRAM itself takes.
    write_latency : int
        **Assumption**: last write beat to write response. The controller of the device responds
        as soon as it has accepted the data (UG1085, "Write Response Channel"), so the DRAM's own
        times do not show here.

    Notes
    -----
    Sources: JEDEC JESD79-4 (speed bin and timing tables), the data sheet of the 8 Gb device. The
    policy of the controller is in `skimp_sim.dram.ddr4`.
    """

    fabric_mhz: int = 300
    ddr_mhz: int = 1200
    burst_bytes: int = 64
    data_clocks: int = 4
    bank_groups: int = 4
    banks_per_group: int = 4
    page_bytes: int = 8192
    cl: int = 17
    cwl: int = 12
    t_rcd: int = 17
    t_rp: int = 17
    t_ras: int = 39
    t_rfc: int = 420
    t_refi: int = 9360
    t_ccd_s: int = 4
    t_ccd_l: int = 6
    t_rrd_s: int = 4
    t_rrd_l: int = 6
    t_wtr_s: int = 3
    t_wtr_l: int = 9
    t_faw: int = 26
    t_wr: int = 18
    t_rtp: int = 9
    t_bubble: int = 2
    port_bytes: int = 16
    read_queue: int = 16
    write_queue: int = 16
    write_high: int = 12
    write_low: int = 4
    run: int = 16
    lookahead: int = 8
    read_latency: int = 40
    write_latency: int = 40

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ValueError(f"{field.name} is {value!r}; an integer from 0 is needed")
        for name in (
            "fabric_mhz ddr_mhz burst_bytes data_clocks bank_groups banks_per_group page_bytes "
            "port_bytes read_queue write_queue write_high run write_latency"
        ).split():
            if getattr(self, name) == 0:
                raise ValueError(f"{name} must not be 0")
        # What the two models rely on: a burst of more accesses than bank groups runs at t_ccd_s,
        # and a read is decided before its first beat is due.
        if self.t_ccd_s < self.data_clocks or self.t_ccd_l < self.t_ccd_s:
            raise ValueError("data_clocks <= t_ccd_s <= t_ccd_l is needed")
        if self.t_ccd_l > self.bank_groups * self.t_ccd_s:
            raise ValueError("t_ccd_l is longer than a round over the bank groups")
        if self.t_wtr_l < self.t_wtr_s or self.t_rrd_l < self.t_rrd_s:
            raise ValueError("a time within a bank group is shorter than that between groups")
        if self.cl + self.data_clocks + self.t_bubble < self.cwl:
            raise ValueError("write data would come before the read data ahead of it")
        if self.page_bytes % self.burst_bytes or self.burst_bytes % self.port_bytes:
            raise ValueError("page, burst and port widths must divide each other")
        if self.bank_groups & (self.bank_groups - 1):
            raise ValueError("bank_groups must be a power of two")
        if not self.write_low < self.write_high <= self.write_queue:
            raise ValueError("write_low < write_high <= write_queue is needed")
        if self.t_refi and self.t_refi < 2 * (self.t_rp + self.t_rfc):
            raise ValueError("refresh leaves no time for anything else")
        if self.ddr_mhz > self.fabric_mhz * (self.cl + self.data_clocks):
            raise ValueError("the fabric clock is too slow to see a read before its data")

    @classmethod
    def zcu104(cls, **changes: int) -> "Ddr4Params":
        """The 2 GB of a ZCU104 board's processing system: four 4 Gb x16 devices at 2400 16-16-16.

        Settings of the board's preset for the processing system (MT40A256M16GE-083E: CL, tRCD and
        tRP 16, CWL 12, tRAS 32 ns, tFAW 30 ns); tRFC 260 ns of 4 Gb, tRRD 5.3 and 6.4 ns of 2 KB
        pages from JESD79-4. There are two bank groups only: two ports share one, and are modelled
        as columns of the same row.

        Parameters
        ----------
        **changes : int
            Fields that differ.
        """
        board = dict(bank_groups=2, cl=16, t_rcd=16, t_rp=16, t_rfc=312, t_rrd_s=7, t_rrd_l=8)
        return cls(**{**board, "t_faw": 36, **changes})

    @property
    def t_rc(self) -> int:
        """Activate to activate of the same bank, DDR clocks."""
        return self.t_ras + self.t_rp

    @property
    def read_to_write(self) -> int:
        """Last read command to first write command, DDR clocks."""
        return self.cl + self.data_clocks + self.t_bubble - self.cwl

    def write_to_read(self, *, same_group: bool) -> int:
        """Last write command to first read command of the same or of another group, DDR clocks."""
        return self.cwl + self.data_clocks + (self.t_wtr_l if same_group else self.t_wtr_s)

    @property
    def peak_bytes_per_clock(self) -> float:
        """Bytes that the data bus carries in a fabric clock."""
        return self.burst_bytes * self.ddr_mhz / (self.data_clocks * self.fabric_mhz)

    @property
    def refresh_share(self) -> float:
        """Share of time in which no row can be open because of refresh."""
        return (self.t_rp + self.t_rfc) / self.t_refi if self.t_refi else 0.0

    def header(self) -> str:
        """Return the text of ``ddr4_params.h``, which ``ddr4.hpp`` includes.

        It defines ``struct Ddr4Params`` with a member per field, this object's values as defaults,
        and ``bool set(const char* name, int64_t value)`` to change one at run time (false: no such
        field; the rules checked here are not checked there).
        """
        fields = dataclasses.fields(self)
        members = "\n".join(f"    int64_t {f.name} = {getattr(self, f.name)};" for f in fields)
        cases = "\n".join(
            f'        if (std::strcmp(name, "{f.name}") == 0) return {f.name} = value, true;'
            for f in fields
        )
        return f"""// Written by skimp_sim.dram.Ddr4Params.header(); the numbers' sources are there.
#pragma once

#include <cstdint>
#include <cstring>

struct Ddr4Params {{
{members}

    bool set(const char* name, int64_t value) {{
{cases}
        return false;
    }}
}};
"""
