"""`make bench-energy`: where the energy goes, by network, level and type of data; rooflines.

Runs networks by the cycle model, with the zeros that the default picture makes, and multiplies what
they do by the energies of every technology and DRAM that skimp has tables of. Writes
docs/results/energy.json (other entries stay), docs/results/energy.md and charts per configuration.
"""

from dataclasses import asdict, replace
from pathlib import Path

from energy_results import write_energy
from keeping import RESULTS, arguments, keep, kept, progress_bar

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
from skimp_sim.models import load_model
from skimp_sim.perf.command import perf_report
from skimp_sim.roofline import Roofline

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


def main() -> None:
    presets, models = arguments(__doc__, configs=CONFIGS, models=NETWORKS)
    configs = [load_config(name) for name in presets]
    path = RESULTS / "energy.json"
    runs = kept(path).get("runs", {})
    with progress_bar() as progress:
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
                keep(path, runs=runs)
                progress.advance(task)
    write_energy(kept(path)["runs"], RESULTS)


if __name__ == "__main__":
    main()
