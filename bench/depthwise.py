"""`make bench-depthwise`: depthwise layers beside the array, after it, and on it.

Runs networks by the cycle model in three ways: depthwise layers and their neighbours side by side
("fused"); layer by layer ("unfused"); and without the depthwise unit, its layers on the array as
convolutions with zeros between ("array"), which is what a first-generation design did. Writes
docs/results/depthwise.json (other entries stay), docs/results/depthwise.md and a chart per
configuration.
"""

from collections import Counter
from pathlib import Path

from depthwise_results import write_depthwise
from keeping import RESULTS, arguments, keep, kept, progress_bar

from skimp.config import Config
from skimp.configs import load_config
from skimp.isa import COMMAND_BYTES
from skimp_compiler.compiler import compile_graph
from skimp_compiler.graph import Graph
from skimp_compiler.program import Program
from skimp_sim.models import load_model
from skimp_sim.perf import run_perf
from skimp_sim.traffic import activations_read, crossing, transfers

NETWORKS = ("mobilenet_v1", "mobilenet_v2", "efficientnet_lite0")

WAYS = {"fused": {}, "unfused": {"fuse": False}, "array": {"depthwise": "array"}}
"""What `compile_graph` is asked for."""

COUNTED = ("cycles", "array", "depthwise", "beside")
"""Counters that are kept: all clocks; the array works; only the depthwise unit does; both do."""


def roles(graph: Graph, program: Program) -> dict[int, str]:
    """Return what each activation in DRAM is that the hardware reads or writes: role by address.

    "input" and "output": made or taken by the host; "depthwise inputs" (expanded maps) and
    "depthwise outputs": those that need not leave the chip; "other maps".
    """
    device = [layer for layer in program.layers if layer.unit not in ("host", "none")]
    depthwise = {layer.layer_id for layer in device if layer.op == "depthwise"}
    made, read, dw_read, dw_made = set(), set(), set(), set()
    for layer in device:
        reads = set(activations_read(graph, layer))
        read |= reads
        made.add(layer.output)
        if layer.layer_id in depthwise:
            dw_read |= reads
        if layer.layer_id in depthwise or layer.fused_with in depthwise:
            dw_made.add(layer.output)
    at: dict[int, set[int]] = {}
    for index, place in program.tensors.items():
        if not place.on_chip:
            at.setdefault(place.address, set()).add(index)
    found = {}
    for address, indices in at.items():
        if not indices & made:
            if indices & read:
                found[address] = "input"
        elif indices & dw_made:
            found[address] = "depthwise outputs"
        elif indices & dw_read:
            found[address] = "depthwise inputs"
        else:
            found[address] = "other maps" if indices & read else "output"
    return found


def traffic(graph: Graph, program: Program) -> dict[str, dict[str, int]]:
    """Return bytes "read" from and "written" to DRAM by kind, counted from the commands.

    Activations are found by the addresses of the commands that load and store them.
    """
    role_at = roles(graph, program)
    found = {"read": Counter(), "written": Counter()}
    for transfer in transfers(graph, program):
        found["read"]["commands"] += COMMAND_BYTES
        if transfer.kind:
            kind = transfer.kind
            if transfer.tensor is not None:
                kind = role_at[program.tensors[transfer.tensor].address]
            found["written" if transfer.is_write else "read"][kind] += transfer.size_bytes
    return {way: dict(sorted(kinds.items())) for way, kinds in found.items()}


def once(graph: Graph, program: Program) -> dict[str, int]:
    """Return the bytes that DRAM moves at the least: each weight, input and output value once."""
    needed = crossing(graph, program)
    return {kind: needed[kind] for kind in ("weights", "input", "output")}


def measure(graph: Graph, config: Config, way: str) -> dict:
    """Return what is kept of one network, compiled in one of the WAYS."""
    program = compile_graph(graph, config, **WAYS[way])
    result = run_perf(program)
    sums = Counter()
    for counters in result.counters.values():
        sums.update(counters)
    macs = sum(layer.macs for layer in program.layers if layer.unit != "host")
    moved, least = traffic(graph, program), once(graph, program)
    return {
        **{name: sums[name] for name in COUNTED},
        "macs": macs,
        "utilisation": macs / (config.macs_per_cycle * result.cycles),
        "fps": config.clock_mhz * 1e6 / result.cycles,
        "bus_bytes": {
            "read": sums["read_beats"] * config.bus_bytes,
            "written": sums["write_beats"] * config.bus_bytes,
        },
        "dram_bytes": moved,
        "dram_bytes_once": least,
    }


def main() -> None:
    presets, models = arguments(__doc__, configs=("zcu104",), models=NETWORKS)
    configs = [load_config(name) for name in presets]
    path = RESULTS / "depthwise.json"
    runs = kept(path).get("runs", {})
    with progress_bar() as progress:
        task = progress.add_task("", total=len(configs) * len(models) * len(WAYS))
        for config in configs:
            for model in models:
                graph, _ = load_model(model)
                name = Path(model).stem
                run = {"network": name, "config": config.name, "clock_mhz": config.clock_mhz}
                run["ways"] = {}
                for way in WAYS:
                    progress.update(task, description=f"{name} on {config.name}, {way}")
                    run["ways"][way] = measure(graph, config, way)
                    progress.advance(task)
                runs[f"{name} {config.name}"] = run
                keep(path, runs=runs)
    write_depthwise(kept(path)["runs"], RESULTS)


if __name__ == "__main__":
    main()
