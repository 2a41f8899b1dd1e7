"""A compiled network: steps, commands, DRAM image and where every tensor lies.

Made by the compiler; taken by the functional model, the RTL driver and the reports.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from skimp.config import Config
from skimp.isa import CHIP_BASE
from skimp.rlc.format import Code

__all__ = [
    "Coding",
    "DeviceStep",
    "Fold",
    "HostStep",
    "Layer",
    "Program",
    "TensorPlace",
    "pack",
    "unpack",
]


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Kernel columns as channels: what the host does to a network's input of few channels.

    Value of output column q, channel s * C + c: input column q * stride - pad_left + s, channel c.

    Parameters
    ----------
    num_s : int
        Kernel columns.
    stride : int
    pad_left : int
    """

    num_s: int
    stride: int
    pad_left: int

    def apply(self, hwc: np.ndarray, place: "TensorPlace") -> np.ndarray:
        """Return [height, width, num_s * C] of an input [height, input width, C]."""
        columns = (
            np.arange(place.width)[:, None] * self.stride - self.pad_left + np.arange(self.num_s)
        )
        inside = (columns >= 0) & (columns < hwc.shape[1])
        taken = hwc[:, np.clip(columns, 0, hwc.shape[1] - 1)]
        taken = np.where(inside[None, :, :, None], taken, np.int8(place.zero_point))
        return taken.reshape(hwc.shape[0], place.width, -1)


@dataclass(frozen=True, kw_only=True)
class Coding:
    """How an activation lies coded in DRAM (docs/rlc.md): unit by unit, plane by plane.

    Parameters
    ----------
    code : Code
    unit_words : int
        Words of a unit; a plane is whole units.
    pitch_bytes : int
        From one unit to the next: the most that one can take.
    table_base : int
        Entry of the first unit in the tile table.
    """

    code: Code
    unit_words: int
    pitch_bytes: int
    table_base: int


