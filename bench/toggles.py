"""`make bench-toggles`: bits that change in the RTL, with and without gating of zeros; energy by RTL and by model.

Runs real networks on real pictures in the RTL, counting what every register and memory does, with
`gating` on and off, and a third time plain; and each of their layers by itself. Writes
docs/results/toggles.json (other entries stay), docs/results/toggles.md and a chart per
configuration.
"""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from keeping import RESULTS, arguments, keep, kept, progress_bar
from toggles_results import write_toggles

from skimp.config import Config
from skimp.configs import load_config
from skimp_compiler.compiler import compile_graph
from skimp_compiler.graph import WEIGHTED, Graph, Op
from skimp_sim.energy import estimate
from skimp_sim.energy.command import DEFAULT_DRAM, DEFAULT_TECHNOLOGY, energy_model
from skimp_sim.energy.gated import gated_macs
from skimp_sim.energy.summary import by_level, toggles_of
from skimp_sim.executor import RunResult, run_program
from skimp_sim.golden.network import run_graph
from skimp_sim.inputs import load_input
from skimp_sim.models import load_model
from skimp_sim.real_networks import input_of, real_networks
from skimp_sim.rtl_engine import RtlEngine
from skimp_sim.toggles.totals import changed_bits, over_layers

CONFIGS = ("small",)

NETWORKS = (
    "kws_ref_model", "resnet8_cifar10_int8", "vww_96_int8", "mcunet_vww",
    "mobilenetv2_160_035_int8",
)  # fmt: skip


def measure(path: Path, config: Config) -> dict:
    """Return what is kept of one network."""
    graph, _ = load_model(str(path))
    inputs = load_input(graph, input_of(path))
    values = run_graph(graph, inputs)
    layers = {}
    for op in graph.ops:
        if op.kind in WEIGHTED:
            layers[graph.op_name(op)] = _alone(graph, op, values, config)
    program = compile_graph(graph, config)
    _, plain = _run(graph, program, inputs, toggles=False)
    result, seconds = _run(graph, program, inputs, toggles=True)
    ungated = compile_graph(graph, replace(config, gating=False))
    off, _ = _run(graph, ungated, inputs, toggles=True)
    model = energy_model(True, DEFAULT_TECHNOLOGY, DEFAULT_DRAM)
    rtl = estimate(graph, program, model, values, result=result)
    predicted = estimate(graph, program, model, values)
    return {
        "layers": layers,
        "toggles": toggles_of(rtl),
        "ungated": changed_bits(over_layers(off.toggles)),
        "cycles": sum(use.cycles for use in rtl.uses.values()),
        "seconds": {"plain": plain, "energy": seconds},
        "energy_pj": {"rtl": by_level(rtl.all), "model": by_level(predicted.all)},
    }


def _alone(graph: Graph, op: Op, values: dict, config: Config) -> dict:
    """Return what one layer toggles, run by itself on the network's values, gating on and off.

    In a network, layers run side by side.
    """
    source, result = op.inputs[0], op.outputs[0]
    alone = replace(graph, ops=[replace(op, index=0)], inputs=(source,), outputs=(result,))
    found: dict = {}
    for key, gating in (("on", True), ("off", False)):
        program = compile_graph(alone, replace(config, gating=gating))
        layer = program.layers[0]
        if layer.unit == "host":
            return {"unit": "host"}
        run, _ = _run(alone, program, [values[source]], toggles=True)
        assert np.array_equal(run.values[result], values[result]), graph.op_name(op)
        found |= {
            "unit": layer.unit,
            "macs": layer.macs,
            key: changed_bits(over_layers(run.toggles)),
        }
        found["zeros"] = gated_macs(alone, layer, values) / layer.macs
    return found


def _run(graph, program, inputs, *, toggles: bool) -> tuple[RunResult, float]:
    """Return the result and the seconds that the RTL took, building not counted."""
    engine = RtlEngine(program, toggles=toggles)
    start = time.perf_counter()
    result = run_program(graph, program, inputs, engine=engine, keep=False)
    return result, time.perf_counter() - start


def main() -> None:
    presets, models = arguments(__doc__, configs=CONFIGS, models=NETWORKS)
    there = {path.stem: path for path in real_networks()}
    paths = {Path(name).stem: there.get(name, Path(name)) for name in models}
    path = RESULTS / "toggles.json"
    runs = kept(path).get("runs", {})
    with progress_bar() as progress:
        task = progress.add_task("", total=len(presets) * len(paths))
        for preset in presets:
            config = load_config(preset)
            for name, network in paths.items():
                progress.update(task, description=f"{name} on {config.name}")
                run = {"network": name, "config": config.name}
                runs[f"{name} {config.name}"] = {**run, **measure(network, config)}
                keep(path, runs=runs)
                progress.advance(task)
    write_toggles(kept(path)["runs"], RESULTS)


if __name__ == "__main__":
    main()
