"""Constants ahead of their use: their loads are moved forward in the list of commands."""

import math
from collections import deque

from skimp.isa import CHIP_BASE, LoadTarget, Opcode

__all__ = ["prefetched"]

_BEAT_CYCLES = 1.08
"""Clocks of a beat where DRAM is read in long runs: the rest is refresh."""

_MAP_BEAT_CYCLES = 2
"""The same of a map, whose words a unit waits for: weights that are not due leave DRAM to it."""

_COMMAND_CYCLES = 20
"""Clocks of a load beside its beats."""

_AHEAD_CYCLES = 6000
"""How long before their use parameters, tables and depthwise weights come: they are small, and
wait in the queue behind weights. So do all weights while maps are still to come from DRAM, which
the units wait for."""


def _waiting(queue_depth: int) -> int:
    """Loads of weights that may be under way: a full queue would hold up all others' commands."""
    return max(3, queue_depth // 5)


def prefetched(commands: list, *, bus_words: int, queue_depth: int) -> list:
    """Return the commands with LOAD_LINEAR as early as memory and the unit's queue allow.

    A load stays behind the commands that it needs and before those that need it. The array's
    weights stay in order among themselves, and by the estimated clocks of the commands around, no
    more than some of their loads are under way at once: so DRAM works through the weights of later
    layers while it has nothing else to do, that is once the last map was read. The other constants
    come some clocks before their use.

    Parameters
    ----------
    commands : list of Command
    bus_words : int
        Words of a beat.
    queue_depth : int
        Commands that wait for a unit.
    """
    weights = deque(c for c in commands if _is_load(c) and c.fields["target"] == LoadTarget.WGT)
    others = deque(c for c in commands if _is_load(c) and c.fields["target"] != LoadTarget.WGT)
    done: set[int] = set()
    ends = deque([0.0] * _waiting(queue_depth))
    result = []
    clock = 0.0

    def emit(command):
        result.append(command)
        done.add(id(command))

    def free(command):
        return all(id(needed) in done for needed in command.needed)

    def busy(cycles):
        """DRAM is busy for some clocks more."""
        return max(ends[-1], clock) + cycles + _COMMAND_CYCLES

    def load_weights():
        command = weights.popleft()
        ends.append(busy(_BEAT_CYCLES * command.fields["num_beats"]))
        ends.popleft()
        emit(command)

    maps = sum(map(_reads_map, commands))
    for command in commands:
        clock = max(clock, command.when)
        if _is_load(command):
            # Its turn at the latest.
            is_weights = command.fields["target"] == LoadTarget.WGT
            while id(command) not in done:
                if is_weights:
                    load_weights()
                else:
                    emit(others.popleft())
            continue
        while others and others[0].when <= clock + _AHEAD_CYCLES and free(others[0]):
            emit(others.popleft())
        latest = clock + _AHEAD_CYCLES if maps else math.inf
        while weights and ends[0] <= clock and weights[0].when <= latest and free(weights[0]):
            load_weights()
        if _reads_map(command):
            words = (
                command.fields["dma_blocks"]
                * command.fields["seg_count"]
                * command.fields["seg_words"]
            )
            ends[-1] = busy(_MAP_BEAT_CYCLES * words / bus_words)
            maps -= 1
        emit(command)
    return result


def _reads_map(command) -> bool:
    """Whether a part of a map comes from DRAM."""
    address = command.fields.get("dram_addr", CHIP_BASE)
    return command.opcode is Opcode.LOAD_IFMAP and address < CHIP_BASE


def _is_load(command) -> bool:
    return command.opcode is Opcode.LOAD_LINEAR