@dataclass(frozen=True, kw_only=True)
class TensorPlace:
    """Where an activation lies: channel blocks of `in_channels` bytes a pixel.

    Byte of (y, x, c): address + (c // block * plane_words + y * width + x) * block + c % block.
    Channels beyond the tensor's last hold its zero point.

    Parameters
    ----------
    index : int
        Tensor number in the graph.
    address : int
        Bytes from the start of DRAM, or from CHIP_BASE on in the activation store; a multiple of
        128.
    height, width, channels : int
    block : int
        Channels of a block.
    plane_words : int
        Pixels from one channel block to the next: height * width, up to whole beats.
    perm : tuple of int
        Axes of the graph's tensor, as a permutation of (N, height, width, channels) padded with
        leading ones: graph_tensor = transpose(nhwc, perm).reshape(shape).
    shape : tuple of int
        Shape of the graph's tensor.
    zero_point : int
    fold : Fold or None
        Set where the host lays kernel columns side by side; height, width and channels are those
        of the result.
    coding : Coding or None
        Set where it lies coded: unit n is at address + n * pitch_bytes.
    """

    index: int
    address: int
    height: int
    width: int
    channels: int
    block: int
    plane_words: int
    shape: tuple[int, ...]
    zero_point: int
    perm: tuple[int, ...] = (0, 1, 2, 3)
    fold: "Fold | None" = None
    coding: Coding | None = None

    @property
    def num_blocks(self) -> int:
        return -(-self.channels // self.block)

    @property
    def num_units(self) -> int:
        """Units of a coded activation."""
        return self.height * self.width // self.coding.unit_words * self.num_blocks

    @property
    def size_bytes(self) -> int:
        """Bytes in DRAM or in the activation store, with the gaps between units."""
        if self.coding is not None:
            return self.num_units * self.coding.pitch_bytes
        return self.num_blocks * self.plane_words * self.block

    @property
    def on_chip(self) -> bool:
        return self.address >= CHIP_BASE


def pack(place: TensorPlace, values: np.ndarray) -> bytes:
    """Return the bytes of an int8 tensor given in the graph's shape."""
    if place.fold is not None:
        hwc = place.fold.apply(values.reshape(values.shape[-3:]), place)
    else:
        nhwc = (1, place.height, place.width, place.channels)
        permuted = values.reshape(tuple(nhwc[axis] for axis in place.perm))
        hwc = permuted.transpose(np.argsort(place.perm))[0]
    pixels = place.height * place.width
    padded = np.full((place.plane_words, place.num_blocks * place.block), place.zero_point, np.int8)
    padded[:pixels, : place.channels] = hwc.reshape(pixels, place.channels)
    blocks = padded.reshape(place.plane_words, place.num_blocks, place.block)
    return np.ascontiguousarray(blocks.transpose(1, 0, 2)).tobytes()


def unpack(place: TensorPlace, data: bytes) -> np.ndarray:
    """Return the int8 tensor in the graph's shape from its bytes."""
    if place.fold is not None:
        raise ValueError(f"tensor {place.index} is folded: the host has it anyway")
    blocks = np.frombuffer(data, np.int8, place.size_bytes)
    blocks = blocks.reshape(place.num_blocks, place.plane_words, place.block)
    pixels = blocks[:, : place.height * place.width].transpose(1, 0, 2)
    hwc = pixels.reshape(place.height, place.width, -1)
    nhwc = hwc[None, :, :, : place.channels]
    return np.ascontiguousarray(nhwc.transpose(place.perm)).reshape(place.shape)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One row of the reports: one operator (or several folded into one) and where it runs.

    Parameters
    ----------
    layer_id : int
        Place in Program.layers; LAYER commands carry it.
    name : str
    op : str
        Kind of the operator that names the layer.
    unit : str
        "array", "depthwise", "post" or "host" (a view or a fold costs nothing: "none").
    op_indices : tuple of int
        Operators of the graph that the layer covers (a folded pad comes with its conv).
    output : int
        Tensor that it makes.
    macs : int
    shape : dict
        N K C P Q R S stride, as far as the operator has them.
    reason : str
        Why it runs there; one sentence for `skimp explain`.
    fused_with : int or None
        Layer that does this one's work on the way out; or the first of the layers that this one
        goes beside, tile by tile.
    """

    layer_id: int
    name: str
    op: str
    unit: str
    op_indices: tuple[int, ...]
    output: int
    macs: int
    shape: dict
    reason: str
    fused_with: int | None = None


@dataclass(frozen=True, kw_only=True)
class DeviceStep:
    """Commands from `address` to an END command.

    Parameters
    ----------
    address : int
    num_commands : int
    layers : tuple of int
        layer_ids in order.
    """

    address: int
    num_commands: int
    layers: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class HostStep:
    """One operator on the host, in the golden model's code; reads and writes graph tensors."""

    layer: int
    op_index: int


@dataclass(kw_only=True)
class Program:
    """What `skimp compile` writes.

    Parameters
    ----------
    config : Config
    image : bytes
        First bytes of DRAM: commands, weights, parameters, tables.
    dram_bytes : int
        All that the program uses, activations included.
    tensors : dict
        TensorPlace of every activation that the hardware reads or writes.
    steps : list
        DeviceStep and HostStep in order.
    layers : list of Layer
    records_addr : int
        The LAYER command of layer n writes its record RECORD_BYTES * n behind this.
    memory_map : list of tuple
        (address, bytes, what) of every region, sorted.
    fusion : str
        What was decided about depthwise layers side by side with their neighbours, and why; empty
        where there was nothing to decide.
    unit_beats : dict
        Beats that each unit of coded activations is expected to take, by its address.
    resident_steps : list
        As `steps`, for a chip that has run those before and so has all weights and parameters;
        empty where that was not asked for.
    prior_steps : list
        Steps that the chip has run before: their weights and parameters are there.
    """

    config: Config
    image: bytes
    dram_bytes: int
    tensors: dict[int, TensorPlace]
    steps: list
    layers: list[Layer]
    records_addr: int
    memory_map: list[tuple[int, int, str]] = field(default_factory=list)
    fusion: str = ""
    unit_beats: dict[int, int] = field(default_factory=dict)
    resident_steps: list = field(default_factory=list)
    prior_steps: list = field(default_factory=list)

    @property
    def resident(self) -> "Program":
        """The program of all images behind the first one."""
        return replace(self, steps=self.resident_steps, prior_steps=self.steps)
