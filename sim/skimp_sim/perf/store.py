"""Store unit and write master: STORE and LAYER."""

from collections import deque

from skimp.config import Config
from skimp.dma.store import _QUEUED_BEATS, _STORED, _TICKETS
from skimp.isa import CHIP_BASE, RECORD_BYTES, Opcode
from skimp_sim.perf.kernel import NEVER, CommandQueue, Fifo, Semaphores, Unit
from skimp_sim.perf.read import Memory, next_burst
from skimp_sim.perf.units import UnitsOut

__all__ = ["Store", "Writer"]


class Writer(Unit):
    """Bursts and answers of the write master; `Store` moves its beats.

    A segment that is accepted in clock t is issued from t + 1 on, a burst a clock; data can go two
    clocks later. The answer of a burst is seen one clock behind it.

    Parameters
    ----------
    config : Config
    memory : Memory
    """

    def __init__(self, config: Config, memory: Memory):
        self._config = config
        self._memory = memory
        depth = max(config.writes_outstanding, 3)
        self.lengths = Fifo(depth)
        self._unanswered = Fifo(depth)
        self._addr = self._left = 0
        self._active = NEVER
        self.free = 0
        self._outstanding = 0
        self._answers = deque()  # clocks of the answers to come
        self._came = 0  # beats of the burst at the front
        self.sent = 0
        self.answered = 0
        self.store = None
        self.beat_log: list[int] = []

    def accept(self, t: int, addr: int, beats: int) -> None:
        self._addr = addr
        self._left = beats
        self._active = t + 1
        self.free = NEVER
        self.wake(t + 1)

    def step(self, t: int) -> None:
        before = self._outstanding
        if self._answers and self._answers[0] <= t:
            self._answers.popleft()
            self._unanswered.pop(t)
            self._outstanding -= 1
            self.answered += 1
            self.store.wake(t + 1)
            self.wake(t + 1)
        if self._answers:
            self.wake(self._answers[0])
        if self._active > t:
            if self._active < NEVER:
                self.wake(self._active)
            return
        if before == self._config.writes_outstanding:
            return
        room = max(self.lengths.writable(t), self._unanswered.writable(t))
        if room > t:
            self.wake(min(room, t + 1))
            return
        burst = next_burst(self._config, self._addr, self._left)
        self.lengths.push(t, (self._addr, burst))
        self._unanswered.push(t, True)
        self._outstanding += 1
        self._addr += burst * self._config.bus_bytes
        self._left -= burst
        self.store.wake(max(self.lengths.visible, t + 1))
        if self._left:
            self.wake(t + 1)
        else:
            self._active = NEVER
            self.free = t + 1
            self.store.wake(t + 1)

    def beat_ready(self, t: int) -> int:
        """Clock from which a beat is taken: t, or a later one in which to ask again."""
        if self.lengths.visible > t:
            return self.lengths.visible
        last = self._came + 1 == self.lengths.first[1]
        return t + 1 if last and not self._memory.has_room(t, True) else t

    def take_beat(self, t: int) -> None:
        """A beat goes out in clock t."""
        self.beat_log.append(t)
        addr, beats = self.lengths.first
        self._came += 1
        if self._came == beats:
            self._came = 0
            self.lengths.pop(t)
            burst = self._memory.submit(t, True, addr, beats)
            self._answers.append(self._memory.clock(burst.last))
            self.sent += 1
            self.wake(max(self._answers[0], t + 1))
            if self._active < NEVER:
                self.wake(t + 1)


