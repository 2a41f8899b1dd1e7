"""What the codes save on real activations: `python -m skimp_sim.rlc.measure`.

Networks come from SKIMP_MODELS (default ../shared/models) with their real inputs; those without one
get seeded noise.
"""

import json
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from rich.table import Table

from skimp.rlc.format import FRAME, RUN_BITS
from skimp_compiler.coding import frame_bytes
from skimp_compiler.graph import Graph, ModelError
from skimp_compiler.program import TensorPlace, pack
from skimp_compiler.tflite_reader import read_tflite
from skimp_compiler.zoo import models_dir
from skimp_sim.command import Refusing, check_outputs, wide_console
from skimp_sim.golden.network import run_graph
from skimp_sim.inputs import load_input
from skimp_sim.real_networks import input_of, real_networks
from skimp_sim.report import write_text

__all__ = [
    "CODES",
    "IN_HARDWARE",
    "RUN_WIDTHS",
    "Layer",
    "coded_frames",
    "measure_graph",
    "measure_network",
    "measure_tensor",
    "planes",
]

RUN_WIDTHS = (1, 2, 3, 4, 5, 6)
CODES = (*(f"run{bits}" for bits in RUN_WIDTHS), "bitmap")
"""Run-length with runs of so many bits, and a bit for each element."""

