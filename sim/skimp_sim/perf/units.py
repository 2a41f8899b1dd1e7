"""Coded units in the cycle model: frames that pass decoder and encoder in slots of SLOT_CYCLES.

Beats of a unit are taken as spread evenly over its frames; both coders then keep their pace, and
the clocks of a network come out within some percent of the RTL's.
"""

from collections import deque

from skimp.config import Config
from skimp.rlc.decoder import SLOT_CYCLES
from skimp.rlc.format import CODEC_BYTES, FRAME
from skimp.rlc.unit_reader import _UNITS
from skimp_sim.perf.kernel import NEVER

__all__ = ["UnitsIn", "UnitsOut"]

_DECODE_CYCLES = 18
"""From the clock in which a frame's beats are there to its first chunk."""

_ENCODE_CYCLES = 15
"""From a frame's slot to the beats that it fills."""

_FRAMES_AHEAD = 4
"""Frames that are decoded before their words are taken."""


def _frames(num_bytes: int) -> int:
    return -(-num_bytes // FRAME)


class UnitsIn:
    """Units on their way from DRAM: beats come, words go.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config: Config):
        self._config = config
        self._words = CODEC_BYTES // config.word_bytes
        self._units = deque()  # beats, words, front, keep
        self._frame = 0  # of the first unit
        self._arrived: deque[int] = deque()  # clocks of beats that are not decoded
        self._taken = 0  # beats of the first unit that are decoded
        self._slot = -1  # clock of the last slot
        self._chunks = deque()  # clock, words

    @property
    def over(self) -> bool:
        return not self._units and not self._chunks

    @property
    def has_room(self) -> bool:
        """One more unit can be asked for."""
        return len(self._units) < _UNITS

    @property
    def room_beats(self) -> int:
        return self._config.load_queue_beats - len(self._arrived)

    def ask(self, beats: int, words: int, front: int, keep: int) -> None:
        self._units.append((beats, words, front, keep))

    def beat(self, t: int) -> None:
        """A beat comes in clock t."""
        self._arrived.append(t)

    def decode(self) -> None:
        """Plan the frames whose beats are there."""
        while self._units and len(self._chunks) < _FRAMES_AHEAD * FRAME // CODEC_BYTES:
            beats, words, front, keep = self._units[0]
            num_bytes = words * self._config.word_bytes
            frames = _frames(num_bytes)
            needed = -(-beats * (self._frame + 1) // frames) - self._taken
            if len(self._arrived) < needed:
                return
            there = self._arrived[needed - 1] if needed else self._slot
            for _ in range(needed):
                self._arrived.popleft()
            self._taken += needed
            self._slot = max(self._slot + SLOT_CYCLES, there + 2)
            first = self._frame * FRAME // self._config.word_bytes
            behind = min(first + FRAME // self._config.word_bytes, words)
            for n, word in enumerate(range(first, behind, self._words)):
                low, high = max(word, front), min(word + self._words, front + keep, words)
                self._chunks.append((self._slot + _DECODE_CYCLES + n, max(high - low, 0)))
            self._frame += 1
            if self._frame == frames:
                self._units.popleft()
                self._frame = self._taken = 0

    @property
    def next_chunk(self) -> int:
        """Clock of the next chunk; NEVER: not known yet."""
        return self._chunks[0][0] if self._chunks else NEVER

    def take_chunk(self, t: int) -> int:
        """Return the words of the chunk that is taken in clock t."""
        _, words = self._chunks.popleft()
        if self._chunks and self._chunks[0][0] <= t:
            # The pipeline stood still.
            late = t + 1 - self._chunks[0][0]
            self._chunks = deque((clock + late, count) for clock, count in self._chunks)
            self._slot += late
        return words


class UnitsOut:
    """Units on their way to DRAM: plain beats go in, coded beats come out in bursts.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config: Config):
        self._config = config
        self._units = deque()  # address, beats, bytes: whose place is known
        self.ready = 0  # clock from which the encoder takes the next plain beat
        self._slot = -SLOT_CYCLES  # clock of the last slot
        self._came = 0  # plain bytes of the unit that goes in
        self._bursts = deque()  # clock, address, beats, what comes with the last beat
        self.beats = deque()  # [clock, beats, mark] of bursts that were asked for
        self.begun = 0

    @property
    def over(self) -> bool:
        return not self._units and not self._bursts and not self.beats

    @property
    def empty(self) -> bool:
        return not self.begun

    @property
    def has_room(self) -> bool:
        return len(self._units) < _UNITS

    def place(self, address: int, beats: int, num_bytes: int) -> None:
        """A unit will come; `beats` are those that it will take."""
        self._units.append((address, beats, num_bytes))

    def push(self, t: int, mark) -> None:
        """A plain beat goes in, in clock t; `mark` leaves with the unit's last coded beat."""
        config = self._config
        address, beats, num_bytes = self._units[0]
        if not self._came:
            self.begun += 1
        if self._came % FRAME == 0:
            self._slot = max(t, self._slot + SLOT_CYCLES)
        self._came = min(self._came + config.bus_bytes, num_bytes)
        whole = self._came % FRAME == 0 or self._came == num_bytes
        self.ready = self._slot + SLOT_CYCLES if whole else t + 1
        if self._came < num_bytes:
            return
        self._units.popleft()
        self._came = 0
        out = self.ready + _ENCODE_CYCLES
        while beats:
            burst = min(beats, config.burst_beats)
            beats -= burst
            self._bursts.append((out, address, burst, None if beats else mark))
            address += burst * config.bus_bytes

    @property
    def next_burst(self) -> int:
        """Clock from which the next burst can be asked for; NEVER: there is none."""
        return self._bursts[0][0] if self._bursts else NEVER

    def take_burst(self, t: int) -> tuple[int, int]:
        """Return address and beats of the burst that is asked for in clock t."""
        _, address, beats, mark = self._bursts.popleft()
        self.beats.append([t + 2, beats, mark])
        return address, beats

    def take_beat(self, t: int):
        """A coded beat leaves in clock t; return the unit's mark with its last one."""
        head = self.beats[0]
        head[0], head[1] = t + 1, head[1] - 1
        if head[1]:
            return None
        self.beats.popleft()
        if head[2] is not None:
            self.begun -= 1
        return head[2]
