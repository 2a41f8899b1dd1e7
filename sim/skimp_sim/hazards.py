"""Would any order that the semaphores allow read or overwrite a buffer word too early?

Units run beside each other. What is ordered: commands of one unit; a command that takes the n-th
post of a semaphore behind the command that posted it. Each command carries a vector clock, one
count per unit; each buffer word remembers who wrote and who read it last. A read must be ordered
behind the last write, a write behind all reads by other units.

What a store writes to DRAM or to the activation store is there when STORED says so, which is later
than the store is done with the ofmap buffer: those writes have a clock of their own (MEMORY).
"""

from collections import defaultdict, deque

import numpy as np

from skimp.config import Config
from skimp.isa import CHANNELS, COMMANDS, Opcode, Semaphore, Unit

__all__ = ["HazardCheck"]

_UNITS = tuple(unit for unit in Unit if unit is not Unit.SEQUENCER)
_LOADERS = (_UNITS.index(Unit.LOAD), _UNITS.index(Unit.WGT))
_MEMORY = _UNITS.index(Unit.MEMORY)


class HazardCheck:
    """Vector clocks of commands and of buffer words.

    Parameters
    ----------
    config : Config
    dram_words : int
        Size of DRAM in words of in_channels bytes; 0: DRAM is not checked.
    """

    def __init__(self, config: Config, *, dram_words: int = 0):
        sizes = {
            "ifmap": config.pixels * config.ifmap_depth,
            "wgt": config.wgt_depth,
            # In parts of in_channels bytes: blocks are written one by one.
            "dw_ifmap": config.pixels * config.dw_ifmap_depth * config.ofmap_blocks,
            "dw_wgt": config.dw_wgt_depth + config.dw_wgt_beat_words,  # loads end with a beat
            "param": config.param_depth,
            "table": 1,
            "psum": config.psum_slots * config.tile_pixels,
            "dw_psum": config.dw_rows * config.dw_psum_slots * config.dw_tile_pixels,
            "ofmap": config.ofmap_depth,
            "residual": config.ofmap_depth,
        }
        # Per word: count of the last writer in its unit's clock (-1: never), and the unit; last
        # reader's count. A buffer has one writing unit and one other unit that reads.
        self._written = {name: np.full(size, -1, np.int64) for name, size in sizes.items()}
        self._read = {name: np.full(size, -1, np.int64) for name, size in sizes.items()}
        self._writer: dict[str, int] = {}
        self._reader: dict[str, int] = {}
        self._clock = np.zeros((len(_UNITS), len(_UNITS)), np.int64)
        self._posts = defaultdict(deque)
        self._unit = 0
        memories = {
            "dram": dram_words,
            "chip": config.act_bytes // config.word_bytes,
            "tile table": config.tile_table_depth,
        }
        self._stored = {name: np.full(size, -1, np.int32) for name, size in memories.items()}
        self._loaded = {
            name: np.full((2, size), -1, np.int32) for name, size in memories.items() if size
        }

    def start(self) -> None:
        """A program begins: everything before it is over."""
        self._clock[:] = self._clock.max(axis=0)
        self._posts.clear()

    def begin(self, opcode: Opcode, wait: int, post: int) -> str | None:
        """Start a command: it is behind its unit's last one and behind the posts that it takes.

        Returns what is wrong with its semaphores, or None: each leads from one unit to one other.
        """
        unit = COMMANDS[opcode].unit
        self._unit = _UNITS.index(unit)
        sources = (unit, Unit.MEMORY) if unit is Unit.STORE else (unit,)
        for (source, target), semaphore in CHANNELS.items():
            if post >> semaphore & 1 and source not in sources:
                return f"{semaphore.name} is not {unit.name}'s to post"
            if wait >> semaphore & 1 and target is not unit:
                return f"{semaphore.name} is not {unit.name}'s to take"
        clock = self._clock[self._unit]
        for semaphore in Semaphore:
            if wait >> semaphore & 1 and self._posts[semaphore]:
                np.maximum(clock, self._posts[semaphore].popleft(), out=clock)
        clock[self._unit] += 1
        if unit is Unit.STORE:
            memory = self._clock[_MEMORY]
            np.maximum(memory, clock, out=memory)
            memory[_MEMORY] += 1
        self._post = post
        return None

    def end(self) -> None:
        """The command is complete: who takes its posts is behind it."""
        for semaphore in Semaphore:
            if self._post >> semaphore & 1:
                unit = _MEMORY if semaphore is Semaphore.STORED else self._unit
                self._posts[semaphore].append(self._clock[unit].copy())

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

    def load(self, memory: str, words) -> str | None:
        """Note a read of memory words; return what is wrong with it, or None."""
        if memory not in self._loaded:
            return None
        if self._stored[memory][words].max() > self._clock[self._unit, _MEMORY]:
            return f"may read {memory} before it is written (STORED does not order it)"
        loader = _LOADERS.index(self._unit)
        self._loaded[memory][loader, words] = self._clock[self._unit, self._unit]
        return None

    def store(self, memory: str, words) -> str | None:
        """Note a write of memory words; return what is wrong with it, or None."""
        if memory not in self._loaded:
            return None
        for loader, unit in enumerate(_LOADERS):
            if self._loaded[memory][loader, words].max() > self._clock[self._unit, unit]:
                return f"may overwrite {memory} while it is still read"
        self._stored[memory][words] = self._clock[_MEMORY, _MEMORY]
        return None
