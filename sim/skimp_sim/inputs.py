"""Inputs for a network: pictures, arrays, raw files, or seeded noise."""

from pathlib import Path

import numpy as np
from PIL import Image

from skimp_compiler.graph import Graph, ModelError, Tensor

__all__ = ["IMAGE_SUFFIXES", "load_input", "random_input"]

IMAGE_SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".tif"))


def load_input(graph: Graph, path: str | Path | None, *, seed: int = 0) -> list[np.ndarray]:
    """Return the inputs of a network in its tensors' own types.

    Parameters
    ----------
    graph : Graph
    path : path or None
        A picture, a .npy of the tensor's shape, a .bin of raw values (the first ones that fit are
        taken); None for seeded noise.
    seed : int

    Raises
    ------
    ModelError
        The file is not what the network's input needs.
    """
    if path is None:
        rng = np.random.default_rng(seed)
        return [random_input(graph.tensors[index], rng) for index in graph.inputs]
    if len(graph.inputs) != 1:
        raise ModelError(f"{graph.name} has {len(graph.inputs)} inputs: leave --input out")
    path, tensor = Path(path), graph.tensors[graph.inputs[0]]
    if not path.is_file():
        raise ModelError(f"{path}: no such input file")
    suffix = path.suffix.lower()
    if suffix == ".npy":
        values = _from_npy(path, tensor)
    elif suffix == ".bin":
        values = _from_raw(path, tensor)
    else:
        return [_from_picture(path, tensor)]
    if np.issubdtype(values.dtype, np.floating):
        if not np.isfinite(values).all():
            raise ModelError(f"{path}: has values that are not finite")
        values = _from_real(values, tensor)
    return [values]


def random_input(tensor: Tensor, rng: np.random.Generator) -> np.ndarray:
    """Return noise over the whole range of a tensor's type; [-1, 1) where it is real."""
    if tensor.dtype == np.float32:
        return rng.uniform(-1, 1, tensor.shape).astype(np.float32)
    info = np.iinfo(tensor.dtype)
    return rng.integers(info.min, info.max + 1, tensor.shape).astype(tensor.dtype)


def _from_npy(path: Path, tensor: Tensor) -> np.ndarray:
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ModelError(f"{path}: not a .npy array; write it with numpy.save") from error
    if not isinstance(values, np.ndarray):
        raise ModelError(f"{path}: an archive, not one array; write it with numpy.save")
    # Axes of 1 may be left out, others not moved: a CHW array is no HWC picture.
    if _without_ones(values.shape) != _without_ones(tensor.shape):
        raise ModelError(f"{path}: shape {values.shape}, but the input is {tensor.shape}")
    if values.dtype == tensor.dtype:
        return values.reshape(tensor.shape)
    if np.issubdtype(values.dtype, np.floating):
        return values.reshape(tensor.shape)
    raise ModelError(f"{path}: {values.dtype} values, but the input is {tensor.dtype}")


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n for n in shape if n != 1)


def _from_raw(path: Path, tensor: Tensor) -> np.ndarray:
    """Raw float32 where at least that many bytes are there, else the tensor's own type."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error
    count = int(np.prod(tensor.shape))
    if len(data) >= 4 * count and len(data) % 4 == 0:
        return np.frombuffer(data, "<f4", count).reshape(tensor.shape)
    if len(data) == count * tensor.dtype.itemsize:
        return np.frombuffer(data, tensor.dtype).reshape(tensor.shape)
    raise ModelError(
        f"{path}: {len(data)} bytes; the input takes {count} values of float32 or {tensor.dtype}"
    )


def _from_real(values: np.ndarray, tensor: Tensor) -> np.ndarray:
    if tensor.dtype == np.float32:
        return values.astype(np.float32)
    info = np.iinfo(tensor.dtype)
    stored = np.rint(values / tensor.scale) + tensor.zero_point
    return np.clip(stored, info.min, info.max).astype(tensor.dtype)


def _from_picture(path: Path, tensor: Tensor) -> np.ndarray:
    """Centred square (or the input's shape) of a picture, pixels mapped to the input's range."""
    shape = tensor.shape
    if len(shape) != 4 or shape[3] not in (1, 3):
        raise ModelError(f"{path}: the input {shape} is no picture; give a .npy or a .bin")
    try:
        with Image.open(path) as file:
            picture = file.convert("RGB" if shape[3] == 3 else "L")
    except Exception as error:  # decoders of damaged pictures raise whatever they meet
        raise ModelError(f"{path}: not a picture that can be read (.png, .jpg, .bmp)") from error
    _, height, width, channels = shape
    side = min(picture.width / width, picture.height / height)
    left = (picture.width - side * width) / 2
    top = (picture.height - side * height) / 2
    box = (left, top, left + side * width, top + side * height)
    resized = picture.resize((width, height), Image.Resampling.BICUBIC, box=box)
    pixels = np.asarray(resized).reshape(1, height, width, channels)
    if tensor.dtype == np.uint8:
        return pixels
    if tensor.dtype == np.float32:
        return (pixels.astype(np.float32) / np.float32(127.5) - 1).astype(np.float32)
    # An int8 input that spans 256 pixel values (scale 1/255, 1/128, 1, ...) stores pixel - 128.
    return (pixels.astype(np.int16) - 128).astype(np.int8)
