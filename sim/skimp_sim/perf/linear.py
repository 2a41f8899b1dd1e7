"""Weight load unit: LOAD_LINEAR."""

from skimp.config import Config
from skimp.dma.linear import _PENDING
from skimp.isa import TABLE_ENTRIES, LoadTarget
from skimp_sim.perf.kernel import NEVER, CommandQueue, Fifo, Semaphores, Unit

__all__ = ["CLIENT", "Linear"]

CLIENT = 2
"""Of the read master."""


class Linear(Unit):
    """A command is one segment; it posts one clock behind its last beat.

    A table is copied in 2 * TABLE_ENTRIES clocks more, in which nothing else is asked for.

    Parameters
    ----------
    config : Config
    queue : CommandQueue
    reader : Reader
    semaphores : Semaphores
    """

    def __init__(self, config: Config, queue: CommandQueue, reader, semaphores: Semaphores):
        self._queue = queue
        self._reader = reader
        self._semaphores = semaphores
        self._pending = Fifo(_PENDING)
        self._commands = []  # those of `_pending`, in order
        self._came = 0
        self._busy = 0  # free of tables from this clock on
        self.idle_from = 0
        self.sequencer = None
        self.busy: list[tuple[int, int]] = []

    def step(self, t: int) -> None:
        granted = self._queue.granted()
        if granted == NEVER:
            return
        ready = max(granted, self._busy, self._reader.free[CLIENT], self._pending.writable(t))
        if ready > t:
            self.wake(ready)
            return
        command = self._queue.take(t)
        self._reader.accept(t, CLIENT, command.dram_addr, command.num_beats)
        self._pending.push(t, command)
        self._commands.append((command, granted))
        if command.target == LoadTarget.TABLE:
            self._busy = NEVER
        self.idle_from = NEVER
        self.wake(t + 1)

    def beats(self, t: int, count: int) -> None:
        """Beats of a burst have come, the last of them in clock t."""
        self._came += count
        command, granted = self._commands[0]
        if self._came < command.num_beats:
            return
        self._came = 0
        self._commands.pop(0)
        self._pending.pop(t)
        end = t
        if command.target == LoadTarget.TABLE:
            end = t + 2 * TABLE_ENTRIES
            self._busy = end + 1
        self._semaphores.post(command.post, end + 2)
        self.busy.append((granted, end + 2))
        if not self._commands:
            self.idle_from = end + 2
            self.sequencer.wake(end + 2)
        self.wake(t + 1)
