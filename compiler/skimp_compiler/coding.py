"""Which activations lie coded in DRAM (docs/rlc.md), and the commands that move them so."""

from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import chain
from math import gcd

import numpy as np

from skimp.config import Config
from skimp.isa import CHIP_BASE, MAX_UNIT_BEATS, Opcode
from skimp.rlc.format import (
    FRAME,
    MASK_BYTES,
    RUN_BITS,
    Code,
    max_coded_bytes,
    unit_pitch_bytes,
)
from skimp_compiler.emitter import ACTIVATION_BASE
from skimp_compiler.graph import Graph
from skimp_compiler.program import Coding, TensorPlace, pack

__all__ = ["COMPRESS", "code_maps", "coded_bytes", "frame_bytes"]

COMPRESS = {
    "off": (),
    "auto": (Code.RUN_LENGTH, Code.BITMAP),
    "run-length": (Code.RUN_LENGTH,),
    "bitmap": (Code.BITMAP,),
}
"""What `compile_graph` is asked for, and the codes that it may choose."""

_LOADS = (Opcode.LOAD_IFMAP, Opcode.LOAD_RESIDUAL)


def coded_bytes(code: Code, units: np.ndarray, zero: int) -> np.ndarray:
    """Return the coded length of each unit, as the encoder makes it.

    Parameters
    ----------
    code : Code
    units : np.ndarray
        int8 [unit, byte].
    zero : int
        Zero point.
    """
    num_units, unit_bytes = units.shape
    frames = -(-unit_bytes // FRAME)
    filled = np.zeros((num_units, frames * FRAME), bool)
    filled[:, :unit_bytes] = units != zero
    sizes = np.minimum(FRAME, unit_bytes - FRAME * np.arange(frames))
    run_bits = RUN_BITS if code is Code.RUN_LENGTH else None
    return frame_bytes(filled.reshape(num_units, frames, FRAME), sizes, run_bits).sum(1)


def frame_bytes(filled: np.ndarray, sizes: np.ndarray, run_bits: int | None) -> np.ndarray:
    """Return the coded length of each frame.

    Parameters
    ----------
    filled : np.ndarray
        bool [..., FRAME]: bytes other than the zero point.
    sizes : np.ndarray
        Bytes of each frame [...]: the last one of a unit may be short.
    run_bits : int or None
        Width of a run; None: a bit for each byte.
    """
    levels = filled.sum(-1)
    if run_bits is None:
        lengths = np.where(levels, levels + MASK_BYTES, 0)
    else:
        place = np.arange(FRAME)
        last = np.maximum.accumulate(np.where(filled, place, -1), axis=-1)
        before = np.concatenate([np.full((*levels.shape, 1), -1), last[..., :-1]], axis=-1)
        runs = np.where(filled, place - before - 1, 0)
        # A run too long for its field costs some.
        levels = levels + (runs >> run_bits).sum(-1)
        lengths = levels + -(-levels * run_bits // 8)
    return 1 + np.minimum(lengths, sizes)


@dataclass(eq=False)
class _Transfer:
    """A command that loads or stores a map: its segments in words of the map, planes in a row.

    Parameters
    ----------
    command : Command
    starts : np.ndarray
        First words [block, segment].
    words : int
        Of a segment.
    """

    command: object
    starts: np.ndarray
    words: int

    @classmethod
    def of(cls, command, place: TensorPlace) -> "_Transfer":
        fields = command.fields
        blocks = fields["dma_blocks" if command.opcode in _LOADS else "num_blocks"]
        starts = (
            fields["dram_addr"]
            - place.address
            + np.arange(blocks)[:, None] * fields.get("block_stride", 0)
            + np.arange(fields["seg_count"]) * fields.get("seg_stride", 0)
        )
        return cls(command=command, starts=starts // place.block, words=fields["seg_words"])

    @property
    def is_load(self) -> bool:
        return self.command.opcode in _LOADS


@dataclass(eq=False)
class _Map:
    """An activation in DRAM that only the hardware makes and reads.

    Parameters
    ----------
    places : list of TensorPlace
        Tensors that lie there: views of each other.
    transfers : list of _Transfer
    first, last : int
        Numbers of the commands from which on and up to which its units exist: its first store; the
        end of the last layer that loads it, whose stores come behind those loads.
    clean_lanes : bool
        Lanes beyond its last channel hold the zero point; else nobody knows what.
    """

    places: list
    transfers: list
    first: int
    last: int
    clean_lanes: bool

    @property
    def place(self) -> TensorPlace:
        return self.places[0]

    @property
    def pixels(self) -> int:
        return self.place.height * self.place.width

    def units(self, starts: np.ndarray, unit_words: int) -> np.ndarray:
        """Return the units that words lie in; those of a plane come in a row."""
        plane, word = np.divmod(starts, self.place.plane_words)
        return plane * (self.pixels // unit_words) + word // unit_words

    def unit_sizes(self, config: Config) -> list[int]:
        """Return the sizes of units, in words, with which every transfer can be made.

        Stores write whole units; loads cut words out of them, all segments of a command at the same
        place of a unit.
        """
        place = self.place
        common, exact = self.pixels, None
        for transfer in self.transfers:
            starts, words = transfer.starts % place.plane_words, transfer.words
            if (starts + words).max() > self.pixels and place.plane_words != self.pixels:
                return []
            for step in (*np.diff(starts, axis=0).flat, *np.diff(starts, axis=1).flat):
                common = gcd(common, int(step))
            if not transfer.is_load:
                common = gcd(common, int(starts[0, 0]), words)
                together = (np.diff(transfer.starts, axis=1) == words).all()
                if not together and exact not in (None, words):
                    return []
                exact = exact if together else words
        sizes = [n for n in range(1, common + 1) if common % n == 0 and exact in (None, n)]
        return [
            n
            for n in sizes
            if n * place.block >= _FEWEST_BYTES
            and n < 1 << _UNIT_BITS
            and _longest(config, n * place.block) <= MAX_UNIT_BEATS
            and self.num_units(n) <= config.tile_table_depth
        ]

    def num_units(self, unit_words: int) -> int:
        return self.pixels // unit_words * self.place.num_blocks

    def raw_beats(self, config: Config) -> int:
        """Return the beats that all transfers move without a code."""
        total = 0
        for transfer in self.transfers:
            first = transfer.starts * self.place.block
            behind = first + transfer.words * self.place.block
            total += int((-(-behind // config.bus_bytes) - first // config.bus_bytes).sum())
        return total

    def coded_beats(self, beats: np.ndarray, unit_words: int) -> int:
        """Return the beats that all transfers move, by those of each unit."""
        behind = np.concatenate([[0], np.cumsum(beats)])
        total = 0
        for transfer in self.transfers:
            first = self.units(transfer.starts, unit_words)
            last = self.units(transfer.starts + transfer.words - 1, unit_words)
            total += int((behind[last + 1] - behind[first]).sum())
        return total


_FEWEST_BYTES = 48
"""Shorter units would save nothing: they are whole beats, and have a header."""

_SUMS = frozenset(("conv", "depthwise", "fully_connected", "avg_pool", "max_pool", "mean"))
"""Operators that make the zero point of a sum of nothing; tables make anything of it."""

_FEWEST_SAVED = 1
"""Beats that a code has to save."""

_UNIT_BITS = 12
"""Bits of a unit's words in a command."""


def _longest(config: Config, unit_bytes: int) -> int:
    """Return the beats of a unit that does not shrink."""
    return unit_pitch_bytes(unit_bytes, config.bus_bytes) // config.bus_bytes


def _maps(lowering, graph: Graph) -> list[_Map]:
    """Return the activations in DRAM that only the hardware touches."""
    by_address: dict[int, list[TensorPlace]] = {}
    for place in lowering.places.values():
        if ACTIVATION_BASE <= place.address < CHIP_BASE:
            by_address.setdefault(place.address, []).append(place)
    host = {*graph.inputs, *graph.outputs}
    for layer in lowering.layers:
        if layer.unit == "host":
            for op in (graph.ops[i] for i in layer.op_indices):
                host |= {*op.inputs, *op.outputs}
    starts = sorted(by_address)
    touching: dict[int, list] = {start: [] for start in starts}
    ends: dict[int, int] = {}
    emitters = [segment[0] for segment in lowering.segments if isinstance(segment, tuple)]
    for number, command in enumerate(chain.from_iterable(e.commands for e in emitters)):
        address = command.fields.get("dram_addr", 0)
        if command.opcode is Opcode.LAYER:
            ends[command.fields["layer_id"]] = number
        elif command.opcode in (*_LOADS, Opcode.STORE) and (
            ACTIVATION_BASE <= address < CHIP_BASE and command.fields["seg_words"]
        ):
            touching[starts[bisect_right(starts, address) - 1]].append((number, command))
    found = []
    for address, places in by_address.items():
        indices = {p.index for p in places}
        same = {(p.height * p.width, p.plane_words, p.num_blocks) for p in places}
        transfers = [_Transfer.of(command, places[0]) for _, command in touching[address]]
        readers = [
            max(ends.get(layer.layer_id, 0), ends.get(layer.fused_with, 0))
            for layer in lowering.layers
            if any(indices & {*graph.ops[i].inputs} for i in layer.op_indices)
        ]
        stores = [n for n, command in touching[address] if command.opcode is Opcode.STORE]
        loads = [n for n, command in touching[address] if command.opcode in _LOADS]
        # A reader that ends before its loads is a view of another one: leave it alone.
        whole = stores and loads and max(readers, default=0) > loads[-1]
        if whole and len(same) == 1 and not host & indices:
            makers = [graph.producer(index) for index in indices]
            found.append(
                _Map(
                    places=places,
                    transfers=transfers,
                    first=stores[0],
                    last=max(readers),
                    clean_lanes=all(op is not None and op.kind in _SUMS for op in makers),
                )
            )
    return found


@dataclass(frozen=True, eq=False)
class _Choice:
    """How a map could lie in DRAM: what is saved, and the beats of each unit."""

    saved_beats: int
    code: Code
    unit_words: int
    unit_beats: np.ndarray


def _choose(config: Config, one: _Map, codes, values: np.ndarray | None) -> _Choice | None:
    """Return the code and the unit that move the fewest beats; None: nothing would be saved.

    Without values, three of four bytes are supposed to be levels, and it is coded anyway.
    """
    place = one.place
    if values is not None:
        planes = np.frombuffer(pack(place, values), np.int8).reshape(place.num_blocks, -1)
        planes = planes[:, : one.pixels * place.block].copy()
        if not one.clean_lanes:
            words = planes.reshape(place.num_blocks, -1, place.block)
            words[-1, :, place.channels % place.block or place.block :] = ~place.zero_point
    raw, best = one.raw_beats(config), None
    for unit_words in one.unit_sizes(config):
        unit_bytes = unit_words * place.block
        for code in codes:
            if values is None:
                lengths = np.full(one.num_units(unit_words), max_coded_bytes(unit_bytes) * 3 // 4)
            else:
                lengths = coded_bytes(code, planes.reshape(-1, unit_bytes), place.zero_point)
            beats = -(-lengths // config.bus_bytes)
            saved = raw - one.coded_beats(beats, unit_words)
            if best is None or saved > best.saved_beats:
                best = _Choice(saved, code, unit_words, beats)
    if best is None or (values is not None and best.saved_beats < _FEWEST_SAVED):
        return None
    if values is None:
        longest = _longest(config, best.unit_words * place.block)
        best = replace(best, unit_beats=np.full(len(best.unit_beats), longest))
    return best


def code_maps(
    lowering, graph: Graph, config: Config, *, compress: str, activations: dict | None
) -> dict[int, int]:
    """Choose a code for each activation in DRAM, and change commands and places accordingly.

    Those that save most come first, while the tile table has entries: two maps share some if the
    first store of one comes behind the end of all layers that load the other.

    Parameters
    ----------
    lowering : Lowering
        Finished; its commands, places and activations are changed.
    graph : Graph
    config : Config
    compress : str
        One of COMPRESS. "auto" chooses by the beats that the values take; without values, nothing.
    activations : dict or None
        Values of activations by tensor number, from a run on real inputs.

    Returns
    -------
    dict
        Expected beats of each unit by its address (from ACTIVATION_BASE on): by the values, or the
        most that there can be.
    """
    codes = COMPRESS[compress]
    if not config.tile_table_depth or not codes:
        return {}
    choices = []
    for one in _maps(lowering, graph):
        known = [p.index for p in one.places if p.index in (activations or {})]
        if known or compress != "auto":
            choice = _choose(config, one, codes, activations[known[0]] if known else None)
            if choice is not None:
                choices.append((one, choice))
    expected, taken = {}, []
    for one, choice in sorted(choices, key=lambda c: -c[1].saved_beats):
        table = 0
        for low, high, other in sorted(taken, key=lambda t: t[:2]):
            if other.first <= one.last and one.first <= other.last:
                if table + len(choice.unit_beats) <= low:
                    break
                table = max(table, high)
        if table + len(choice.unit_beats) <= config.tile_table_depth:
            taken.append((table, table + len(choice.unit_beats), one))
            expected.update(_code(lowering, config, one, choice, table))
            _explain(lowering, config, one, choice)
    return expected


def _name(code: Code) -> str:
    """Return the name of a code, as in COMPRESS."""
    return code.name.lower().replace("_", "-")


def _explain(lowering, config: Config, one: _Map, choice: _Choice) -> None:
    """Let the layer that makes a map say how it lies in DRAM."""
    made = {place.index for place in one.places}
    moved = one.coded_beats(choice.unit_beats, choice.unit_words) * config.bus_bytes
    text = (
        f"; coded by {_name(choice.code)}, units of {choice.unit_words} words: {moved:,} bytes "
        f"expected instead of {one.raw_beats(config) * config.bus_bytes:,}"
    )
    for n, layer in enumerate(lowering.layers):
        if layer.output in made:
            lowering.layers[n] = replace(layer, reason=layer.reason + text)


def _code(lowering, config: Config, one: _Map, choice: _Choice, table: int) -> dict[int, int]:
    """Move a map to a place for its units; return the beats of each by its address."""
    place, unit_words = one.place, choice.unit_words
    pitch = unit_pitch_bytes(unit_words * place.block, config.bus_bytes)
    num_units = len(choice.unit_beats)
    name = f"activation {place.index}, {_name(choice.code)}"
    address = ACTIVATION_BASE + lowering.activations.reserve(num_units * pitch, name)
    for transfer in one.transfers:
        units = one.units(transfer.starts, unit_words)
        if not transfer.is_load:
            # Segments that follow each other are units of one.
            more = transfer.words // unit_words
            units = (units[:, :, None] + np.arange(more)).reshape(len(units), -1)
        step = int(units[0, 1] - units[0, 0]) if units.shape[1] > 1 else 0
        block_step = int(units[1, 0] - units[0, 0]) if len(units) > 1 else 0
        fields = transfer.command.fields
        fields.update(
            dram_addr=address + int(units[0, 0]) * pitch,
            seg_count=units.shape[1],
            seg_stride=step * pitch,
            block_stride=block_step * pitch,
            code=choice.code,
            table_base=table + int(units[0, 0]),
            table_step=step,
            table_block_step=block_step,
            zero=place.zero_point,
        )
        if transfer.is_load:
            skip = int(transfer.starts[0, 0] % place.plane_words % unit_words)
            fields.update(skip=skip, unit_words=unit_words)
        else:
            fields.update(seg_words=unit_words)
    coding = Coding(code=choice.code, unit_words=unit_words, pitch_bytes=pitch, table_base=table)
    for other in one.places:
        lowering.places[other.index] = replace(other, address=address, coding=coding)
    return {address + n * pitch: int(beats) for n, beats in enumerate(choice.unit_beats)}
