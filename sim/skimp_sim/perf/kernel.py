"""Clockwork of the cycle model: units that wake at known clocks, queues, semaphores.

Clock 0 is the first clock in which the accelerator is busy. A register that is written in clock t
has its new value in clock t + 1; what one unit leaves for another therefore carries the clock from
which it is seen, and the order in which the units of a clock are looked at does not matter but
where it is said.
"""

import functools
from collections import deque

from skimp.isa import MASK_BITS, Semaphore

__all__ = ["NEVER", "CommandQueue", "Fifo", "Semaphores", "Unit"]

NEVER = 1 << 60
"""A clock that does not come."""


class Unit:
    """Something that does its work of a clock in `step`.

    Attributes
    ----------
    due : int
        Next clock in which it has to be looked at.
    """

    due = NEVER

    def wake(self, clock: int) -> None:
        """Look at it in that clock, too."""
        if clock < self.due:
            self.due = clock

    def step(self, t: int) -> None:
        raise NotImplementedError


class Fifo:
    """SyncFIFOBuffered: depth - 1 entries of memory and an output register.

    An entry that is written in clock w leaves the memory in clock i = w + 1, or in the clock in
    which the entry before it is taken if that is later; it can be taken from i + 1 on, and its
    place in the memory is free from i + 1 on.

    Parameters
    ----------
    depth : int
        2 or more.
    """

    __slots__ = ("_inner", "_left", "_rest", "first", "visible")

    def __init__(self, depth: int):
        assert depth >= 2
        self._inner = depth - 1
        self._rest = deque()
        self._left = -1  # clock in which `first` left the memory
        self.first = None
        self.visible = NEVER  # clock from which `first` can be taken

    def __len__(self) -> int:
        return len(self._rest) + (self.first is not None)

    def push(self, t: int, entry) -> None:
        """Write an entry (not None) in clock t."""
        if self.first is None:
            self.first = entry
            self._left = t + 1
            self.visible = t + 2
        else:
            self._rest.append((t, entry))

    def pop(self, t: int):
        """Take the first entry in clock t."""
        entry = self.first
        if self._rest:
            written, self.first = self._rest.popleft()
            self._left = max(written + 1, t)
            self.visible = self._left + 1
        else:
            self.first, self.visible = None, NEVER
        return entry

    def writable(self, t: int) -> int:
        """First clock from t on in which there is room; NEVER: depends on a pop to come."""
        waiting = len(self._rest)
        if waiting >= self._inner:
            return NEVER
        if waiting + 1 == self._inner and self.first is not None and self._left >= t:
            return self._left + 1
        return t


class Semaphores:
    """Counting semaphores as queues of the clocks from which each post is seen.

    Each is waited for by one unit only, which takes its posts in order.
    """

    def __init__(self):
        self.posts = [deque() for _ in range(MASK_BITS)]
        self.waiter = [None] * MASK_BITS

    def post(self, mask: int, seen: int) -> None:
        """Give one to each semaphore of the mask; they are above 0 from clock `seen` on."""
        for s in _bits(mask):
            self.posts[s].append(seen)
            unit = self.waiter[s]
            if unit is not None and seen < unit.due:
                unit.due = seen

    def clock(self, mask: int) -> int:
        """Clock from which every semaphore of the mask is above 0; NEVER: not known yet."""
        latest = 0
        for s in _bits(mask):
            posts = self.posts[s]
            if not posts:
                return NEVER
            if posts[0] > latest:
                latest = posts[0]
        return latest

    def take(self, mask: int) -> None:
        for s in _bits(mask):
            self.posts[s].popleft()


@functools.cache
def _bits(mask: int) -> tuple[int, ...]:
    return tuple(s for s in range(MASK_BITS) if mask >> s & 1)


class CommandQueue:
    """A unit's queue in the sequencer: its head goes out once its semaphores are there.

    Parameters
    ----------
    depth : int
        Commands.
    semaphores : Semaphores
    sequencer : Unit
        Woken when a place becomes free.
    """

    __slots__ = ("_semaphores", "_sequencer", "fifo")

    def __init__(self, depth: int, semaphores: Semaphores, sequencer: Unit):
        self.fifo = Fifo(depth)
        self._semaphores = semaphores
        self._sequencer = sequencer

    def granted(self) -> int:
        """Clock from which the head is offered to the unit; NEVER: not known yet.

        One clock behind the moment when head and semaphores are there: the grant is a register.
        """
        fifo = self.fifo
        if fifo.first is None:
            return NEVER
        clock = self._semaphores.clock(fifo.first.wait)
        if clock == NEVER:
            return NEVER
        return (clock if clock > fifo.visible else fifo.visible) + 1

    def take(self, t: int):
        """Take the head in clock t."""
        command = self.fifo.pop(t)
        self._semaphores.take(command.wait)
        self._sequencer.wake(t + 1)
        return command


def mask_of(*semaphores: Semaphore) -> int:
    """Bits of semaphores, as in commands."""
    return sum(1 << s for s in semaphores)
