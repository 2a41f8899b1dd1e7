"""Would any order that the semaphores allow read or overwrite a buffer word too early?

Units run beside each other. What is ordered: commands of one unit; a command that takes the n-th
post of a semaphore behind the command that posted it; everything around a fence. Each command
carries a vector clock, one count per unit; each buffer word remembers who wrote and who read it
last. A read must be ordered behind the last write, a write behind the last write and all reads.
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
    """

    def __init__(self, config: Config):
        sizes = {
            "ifmap": config.pixels * config.ifmap_depth,
            "wgt": config.wgt_depth,
            "dw_wgt": config.dw_wgt_depth,
            "param": config.param_depth,
            "lut": 1,
            "psum": 2 * config.tile_pixels,
            "ofmap": config.ofmap_depth,
        }
        # Per word: count of the last writer in its unit's clock (-1: never), and the unit;
        # last reader's count. A buffer has one writing and one reading unit.
        self._written = {name: np.full(size, -1, np.int64) for name, size in sizes.items()}
        self._read = {name: np.full(size, -1, np.int64) for name, size in sizes.items()}
        self._writer: dict[str, int] = {}
        self._reader: dict[str, int] = {}
        self._clock = np.zeros((len(_UNITS), len(_UNITS)), np.int64)
        self._posts = defaultdict(deque)
        self._unit = 0

    def fence(self) -> None:
        """Everything before is ordered before everything behind."""
        self._clock[:] = self._clock.max(axis=0)
        self._posts.clear()

    def begin(self, opcode: Opcode, wait: int, post: int, where: str) -> None:
        """Start a command: it is behind its unit's last one and behind the posts that it takes."""
        self._unit = _UNITS.index(COMMANDS[opcode].unit)
        clock = self._clock[self._unit]
        for semaphore in Semaphore:
            if wait >> semaphore & 1 and self._posts[semaphore]:
                np.maximum(clock, self._posts[semaphore].popleft(), out=clock)
        clock[self._unit] += 1
        self._post = post

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
        self._reader[buffer] = self._unit
        self._read[buffer][index] = self._clock[self._unit, self._unit]
        return None

    def write(self, buffer: str, index) -> str | None:
        """Note a write; return what is wrong with it, or None."""
        reader = self._reader.get(buffer)
        if reader is not None and reader != self._unit:
            last = self._read[buffer][index]
            if last.size and last.max() > self._clock[self._unit, reader]:
                return f"may overwrite {buffer} while it is still read"
        self._writer[buffer] = self._unit
        self._written[buffer][index] = self._clock[self._unit, self._unit]
        return None
