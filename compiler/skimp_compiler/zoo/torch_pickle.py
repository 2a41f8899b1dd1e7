"""Reads the tensors of a legacy PyTorch checkpoint (.pth) without PyTorch and without trusting it.

A legacy checkpoint is five pickles (magic number, protocol version, machine facts, the object,
the list of storage keys) followed by the raw storages, each a little-endian int64 element count
and its elements. The object refers to storages by persistent ids. The unpickler here resolves
four names and nothing else, so that a pickle cannot call anything.
"""

import pickle
import struct
from collections import OrderedDict
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np

from skimp_compiler.graph import ModelError

__all__ = ["load_state_dict"]

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_STORAGES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


@dataclass(frozen=True)
class _StorageType:
    """Stands for a torch storage class: only its element type matters."""

    dtype: str


@dataclass(frozen=True)
class _TensorRef:
    """A tensor whose storage has not been read yet."""

    key: str
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def _rebuild_tensor(storage, offset, shape, stride, *_unused) -> _TensorRef:
    return _TensorRef(storage, offset, shape, stride)


class _Unpickler(pickle.Unpickler):
    """Resolves an ordered dict, two storage types and the tensor constructor; refuses the rest."""

    def __init__(self, file: BinaryIO):
        super().__init__(file, encoding="utf-8")
        self.storages: dict[str, tuple[str, int]] = {}

    def find_class(self, module: str, name: str):
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in _STORAGES:
            return _StorageType(_STORAGES[name])
        raise pickle.UnpicklingError(f"`{module}.{name}` is not allowed in a checkpoint")

    def persistent_load(self, pid):
        kind, storage_type, key, _device, count, view = pid
        if kind != "storage" or not isinstance(storage_type, _StorageType) or view is not None:
            raise pickle.UnpicklingError("unknown persistent id")
        self.storages[key] = (storage_type.dtype, count)
        return key


def _read_storages(file: BinaryIO, keys, declared) -> dict[str, np.ndarray]:
    storages = {}
    for key in keys:
        dtype, count = declared[key]
        if struct.unpack("<q", file.read(8))[0] != count:
            raise pickle.UnpicklingError(f"storage {key} has another size than declared")
        data = file.read(count * np.dtype(dtype).itemsize)
        storages[key] = np.frombuffer(data, dtype=dtype, count=count)
    return storages


def _resolve(ref: _TensorRef, storages: dict[str, np.ndarray]) -> np.ndarray:
    """Cut a tensor out of its storage: a contiguous one, or such a one with its axes permuted.

    No strided view is made, so the bounds come from the slice.
    """
    order = sorted(range(len(ref.shape)), key=lambda axis: (-ref.stride[axis], axis))
    sizes = [ref.shape[axis] for axis in order]
    for position, axis in enumerate(order):
        if ref.shape[axis] != 1 and ref.stride[axis] != prod(sizes[position + 1 :]):
            raise pickle.UnpicklingError("a tensor is not contiguous")
    if ref.offset < 0 or min(sizes, default=1) < 1:
        raise pickle.UnpicklingError("a tensor has an impossible size or offset")
    flat = storages[ref.key][ref.offset : ref.offset + prod(sizes)]
    return np.ascontiguousarray(flat.reshape(sizes).transpose(np.argsort(order)))


def load_state_dict(path: Path) -> dict[str, np.ndarray]:
    """Return the tensors of a legacy .pth that holds one flat dict of tensors.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict of str to np.ndarray
        float32 and int64 arrays in the checkpoint's order.

    Raises
    ------
    ModelError
        Not such a file, or one that asks for anything but tensors.
    """
    try:
        with Path(path).open("rb") as file:
            if _Unpickler(file).load() != _MAGIC or _Unpickler(file).load() != _PROTOCOL:
                raise pickle.UnpicklingError("not a legacy PyTorch checkpoint")
            _Unpickler(file).load()
            unpickler = _Unpickler(file)
            state = unpickler.load()
            keys = _Unpickler(file).load()
            storages = _read_storages(file, keys, unpickler.storages)
        return {str(name): _resolve(ref, storages) for name, ref in state.items()}
    except (pickle.UnpicklingError, EOFError, struct.error) as error:
        raise ModelError(f"{path}: {error}; expected a legacy PyTorch .pth of tensors") from error
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: damaged PyTorch checkpoint ({error!r})") from error
