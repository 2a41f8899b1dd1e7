"""Read master: bursts of the sequencer, the loads and the weights on one channel of the DRAM."""

from collections import deque

from skimp.config import Config
from skimp.dma.axi import BOUNDARY_BYTES
from skimp_sim.dram.ddr4 import Ddr4
from skimp_sim.dram.replay import Request
from skimp_sim.perf.kernel import NEVER, Unit

__all__ = ["Memory", "Reader", "next_burst"]

NUM_CLIENTS = 3
LOAD_CLIENT = 1


def next_burst(config: Config, addr: int, left: int) -> int:
    """Return the beats of the next burst: what is left, a whole burst, or up to 4 KB."""
    to_boundary = (BOUNDARY_BYTES - addr % BOUNDARY_BYTES) // config.bus_bytes
    return min(left, config.burst_beats, to_boundary)


class Memory(Unit):
    """The DDR4 model; wakes whoever waits for a burst's clocks.

    A read leaves its queue with its last beat on the bus; that the load unit may take a beat later
    (and the RTL's memory then keeps the place longer) matters only where reads_outstanding is more
    than the queue holds.

    Parameters
    ----------
    ddr : Ddr4
    start : int
        Clock of the memory in clock 0 of the program.

    Attributes
    ----------
    requests : list of Request
        Bursts in the order in which they were handed over, in clocks of the memory.
    """

    def __init__(self, ddr: Ddr4, start: int):
        self._ddr = ddr
        self._start = start
        self.reader = None
        self.requests: list[Request] = []

    def has_room(self, t: int, is_write: bool) -> bool:
        return self._ddr.can_submit(t + self._start, is_write)

    def submit(self, t: int, is_write: bool, addr: int, beats: int):
        """Hand over a burst; there must be room."""
        self.requests.append(Request(t + self._start, is_write, addr, beats))
        burst = self._ddr.submit(t + self._start, is_write, addr, beats)
        self._plan()
        return burst

    def clock(self, when: int) -> int:
        """Clock of the program from one of the memory."""
        return when - self._start

    def beat_clocks(self, burst) -> list[int]:
        """Clocks in which the beats of a read are there."""
        if burst.last - burst.first == burst.beats - 1:
            first = burst.first - self._start
            return list(range(first, first + burst.beats))
        return [int(clock) - self._start for clock in self._ddr.beat_clocks(burst)]

    def _plan(self) -> None:
        clock = self._ddr.next_decision()
        if clock is not None:
            self.wake(clock - self._start)

    def step(self, t: int) -> None:
        self._ddr.advance(t + self._start)
        self.reader.decided(t)
        self._plan()


class _Read:
    """A burst between its issue and its last beat."""

    __slots__ = ("beats", "burst", "client", "clocks")

    def __init__(self, client: int, beats: int):
        self.client = client
        self.beats = beats
        self.burst = None
        self.clocks = None


