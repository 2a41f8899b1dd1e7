"""`make bench-energy`: where the energy goes, by network, level and type of data; rooflines.

Runs networks by the cycle model, with the zeros that the default picture makes, and multiplies what
they do by the energies of every technology and DRAM that skimp has tables of. Writes
docs/results/energy.json (other entries stay), docs/results/energy.md and charts per configuration.
"""

import argparse
import json
import os
from dataclasses import asdict, replace
from pathlib import Path

from energy_results import write_energy
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from skimp.config import Config
from skimp.configs import load_config
from skimp_compiler.graph import Graph
from skimp_compiler.zoo import BUILTIN, default_input
from skimp_sim.energy import EnergyModel, NetworkEnergy, load_technology
from skimp_sim.energy.command import DEFAULT_DRAM, DEFAULT_TECHNOLOGY, energy_model
from skimp_sim.energy.model import DATA, LEVELS
from skimp_sim.energy.reader import known
from skimp_sim.energy.summary import by_level
from skimp_sim.golden.network import run_graph
from skimp_sim.inputs import load_input
from skimp_sim.perf.command import perf_report
from skimp_sim.roofline import Roofline
from skimp_sim.run import load_model

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"

NETWORKS = ("mobilenet_v1", "mobilenet_v2", "resnet50", "efficientnet_lite0", "vgg16", "alexnet")

CONFIGS = ("zcu104", "small")


def measure(graph: Graph, config: Config, values: dict) -> dict:
    """Return what is kept of one network; `values` are the golden model's activations."""
    model = energy_model(True, DEFAULT_TECHNOLOGY, DEFAULT_DRAM)
    report = perf_report(graph, config, activations=values, energy=model)
    energy = report.energy
    gated = sum(use.gated for use in energy.uses.values())
    return {
        "macs": report.macs,
        "gated": gated,
        "cycles": report.cycles,
        "seconds": energy.seconds,
        "dram_bytes": report.dram_bytes,
        "energy_pj": {
            level: {data: round(energy.all[level, data]) for data in DATA} for level in LEVELS
        },
        "layers": [
            {"name": energy.uses[number].layer.name, "energy_pj": _rounded(by_level(found))}
            for number, found in energy.layers.items()
        ],
        "technologies": {name: _by_dram(energy, name) for name in known()},
        "roofline": asdict(Roofline.of(report)),
    }


def _rounded(parts: dict) -> dict[str, int]:
    return {key: round(pj) for key, pj in parts.items()}


def _by_dram(energy: NetworkEnergy, technology: str) -> dict[str, dict[str, int]]:
    """Energy by level with every DRAM, in another technology."""
    tables = load_technology(technology)
    model = EnergyModel(technology=tables, dram=energy.model.dram)
    found = replace(energy, model=model).sensitivity()
    return {name: _rounded(by_level(parts)) for name, parts in found.items()}


def keep(runs: dict, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps({"schema": 1, "runs": runs}, indent=1, sort_keys=True) + "\n")
    os.replace(partial, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", action="append", help="preset or file; may be repeated")
    parser.add_argument("models", nargs="*", help=f"networks; default: {', '.join(NETWORKS)}")
    options = parser.parse_args()
    configs = [load_config(name) for name in options.config or CONFIGS]
    models = options.models or NETWORKS
    kept = RESULTS / "energy.json"
    runs = json.loads(kept.read_text())["runs"] if kept.is_file() else {}
    progress = Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(), console=Console(stderr=True),
    )  # fmt: skip
    with progress:
        task = progress.add_task("", total=len(configs) * len(models))
        for model in models:
            graph, _ = load_model(model)
            name = Path(model).stem
            progress.update(task, description=f"{name}, golden model")
            picture = default_input(model) if model in BUILTIN else None
            values = run_graph(graph, load_input(graph, picture))
            for config in configs:
                progress.update(task, description=f"{name} on {config.name}")
                run = {"network": name, "config": config.name, "clock_mhz": config.clock_mhz}
                run["technology"], run["dram"] = DEFAULT_TECHNOLOGY, DEFAULT_DRAM
                runs[f"{name} {config.name}"] = {**run, **measure(graph, config, values)}
                keep(runs, kept)
                progress.advance(task)
    write_energy(runs, RESULTS)


if __name__ == "__main__":
    main()
