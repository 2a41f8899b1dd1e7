"""Compute unit: CONV and DEPTHWISE, each in closed form."""

from skimp.config import CHAIN, Config
from skimp.ctrl.compute import MIN_PASS
from skimp.isa import Opcode, Semaphore
from skimp_sim.perf.kernel import NEVER, CommandQueue, Semaphores, Unit, mask_of
from skimp_sim.perf.timing import timing_of

__all__ = ["Compute"]

_LONG_AGO = -(1 << 40)
_READ = mask_of(Semaphore.IFMAP_FULL, Semaphore.WGT_FULL)
_PSUM = mask_of(Semaphore.PSUM_FREE)


class Compute(Unit):
    """While a command runs, the next one is prepared.

    With a command taken from the queue in clock t:

    * its lanes are set up from t + 1 + setup_cycles on;
    * its first weights are read (CHAIN clocks) from t + 1 on, in the first clock of the last pass
      before or behind DEPTHWISE, and not beside another read; it can start CHAIN clocks later;
    * another opcode than the one before waits for the pipeline to be empty, flight_cycles + 2
      clocks behind the last issue.

    It starts two clocks behind the moment when it is prepared and the one before is through. CONV
    takes max(groups, MIN_PASS) clocks a tap, DEPTHWISE groups x taps. It posts flight_cycles behind
    its last clock.

    Parameters
    ----------
    config : Config
    queue : CommandQueue
    semaphores : Semaphores
    """

    def __init__(self, config: Config, queue: CommandQueue, semaphores: Semaphores):
        self._queue = queue
        self._semaphores = semaphores
        self._flight = timing_of(config).flight_cycles
        self._setup = timing_of(config).setup_cycles
        self._free = 0  # a command can be taken from this clock on
        self.opcode = None
        self._end = -1  # last clock of the command before
        self._registers_free = 0  # weights can be read from this clock on
        self._read = _LONG_AGO  # begin of the last weight read
        self._issue = _LONG_AGO  # last issue
        self.idle_from = 0
        self.sequencer = None
        # For the accounts: clocks of (start, passes, clocks of a pass, groups); DEPTHWISE; waiting;
        # waiting for psums; not waiting for loads.
        self.conv: list[tuple[int, int, int, int]] = []
        self.depthwise: list[tuple[int, int]] = []
        self.waiting: list[tuple[int, int]] = []
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
        psum = self._semaphores.clock(wait & _PSUM)
        if psum > visible:
            self.wait_psum.append((visible, psum))
        self.loaded.append((max(visible, self._semaphores.clock(wait & _READ)), t + 1))
        self.waiting.append((self._end + 1, granted))
        self._run(t, self._queue.take(t))

    def _run(self, t: int, command) -> None:
        flight = self._flight
        prepared = t + 1 + self._setup
        if command.opcode is Opcode.CONV:
            self._read = max(t + 1, self._read + CHAIN, self._registers_free)
            prepared = max(prepared, self._read + CHAIN - 2)
        if command.opcode is not self.opcode:
            prepared = max(prepared, self._issue + flight + 2)
        taken = max(self._end, prepared)
        start = taken + 2
        taps = command.num_c * command.num_r * command.num_s
        if command.opcode is Opcode.CONV:
            clocks = max(command.num_groups, MIN_PASS)
            last_pass = start + (taps - 1) * clocks
            self._registers_free = last_pass
            self._end = last_pass + clocks - 1
            if taps > 1:
                self._read = last_pass - clocks
            self.conv.append((start + 1, taps, clocks, command.num_groups))
        else:
            self._end = start + taps * command.num_groups - 1
            self._registers_free = self._end + 1
            self.depthwise.append((start + 1, self._end + 2))
        self.opcode = command.opcode
        self._issue = self._end
        self._free = taken + 1
        self._semaphores.post(command.post, self._end + flight + 1)
        self.idle_from = self._end + flight + 2
        self.sequencer.wake(self.idle_from)
        self.wake(self._free)
