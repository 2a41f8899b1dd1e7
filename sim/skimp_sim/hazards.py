"""Would any order that the semaphores allow read or overwrite a buffer word too early?

Units run beside each other. What is ordered: commands of one unit; a command that takes the n-th
post of a semaphore behind the command that posted it; everything around a fence. Each command
carries a vector clock, one count per unit; each buffer word remembers who wrote and who read it
last. A read must be ordered behind the last write, a write behind all reads by other units.

DRAM is stricter: a load sees what a store wrote only behind a fence, which waits until every write
is acknowledged; a store over what was loaded must be ordered behind that load as in any buffer.
"""

from collections import defaultdict, deque

import numpy as np

from skimp.config import Config
from skimp.isa import COMMANDS, Opcode, Semaphore, Unit

__all__ = ["HazardCheck"]

_UNITS = (Unit.LOAD, Unit.COMPUTE, Unit.DRAIN, Unit.STORE)


class HazardCheck:
    """Vector clocks of commands and of buffer words.

    Parameters
    ----------
    config : Config
    dram_beats : int
        Size of DRAM in beats (words of in_channels bytes); 0: DRAM is not checked.
    """

    def __init__(self, config: Config, *, dram_beats: int = 0):
        sizes = {
            "ifmap": config.pixels * config.ifmap_depth,
            "wgt": config.wgt_depth,
            "dw_wgt": config.dw_wgt_depth,
            "param": config.param_depth,
            "lut": 1,
            "psum": 2 * config.tile_pixels,
            "ofmap": config.ofmap_depth,
        }
        # Per word: count of the last writer in its unit's clock (-1: never), and the unit; last
        # reader's count. A buffer has one writing unit and one other unit that reads; the writer
        # may read too (compute adds to psums), which its own order makes safe.
        self._written = {name: np.full(size, -1, np.int64) for name, size in sizes.items()}
        self._read = {name: np.full(size, -1, np.int64) for name, size in sizes.items()}
        self._writer: dict[str, int] = {}
        self._reader: dict[str, int] = {}
        self._clock = np.zeros((len(_UNITS), len(_UNITS)), np.int64)
        self._posts = defaultdict(deque)
        self._users: dict[tuple[str, Semaphore], int] = {}
        self._unit = 0
        self._fences = 0
        self._stored = np.full(dram_beats, -1, np.int32)
        self._loaded = np.full(dram_beats, -1, np.int32)

    def fence(self) -> None:
        """Everything before is ordered before everything behind."""
        self._clock[:] = self._clock.max(axis=0)
        self._posts.clear()
        self._users.clear()
        self._fences += 1

    def begin(self, opcode: Opcode, wait: int, post: int) -> str | None:
        """Start a command: it is behind its unit's last one and behind the posts that it takes.

        Returns what is wrong with its semaphores, or None: two units that post (or take) the same
        one have no order among themselves, so nobody knows whose n-th post it is.
        """
        self._unit = _UNITS.index(COMMANDS[opcode].unit)
        for role, mask in (("posted", post), ("taken", wait)):
            for semaphore in Semaphore:
                if not mask >> semaphore & 1:
                    continue
                if self._users.setdefault((role, semaphore), self._unit) != self._unit:
                    return f"{semaphore.name} is {role} by two units"
        clock = self._clock[self._unit]
        for semaphore in Semaphore:
            if wait >> semaphore & 1 and self._posts[semaphore]:
                np.maximum(clock, self._posts[semaphore].popleft(), out=clock)
        clock[self._unit] += 1
        self._post = post
        return None

    def end(self) -> None:
        """The command is complete: who takes its posts is behind it."""
        for semaphore in Semaphore:
            if self._post >> semaphore & 1:
                self._posts[semaphore].append(self._clock[self._unit].copy())

    def read(self, buffer: str, index) -> str | None:
        """Note a read; return what is wrong with it, or None."""
        written = self._written[buffer][index]
        if written.size and written.min() < 0:
            return f"reads {buffer} words that were never written"
        writer = self._writer[buffer]
        if written.size and written.max() > self._clock[self._unit, writer]:
            return f"may read {buffer} before it is written (semaphores do not order it)"
        if self._unit == writer:
            return None
        self._reader[buffer] = self._unit
        self._read[buffer][index] = self._clock[self._unit, self._unit]
        return None

    def write(self, buffer: str, index) -> str | None:
        """Note a write; return what is wrong with it, or None."""
        reader = self._reader.get(buffer)
        if reader is not None:
            last = self._read[buffer][index]
            if last.size and last.max() > self._clock[self._unit, reader]:
                return f"may overwrite {buffer} while it is still read"
        self._writer[buffer] = self._unit
        self._written[buffer][index] = self._clock[self._unit, self._unit]
        return None

    def load(self, beats) -> str | None:
        """Note a read of DRAM beats; return what is wrong with it, or None."""
        if not self._stored.size:
            return None
        if (self._stored[beats] == self._fences).any():
            return "reads DRAM that a store writes without a fence between them"
        self._loaded[beats] = self._clock[self._unit, self._unit]
        return None

    def store(self, beats) -> str | None:
        """Note a write of DRAM beats; return what is wrong with it, or None."""
        if not self._stored.size:
            return None
        if self._loaded[beats].max() > self._clock[self._unit, _UNITS.index(Unit.LOAD)]:
            return "may overwrite DRAM while it is still read"
        self._stored[beats] = self._fences
        return None
