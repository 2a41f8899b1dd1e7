"""Open rows of the DRAM under a program: hits, energy by kind of access, spread over the banks.

What the cycle model hands to the DRAM (`PerfResult.requests`) is counted by `play`; `row_major`
makes of it what would be handed over if tensors lay row by row, as programs know them:

* Maps [channels][rows][columns] and weights [output channels][input channels][rows][columns], a
  byte a value, nothing padded, the network's input as the picture that it is; a depthwise layer's
  weights [channels][rows][columns]. Tensors lie in the same order, each from a multiple of 128
  bytes on. Commands, parameters, tables and counters are as they are.
* Tiles and commands are the same. What a command moves becomes the runs of consecutive bytes that
  hold it, channel by channel; runs that touch are one. Each becomes whole beats, in bursts as long
  as the hardware's (`burst_beats`, within 4 KB).
* Bursts come when the program's own ones come: where a command had m bursts and now has n, every
  one of the m brings its share of the n.

Energy is that of the DRAM core as `skimp_sim.reproduce.row_buffer` has it, for eight chips: opening
and closing a row, a read, a write of 64 bytes. No refresh, background, interface.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from skimp.config import Config
from skimp.isa import Opcode
from skimp_compiler.graph import Graph
from skimp_compiler.memory_map import MemoryMap
from skimp_compiler.program import Layer, Program, TensorPlace
from skimp_sim.counting import segment_starts
from skimp_sim.dram import Ddr4, Request, replay
from skimp_sim.perf.read import next_burst
from skimp_sim.reproduce.row_buffer import DDR4_2400
from skimp_sim.rtl_engine import ddr4_of
from skimp_sim.traffic import Transfer, transfers

__all__ = ["ACCESS_PJ", "RowUse", "play", "row_major", "row_use"]

_CHIPS = 8
"""x8 chips beside one another in a rank of 64 bit."""

ACCESS_PJ = {
    "activate": _CHIPS * DDR4_2400.activate_pj,
    "read": _CHIPS * DDR4_2400.read_pj,
    "write": _CHIPS * DDR4_2400.write_pj,
}
"""Energy of opening and closing a row, and of moving 64 bytes."""


@dataclass(frozen=True, kw_only=True)
class RowUse:
    """What a program costs the DRAM.

    Parameters
    ----------
    bursts : int
    reads, writes : int
        Column accesses of 64 bytes.
    row_hits, activates : int
        Accesses that found their row open; rows opened for the others.
    bank_accesses : list of int
        Column accesses of each bank (of all bank groups, which share every burst evenly).
    """

    bursts: int
    reads: int
    writes: int
    row_hits: int
    activates: int
    bank_accesses: list[int]

    @property
    def hit_rate(self) -> float:
        return self.row_hits / max(1, self.reads + self.writes)

    @property
    def energy_pj(self) -> dict[str, float]:
        """By kind of access."""
        counts = {"activate": self.activates, "read": self.reads, "write": self.writes}
        return {name: number * ACCESS_PJ[name] for name, number in counts.items()}

    @property
    def access_pj(self) -> float:
        """Energy of an access of 64 bytes, its share of the activations included."""
        return sum(self.energy_pj.values()) / max(1, self.reads + self.writes)

    @property
    def busiest_bank(self) -> float:
        """Accesses of the busiest bank, to the mean."""
        return max(self.bank_accesses) * len(self.bank_accesses) / max(1, sum(self.bank_accesses))


def row_use(config: Config, counters: dict[str, int], requests: list[Request]) -> RowUse:
    """Return what the counters of a DRAM say that got these bursts."""
    memory = Ddr4(config.bus_bytes, ddr4_of(config))
    address, beats = np.array([(r.address, r.beats) for r in requests], np.int64).reshape(-1, 2).T
    stripes = -(-(address + beats * config.bus_bytes) // memory.stripe_bytes)
    stripes -= address // memory.stripe_bytes
    banks = address // memory.page_bytes % memory.params.banks_per_group
    accesses = stripes * (memory.stripe_bytes // memory.params.burst_bytes)
    spread = np.bincount(banks, accesses, memory.params.banks_per_group)
    return RowUse(
        bursts=len(requests),
        **{name: counters[name] for name in ("reads", "writes", "row_hits", "activates")},
        bank_accesses=[int(n) for n in spread],
    )


def play(config: Config, requests: list[Request]) -> RowUse:
    """Hand bursts to the DRAM that a configuration is simulated with."""
    memory = Ddr4(config.bus_bytes, ddr4_of(config))
    replay(memory, requests)
    memory.drain()
    return row_use(config, memory.counters.as_dict(), requests)


def row_major(graph: Graph, program: Program, requests: list[Request]) -> list[Request]:
    """Return the bursts of a program whose tensors lie row by row; the module says how."""
    layout = _RowMajor(graph, program)
    # Reads and writes of tensors come in the order of the commands that each of three units has.
    queues = {what: deque() for what in ("weights", "ifmap", "ofmap")}
    for transfer in transfers(graph, program):
        if transfer.kind in queues:
            ours = sum(1 for _ in _bursts(program.config, *_own_runs(program.config, transfer)))
            moved = list(_bursts(program.config, *layout.runs(transfer)))
            queues[transfer.kind].append((ours, moved))
    done = dict.fromkeys(queues, 0)
    found = []
    for clock, is_write, address, beats in requests:
        kind, shift = layout.region(address, is_write)
        if kind not in queues:
            run = np.array([address + shift]), np.array([beats * program.config.bus_bytes])
            found += [Request(clock, is_write, *b) for b in _bursts(program.config, *run)]
            continue
        ours, moved = queues[kind][0]
        share = slice(*(n * len(moved) // ours for n in (done[kind], done[kind] + 1)))
        found += [Request(clock, is_write, *burst) for burst in moved[share]]
        done[kind] += 1
        if done[kind] == ours:
            queues[kind].popleft()
            done[kind] = 0
    assert not any(queues.values()), "commands whose bursts did not come"
    return found


def _own_runs(config: Config, transfer: Transfer) -> tuple[np.ndarray, np.ndarray]:
    """First byte and bytes of the runs that a command moves."""
    c = transfer.command
    if c.opcode is Opcode.LOAD_LINEAR:
        return np.array([c.dram_addr]), np.array([c.num_beats * config.bus_bytes])
    starts = segment_starts(c, transfer.num_blocks).reshape(-1)
    return starts, np.full(starts.size, c.seg_words * config.word_bytes)


def _bursts(config: Config, starts, lengths) -> Iterator[tuple[int, int]]:
    """Address and beats of the bursts of runs."""
    bus = config.bus_bytes
    for start, length in zip(starts.tolist(), lengths.tolist()):
        address = start // bus * bus
        left = -(-(start + length - address) // bus)
        while left:
            beats = next_burst(config, address, left)
            yield address, beats
            address += beats * bus
            left -= beats


def _joined(starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fewer, longer runs where one begins at the end of the one before."""
    ends = starts + lengths
    first = np.flatnonzero(np.append(True, starts[1:] != ends[:-1]))
    last = np.append(first[1:], starts.size) - 1
    return starts[first], ends[last] - starts[first]


