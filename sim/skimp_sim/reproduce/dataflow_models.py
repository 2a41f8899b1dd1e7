"""What five dataflows access on the same PEs and the same storage area.

As Y.-H. Chen, J. Emer, V. Sze (ISCA 2016) sort them. A value that is delivered to a PE or handed
from PE to PE is an access of the array; psums that meet in the array are added on their way.

- weight-stationary: PEs hold a kernel's taps of c channels and f filters; pixels go past. Psums
  leave the array after its channels.
- output-stationary: PEs hold the psums of a square of y pixels of f filters.
- input-stationary: PEs hold a square of y pixels of c channels; weights go past.
- no-local-reuse: c channels by f filters without registers; weights come from the buffer at every
  MAC.
- row-stationary: `row_stationary`.

Buffers: a register's byte takes `REGISTER_AREA` times the area of a buffer's (assumed), so what a
dataflow saves in registers is added to its buffer. DRAM: the best tiles for that buffer (`tiles`),
of the row-stationary one those of its mapping.
"""

from collections.abc import Iterator
from math import isqrt

from skimp_sim.reproduce.costs import RELATIVE, TENSORS
from skimp_sim.reproduce.layers import ConvLayer
from skimp_sim.reproduce.row_stationary import (
    Chip,
    accesses,
    best_mapping,
    energy_by_tensor,
)
from skimp_sim.reproduce.tiles import best_of, search, words_by_tensor

__all__ = ["ARRAYS", "DATAFLOWS", "REGISTER_AREA", "buffer_words", "count", "on_chip"]

REGISTER_AREA = 1.6
"""So the largest buffer is 2.4 times the smallest for 168 PEs, 2.6 times for 256."""

ARRAYS = {
    168: Chip(),
    256: Chip(rows=16, columns=16, buffer_words=128 * 1024 // 2),
}
"""Row-stationary: the chip, and the array of the ISCA paper."""

REGISTERS = {
    "weight-stationary": 1,
    "output-stationary": 1,
    "input-stationary": 1,
    "no-local-reuse": 0,
}
"""Words in a PE."""

DATAFLOWS = ("row-stationary", *REGISTERS)


def buffer_words(dataflow: str, pes: int) -> int:
    chip = ARRAYS[pes]
    if dataflow == "row-stationary":
        return chip.buffer_words
    spads = chip.ifmap_words + chip.wgt_words + chip.psum_words
    return int(chip.buffer_words + pes * REGISTER_AREA * (spads - REGISTERS[dataflow]))


def count(layer: ConvLayer, batch: int, dataflow: str, pes: int) -> dict[str, dict]:
    """Words by level and tensor, all images, of the least energy (relative costs)."""
    if dataflow == "row-stationary":
        options = {"batch": batch, "chip": ARRAYS[pes], "costs": RELATIVE}
        return accesses(layer, batch, best_mapping(layer, **options))
    choice = best_of(search(layer, batch=batch, buffer_words=buffer_words(dataflow, pes)))
    dram = words_by_tensor(layer, batch, choice)
    return {"dram": dram, **on_chip(layer, batch, dataflow, pes)}


def on_chip(layer: ConvLayer, batch: int, dataflow: str, pes: int) -> dict[str, dict]:
    """Words of buffer, array and registers, of the shares of the array that take least energy."""

    def energy(counts: dict) -> float:
        nothing = dict.fromkeys(TENSORS, 0)
        return sum(energy_by_tensor({"dram": nothing, **counts}, RELATIVE).values())

    return min(_ON_CHIP[dataflow](layer, batch, pes), key=energy)


def _levels(glb, array, rf) -> dict[str, dict]:
    """Three levels, each of ifmap, weights, psums."""
    rows = {"glb": glb, "array": array, "rf": rf}
    return {level: dict(zip(TENSORS, row)) for level, row in rows.items()}


def _shares(layer: ConvLayer, pes: int) -> Iterator[tuple[int, int]]:
    """Channels and filters beside each other on so many PEs."""
    for channels in range(1, min(layer.group_in, pes) + 1):
        yield channels, min(pes // channels, layer.group_out)


def _squares(rows: int, pes: int) -> range:
    """Sides of squares of pixels."""
    return range(1, min(rows, isqrt(pes)) + 1)


def _padded_ifmap(layer: ConvLayer, batch: int) -> int:
    return batch * layer.in_channels * layer.window(layer.rows) * layer.window(layer.columns)


def _weight_stationary(layer: ConvLayer, batch: int, pes: int) -> Iterator[dict]:
    macs, ofmap = batch * layer.macs, batch * layer.ofmap_words
    for channels, filters in _shares(layer, pes // layer.taps):
        ifmap = _padded_ifmap(layer, batch) * -(-layer.group_out // filters)
        psum = ofmap * (2 * -(-layer.group_in // channels) - 1)
        yield _levels((ifmap, 0, psum), (macs, layer.weight_words, macs), (0, macs, 0))


def _output_stationary(layer: ConvLayer, batch: int, pes: int) -> Iterator[dict]:
    macs, ofmap = batch * layer.macs, batch * layer.ofmap_words
    for side in _squares(layer.rows, pes):
        filters = min(pes // side**2, layer.group_out)
        squares = batch * -(-layer.rows // side) * -(-layer.columns // side)
        reads = layer.in_channels * squares * layer.window(side) ** 2
        ifmap = reads * -(-layer.group_out // filters)
        glb = ifmap, layer.weight_words * squares, ofmap
        yield _levels(glb, (macs, macs, ofmap), (0, 0, 2 * macs))


def _input_stationary(layer: ConvLayer, batch: int, pes: int) -> Iterator[dict]:
    macs = batch * layer.macs
    ifmap = _padded_ifmap(layer, batch)
    for side in _squares(layer.window(layer.rows), pes):
        channels = min(pes // side**2, layer.group_in)
        squares = batch * -(-layer.window(layer.rows) // side)
        squares *= -(-layer.window(layer.columns) // side)
        under = -(-(side + layer.kernel - 1) // layer.stride)
        touched = squares * min(under, layer.rows) * min(under, layer.columns)
        psum = 2 * layer.out_channels * touched * -(-layer.group_in // channels)
        glb = ifmap, layer.weight_words * squares, psum
        yield _levels(glb, (ifmap, macs, macs), (macs, 0, 0))


def _no_local_reuse(layer: ConvLayer, batch: int, pes: int) -> Iterator[dict]:
    macs, ofmap = batch * layer.macs, batch * layer.ofmap_words
    for channels, filters in _shares(layer, pes):
        psum = ofmap * (2 * -(-layer.group_in // channels) * layer.taps - 1)
        yield _levels((macs / filters, macs, psum), (macs, macs, macs), (0, 0, 0))


_ON_CHIP = {
    "weight-stationary": _weight_stationary,
    "output-stationary": _output_stationary,
    "input-stationary": _input_stationary,
    "no-local-reuse": _no_local_reuse,
}
