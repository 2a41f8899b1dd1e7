"""When does each beat of each burst come? A DDR4 channel and its controller, by transaction.

``sim/skimp_sim/cpp/ddr4.hpp`` is the same model for the RTL simulation; both give the same clocks.
All times are integers: fabric clocks outside, DDR clocks inside. Fabric clock ``c`` begins at DDR
clock ``ceil(c * ddr_mhz / fabric_mhz)``; what is there at DDR clock ``t`` is taken in fabric clock
``ceil(t * fabric_mhz / ddr_mhz)``.

**Addresses.** A bus wider than a port is spread over ``ports = beat_bytes / 16`` ports; port ``p``
carries bytes [16p, 16p+16) of every beat into a region of its own, and the regions lie in
different bank groups. A *stripe* is what one column access in each port's region holds: 64 bytes
for a bus of 8 or 16 bytes, 256 for one of 64. Counting column accesses in address order, ``u =
address // (64 * ports) * ports + port``, the mapping is the same for every width::

    group = u % 4,  column = u // 4 % 128,  bank = u // 512 % 4,  row = u // 2048

For one port that is row:bank:column:group above the 64 bytes of an access, so accesses in address
order alternate bank groups (t_ccd_s applies); for four ports an access of any length opens its page
in all four groups. (With the two groups of x16 devices: % 2, // 2 % 128, // 256 % 4, // 1024.)
32 KB in a row are one *logical page*, a row in each group; a burst lies within one. An access moves
whole stripes, so a part of a stripe costs all of it.

**Controller.** A read queue and a write queue, each in order. One burst is under way; with its last
column command the controller chooses the next, among what has arrived by then (*decision*, and the
only one: everything about the chosen burst is settled there).

* Reads go first, until no read waits, ``write_high`` writes wait and ``run`` reads have gone since
  the last write, or the read at the front touches a stripe of a write that came before it.
* Writes then go until none waits, or a read waits and either ``write_low`` writes are left or
  ``run`` have gone.
* A change of direction costs what the data sheet asks between the column commands.
* Rows stay open. Those that the next ``lookahead`` bursts of this direction need are opened ahead,
  in the order of the bursts, as soon as t_ras, t_rtp, t_wr, t_rp, t_rrd and t_faw allow.
* Every t_refi, between two bursts, all banks are closed (if any is open) and refreshed; late ones
  are made up for.

Not modelled: commands' own time on the command bus, reordering within a direction, power-down, a
second rank. Write data are in the controller when a write is submitted.
"""

from collections import deque
from dataclasses import dataclass, fields

import numpy as np

from skimp_sim.dram.params import Ddr4Params

__all__ = ["Burst", "Ddr4", "Ddr4Counters"]

_LONG_AGO = -(1 << 40)
_NEVER = 1 << 62


