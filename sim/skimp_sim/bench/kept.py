"""Texts and files that take long to make, kept by the hash of what goes into them."""

import hashlib
import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import skimp
from skimp.gen import to_verilog
from skimp_sim.bench.verilator import cache_dir

__all__ = ["digest", "kept_verilog"]


def digest(*parts: str | bytes) -> str:
    """Return what stands for texts and bytes in the name of a file."""
    whole = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode()
        whole.update(len(data).to_bytes(8, "little") + data)
    return whole.hexdigest()[:20]


def kept_verilog(
    name: str, what: str, make: Callable, *, platform=None, packages: tuple = (skimp,)
) -> str:
    """Return the Verilog of a component, made anew where a source of it has changed.

    Elaboration takes longer than a small network's simulation.

    Parameters
    ----------
    name : str
        Of the top module.
    what : str
        Everything that `make` depends on beside our sources.
    make : callable
        Returns the component.
    platform : object
        Handed to `elaborate`.
    packages : tuple of modules
        Whose sources are ours.
    """
    folders = [Path(package.__file__).parent for package in packages]
    sources = sorted(path for folder in folders for path in folder.rglob("*.py"))
    parts = [path.read_bytes() for path in sources]
    key = digest(name, what, repr(platform), version("amaranth"), *parts)
    kept = cache_dir() / "verilog" / f"{name}-{key}.v"
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(f".{os.getpid()}")
        partial.write_text(to_verilog(make(), name=name, platform=platform))
        os.replace(partial, kept)
    return kept.read_text()
