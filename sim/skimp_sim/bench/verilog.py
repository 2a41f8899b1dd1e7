"""The Verilog of a component on a bench."""

import hashlib
import os
from importlib.metadata import version
from pathlib import Path
from weakref import WeakKeyDictionary

import skimp
from skimp.config import Config
from skimp.gen import to_verilog
from skimp_sim.bench.verilator import cache_dir

__all__ = ["kept_verilog", "verilog_of"]

_kept = WeakKeyDictionary()


def verilog_of(component, *, name: str, platform=None) -> str:
    """Return the Verilog of a component, as `to_verilog`, made once for each component.

    Making it often takes longer than all that a test does with it: hand the same component to as
    many runs as there are.
    """
    texts = _kept.setdefault(component, {})
    key = name, platform
    if key not in texts:
        texts[key] = to_verilog(component, name=name, platform=platform)
    return texts[key]


def kept_verilog(make, config: Config, *, name: str, sources: tuple[Path, ...] = ()) -> str:
    """Return the Verilog of a whole design, kept by the hash of its sources.

    Elaboration takes longer than a small network's simulation.

    Parameters
    ----------
    make : callable
        Returns the component of a configuration.
    config : Config
    name : str
        Of the top module.
    sources : tuple of Path
        What it is made from, besides the package `skimp`.
    """
    sources = (*sorted(Path(skimp.__file__).parent.rglob("*.py")), *sources)
    parts = [source.read_bytes() for source in sources]
    parts += [config.to_json().encode(), version("amaranth").encode()]
    digest = hashlib.sha256(b"\0".join(parts)).hexdigest()[:20]
    kept = cache_dir() / "verilog" / f"{name}-{config.name}-{digest}.v"
    if not kept.is_file():
        text = to_verilog(make(config), name=name)
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(f".{os.getpid()}")
        partial.write_text(text)
        os.replace(partial, kept)
    return kept.read_text()
