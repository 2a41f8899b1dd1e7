"""Drain unit: DRAIN, in closed form."""

from skimp.config import Config
from skimp.isa import Semaphore
from skimp.post.drain import EARLY_POSTS, SETTLE_CYCLES
from skimp_sim.perf.kernel import NEVER, CommandQueue, Semaphores, Unit, mask_of
from skimp_sim.perf.timing import timing_of

__all__ = ["Drain"]

_OFMAP = mask_of(Semaphore.OFMAP_FREE)
_SECOND = ("add", "residual", "mult2", "out_zp2", "act_min2", "act_max2", "shift2")


class Drain(Unit):
    """ceil(num_pixels / drain_pixels) clocks, num_pixels with a second stage.

    The parameters of the next command are read while one runs, SETTLE_CYCLES clocks or more behind
    its first clock, param_cycles clocks long. Commands that differ in the second stage wait
    until the pipeline is empty, add_latency + 2 clocks behind the last pixel. It posts `latency`
    clocks (with a second stage add_latency) behind its last pixel, EARLY_POSTS with it.

    Parameters
    ----------
    config : Config
    queue : CommandQueue
    semaphores : Semaphores
    """

    def __init__(self, config: Config, queue: CommandQueue, semaphores: Semaphores):
        self._queue = queue
        self._semaphores = semaphores
        timing = timing_of(config)
        self._latency, self._add_latency = timing.drain_latency, timing.add_latency
        self._steps = config.drain_pixels
        self._load_cycles = timing.param_cycles
        self._free = 0
        self._settled = 0  # clock from which parameters can be read
        self._end = -(1 << 40)  # last clock of the command before
        self._second = (0,) * len(_SECOND)
        self.idle_from = 0
        self.sequencer = None
        self.busy: list[tuple[int, int]] = []
        self.running: list[tuple[int, int]] = []
        self.wait_store: list[tuple[int, int]] = []

    def step(self, t: int) -> None:
        granted = self._queue.granted()
        if granted == NEVER:
            return
        ready = max(granted, self._free)
        if ready > t:
            self.wake(ready)
            return
        fifo = self._queue.fifo
        visible = fifo.visible
        room = self._semaphores.clock(fifo.first.wait & _OFMAP)
        if room > visible:
            self.wait_store.append((visible, room))
        command = self._queue.take(t)

        second = tuple(getattr(command, name) for name in _SECOND)
        same = second == self._second or not (second[0] or self._second[0])
        prepared = max(t + 1, self._settled) + 1 + self._load_cycles
        begin = max(prepared, self._end if same else self._end + self._add_latency + 2)
        step = 1 if command.add else self._steps
        self._end = begin + -(-command.num_pixels // step)
        self._second = second
        self._settled = begin + 1 + SETTLE_CYCLES
        self._free = begin + 1
        latency = self._add_latency if command.add else self._latency
        self._semaphores.post(command.post & EARLY_POSTS, self._end + 1)
        self._semaphores.post(command.post & ~EARLY_POSTS, self._end + latency + 1)
        self.idle_from = self._end + self._add_latency + 2
        self.busy.append((granted, self.idle_from))
        self.running.append((begin + 1, self._end + 1))
        self.sequencer.wake(self.idle_from)
        self.wake(self._free)
