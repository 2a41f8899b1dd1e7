"""`make bench-toggles`: bits that change in the RTL, with and without gating of zeros; energy by RTL and by model.

Runs real networks on real pictures in the RTL, counting what every register and memory does, with
`gating` on and off, and a third time plain. Writes docs/results/toggles.json (other entries stay),
docs/results/toggles.md and a chart per configuration.
"""

import time
from dataclasses import replace
from pathlib import Path

from keeping import RESULTS, arguments, keep, kept, progress_bar
from toggles_results import write_toggles

from skimp.config import Config
from skimp.configs import load_config
from skimp_compiler.compiler import compile_graph
from skimp_compiler.graph import ModelError
from skimp_sim.energy import estimate
from skimp_sim.energy.command import DEFAULT_DRAM, DEFAULT_TECHNOLOGY, energy_model
from skimp_sim.energy.gated import gated_macs
from skimp_sim.energy.summary import by_level, toggles_of
from skimp_sim.executor import run_program
from skimp_sim.golden.network import run_graph
from skimp_sim.inputs import load_input
from skimp_sim.real_networks import input_of, real_networks
from skimp_sim.rtl_engine import RtlEngine
from skimp_sim.run import load_model

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
    model = energy_model(True, DEFAULT_TECHNOLOGY, DEFAULT_DRAM)
    found: dict = {"seconds": {}, "toggles": {}, "layers": {}}
    # Layer by layer, so that what is counted until a layer's end is that layer's.
    for gating in (True, False):
        one = replace(config, gating=gating)
        program = compile_graph(graph, one, fuse=False)
        result, _ = _run(graph, program, inputs, toggles=True)
        for number, counted in result.toggles.items():
            layer = program.layers[number]
            entry = found["layers"].setdefault(layer.name, {"macs": layer.macs})
            entry["unit"] = layer.unit
            entry["zeros"] = gated_macs(graph, layer, values) / max(1, layer.macs)
            key = "on" if gating else "off"
            entry[key] = {unit: n for (unit, kind), n in counted.items() if kind == "register"}
    program = compile_graph(graph, config)
    result, found["seconds"]["energy"] = _run(graph, program, inputs, toggles=True)
    _, found["seconds"]["plain"] = _run(graph, program, inputs, toggles=False)
    rtl = estimate(graph, program, model, values, result=result)
    found["toggles"] = toggles_of(rtl)
    found["cycles"] = sum(use.cycles for use in rtl.uses.values())
    found["energy_pj"] = {
        "rtl": by_level(rtl.all),
        "model": by_level(estimate(graph, program, model, values).all),
    }
    return found


def _run(graph, program, inputs, *, toggles: bool):
    """Return the result and the seconds that the RTL took, building not counted."""
    engine = RtlEngine(program, toggles=toggles)
    start = time.perf_counter()
    result = run_program(graph, program, inputs, engine=engine, keep=False)
    return result, time.perf_counter() - start


def main() -> None:
    presets, models = arguments(__doc__, configs=CONFIGS, models=NETWORKS)
    paths = {path.stem: path for path in real_networks()}
    missing = [name for name in models if name not in paths]
    if missing:
        raise ModelError(f"{missing[0]}: not in the folder of real networks (SKIMP_MODELS)")
    path = RESULTS / "toggles.json"
    runs = kept(path).get("runs", {})
    with progress_bar() as progress:
        task = progress.add_task("", total=len(presets) * len(models))
        for preset in presets:
            config = load_config(preset)
            for name in models:
                progress.update(task, description=f"{name} on {config.name}")
                run = {"network": name, "config": config.name}
                runs[f"{name} {config.name}"] = {**run, **measure(paths[name], config)}
                keep(path, runs=runs)
                progress.advance(task)
    write_toggles(kept(path)["runs"], RESULTS)


if __name__ == "__main__":
    main()