class Store(Unit):
    """Walks over segments and beats, and the queue of beats in front of the writer.

    Three clocks from a command to its first beat; a clock for each segment; a beat a clock while
    the queue holds fewer than _QUEUED_BEATS - 2. A beat can leave the queue three clocks behind
    its read. A command posts one clock behind its last read; STORED comes once everything that was
    written until then is acknowledged.

    Parameters
    ----------
    config : Config
    queue : CommandQueue
    writer : Writer
    semaphores : Semaphores
    unit_beats : dict
        Beats of coded units, by address.
    """

    def __init__(
        self,
        config: Config,
        queue: CommandQueue,
        writer: Writer,
        semaphores: Semaphores,
        unit_beats: dict,
    ):
        self._config = config
        self._unit_beats = unit_beats
        self._units = UnitsOut(config)
        self._queue = queue
        self._writer = writer
        writer.store = self
        self._semaphores = semaphores
        self._most = _QUEUED_BEATS - 2
        self._record_beats = RECORD_BYTES // config.bus_bytes
        self._command = None
        self._granted = 0
        self._at = 0  # clock of the walk's next work
        self._segment = self._block = 0
        self._addr = self._block_addr = 0
        self._left = 0  # beats of the segment; 0: its segment comes first
        self._beats = deque()  # (clock of the read, chip, coded, end, stored, granted)
        self._popped = -1
        self._tickets = Fifo(_TICKETS)
        self._open = deque()  # grant clocks of commands whose ticket is not answered
        self.idle_from = 0
        self.sequencer = None
        self.busy: list[tuple[int, int]] = []
        self.snapshots: list[tuple[int, int]] = []  # layer_id, clock

    def step(self, t: int) -> None:
        following = NEVER
        beats, tickets, writer, units = self._beats, self._tickets, self._writer, self._units
        level = len(beats) - (1 if beats and beats[-1][0] == t - 1 else 0)

        # A ticket is answered.
        if tickets.visible <= t:
            count, stored, granted = tickets.first
            if writer.answered >= count:
                tickets.pop(t)
                if stored:
                    self._semaphores.post(_STORED, t + 2)
                end = t + 1 + stored
                self.busy.append((granted, end))
                if self._command is None and not beats and not len(tickets) and units.over:
                    self.idle_from = end
                    self.sequencer.wake(end)
                following = t + 1
        elif tickets.visible < following:
            following = tickets.visible

        # A beat leaves the queue.
        if beats:
            read, chip, coded, end, stored, granted = beats[0]
            there = read + 3
            if self._popped >= there:
                there = self._popped + 1
            if there <= t and coded:
                room = max(units.ready, t)
                if room <= t:
                    units.push(t, (end, stored, granted))
                    beats.popleft()
                    self._popped = t
                    following = t + 1
                elif room < following:
                    following = room
            elif there <= t and not units.empty:
                following = t + 1
            elif there <= t:
                room = tickets.writable(t)
                if room <= t and not chip:
                    room = writer.beat_ready(t)
                if room <= t:
                    if end:
                        count = writer.sent + (not chip)
                        tickets.push(t, (count, stored, granted))
                    if not chip:
                        writer.take_beat(t)
                    beats.popleft()
                    self._popped = t
                    following = t + 1
                elif room < following:
                    following = room
            elif there < following:
                following = there

        # Coded bursts, and their beats.
        if units.next_burst <= t and writer.free <= t:
            writer.accept(t, *units.take_burst(t))
        if units.next_burst < following:
            following = max(units.next_burst, t + 1)
        if units.beats:
            there = max(units.beats[0][0], tickets.writable(t))
            if there <= t:
                there = writer.beat_ready(t)
            if there <= t:
                mark = units.take_beat(t)
                if mark is not None and mark[0]:
                    tickets.push(t, (writer.sent + 1, *mark[1:]))
                writer.take_beat(t)
                there = t + 1
            following = min(following, there)

        # The walk.
        if self._at <= t:
            self._walk(t, level)
        if self._at < following and self._command is not None:
            following = self._at
        if following <= t:
            following = t + 1
        if following < self.due:
            self.due = following

    def _walk(self, t: int, level: int) -> None:
        command = self._command
        if command is None:
            granted = self._queue.granted()
            if granted > t:
                if granted < NEVER:
                    self.wake(granted)
                return
            command = self._command = self._queue.take(t)
            self._granted = granted
            self.idle_from = NEVER
            self._segment = self._block = self._left = 0
            self._at = t + 2
            self._addr = self._block_addr = command.dram_addr
            if command.opcode is Opcode.LAYER:
                self.snapshots.append((command.layer_id, t + 1))
            return
        layer = command.opcode is Opcode.LAYER
        config, units = self._config, self._units
        if not self._left:
            chip = command.dram_addr >= CHIP_BASE
            coded = not layer and command.code
            if (coded and not units.has_room) or not (chip or coded or units.over):
                self._at = t + 1
                return
            if not chip and not coded and self._writer.free > t:
                self._at = t + 1 if self._writer.free == NEVER else self._writer.free
                return
            if layer:
                start, self._left = self._addr, self._record_beats
            else:
                words = config.chip_words if chip else config.bus_words
                skip = self._addr // config.word_bytes % words
                start = self._addr - skip * config.word_bytes
                self._left = -(-(command.seg_words + skip) // words)
            if coded:
                num_bytes = command.seg_words * config.word_bytes
                units.place(start, self._unit_beats[start], num_bytes)
            elif not chip:
                self._writer.accept(t, start, self._left)
            self._at = t + 1
            return
        self._at = t + 1
        if level >= self._most:
            return
        self._left -= 1
        end = False
        if not self._left:
            self._segment += 1
            self._addr += 0 if layer else command.seg_stride
            if layer:
                end = True
            elif self._segment == command.seg_count:
                self._segment = 0
                self._block += 1
                self._block_addr += command.block_stride
                self._addr = self._block_addr
                end = self._block == command.num_blocks
        chip = command.dram_addr >= CHIP_BASE
        stored = bool(command.post & _STORED)
        coded = not layer and bool(command.code)
        self._beats.append((t, chip, coded, end, stored, self._granted))
        if end:
            self._semaphores.post(command.post & ~_STORED, t + 2)
            self._command = None
            self.wake(t + 1)