IN_HARDWARE = ("raw", f"run{RUN_BITS}", "bitmap")
"""Of these a layer picks the best."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """What one activation takes.

    Parameters
    ----------
    network, name : str
    is_relu : bool
        Output of a ReLU or ReLU6.
    zeros, elements : int
        Values equal to the zero point; all values.
    coded_bytes : Counter
        "raw" and each of CODES: bytes of all tiles, with what fills up blocks and planes.
    dram_bytes : Counter
        The same, each tile in whole beats; and "picked", the best of those that the hardware has.
    """

    network: str
    name: str
    is_relu: bool
    zeros: int
    elements: int
    coded_bytes: Counter
    dram_bytes: Counter

    @property
    def growth(self) -> float:
        """By how much the worst code of the hardware makes it longer; less than 0: shorter."""
        return max(self.coded_bytes[code] for code in IN_HARDWARE[1:]) / self.coded_bytes["raw"] - 1


def planes(values: np.ndarray, zero: int, channels: int, beat_bytes: int) -> np.ndarray:
    """Return an activation as it lies in DRAM [block, byte].

    Planes of words of some channels, in whole beats.
    """
    pixels = math.prod(values.shape[:-1])
    per_beat = math.lcm(beat_bytes, channels) // channels
    place = TensorPlace(
        index=0,
        address=0,
        height=1,
        width=pixels,
        channels=values.shape[-1],
        block=channels,
        plane_words=-(-pixels // per_beat) * per_beat,
        shape=values.shape,
        zero_point=zero,
    )
    return np.frombuffer(pack(place, values), np.int8).reshape(place.num_blocks, -1)


def coded_frames(filled: np.ndarray, sizes: np.ndarray) -> dict[str, np.ndarray]:
    """Return the bytes of each frame by code.

    Parameters
    ----------
    filled : np.ndarray
        bool [frame, FRAME]: bytes other than the zero point.
    sizes : np.ndarray
        Bytes of each frame: the last one of a tile may be short.
    """
    run_bits = {f"run{bits}": bits for bits in RUN_WIDTHS}
    return {code: frame_bytes(filled, sizes, run_bits.get(code)) for code in CODES}


def measure_tensor(
    values: np.ndarray, zero: int, *, channels: int, tile_bytes: int, beat_bytes: int
) -> tuple[Counter, Counter]:
    """Return coded bytes and bytes in DRAM by code, as in a Layer."""
    data = planes(values, zero, channels, beat_bytes)
    coded_bytes, dram_bytes = Counter(), Counter()
    for first in range(0, data.shape[1], tile_bytes):
        tiles = data[:, first : first + tile_bytes]
        blocks, size = tiles.shape
        per_tile = -(-size // FRAME)
        frames = np.full((blocks, per_tile * FRAME), zero, values.dtype)
        frames[:, :size] = tiles
        sizes = np.minimum(FRAME, size - FRAME * np.arange(per_tile))
        lengths = coded_frames(frames.reshape(-1, FRAME) != zero, np.tile(sizes, blocks))
        of_tiles = {code: lengths[code].reshape(blocks, per_tile).sum(1) for code in CODES}
        of_tiles["raw"] = np.full(blocks, size)
        for code, coded in of_tiles.items():
            coded_bytes[code] += int(coded.sum())
            dram_bytes[code] += int((-(-coded // beat_bytes)).sum()) * beat_bytes
    dram_bytes["picked"] = min(dram_bytes[code] for code in IN_HARDWARE)
    return coded_bytes, dram_bytes


def measure_graph(graph: Graph, inputs: list[np.ndarray], **geometry) -> list[Layer]:
    """Return what each int8 activation of a network takes; keywords as `measure_tensor`."""
    found = run_graph(graph, inputs)
    layers = []
    for op in graph.ops:
        tensor = graph.tensors[op.outputs[0]]
        if tensor.dtype != np.int8:
            continue
        values = found[op.outputs[0]]
        coded_bytes, dram_bytes = measure_tensor(values, tensor.zero_point, **geometry)
        layers.append(
            Layer(
                network=graph.name,
                name=graph.op_name(op),
                is_relu=op.attrs.get("activation") in ("relu", "relu6"),
                zeros=int((values == tensor.zero_point).sum()),
                elements=values.size,
                coded_bytes=coded_bytes,
                dram_bytes=dram_bytes,
            )
        )
    return layers


def measure_network(path: Path, **geometry) -> list[Layer]:
    """Return the layers of a .tflite file with its real input."""
    graph = read_tflite(path)
    return measure_graph(graph, load_input(graph, input_of(path)), **geometry)


def _row(table: Table, name: str, layers: list[Layer]) -> None:
    zeros, elements = (sum(getattr(x, field) for x in layers) for field in ("zeros", "elements"))
    total = sum((x.dram_bytes for x in layers), Counter())
    saved = (1 - total[code] / total["raw"] for code in (*CODES, "picked"))
    table.add_row(
        name, f"{zeros / elements:.1%}", f"{total['raw']:,}", *(f"{part:.1%}" for part in saved)
    )


_positive = {"type": click.IntRange(min=1), "show_default": True}


@click.command(cls=Refusing)
@click.option("--channels", default=16, **_positive, help="Channels of a word: 8 or 16.")
@click.option("--tile-bytes", default=4096, **_positive, help="Longest tile of a block.")
@click.option("--beat-bytes", default=64, **_positive, help="Bytes of a beat of DRAM.")
@click.option("--layers", is_flag=True, help="A line for each ReLU layer, too.")
@click.option("--json", "json_path", metavar="FILE", help="Write the numbers.")
def main(channels, tile_bytes, beat_bytes, layers, json_path):
    """Bytes that codes for zeros save in DRAM, on the activations of real networks."""
    check_outputs(json_path)
    files = real_networks()
    if not files:
        raise ModelError(f"{models_dir()}: no networks there; set SKIMP_MODELS")
    geometry = {"channels": channels, "tile_bytes": tile_bytes, "beat_bytes": beat_bytes}
    found = [layer for path in files for layer in measure_network(path, **geometry)]
    table = Table(title=f"bytes saved in DRAM: words of {channels}, beats of {beat_bytes} bytes")
    table.add_column("outputs of ReLU layers")
    for name in ("zeros", "raw bytes", *CODES, "picked"):
        table.add_column(name, justify="right")
    relus = [layer for layer in found if layer.is_relu]
    for network in dict.fromkeys(layer.network for layer in relus):
        mine = [layer for layer in relus if layer.network == network]
        for layer in mine if layers else ():
            _row(table, f"  {layer.name}", [layer])
        _row(table, network, mine)
    table.add_section()
    _row(table, "all ReLU layers", relus)
    _row(table, "all activations", found)
    wide_console().print(table)
    if json_path:
        answer = {"schema": 2, "layers": [vars(layer) for layer in found]}
        write_text(json_path, json.dumps(answer, indent=1) + "\n")


if __name__ == "__main__":
    main()
