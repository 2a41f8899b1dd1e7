"""Command list under construction: buffer slots, semaphores, and the proof that it cannot hang."""

from collections import Counter
from dataclasses import dataclass, field

from skimp.config import Config
from skimp.isa import COMMAND_BYTES, Opcode, Semaphore, assemble

__all__ = ["ACTIVATION_BASE", "Buffer", "Emitter"]

ACTIVATION_BASE = 1 << 31
"""Addresses from here on are activations; `finish` moves them behind the constants."""


@dataclass
class _Pending:
    """A command that can still get semaphores."""

    opcode: Opcode
    fields: dict
    wait: set = field(default_factory=set)
    post: set = field(default_factory=set)


class Buffer:
    """Slots of one on-chip memory, used in turn by a producing and a consuming unit.

    The n-th filling of a buffer with `num_slots` slots waits for the free semaphore from
    n = num_slots on: the (n - num_slots)-th contents were released. Both units work in order, so
    counting is enough.

    Parameters
    ----------
    full, free : Semaphore
    num_slots : int
    """

    def __init__(self, *, full: Semaphore, free: Semaphore, num_slots: int):
        self.full, self.free, self.num_slots = full, free, num_slots
        self.filled = 0
        self._pending_wait = False
        self._last_fill: _Pending | None = None
        self._fresh = False
        self._last_use: _Pending | None = None

    def begin_fill(self) -> int:
        """Start another filling and return its slot."""
        slot = self.filled % self.num_slots
        self._pending_wait = self.filled >= self.num_slots
        self.filled += 1
        return slot

    def fill(self, command: _Pending) -> None:
        """Note a command that writes the slot being filled."""
        if self._pending_wait:
            command.wait.add(self.free)
            self._pending_wait = False
        self._last_fill = command

    def end_fill(self) -> None:
        """The last command noted completes the slot."""
        self._last_fill.post.add(self.full)
        self._fresh = True

    def use(self, command: _Pending) -> None:
        """Note a command that reads the slot filled last."""
        if self._fresh:
            command.wait.add(self.full)
            self._fresh = False
        self._last_use = command

    def release(self) -> None:
        """The last command noted was the last to read the slot."""
        self._last_use.post.add(self.free)


class Emitter:
    """Collects the commands of one device step.

    Program order is sequentially legal: every wait is satisfied by commands further up. In-order
    units behind in-order queues then cannot deadlock, whatever the queues' depth, because the
    earliest unfinished command can always proceed. `finish` checks it.

    Parameters
    ----------
    config : Config
    """

    TAIL_BYTES = 1024
    """Zeros behind END: the sequencer fetches ahead."""

    def __init__(self, config: Config):
        self._config = config
        self._commands: list[_Pending] = [_Pending(Opcode.CHECK, {"hash": config.hash})]

    def __len__(self) -> int:
        return len(self._commands)

    def buffer(self, name: str, *, num_slots: int) -> Buffer:
        """Return a fresh buffer of the current layer: "ifmap", "wgt", "psum", "ofmap", "param"."""
        return Buffer(
            full=Semaphore[f"{name.upper()}_FULL"],
            free=Semaphore[f"{name.upper()}_FREE"],
            num_slots=num_slots,
        )

    def add(self, opcode: Opcode, **fields) -> _Pending:
        command = _Pending(opcode, fields)
        self._commands.append(command)
        return command

    def end_layer(self, layer_id: int) -> None:
        """Fence behind a layer; semaphores start again at 0."""
        self.add(Opcode.LAYER, layer_id=layer_id)

    @property
    def size_bytes(self) -> int:
        """Bytes that `finish` returns."""
        return COMMAND_BYTES * (len(self._commands) + 1) + self.TAIL_BYTES

    def finish(self, *, activation_addr: int) -> bytes:
        """Return the commands with END and the zeros behind it.

        Parameters
        ----------
        activation_addr : int
            Where the activations really start.
        """
        self.add(Opcode.END)
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
                if counts[semaphore] > 255:
                    raise AssertionError(f"command {n}: {semaphore.name} overflows")
            if command.opcode is Opcode.LAYER:
                counts.clear()
            fields = dict(command.fields)
            if fields.get("dram_addr", 0) >= ACTIVATION_BASE:
                fields["dram_addr"] += activation_addr - ACTIVATION_BASE
            data += assemble(
                command.opcode,
                wait=sum(1 << s for s in command.wait),
                post=sum(1 << s for s in command.post),
                **fields,
            )
        assert len(data) == COMMAND_BYTES * len(self._commands)
        return bytes(data) + bytes(self.TAIL_BYTES)