class _RowMajor:
    """Where everything lies, row by row."""

    def __init__(self, graph: Graph, program: Program):
        self._program = program
        self._config = program.config
        self._regions = program.memory_map
        self._weights = {}  # by region: output channels, input channels, taps
        by_name = {layer.name: layer for layer in program.layers}
        memory = MemoryMap()
        self._moved = []
        for _, size, what in program.memory_map:
            kind, name, *_ = what.split()
            if kind == "weights":
                op = graph.ops[by_name[name].op_indices[-1]]
                size = graph.tensors[op.inputs[1]].data.size
                source = graph.ops[by_name[name].op_indices[0]].inputs[0]
                self._weights[what] = self._shape(by_name[name], program.tensors[source], size)
            elif kind == "activation":
                size = int(np.prod(graph.tensors[int(name)].shape))
            self._moved.append(memory.reserve(size, what))

    def _shape(self, layer: Layer, place: TensorPlace, size: int) -> tuple[int, int, int]:
        outputs = layer.shape["K"]
        inputs = 1 if layer.op == "depthwise" else place.channels
        return outputs, inputs, size // outputs // inputs

    def _at(self, address: int) -> int:
        """Number of a region."""
        return bisect_right(self._regions, address, key=lambda region: region[0]) - 1

    def region(self, address: int, is_write: bool) -> tuple[str, int]:
        """What lies at an address, and how far it moves (tensors: to their first byte)."""
        n = self._at(address)
        old, _, what = self._regions[n]
        kind = what.split()[0]
        if kind == "activation":
            kind = "ofmap" if is_write else "ifmap"
        return kind, self._moved[n] - old

    def runs(self, transfer: Transfer) -> tuple[np.ndarray, np.ndarray]:
        """First byte and bytes of the runs that hold what a command moves."""
        if transfer.kind == "weights":
            return self._weight_runs(transfer)
        place = self._program.tensors[transfer.tensor]
        base = self._moved[self._at(place.address)]
        return (self._map_runs if place.fold is None else self._picture_runs)(transfer, place, base)

    def _weight_runs(self, transfer: Transfer):
        config, c = self._config, transfer.command
        n = self._at(c.dram_addr)
        old, size, what = self._regions[n]
        outputs, inputs, taps = self._weights[what]
        k_blocks = -(-outputs // config.out_channels)
        first, end = c.dram_addr - old, c.dram_addr - old + c.num_beats * config.bus_bytes
        per_k = size // k_blocks
        starts, lengths = [], []
        for k in range(first // per_k, -(-end // per_k)):
            rows = np.arange(k * config.out_channels, min((k + 1) * config.out_channels, outputs))
            low, high = max(first - k * per_k, 0), min(end - k * per_k, per_k)
            # Blocks of in_channels inputs, each with all taps; a part of these costs all.
            block = config.wgt_block_bytes * taps
            channels = low // block * config.in_channels, -(-high // block) * config.in_channels
            if inputs == 1 or (low, high) == (0, per_k):
                channels = 0, inputs
            starts.append((rows * inputs + channels[0]) * taps)
            lengths.append(np.full(rows.size, (min(channels[1], inputs) - channels[0]) * taps))
        return _joined(np.concatenate(starts) + self._moved[n], np.concatenate(lengths))

    def _map_runs(self, transfer: Transfer, place: TensorPlace, base: int):
        pixels = place.height * place.width
        starts, lengths = [], []
        for block, pieces in self._pieces(transfer, place).items():
            channels = np.arange(
                place.block * block, min(place.block * (block + 1), place.channels)
            )
            first, count = np.array(pieces).T
            starts.append((channels[:, None] * pixels + first).reshape(-1))
            lengths.append(np.tile(count, channels.size))
        return _joined(base + np.concatenate(starts), np.concatenate(lengths))

    def _pieces(self, transfer: Transfer, place: TensorPlace) -> dict[int, list]:
        """First pixel and pixels of what a command moves, by channel block."""
        c, found = transfer.command, {}
        starts = segment_starts(c, transfer.num_blocks).reshape(-1)
        for word in ((starts - place.address) // place.block).tolist():
            left = c.seg_words
            while left:
                # Segments may go on from a plane to the next.
                block, pixel = divmod(word, place.plane_words)
                count = min(left, place.plane_words - pixel)
                real = min(count, place.height * place.width - pixel)
                if real > 0:
                    found.setdefault(block, []).append((pixel, real))
                word += count
                left -= count
        return found

    def _picture_runs(self, transfer: Transfer, place: TensorPlace, base: int):
        """The pixels of the network's input that lie behind columns put side by side."""
        fold = place.fold
        height, width, channels = place.shape[-3:]
        pieces = next(iter(self._pieces(transfer, place).values()))
        pixels = np.concatenate([np.arange(first, first + count) for first, count in pieces])
        rows, columns = np.unique(pixels // place.width), pixels % place.width
        low = max(columns.min() * fold.stride - fold.pad_left, 0)
        high = min(columns.max() * fold.stride - fold.pad_left + fold.num_s, width)
        starts = base + ((np.arange(channels)[:, None] * height + rows) * width + low).reshape(-1)
        return _joined(starts, np.full(starts.size, high - low))
