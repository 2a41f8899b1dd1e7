"""Command list under construction: who must wait for whom follows from what commands touch."""

from collections import Counter
from dataclasses import dataclass, field, replace

from skimp.config import Config
from skimp.isa import (
    CHANNELS,
    CHIP_BASE,
    COMMAND_BYTES,
    COMMANDS,
    MAX_COUNT,
    LoadTarget,
    Opcode,
    Semaphore,
    Unit,
    assemble,
)
from skimp_compiler.prefetch import prefetched
from skimp_compiler.timeline import Timeline

__all__ = ["ACTIVATION_BASE", "Command", "Emitter", "Ring"]

ACTIVATION_BASE = 1 << 30
"""Addresses from here to CHIP_BASE are activations in DRAM; `finish` moves them behind the rest."""

_UNITS = tuple(unit for unit in Unit if unit is not Unit.SEQUENCER)


@dataclass(eq=False)
class Command:
    """A command that can still change places and get semaphores.

    Parameters
    ----------
    opcode : Opcode
    fields : dict
    owner : Emitter
        Commands of another device step are over before this one begins.
    when : float
        Estimated clock in which it could begin.
    needed : list of Command
        Commands of other units that must be complete before.
    stored : list of Command
        Stores whose data must be readable before.
    loaded : list of Command
        Loads that must be over before, which other commands see to.

    Attributes
    ----------
    clock : dict
        Per unit, the number of its commands that are complete once this one is.
    memory_clock : dict
        The same once what it stores can be read.
    """

    opcode: Opcode
    fields: dict
    owner: "Emitter"
    when: float = 0
    needed: list = field(default_factory=list)
    stored: list = field(default_factory=list)
    loaded: list = field(default_factory=list)
    clock: dict = field(default_factory=dict)
    memory_clock: dict = field(default_factory=dict)
    wait: set = field(default_factory=set)
    post: set = field(default_factory=set)

    @property
    def unit(self) -> Unit:
        return COMMANDS[self.opcode].unit


@dataclass(eq=False)
class _Access:
    """Words [low, high) of an on-chip memory that a command touches."""

    low: int
    high: int
    command: Command
    writes: bool


