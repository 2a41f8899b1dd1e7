"""Load unit: LOAD_IFMAP and LOAD_RESIDUAL; the activation store's reading side is in here, too."""

from collections import deque

from skimp.config import Config
from skimp.dma.load import _PENDING, _RUNS
from skimp.isa import CHIP_BASE, Opcode
from skimp.mem import act_store
from skimp.rlc.format import unit_pitch_bytes
from skimp_sim.perf.kernel import NEVER, CommandQueue, Fifo, Semaphores, Unit
from skimp_sim.perf.read import LOAD_CLIENT
from skimp_sim.perf.timing import timing_of
from skimp_sim.perf.units import UnitsIn

__all__ = ["LoadData", "LoadRequests", "writer_runs"]


def writer_runs(config: Config, command) -> list[tuple[int, int, int]]:
    """Return the clocks of the writer as runs (padding clocks, words, words a clock).

    The padding clocks come first; neither is 0 in all runs, and the last words of a run may be
    fewer than a clock could take.
    """
    if command.opcode is Opcode.LOAD_RESIDUAL:
        return [(0, command.num_pixels, config.load_words)] * command.dma_blocks
    lanes = config.load_words
    even = max(1, lanes - lanes % 2)
    pairs = command.stride_w == 2 and lanes > 1
    if pairs or command.halve:
        most = even
    else:
        most = 1 if command.stride_w != 1 else lanes

    left, cols, rows = command.pad_left, command.num_cols, command.num_rows
    clocks = -(-(left + cols + command.pad_right) // most)
    # Clocks of padding alone, words that share a clock with padding before them, the rest.
    before, lead = divmod(left, most)
    head = min(most - lead, cols) if lead else 0
    rest = cols - head
    row = [(words, longest) for words, longest in ((head, head), (rest, most)) if words]
    behind = clocks - before - (head > 0) - -(-rest // most)
    runs = []
    padding = 0
    for _ in range(command.num_blocks):
        padding += command.pad_top * clocks
        if rows and cols and clocks * most == cols:
            # Rows without padding between them whose words fill every clock are one run.
            runs.append((padding, rows * cols, most))
            padding = 0
        else:
            for _ in range(rows):
                padding += before
                for words, longest in row:
                    runs.append((padding, words, longest))
                    padding = 0
                padding += behind
        padding += command.pad_bottom * clocks
    if padding:
        runs.append((padding, 0, most))
    return runs


class LoadRequests(Unit):
    """Turns commands into segments, one a clock; 2 clocks between commands.

    Of coded units one is asked for in two clocks.

    Parameters
    ----------
    config : Config
    queue : CommandQueue
    reader : Reader
    data : LoadData
    unit_beats : dict
        Beats of coded units, by address.
    """

    def __init__(
        self, config: Config, queue: CommandQueue, reader, data: "LoadData", unit_beats: dict
    ):
        self._config = config
        self._unit_beats = unit_beats
        self._turned = False  # the command's way is free
        self._left = self._front = self._unit = 0  # of a segment of coded units
        self._queue = queue
        self._reader = reader
        self.data = data
        data.requests = self
        self.command = None
        self._at = 0  # clock from which the present state holds
        self._handed = False
        self._segment = self._block = 0
        self._addr = self._block_addr = 0

    @property
    def idle_from(self) -> int:
        return NEVER if self.command is not None else self.data.idle_from

    def beats(self, t: int, count: int) -> None:
        raise AssertionError("the load unit takes its beats one by one")

    def step(self, t: int) -> None:
        if self._at > t:
            self.wake(self._at)
        elif self.command is None:
            granted = self._queue.granted()
            if granted <= t:
                self.command = self._queue.take(t)
                self.command_granted = granted
                self._handed = False
                self._at = t + 1
                self.wake(t + 1)
            elif granted < NEVER:
                self.wake(granted)
        elif not self._handed:
            self._hand(t)
        elif not self._turned:
            self._turn(t)
        elif self.command.code:
            self._ask_unit(t)
        else:
            self._ask(t)

    def _hand(self, t: int) -> None:
        pending = self.data.pending
        room = pending.writable(t)
        if room > t:
            self.wake(room)
            return
        command = self.command
        pending.push(t, (command, self.command_granted))
        self.data.idle_from = NEVER
        self.data.wake(max(pending.visible, t + 1))
        self._handed = True
        self._at = t + 1
        self.wake(t + 1)
        self._segment = self._block = 0
        self._addr = self._block_addr = command.dram_addr
        self._left = 0
        self._turned = not (command.code or self.data.coded)
        if not command.seg_words:
            self.command = None

    def _turn(self, t: int) -> None:
        """Wait until what came on the other way is through."""
        command, data = self.command, self.data
        over = data.coded or not len(data.runs) if command.code else data.units.over
        if over:
            data.coded = bool(command.code)
            self._turned = True
        self._at = t + 1
        self.wake(t + 1)

    def _ask_unit(self, t: int) -> None:
        config, command, data = self._config, self.command, self.data
        if not self._left:
            # Clocks for the segment, and to look the unit up.
            self._left, self._front, self._unit = command.seg_words, command.skip, self._addr
            self._at = t + 2
            self.wake(t + 2)
            return
        free = self._reader.free[LOAD_CLIENT]
        if free > t or not data.units.has_room:
            self.wake(free if free > t else t + 1)
            return
        keep = min(command.unit_words - self._front, self._left)
        beats = self._unit_beats[self._unit]
        data.units.ask(beats, command.unit_words, self._front, keep)
        self._reader.accept(t, LOAD_CLIENT, self._unit, beats)
        data.wake(t + 1)
        unit_bytes = command.unit_words * config.word_bytes
        self._unit += unit_pitch_bytes(unit_bytes, config.bus_bytes)
        self._left -= keep
        self._front = 0
        self._at = t + (2 if self._left else 1)
        self.wake(self._at)
        if not self._left:
            self._next_segment()

    def _ask(self, t: int) -> None:
        config, command, data = self._config, self.command, self.data
        chip = command.dram_addr >= CHIP_BASE
        room = data.runs.writable(t)
        free = data.act_free if chip else self._reader.free[LOAD_CLIENT]
        ready = room if room > free else free
        if ready > t:
            self.wake(ready)
            return
        addr = self._addr
        words = config.chip_words if chip else config.bus_words
        skip = addr // config.word_bytes % words
        beats = -(-(command.seg_words + skip) // words)
        data.runs.push(t, (chip, beats, skip, command.seg_words))
        if chip:
            data.act_segment(t, beats)
        else:
            self._reader.accept(t, LOAD_CLIENT, addr - skip * config.word_bytes, beats)
        data.wake(max(data.runs.visible, t + 1))
        self._at = t + 1
        self.wake(t + 1)
        self._next_segment()

    def _next_segment(self) -> None:
        command = self.command
        self._addr += command.seg_stride
        self._segment += 1
        if self._segment == command.seg_count:
            self._segment = 0
            self._block += 1
            self._block_addr += command.block_stride
            self._addr = self._block_addr
            if self._block == command.dma_blocks:
                self.command = None


class LoadData(Unit):
    """From beats to the buffers: activation store, queue of words, writer.

    The store reads a beat a clock while fewer than _QUEUED_BEATS - 2 wait; a beat can be taken
    three clocks behind its read. A beat of DRAM or of the store goes into the queue of words where
    a whole beat has room, and its words can be written one clock later. The writer starts three
    clocks behind the command's arrival and posts one clock behind its last.

    Parameters
    ----------
    config : Config
    reader : Reader
    semaphores : Semaphores
    """

    def __init__(self, config: Config, reader, semaphores: Semaphores):
        self._config = config
        self._lanes = config.chip_words
        self._bus_words = config.bus_words
        self._reader = reader
        reader.load_room = self.room_beats
        self._semaphores = semaphores
        self.requests = None
        self.sequencer = None
        self.runs = Fifo(_RUNS)
        self.pending = Fifo(_PENDING)
        self._capacity = timing_of(config).load_words
        self._level = 0  # words
        self._level_before = 0  # ... up to and with clock _changed
        self._changed = -1
        # Activation store.
        self.act_free = 0
        self._act_left = 0
        self._act_from = NEVER
        self._act_most = act_store._QUEUED_BEATS - 2
        self._act_reads = deque()  # clocks of reads whose beats were not taken yet
        self._act_popped = -1  # clock of the last beat taken
        # The run that is taken apart.
        self._run_beats = self._run_words = 0
        self.coded = False  # beats of DRAM are those of units
        self.units = UnitsIn(config)
        # Writer.
        self._command = None
        self._queue = deque()  # runs of clocks to come
        self._words = 0  # of the present run
        self._most = 1
        self._at = 0  # clock of its next work
        self.idle_from = 0
        self.busy: list[tuple[int, int]] = []

    def room_beats(self, t: int) -> int:
        """Beats that have room in clock t, the present or the last one."""
        if self.coded:
            return self.units.room_beats
        level = self._level if self._changed < t else self._level_before
        return (self._capacity - level) // self._config.bus_words

    def act_segment(self, t: int, beats: int) -> None:
        """The activation store takes a segment in clock t."""
        self._act_left = beats
        self._act_from = t + 1
        self.act_free = NEVER
        self.wake(t + 1)

    def step(self, t: int) -> None:
        level = self._level
        following = NEVER

        # Writer
        popped = 0
        if self._at <= t:
            if self._words:
                count = self._most if self._words > self._most else self._words
                if level >= count:
                    popped = count
                    self._words -= count
                    self._at = t + 1
                    if not self._words:
                        self._next_run(t + 1)
                    following = self._at
            elif self._command is None and self.pending.visible <= t:
                self._begin(t)
                following = self._at
            elif self._command is not None:
                # The padding behind the last words is through.
                self._finish(t - 1)
                if self.pending.visible <= t:
                    self._begin(t)
                    following = self._at
        elif self._at < NEVER:
            following = self._at
        if self._command is None and self.pending.visible < following:
            following = self.pending.visible

        # Activation store: what is read now is written to its queue in the next clock.
        reads = self._act_reads
        if self._act_left and self._act_from <= t:
            level_act = len(reads) - (1 if reads and reads[-1] == t - 1 else 0)
            if level_act < self._act_most:
                reading = True
                self._act_left -= 1
                if not self._act_left:
                    self._act_from = NEVER
                    self.act_free = t + 1
                    self.requests.wake(t + 1)
            else:
                reading = False
            following = t + 1
        else:
            reading = False

        # Fill
        pushed = 0
        runs = self.runs
        if self.coded:
            pushed, later = self._fill_units(t, level)
            following = min(following, later)
        elif runs.visible <= t:
            chip, beats, skip, words = runs.first
            if chip:
                there = NEVER
                if reads:
                    there = reads[0] + 3
                    if self._act_popped >= there:
                        there = self._act_popped + 1
            else:
                there = self._reader.load_beat()
            if there <= t:
                if self._capacity - level >= self._lanes:
                    in_beat = self._lanes if chip else self._bus_words
                    if not self._run_beats:
                        self._run_beats = beats
                        self._run_words = words
                        in_beat -= skip
                    pushed = in_beat if in_beat < self._run_words else self._run_words
                    self._run_words -= pushed
                    self._run_beats -= 1
                    if chip:
                        reads.popleft()
                        self._act_popped = t
                    else:
                        self._reader.take_load_beat(t)
                    if not self._run_beats:
                        runs.pop(t)
                        self.requests.wake(t + 1)
                following = t + 1
            elif there < following:
                following = there
        elif runs.visible < following:
            following = runs.visible

        if reading:
            reads.append(t)
        if popped or pushed:
            self._level_before, self._changed = level, t
            self._level = level + pushed - popped
            following = t + 1
            if self._reader.load_waits:
                self._reader.wake(t + 2)
        if following < self.due:
            self.due = following

    def _fill_units(self, t: int, level: int) -> tuple[int, int]:
        """Take a beat of a unit, give words of one; return the words and the next clock to look."""
        units, reader = self.units, self._reader
        there = reader.load_beat()
        if there <= t and units.room_beats:
            units.beat(t)
            reader.take_load_beat(t)
            there = t + 1
        units.decode()
        pushed = 0
        if units.next_chunk <= t and self._capacity - level >= self._lanes:
            pushed = units.take_chunk(t)
            units.decode()
            self.requests.wake(t + 1)
            if reader.load_waits:
                reader.wake(t + 1)
        return pushed, max(min(there, units.next_chunk), t + 1)

    def _begin(self, t: int) -> None:
        """The writer takes a command in clock t."""
        self._command = self.pending.pop(t)
        self.requests.wake(t + 1)
        command = self._command[0]
        self._queue.extend(writer_runs(self._config, command))
        self._next_run(t + 3)

    def _next_run(self, t: int) -> None:
        """Begin the next run in clock t, or end the command whose last clock was t - 1."""
        if not self._queue:
            self._finish(t - 1)
            return
        padding, self._words, self._most = self._queue.popleft()
        self._at = t + padding
        if not self._words:
            # Nothing but padding: the last run.
            assert not self._queue

    def _finish(self, last: int) -> None:
        """The command's last clock was `last`."""
        command, granted = self._command
        self._semaphores.post(command.post, last + 2)
        self.busy.append((granted, last + 2))
        self._command = None
        self._at = last + 1
        if not len(self.pending):
            self.idle_from = last + 2
            self.sequencer.wake(last + 2)
