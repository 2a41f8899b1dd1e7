"""What the array and the depthwise unit have in common: commands in order, and what they wait for."""

from skimp.isa import Semaphore
from skimp_sim.perf.kernel import NEVER, CommandQueue, Semaphores, Unit, mask_of

__all__ = ["TapUnit"]


class TapUnit(Unit):
    """While a command runs, the next one is prepared.

    With a command taken from the queue in clock t, its lanes are set up from t + 1 + setup_cycles
    on. It starts two clocks behind the moment when it is prepared and the one before is through,
    and posts flight_cycles behind its last clock.

    Parameters
    ----------
    queue : CommandQueue
    semaphores : Semaphores
    setup_cycles, flight_cycles : int
    read : tuple of Semaphore
        Those that loads post.
    psum_free : Semaphore
    """

    def __init__(
        self,
        queue: CommandQueue,
        semaphores: Semaphores,
        *,
        setup_cycles: int,
        flight_cycles: int,
        read: tuple[Semaphore, ...],
        psum_free: Semaphore,
    ):
        self._queue = queue
        self._semaphores = semaphores
        self._setup = setup_cycles
        self._flight = flight_cycles
        self._read_mask, self._psum_mask = mask_of(*read), mask_of(psum_free)
        self._free = 0  # a command can be taken from this clock on
        self._end = -1  # last clock of the command before
        self.idle_from = 0
        self.sequencer = None
        # For the accounts: waiting for commands; for psums; not waiting for loads.
        self._waiting: list[tuple[int, int]] = []
        self.wait_psum: list[tuple[int, int]] = []
        self.loaded: list[tuple[int, int]] = []

    def step(self, t: int) -> None:
        granted = self._queue.granted()
        if granted == NEVER:
            return
        ready = max(granted, self._free)
        if ready > t:
            self.wake(ready)
            return
        fifo = self._queue.fifo
        visible, wait = fifo.visible, fifo.first.wait
        psum = self._semaphores.clock(wait & self._psum_mask)
        if psum > visible:
            self.wait_psum.append((visible, psum))
        self.loaded.append((max(visible, self._semaphores.clock(wait & self._read_mask)), t + 1))
        self._waiting.append((self._end + 1, granted))
        command = self._queue.take(t)

        taken = max(self._end, self._prepare(t, command, t + 1 + self._setup))
        self._end = self._run(taken + 2, command)
        self._free = taken + 1
        self._semaphores.post(command.post, self._end + self._flight + 1)
        self.idle_from = self._end + self._flight + 2
        self.sequencer.wake(self.idle_from)
        self.wake(self._free)

    def _prepare(self, t: int, command, ready: int) -> int:
        """Return when a command taken in clock t is prepared; its lanes are in clock `ready`."""
        return ready

    def _run(self, start: int, command) -> int:
        """Return the last clock of a command that starts in clock `start`."""
        raise NotImplementedError

    def waiting(self, end: int) -> list[tuple[int, int]]:
        """Intervals without a command, up to the end of the program."""
        return [*self._waiting, (self._end + 1, end)]