class Ring:
    """Hands out the words of one on-chip memory, round and round.

    Parameters
    ----------
    size : int
    align : int
        Places are multiples of this.
    """

    def __init__(self, size: int, *, align: int = 1):
        self.size = size
        self._align = align
        self._next = 0
        self._kept: dict[int, int] = {}  # start -> word behind the last

    def _find(self, words: int, own: int | None = None) -> int | None:
        """First place from the next word on, else from the start, that touches nothing kept."""
        for start in (self._next, 0):
            for low, high in sorted(self._kept.items()):
                if low == own:
                    continue
                if start + words <= low:
                    break
                if start < high:
                    start = -(-high // self._align) * self._align
            if start + words <= self.size:
                return start
        return None

    def fits(self, words: int, own: int | None = None) -> bool:
        """Whether `place` finds room beside what is kept, if `own` is released before."""
        return self._find(words, own) is not None

    def place(self, words: int, *, keep: bool = False) -> int:
        """Return where `words` words go; they may lie where older contents were.

        keep: nothing else is placed there until `release`.
        """
        start = self._find(words)
        if start is None:
            raise AssertionError(f"{words} words in a memory of {self.size}")
        self._next = -(-(start + words) // self._align) * self._align
        if keep and words:
            self._kept[start] = start + words
        return start

    def release(self, start: int | None) -> None:
        """Let others have a place that was kept."""
        self._kept.pop(start, None)


class Emitter:
    """Collects the commands of one device step and orders them by semaphores.

    Commands are added in an order that would be right one after the other. Each says which words
    of which memory it reads and writes. In the end, loads of constants are moved forward; then,
    where two commands of different units must not change places, the later one waits for a
    semaphore that the earlier one posts, unless that order follows from others. In-order units behind in-order queues then cannot deadlock, whatever the
    queues' depth, because the earliest unfinished command can always proceed.

    Parameters
    ----------
    config : Config
    """

    TAIL_BYTES = 64 * COMMAND_BYTES
    """Zeros behind END: the sequencer fetches up to 40 commands ahead."""

    def __init__(self, config: Config):
        self._config = config
        self._commands: list[Command] = [
            Command(Opcode.CHECK, {"hash": config.hash}, self)  # the sequencer's own
        ]
        self._accesses: dict[str, list[_Access]] = {}
        self._last: dict[Unit, dict] = {unit: dict.fromkeys(_UNITS, 0) for unit in _UNITS}
        self._counts: dict[Unit, int] = dict.fromkeys(_UNITS, 0)
        self.rings = {
            "ifmap": Ring(config.pixels * config.ifmap_depth),
            "wgt": Ring(config.wgt_depth),
            "dw_ifmap": Ring(config.pixels * config.dw_ifmap_depth),
            "dw_wgt": Ring(config.dw_wgt_depth, align=max(1, config.dw_wgt_beat_words)),
            "param": Ring(config.param_depth),
            "ofmap": Ring(config.ofmap_depth, align=8),
            "residual": Ring(config.ofmap_depth, align=8),
            "psum": Ring(config.psum_slots),
            "dw_psum": Ring(config.dw_psum_slots),
        }
        self.timeline = Timeline(config)
        self.table_owner = None  # who loaded the tables that are there

    def __len__(self) -> int:
        return len(self._commands)

    @property
    def commands(self) -> list[Command]:
        """Commands so far, in the order in which they were added."""
        return self._commands

    def add(
        self, opcode: Opcode, *, reads=(), writes=(), loads=None, stores=None, after=(), **fields
    ):
        """Append a command.

        Parameters
        ----------
        opcode : Opcode
        reads, writes : iterable of (str, int, int)
            Memory, first word, word behind the last; words are only compared with each other.
        loads, stores : (Region, int, int, int, int) or None
            Part of an activation that is read from or written to DRAM or activation store: first
            channel block, number of blocks, first pixel and pixel behind the last.
        after : iterable of Command
            Commands that must be complete before.
        **fields : int
            Fields of the command.
        """
        unit = COMMANDS[opcode].unit
        needed = list(after)
        for writing, accesses in ((False, reads), (True, writes)):
            for memory, low, high in accesses:
                needed += self._conflicts(memory, low, high, unit, writing)
        command = Command(
            opcode,
            fields,
            self,
            when=self.timeline.now,
            needed=[c for c in needed if c.owner is self],
        )
        self._commands.append(command)
        for writing, accesses in ((False, reads), (True, writes)):
            for memory, low, high in accesses:
                self._note(memory, low, high, command, writing)
        if loads is not None:
            region, *part = loads
            command.stored = [c for c in region.writers(*part) if c.owner is self]
            region.loaded(command)
        if stores is not None:
            region, *part = stores
            command.loaded = [c for c in region.older_loads if c.owner is self]
            region.store(command, *part)
        return command

    def load_linear(
        self, target: LoadTarget, *, dram_addr: int, word: int, num_words: int, word_bytes: int
    ) -> None:
        """Append the load of words that lie one behind the other in DRAM.

        Parameters
        ----------
        target : LoadTarget
            Memory to fill; by its name in small letters for the order of commands.
        dram_addr : int
        word, num_words : int
            First word to fill, and how many: whole beats.
        word_bytes : int
            Bytes of a word of that memory.
        """
        bus_bytes = self._config.bus_bytes
        self.add(
            Opcode.LOAD_LINEAR,
            writes=[(target.name.lower(), word, word + num_words)],
            dram_addr=dram_addr,
            num_beats=num_words * word_bytes // bus_bytes,
            target=target,
            beat_addr=word * word_bytes // bus_bytes,
        )

    def end_layer(self, layer_id: int, record_addr: int) -> None:
        """Mark the end of a layer: counters are recorded behind its stores."""
        self.add(Opcode.LAYER, layer_id=layer_id, dram_addr=record_addr)

    def _conflicts(self, memory, low, high, unit, writing) -> list[Command]:
        """Commands of other units that this access must come behind."""
        return [
            access.command
            for access in self._accesses.get(memory, ())
            if access.low < high
            and low < access.high
            and (writing or access.writes)
            and access.command.unit is not unit
        ]

    def _note(self, memory, low, high, command, writing) -> None:
        """Remember an access; forget those that no later conflict needs beside it."""
        accesses = self._accesses.setdefault(memory, [])
        accesses[:] = [
            access
            for access in accesses
            if not (
                low <= access.low
                and access.high <= high
                and (writing or (not access.writes and access.command.unit is command.unit))
            )
        ]
        accesses.append(_Access(low, high, command, writing))

    def _order(self, command: Command) -> None:
        """Give a command the semaphores that it needs behind those before it."""
        unit = command.unit
        clock = command.clock = dict(self._last[unit])
        sources = [(n, n.unit, n.clock) for n in command.needed]
        sources += [(n, Unit.MEMORY, n.memory_clock) for n in command.stored]
        # The latest first: its own order may imply the others'.
        sources.sort(key=lambda s: -sum(s[2].values()))
        for source, source_unit, source_clock in sources:
            if clock[source_unit] >= source_clock[source_unit]:
                continue
            semaphore = CHANNELS.get((source_unit, unit))
            if semaphore is None:
                raise AssertionError(f"{command.opcode.name} cannot wait for {source_unit.name}")
            source.post.add(semaphore)
            command.wait.add(semaphore)
            for u in _UNITS:
                clock[u] = max(clock[u], source_clock[u])
        for load in command.loaded:
            if clock[Unit.LOAD] < load.clock[Unit.LOAD]:
                raise AssertionError("an activation would be overwritten while it is still read")
        self._counts[unit] += 1
        clock[unit] = self._counts[unit]
        self._last[unit] = clock
        if unit is Unit.STORE:
            self._counts[Unit.MEMORY] += 1
            memory = {u: max(clock[u], self._last[Unit.MEMORY][u]) for u in _UNITS}
            memory[Unit.MEMORY] = self._counts[Unit.MEMORY]
            command.memory_clock = self._last[Unit.MEMORY] = memory

    @property
    def overwritten(self) -> LoadTarget | None:
        """Memory of constants in which a load replaces what another one brought; None: there is none.

        Then all weights and parameters stay on the chip when the commands are through.
        """
        there: dict[LoadTarget, list[dict]] = {}
        for command in self._commands:
            if not _brings_what_could_stay(command):
                continue
            new = command.fields
            for old in there.setdefault(new["target"], []):
                apart = (
                    old["beat_addr"] + old["num_beats"] <= new["beat_addr"]
                    or new["beat_addr"] + new["num_beats"] <= old["beat_addr"]
                )
                same = all(old[key] == new[key] for key in ("dram_addr", "beat_addr", "num_beats"))
                if not (apart or same):
                    return LoadTarget(new["target"])
            there[new["target"]].append(new)
        return None

    def without_constants(self) -> "Emitter":
        """Return the same commands for a chip that has all weights and parameters already."""
        other = Emitter(self._config)
        copies = {}
        for command in self._commands:
            if not _brings_what_could_stay(command):
                copies[id(command)] = replace(
                    command, owner=other, clock={}, memory_clock={}, wait=set(), post=set()
                )
        for copy in copies.values():
            for name in ("needed", "stored", "loaded"):
                kept = [copies[id(c)] for c in getattr(copy, name) if id(c) in copies]
                setattr(copy, name, kept)
        other._commands = list(copies.values())
        return other

    @property
    def size_bytes(self) -> int:
        """Bytes that `finish` returns."""
        return COMMAND_BYTES * (len(self._commands) + 1) + self.TAIL_BYTES

    def finish(self, *, activation_addr: int) -> bytes:
        """Return the commands with END and the zeros behind it.

        Parameters
        ----------
        activation_addr : int
            Where the activations in DRAM really start.
        """
        check, *commands = self._commands
        config = self._config
        commands = prefetched(commands, bus_words=config.bus_words, queue_depth=config.queue_depth)
        self._commands = [check, *commands]
        for command in self._commands:
            if command.unit is not Unit.SEQUENCER:
                self._order(command)
        self._commands.append(Command(Opcode.END, {}, self))
        counts = Counter()
        data = bytearray()
        for n, command in enumerate(self._commands):
            for semaphore in command.wait:
                if counts[semaphore] == 0:
                    raise AssertionError(
                        f"command {n} {command.opcode.name} waits for {semaphore.name} for ever"
                    )
                counts[semaphore] -= 1
            for semaphore in command.post:
                counts[semaphore] += 1
                if counts[semaphore] > MAX_COUNT:
                    raise AssertionError(f"command {n}: {semaphore.name} overflows")
            fields = dict(command.fields)
            if ACTIVATION_BASE <= fields.get("dram_addr", 0) < CHIP_BASE:
                fields["dram_addr"] += activation_addr - ACTIVATION_BASE
            data += assemble(
                command.opcode,
                wait=_mask(command.wait),
                post=_mask(command.post),
                **fields,
            )
        assert len(data) == COMMAND_BYTES * len(self._commands)
        return bytes(data) + bytes(self.TAIL_BYTES)


def _brings_what_could_stay(command: Command) -> bool:
    """Whether it loads weights or parameters; tables of adds take turns."""
    fields = command.fields
    return command.opcode is Opcode.LOAD_LINEAR and fields["target"] != LoadTarget.TABLE


def _mask(semaphores: set[Semaphore]) -> int:
    return sum(1 << s for s in semaphores)
