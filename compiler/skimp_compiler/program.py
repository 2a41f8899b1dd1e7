"""A compiled network: steps, commands, DRAM image and where every tensor lies.

Made by the compiler; taken by the functional model, the RTL driver and the reports.
"""

from dataclasses import dataclass, field

import numpy as np

from skimp.config import Config

__all__ = ["DeviceStep", "HostStep", "Layer", "Program", "TensorPlace", "pack", "unpack"]


@dataclass(frozen=True, kw_only=True)
class TensorPlace:
    """Where an activation lies in DRAM: channel blocks of `in_channels` bytes a pixel.

    Byte of (y, x, c): address + ((c // block * height + y) * width + x) * block + c % block.
    Channels beyond the tensor's last hold its zero point.

    Parameters
    ----------
    index : int
        Tensor number in the graph.
    address : int
        Bytes from the start of the image; a multiple of 64.
    height, width, channels : int
    block : int
        Channels of a block.
    perm : tuple of int
        Axes of the graph's tensor, as a permutation of (N, height, width, channels) padded with
        leading ones: graph_tensor = transpose(nhwc, perm).reshape(shape).
    shape : tuple of int
        Shape of the graph's tensor.
    zero_point : int
    """

    index: int
    address: int
    height: int
    width: int
    channels: int
    block: int
    shape: tuple[int, ...]
    zero_point: int
    perm: tuple[int, ...] = (0, 1, 2, 3)

    @property
    def num_blocks(self) -> int:
        return -(-self.channels // self.block)

    @property
    def size_bytes(self) -> int:
        return self.num_blocks * self.height * self.width * self.block


def pack(place: TensorPlace, values: np.ndarray) -> bytes:
    """Return the DRAM bytes of an int8 tensor given in the graph's shape."""
    nhwc = (1, place.height, place.width, place.channels)
    permuted = values.reshape(tuple(nhwc[axis] for axis in place.perm))
    hwc = permuted.transpose(np.argsort(place.perm))[0]
    padded = np.full(
        (place.height, place.width, place.num_blocks * place.block), place.zero_point, np.int8
    )
    padded[:, :, : place.channels] = hwc
    blocks = padded.reshape(place.height, place.width, place.num_blocks, place.block)
    return np.ascontiguousarray(blocks.transpose(2, 0, 1, 3)).tobytes()


def unpack(place: TensorPlace, data: bytes) -> np.ndarray:
    """Return the int8 tensor in the graph's shape from its DRAM bytes."""
    blocks = np.frombuffer(data, np.int8, place.size_bytes)
    blocks = blocks.reshape(place.num_blocks, place.height, place.width, place.block)
    hwc = blocks.transpose(1, 2, 0, 3).reshape(place.height, place.width, -1)
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


@dataclass(frozen=True, kw_only=True)
class DeviceStep:
    """Commands from `address` to an END command; `layers` are the layer_ids in order."""

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
    memory_map : list of tuple
        (address, bytes, what) of every region, sorted.
    """

    config: Config
    image: bytes
    dram_bytes: int
    tensors: dict[int, TensorPlace]
    steps: list
    layers: list[Layer]
    memory_map: list[tuple[int, int, str]] = field(default_factory=list)
