"""One configuration of the search: images a second, energy, area."""

import hashlib
import json
import os
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from math import prod
from pathlib import Path

from skimp.config import Config
from skimp_sim.bench.verilator import cache_dir

__all__ = ["ENERGY", "Point", "evaluate"]

ENERGY = {"mac": 1.0, "spad": 0.5, "glb": 3.0, "dram": 100.0}
"""Relative energies: a MAC, a byte of a scratchpad, of a buffer, of DRAM (Eyeriss, ISCA'16, figure
"normalised energy cost", for 16-bit words: 1, 1, 6, 200). They order configurations; joules come
from the energy model."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """What the search knows of a configuration.

    Parameters
    ----------
    config : Config
    cycles : dict
        By network.
    energy : dict
        Per image, in MACs' worth, by network.
    area : dict
        lut, ff, dsp, bram36, uram.
    share : float
        Largest share of the budget that any of them takes; above 1 the board is too small.
    """

    config: Config
    cycles: dict[str, int]
    energy: dict[str, float]
    area: dict[str, float]
    share: float

    @property
    def images_per_second(self) -> float:
        """Geometric mean over the networks."""
        rates = [self.config.clock_mhz * 1e6 / n for n in self.cycles.values()]
        return prod(rates) ** (1 / len(rates)) if rates else 0.0

    @property
    def mean_energy(self) -> float:
        """Geometric mean over the networks."""
        values = list(self.energy.values())
        return prod(values) ** (1 / len(values)) if values else 0.0


def evaluate(config: Config, networks: tuple[str, ...]) -> dict:
    """Return cycles and energy of networks on a configuration; kept by the hash of the sources."""
    kept = cache_dir() / "explore" / f"{_digest(config, networks)}.json"
    if kept.is_file():
        return json.loads(kept.read_text())
    from skimp_sim.models import load_model
    from skimp_sim.perf.command import perf_report

    cycles, energy = {}, {}
    for name in networks:
        report = perf_report(load_model(name)[0], config)
        cycles[name] = report.cycles
        energy[name] = sum(_energy(layer, config) for layer in report.to_json()["layers"])
    result = {"cycles": cycles, "energy": energy}
    kept.parent.mkdir(parents=True, exist_ok=True)
    partial = kept.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps(result))
    os.replace(partial, kept)
    return result


def _energy(layer: dict, config: Config) -> float:
    dram = sum(layer["dram_read_bytes"].values()) + sum(layer["dram_write_bytes"].values())
    glb = sum(layer["glb_accesses"].values()) * config.word_bytes
    glb += sum(layer["act_accesses"][verb] for verb in ("read", "written")) * config.chip_bytes
    spad = layer["spad_accesses"]["wgt"] + 4 * layer["spad_accesses"]["psum"]
    return (
        ENERGY["mac"] * layer["macs"]
        + ENERGY["spad"] * spad
        + ENERGY["glb"] * glb
        + ENERGY["dram"] * dram
    )


def _digest(config: Config, networks: tuple[str, ...]) -> str:
    parts = [config.to_json().encode(), ",".join(networks).encode(), _sources()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:24]


@lru_cache
def _sources() -> bytes:
    """Hash of everything that cycles depend on."""
    digest = hashlib.sha256()
    for package in ("skimp", "skimp_compiler", "skimp_sim"):
        for path in sorted(Path(str(files(package))).rglob("*.py")):
            if "explore" not in path.parts:
                digest.update(path.read_bytes())
    return digest.digest()
