"""Sequencer: fetches commands, hands them to the units' queues, ends the program."""

from skimp.config import Config
from skimp.ctrl.sequencer import FETCH_AHEAD, FETCH_COMMANDS
from skimp.isa import CHANNELS, COMMAND_BYTES, COMMANDS, Opcode
from skimp_sim.perf.kernel import NEVER, CommandQueue, Fifo, Semaphores, Unit

__all__ = ["CLIENT", "Sequencer"]

CLIENT = 0
"""Of the read master."""


class Sequencer(Unit):
    """Asks for FETCH_COMMANDS commands where FETCH_AHEAD have room for them.

    A command comes into the queue of FETCH_AHEAD one clock behind its last beat and is handed on, one a
    clock, when its unit's queue has room. END goes on a clock behind the moment when it is
    there and everything is idle; what was fetched behind it is thrown away.

    Parameters
    ----------
    config : Config
    program : list of Command
    address : int
        Of the first command, bytes.
    reader : Reader
    semaphores : Semaphores
    """

    def __init__(self, config: Config, program: list, address: int, reader, semaphores: Semaphores):
        self._program = program
        self._addr = address
        self._reader = reader
        self._beats = COMMAND_BYTES // config.bus_bytes
        self._came = 0  # beats of the command that is arriving
        self._arrived = 0  # commands
        self._fetched = Fifo(FETCH_AHEAD)
        self._expected = 0
        self._fetching = NEVER  # clock from which nothing more is asked for
        self._flush = NEVER  # first clock behind END
        self.queues = {
            unit: CommandQueue(config.queue_depth, semaphores, self)
            for unit in sorted({waiter for _, waiter in CHANNELS})
        }
        self.units: dict = {}
        self.commands: list[int] = []  # clocks in which commands were taken
        self.done = NEVER
        self.due = 0

    def beats(self, clocks: list[int]) -> None:
        """Beats of a burst come in these clocks."""
        ends = clocks[self._beats - 1 - self._came :: self._beats]
        self._came = (self._came + len(clocks)) % self._beats
        for clock in ends:
            command = self._program[self._arrived] if self._arrived < len(self._program) else True
            self._arrived += 1
            self._fetched.push(clock + 1, command)
        self.wake(max(self._fetched.visible, clocks[0] + 1))

    def step(self, t: int) -> None:
        fetched = self._fetched
        # All of it sees the registers as they were before this clock.
        empty = self._expected == 0 and fetched.visible > t
        ask = t < self._fetching and self._expected <= FETCH_AHEAD - FETCH_COMMANDS
        if ask:
            if self._reader.free[CLIENT] <= t:
                self._reader.accept(t, CLIENT, self._addr, FETCH_COMMANDS * self._beats)
                self._addr += FETCH_COMMANDS * COMMAND_BYTES
            else:
                ask = False
                if self._reader.free[CLIENT] < NEVER:
                    self.wake(self._reader.free[CLIENT])
        if fetched.first is not None and fetched.visible <= t:
            self._dispatch(t, fetched)
        elif fetched.first is not None:
            self.wake(fetched.visible)
        if t >= self._flush and empty:
            self.done = t + 1
        if ask:
            self._expected += FETCH_COMMANDS
            self.wake(t + 1)

    def _dispatch(self, t: int, fetched: Fifo) -> None:
        command = fetched.first
        if t >= self._flush:
            self._take(t)
            return
        opcode = command.opcode
        if opcode is Opcode.CHECK:
            self._take(t)
        elif opcode is Opcode.END:
            if self._fetching == NEVER:
                self._fetching = t + 1
            quiet = max(self._quiet(), fetched.visible) + 1
            if quiet <= t:
                self._take(t)
                self._flush = t + 1
            elif quiet < NEVER:
                self.wake(quiet)
        else:
            unit = COMMANDS[opcode].unit
            queue = self.queues[unit]
            room = queue.fifo.writable(t)
            if room > t:
                self.wake(room)
                return
            queue.fifo.push(t, command)
            self.units[unit].wake(t + 2)
            self._take(t)

    def _take(self, t: int) -> None:
        self._fetched.pop(t)
        self.commands.append(t)
        self._expected -= 1
        self.wake(t + 1)

    def _quiet(self) -> int:
        """Clock from which every queue is empty and every unit idle; NEVER: not known yet."""
        latest = 0
        for unit, queue in self.queues.items():
            if len(queue.fifo):
                return NEVER
            latest = max(latest, self.units[unit].idle_from)
        return latest