@dataclass(slots=True)
class Ddr4Counters:
    """What happened so far, for reports and for energy.

    Attributes
    ----------
    reads, writes : int
        Column accesses of 64 bytes.
    row_hits, row_misses, row_conflicts : int
        The same accesses by what they found: the row open, the bank closed, another row open.
    activates : int
        Rows opened (misses + conflicts), each of 8 KB over the rank.
    refreshes : int
        Refreshes of all banks.
    turnarounds : int
        Changes between reads and writes.
    read_bursts, write_bursts : int
        Bursts begun.
    busy_clocks : int
        DDR clocks with data on the data bus.
    refresh_clocks : int
        DDR clocks spent in refresh (t_rfc each).
    open_clocks : int
        DDR clocks with a row open, up to the last refresh; the rest of the time all banks are
        closed. `Ddr4.open_clocks` has those since then, too.
    """

    reads: int = 0
    writes: int = 0
    row_hits: int = 0
    row_misses: int = 0
    row_conflicts: int = 0
    activates: int = 0
    refreshes: int = 0
    turnarounds: int = 0
    read_bursts: int = 0
    write_bursts: int = 0
    busy_clocks: int = 0
    refresh_clocks: int = 0
    open_clocks: int = 0

    @property
    def hit_rate(self) -> float:
        """Share of column accesses that found their row open."""
        return self.row_hits / max(1, self.reads + self.writes)

    def as_dict(self) -> dict[str, int]:
        """Counters by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


class Burst:
    """A burst in the memory, as `Ddr4.submit` returns it.

    Attributes
    ----------
    is_write : bool
    address, beats : int
        Bytes; beats of the bus.
    clock : int
        Fabric clock of the submission.
    first, last : int | None
        Fabric clocks of the first and the last read beat; for a write, both the clock of its
        response. None: not decided yet (reads only).
    done : int | None
        First fabric clock in which its place in the queue is free. None: not decided yet.
    columns : tuple of int
        DDR clocks of its first column commands, at most one per bank group; the further ones
        follow t_ccd_s apart. Empty: not decided yet.
    units : int
        Column commands in all.
    """

    __slots__ = (
        "address arrival bank beats clock columns done first floor is_write last row unit units"
    ).split()

    def __init__(self, is_write: bool, address: int, beats: int, clock: int):
        self.is_write = is_write
        self.address = address
        self.beats = beats
        self.clock = clock
        self.first = self.last = self.done = None
        self.columns = ()

    def __repr__(self):
        kind = "write" if self.is_write else "read"
        return (
            f"<{kind} {self.address:#x} x {self.beats} at {self.clock}: {self.first}..{self.last}>"
        )


class Ddr4:
    """The memory behind one bus.

    Calls come with the current fabric clock, which never goes back. Call `advance` up to the next
    event of the caller, or up to `next_decision` if that is earlier, so that a burst's clocks are
    known before they come.

    Parameters
    ----------
    beat_bytes : int
        Bus width in bytes, a power of two.
    params : Ddr4Params
    record : bool
        Keep all DRAM commands in `commands`.

    Attributes
    ----------
    counters : Ddr4Counters
    commands : list of tuple or None
        (DDR clock, name, bank, row or column unit) with name ACT, PRE, RD, WR, PREA or REF and
        bank = bank * bank_groups + group; not sorted by time. None unless `record`.
    stripe_bytes, page_bytes : int
        Stripe and logical page of this bus.
    """

    def __init__(self, beat_bytes: int, params: Ddr4Params | None = None, *, record: bool = False):
        p = params or Ddr4Params()
        if beat_bytes < 1 or beat_bytes & (beat_bytes - 1):
            raise ValueError(f"beat_bytes is {beat_bytes}; a power of two is needed")
        ports = max(1, beat_bytes // p.port_bytes)
        self.params = p
        self.beat_bytes = beat_bytes
        self.stripe_bytes = p.burst_bytes * ports
        self.page_bytes = p.page_bytes * p.bank_groups
        self.counters = Ddr4Counters()
        self.commands = [] if record else None
        self._ports = ports
        self._stripe_beats = self.stripe_bytes // beat_bytes
        self._page_units = self.page_bytes // p.burst_bytes
        self._depth = (p.read_queue, p.write_queue)
        self._held = (deque(), deque())  # all bursts that have a place in a queue
        self._waiting = (deque(), deque())  # those of them that are not decided yet
        banks = p.bank_groups * p.banks_per_group
        self._row = [-1] * banks
        self._column_ok = [0] * banks  # first column command of the open row
        self._close_ok = [0] * banks  # first precharge
        self._closed = 0  # end of the last refresh
        self._all_close_ok = 0
        self._open_since = -1  # -1: all banks are closed
        self._activates = deque([_LONG_AGO] * 4, maxlen=4)
        self._group_activate = [_LONG_AGO] * p.bank_groups
        # Last column commands, [direction][group] and [direction].
        self._group_column = ([_LONG_AGO] * p.bank_groups, [_LONG_AGO] * p.bank_groups)
        self._column = [_LONG_AGO, _LONG_AGO]
        self._writing = False
        self._in_row = 0  # bursts since the last change of direction
        self._decided = deque(maxlen=p.lookahead)  # decisions since direction change or refresh
        self._free = 0  # last column command, or end of the last refresh
        self._due = p.t_refi or _NEVER
        self._bus = -1  # clock of the last read beat
        self._response = -1
        self._now = 0

    @property
    def now(self) -> int:
        """Fabric clock up to which everything is decided."""
        return self._now

    # ---- clocks

    def _to_ddr(self, clock: int) -> int:
        return -(-clock * self.params.ddr_mhz // self.params.fabric_mhz)

    def _to_fabric(self, time: int) -> int:
        return -(-time * self.params.fabric_mhz // self.params.ddr_mhz)

    # ---- submission

    def _release(self, now: int) -> None:
        for held in self._held:
            while held and held[0].done is not None and held[0].done <= now:
                held.popleft()

    def can_submit(self, now: int, is_write: bool) -> bool:
        """Whether the queue has room in this fabric clock."""
        self.advance(now)
        return len(self._held[is_write]) < self._depth[is_write]

    def room(self, is_write: bool) -> int | None:
        """Fabric clock from which the queue has room; None: depends on bursts not decided yet."""
        held = self._held[is_write]
        return 0 if len(held) < self._depth[is_write] else held[0].done

    def submit(self, now: int, is_write: bool, address: int, beats: int) -> Burst | None:
        """Hand over a burst.

        Parameters
        ----------
        now : int
            Fabric clock in which the address is taken (read), or the last beat of data (write).
        is_write : bool
        address, beats : int
            Bytes, a multiple of the bus width; beats of the bus. Within a logical page (AXI bursts
            are, as they do not cross 4 KB).

        Returns
        -------
        Burst or None
            None: the queue is full, try again later.
        """
        if address < 0 or address % self.beat_bytes:
            raise ValueError(f"address {address:#x} is not a multiple of {self.beat_bytes} bytes")
        end = address + beats * self.beat_bytes
        page = address // self.page_bytes
        if beats < 1 or page != (end - 1) // self.page_bytes:
            raise ValueError(f"a burst of {beats} beats at {address:#x} leaves its logical page")
        if not self.can_submit(now, is_write):
            return None
        burst = Burst(is_write, address, beats, now)
        burst.arrival = self._to_ddr(now)
        burst.unit = address // self.stripe_bytes * self._ports
        burst.units = -(-end // self.stripe_bytes) * self._ports - burst.unit
        burst.row, burst.bank = divmod(page, self.params.banks_per_group)
        if is_write:
            self._response = max(now + self.params.write_latency, self._response + 1)
            burst.first = burst.last = self._response
        self._held[is_write].append(burst)
        self._waiting[is_write].append(burst)
        return burst

    # ---- time

    def next_decision(self) -> int | None:
        """Fabric clock to which to `advance` for the next burst (or refresh) to be decided.

        None: nothing waits. A submission before that clock can change what is decided there.
        """
        time = self._next_time()
        return None if time >= _NEVER else self._clock_after(time)

    def _clock_after(self, time: int) -> int:
        """First fabric clock that begins behind a DDR clock."""
        return time * self.params.fabric_mhz // self.params.ddr_mhz + 1

    def _next_time(self) -> int:
        reads, writes = self._waiting
        time = reads[0].arrival if reads else _NEVER
        if writes and writes[0].arrival < time:
            time = writes[0].arrival
        return time if time > self._free else self._free if reads or writes else _NEVER

    def advance(self, now: int) -> None:
        """Decide all that can be decided before fabric clock `now` begins."""
        if now < self._now:
            raise ValueError(f"clock {now} is before clock {self._now}")
        self._now = now
        limit = self._to_ddr(now)
        while (time := self._next_time()) < limit:
            self._decide(time)
        self._release(now)

    def _decide(self, time: int) -> None:
        if time >= self._due:
            while time >= self._due:
                self._refresh()
            self._free = max(self._free, self._closed)
            return
        p = self.params
        reads, writes = self._waiting
        read = bool(reads) and reads[0].arrival <= time
        write = bool(writes) and writes[0].arrival <= time
        if write and read:
            if self._writing:
                low = p.write_low
                write = self._in_row < p.run and len(writes) > low and writes[low].arrival <= time
            else:
                high = p.write_high
                write = self._in_row >= p.run
                write = write and len(writes) >= high and writes[high - 1].arrival <= time
            write = write or self._collides(reads[0])
        burst = self._waiting[write].popleft()
        if write != self._writing:
            self._writing = write
            self._in_row = 0
            self._decided.clear()
            if self.counters.read_bursts or self.counters.write_bursts:
                self.counters.turnarounds += 1
        self._in_row += 1
        self._begin(burst, time)

    def _collides(self, read: Burst) -> bool:
        low, high = read.unit, read.unit + read.units
        for w in self._waiting[1]:
            if w.arrival > read.arrival:
                return False
            if w.unit < high and low < w.unit + w.units:
                return True
        return False

    def _refresh(self) -> None:
        p, counters = self.params, self.counters
        start = max(self._due, self._closed)
        if self._open_since >= 0:
            start = max(start, self._all_close_ok)
            counters.open_clocks += start - self._open_since
            if self.commands is not None:
                self.commands.append((start, "PREA", -1, -1))
            start += p.t_rp
            self._open_since = -1
            self._row = [-1] * len(self._row)
        if self.commands is not None:
            self.commands.append((start, "REF", -1, -1))
        self._closed = start + p.t_rfc
        self._due += p.t_refi
        self._decided.clear()
        counters.refreshes += 1
        counters.refresh_clocks += p.t_rfc

    def _begin(self, burst: Burst, time: int) -> None:
        """Settle all commands of a burst that is chosen at `time`."""
        p, counters = self.params, self.counters
        groups, ccd = p.bank_groups, p.t_ccd_s
        write = burst.is_write
        units, unit, row = burst.units, burst.unit, burst.row
        base = burst.bank * groups
        mine = self._group_column[write]
        other = self._group_column[not write]
        if write:
            floor = max(time, self._column[1] + ccd, self._column[0] + p.read_to_write)
            # Reads do not hold up a write more in their own group.
            other_gap = 0
            to_close = p.cwl + p.data_clocks + p.t_wr
        else:
            floor = max(
                time, self._column[0] + ccd, self._column[1] + p.write_to_read(same_group=False)
            )
            other_gap = p.write_to_read(same_group=True)
            to_close = p.t_rtp
        decided = self._decided
        ahead = decided[0] if decided else time
        if ahead < burst.arrival:
            ahead = burst.arrival
        decided.append(time)

        rows, column_ok, close_ok = self._row, self._column_ok, self._close_ok
        columns = []
        opened = 0
        for i in range(min(units, groups)):
            group = (unit + i) % groups
            bank = base + group
            if rows[bank] != row:
                if rows[bank] >= 0:
                    counters.row_conflicts += 1
                    at = max(ahead, close_ok[bank])
                    if self.commands is not None:
                        self.commands.append((at, "PRE", bank, rows[bank]))
                    at += p.t_rp
                else:
                    counters.row_misses += 1
                    at = max(ahead, self._closed)
                activates = self._activates
                at = max(
                    at,
                    activates[0] + p.t_faw,
                    activates[3] + p.t_rrd_s,
                    self._group_activate[group] + p.t_rrd_l,
                )
                activates.append(at)
                self._group_activate[group] = at
                if self._open_since < 0:
                    self._open_since = at
                rows[bank] = row
                column_ok[bank] = at + p.t_rcd
                close_ok[bank] = at + p.t_ras
                opened += 1
                if self.commands is not None:
                    self.commands.append((at, "ACT", bank, row))
            at = max(floor, column_ok[bank], mine[group] + p.t_ccd_l, other[group] + other_gap)
            columns.append(at)
            floor = at + ccd
        burst.columns = tuple(columns)
        last = columns[-1] + (units - len(columns)) * ccd
        for i in range(max(0, units - groups), units):
            at = columns[i] if i < groups else columns[-1] + (i - groups + 1) * ccd
            group = (unit + i) % groups
            bank = base + group
            mine[group] = at
            at += to_close
            if close_ok[bank] < at:
                close_ok[bank] = at
            if self._all_close_ok < close_ok[bank]:
                self._all_close_ok = close_ok[bank]
        if self.commands is not None:
            for i in range(units):
                at = columns[i] if i < groups else columns[-1] + (i - groups + 1) * ccd
                bank = base + (unit + i) % groups
                self.commands.append((at, "WR" if write else "RD", bank, unit + i))
        self._column[write] = last
        self._free = last
        counters.activates += opened
        counters.row_hits += units - opened
        counters.busy_clocks += units * p.data_clocks
        if write:
            counters.writes += units
            counters.write_bursts += 1
            burst.done = self._to_fabric(last + p.cwl + p.data_clocks)
        else:
            counters.reads += units
            counters.read_bursts += 1
            self._deliver(burst)

    def _deliver(self, burst: Burst) -> None:
        """Clocks of the first and the last beat of a read."""
        stripes = burst.units // self._ports
        ready = self._stripe_ready(burst, 0)
        burst.floor = self._bus
        burst.first = max(ready, self._bus + 1)
        last = burst.first + burst.beats - 1
        head = burst.address // self.beat_bytes % self._stripe_beats
        # A stripe puts off the last beat by as much as it is behind the bus. From the last of the
        # columns on (and from the first whole stripe on) stripes come evenly, so that either the
        # first of these or the very last one is furthest behind.
        even = max(2, len(burst.columns) // self._ports)
        for j in (*range(1, min(even, stripes)), *range(max(even, stripes - 1), stripes)):
            left = burst.beats - (j * self._stripe_beats - head)
            last = max(last, self._stripe_ready(burst, j) + left - 1)
        burst.last = self._bus = last
        burst.done = last + 1

    def _stripe_ready(self, burst: Burst, stripe: int) -> int:
        """Fabric clock from which the beats of a stripe of a read can be taken."""
        p, i = self.params, (stripe + 1) * self._ports - 1
        tail = i - len(burst.columns) + 1
        at = burst.columns[i] if tail <= 0 else burst.columns[-1] + tail * p.t_ccd_s
        return self._to_fabric(at + p.cl + p.data_clocks) + p.read_latency

    # ---- results

    def beat_clocks(self, burst: Burst) -> np.ndarray:
        """Fabric clock of every beat of a read that is decided, int64."""
        if burst.is_write or burst.last is None:
            raise ValueError(f"{burst} has no read beats (yet)")
        head = burst.address // self.beat_bytes % self._stripe_beats
        stripes = (head + np.arange(burst.beats)) // self._stripe_beats
        ready = np.array(
            [self._stripe_ready(burst, j) for j in range(burst.units // self._ports)], np.int64
        )
        earliest = ready[stripes]
        earliest[0] = max(earliest[0], burst.floor + 1)
        count = np.arange(burst.beats)
        return np.maximum.accumulate(earliest - count) + count

    def read(self, now: int, address: int, beats: int) -> tuple[int, int]:
        """Read without anything else coming in: (first, last) clock of its beats.

        Waits for room in the queue, then looks ahead until the burst is decided. Bursts submitted
        later, even with a clock before that, find it begun.
        """
        burst = self._wait(now, False, address, beats)
        while burst.last is None:
            self._decide(self._next_time())
        return burst.first, burst.last

    def write(self, now: int, address: int, beats: int) -> int:
        """Write, the last beat being there in clock `now`: clock of the response."""
        return self._wait(now, True, address, beats).last

    def _wait(self, now: int, is_write: bool, address: int, beats: int) -> Burst:
        now = max(now, self._now)
        while (burst := self.submit(now, is_write, address, beats)) is None:
            head = self._held[is_write][0]
            while head.done is None:
                self._decide(self._next_time())
            now = head.done
        return burst

    def drain(self) -> int:
        """Decide all that waits; return the first fabric clock in which the queues are empty."""
        while (time := self._next_time()) < _NEVER:
            self._decide(time)
        ends = [held[-1].done for held in self._held if held]
        self._now = max([self._now, *ends])
        self._release(self._now)
        return self._now

    def open_clocks(self, now: int) -> int:
        """DDR clocks with a row open until fabric clock `now`, refreshes yet to come left out."""
        since = self._open_since
        extra = max(0, self._to_ddr(now) - since) if since >= 0 else 0
        return self.counters.open_clocks + extra
