"""`make bench-traffic`: what DRAM moves, beside the least that it could, and how rows stay open.

Compiles networks, counts the bytes of every layer from its commands, and runs the cycle model for
the hits of the DRAM's open rows: as programs lie in DRAM, and as if their tensors lay row by row;
the latter comparison also without the activation store, which keeps most maps off DRAM. Writes
docs/results/traffic.json (other entries stay), docs/results/traffic.md and a chart per
configuration.
"""

from dataclasses import asdict, replace
from pathlib import Path

from keeping import RESULTS, arguments, keep, kept, progress_bar
from traffic_results import write_traffic

from skimp.config import Config
from skimp.configs import load_config
from skimp_compiler.compiler import compile_graph
from skimp_compiler.graph import Graph
from skimp_compiler.program import Program
from skimp_sim.dram import Ddr4
from skimp_sim.models import load_model
from skimp_sim.perf import run_perf
from skimp_sim.rows import ACCESS_PJ, RowUse, play, row_major, row_use
from skimp_sim.rtl_engine import ddr4_of
from skimp_sim.traffic import KINDS, LayerTraffic, chip_words, traffic_of

NETWORKS = ("resnet50", "mobilenet_v1", "mobilenet_v2", "vgg16", "alexnet")


def measure(graph: Graph, config: Config) -> dict:
    """Return what is kept of one network."""
    program = compile_graph(graph, config)
    traffic = traffic_of(graph, program)
    return {
        "chip_words": chip_words(config),
        "crossing_bytes": traffic.crossing,
        "access": {
            **ACCESS_PJ,
            "beat": config.bus_bytes,
            "stripe": Ddr4(config.bus_bytes, ddr4_of(config)).stripe_bytes,
        },
        "layers": [_kept(one) for one in traffic.layers.values()],
        "units": [
            {**_kept(unit), "layers": [part.layer.name for part in unit.members]}
            for unit in traffic.units
        ],
        "rows": rows(graph, program),
        "rows_without_store": (
            rows(graph, compile_graph(graph, replace(config, act_depth=0)))
            if config.act_depth
            else None
        ),
    }


def rows(graph: Graph, program: Program) -> dict:
    """Return what open rows do for a program, and for its tensors row by row."""
    result = run_perf(program)
    config = program.config
    ours = row_use(config, result.dram, result.requests)
    return {
        "tiles": _row_use(ours),
        "row_major": _row_use(play(config, row_major(graph, program, result.requests))),
    }


def _row_use(use: RowUse) -> dict:
    return {**asdict(use), "energy_pj": {kind: round(pj) for kind, pj in use.energy_pj.items()}}


def _kept(one: LayerTraffic) -> dict:
    return {
        "name": one.layer.name,
        "moved_bytes": {kind: one.moved[kind] for kind in KINDS},
        "compulsory_bytes": one.compulsory_bytes,
        "bound_bytes": one.bound_bytes,
        "chip_compulsory_bytes": one.chip_bytes,
        "surplus_bytes": dict(one.surplus),
    }


def main() -> None:
    presets, models = arguments(__doc__, configs=("zcu104",), models=NETWORKS)
    configs = [load_config(name) for name in presets]
    path = RESULTS / "traffic.json"
    runs = kept(path).get("runs", {})
    with progress_bar() as progress:
        task = progress.add_task("", total=len(configs) * len(models))
        for config in configs:
            for model in models:
                graph, _ = load_model(model)
                name = Path(model).stem
                progress.update(task, description=f"{name} on {config.name}")
                run = {"network": name, "config": config.name, **measure(graph, config)}
                runs[f"{name} {config.name}"] = run
                keep(path, runs=runs)
                progress.advance(task)
    write_traffic(kept(path)["runs"], RESULTS)


if __name__ == "__main__":
    main()