class Reader(Unit):
    """One burst a clock: client 0 first, the others in turn; beats come back in order.

    Of a segment that is accepted in clock t, the first burst waits for its turn from t + 2 on; the
    next one does so a clock behind its issue. A burst that is issued in clock t is on the bus in
    t + 1. Room for the load unit's beats counts as it was one clock before. Of the others than the
    load unit, beats are always taken, so that a whole burst is one event; the load unit takes them
    one by one (`load_beat`), and the sequencer is told their clocks beforehand.

    Parameters
    ----------
    config : Config
    memory : Memory
    """

    def __init__(self, config: Config, memory: Memory):
        self._config = config
        self._memory = memory
        memory.reader = self
        self._addr = [0] * NUM_CLIENTS
        self._left = [0] * NUM_CLIENTS
        self._active = [NEVER] * NUM_CLIENTS  # from this clock on there is a segment
        self._waits = [NEVER] * NUM_CLIENTS  # from this clock on its next burst waits
        self._next = [None] * NUM_CLIENTS  # that burst: address, beats
        self.free = [0] * NUM_CLIENTS  # from this clock on a segment is accepted
        self.turn = LOAD_CLIENT
        self._address = None  # (clock from which it is on the bus, address, _Read)
        self._outstanding = 0
        self._owners: deque[_Read] = deque()
        self._next_beat = 0
        self.under_way = 0  # beats on their way to the load unit
        self._load_issue = (-1, 0)  # clock of the last one for the load unit, beats
        self.clients = [None] * NUM_CLIENTS  # for `beats`, and to wake
        self.load_room = None
        self.load_waits = False  # for room
        self.bursts: list[tuple[int, int, int]] = []  # first clock, last clock, beats
        self.beat_log: list[int] = []  # clocks of beats that the load unit took
        self._head_at = NEVER  # clock of the last beat of the burst at the front, where known

    def accept(self, t: int, client: int, addr: int, beats: int) -> None:
        """Take a segment in clock t."""
        self._addr[client] = addr
        self._left[client] = beats
        self._active[client] = t + 1
        self.free[client] = NEVER
        self.wake(t + 1)

    def step(self, t: int) -> None:
        self._issue(t)
        for client in range(NUM_CLIENTS):
            if self._active[client] <= t and self._next[client] is None:
                self._split(t, client)

    def _issue(self, t: int) -> None:
        waiting = self._address
        if waiting is not None:
            if waiting[0] > t:
                self.wake(waiting[0])
                return
            if not self._memory.has_room(t, False):
                self.wake(t + 1)
                return
            _, addr, read = waiting
            read.burst = self._memory.submit(t, False, addr, read.beats)
            self._address = None
        if self._outstanding == self._config.reads_outstanding:
            return
        client = self._choose(t)
        if client is None:
            return
        addr, beats = self._next[client]
        self._next[client] = None
        self._waits[client] = NEVER
        read = _Read(client, beats)
        self._address = (t + 1, addr, read)
        self._owners.append(read)
        self._outstanding += 1
        if client == LOAD_CLIENT:
            self.under_way += beats
            self._load_issue = (t, beats)
        if client:
            self.turn = client % (NUM_CLIENTS - 1) + 1
        self.wake(t + 1)

    def _split(self, t: int, client: int) -> None:
        """Have the next burst of a segment wait for its turn."""
        addr = self._addr[client]
        burst = next_burst(self._config, addr, self._left[client])
        self._next[client] = addr, burst
        self._waits[client] = t + 1
        self._addr[client] = addr + burst * self._config.bus_bytes
        self._left[client] -= burst
        if not self._left[client]:
            self._active[client] = NEVER
            self.free[client] = t + 1
            self.clients[client].wake(t + 1)
        self.wake(t + 1)

    def _choose(self, t: int) -> int | None:
        waits = self._waits
        if waits[0] <= t:
            return 0
        load = waits[LOAD_CLIENT] <= t
        if load:
            load = self._load_fits(t)
            self.load_waits = not load
        other = waits[3 - LOAD_CLIENT] <= t
        if load and (self.turn == LOAD_CLIENT or not other):
            return LOAD_CLIENT
        return 3 - LOAD_CLIENT if other else None

    def _load_fits(self, t: int) -> bool:
        """Whether one more burst had room a clock ago, one issued then counted as a whole one."""
        under_way, room = self.under_way, self.load_room(t - 1)
        burst = self._config.burst_beats
        changes = room != self.load_room(t)
        if self.beat_log and self.beat_log[-1] == t - 1:
            under_way += 1
            changes = True
        clock, beats = self._load_issue
        if clock == t - 1:
            under_way += burst - beats
            changes = True
        if changes:
            self.wake(t + 1)
        return under_way + burst <= room

    # ---- data

    def decided(self, t: int) -> None:
        """The memory has settled bursts."""
        if self._owners and self._head_at == NEVER:
            self._head(t)

    def _head(self, t: int) -> None:
        """Plan the burst at the front, once its clocks are known."""
        read = self._owners[0]
        burst = read.burst
        if burst is None or burst.last is None or self._head_at < NEVER:
            return
        if read.client == LOAD_CLIENT:
            if read.clocks is None:
                read.clocks = self._memory.beat_clocks(burst)
                read.clocks.reverse()
                self.clients[LOAD_CLIENT].data.wake(max(read.clocks[-1], self._next_beat))
            return
        first = max(self._memory.clock(burst.first), self._next_beat)
        last = max(self._memory.clock(burst.last), first + read.beats - 1)
        self._head_at = last
        self.data.wake(last)
        self.bursts.append((first, last, read.beats))
        if read.client == 0:
            clocks = self._memory.beat_clocks(burst)
            if first > clocks[0]:
                clocks = [max(clock, first + k) for k, clock in enumerate(clocks)]
            self.clients[0].beats(clocks)

    def load_beat(self) -> int:
        """Clock from which the next beat on the bus is one for the load unit; NEVER: not known."""
        if not self._owners:
            return NEVER
        clocks = self._owners[0].clocks
        if clocks is None:
            return NEVER
        return clocks[-1] if clocks[-1] > self._next_beat else self._next_beat

    def take_load_beat(self, t: int) -> None:
        """The load unit takes a beat in clock t."""
        clocks = self._owners[0].clocks
        clocks.pop()
        self.under_way -= 1
        self.beat_log.append(t)
        self._next_beat = t + 1
        if not clocks:
            self._retire(t)

    def whole_burst(self, t: int) -> None:
        """The last beat of the burst at the front, another client's, is taken in clock t."""
        read = self._owners[0]
        self._next_beat = t + 1
        self._head_at = NEVER
        if read.client != 0:
            self.clients[read.client].beats(t, read.beats)
        self._retire(t)

    def _retire(self, t: int) -> None:
        self._owners.popleft()
        self._outstanding -= 1
        self.wake(t + 1)
        if self._owners:
            self._head(t)


class ReadData(Unit):
    """Data channel of the read master: the ends of bursts that are taken whole.

    Looked at behind `Reader`, which sees the numbers of the clock before.
    """

    def __init__(self, reader: Reader):
        self._reader = reader
        reader.data = self

    def step(self, t: int) -> None:
        self._reader.whole_burst(t)
