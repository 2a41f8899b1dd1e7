"""`skimp perf` as a function: compile, model, report."""

from skimp.config import Config
from skimp_compiler.compiler import compile_graph
from skimp_compiler.graph import Graph
from skimp_sim.energy import EnergyModel, estimate
from skimp_sim.energy.gated import fill_gated
from skimp_sim.perf.model import run_perf
from skimp_sim.report import LayerRow, Report
from skimp_sim.traffic import traffic_of

__all__ = ["perf_report"]


def perf_report(
    graph: Graph,
    config: Config,
    *,
    fuse: bool | None = None,
    compress: str = "off",
    activations: dict | None = None,
    resident: bool = False,
    energy: EnergyModel | None = None,
) -> Report:
    """Return what the cycle model says about a network; no answer.

    Parameters
    ----------
    graph : Graph
    config : Config
    fuse, compress, activations
        As `compile_graph` takes them; zeros of the activations are also what is gated.
    resident : bool
        The second of two images: weights and parameters are on the chip.
    energy : EnergyModel or None
        What actions cost; needs activations.
    """
    program = compile_graph(
        graph, config, fuse=fuse, compress=compress, activations=activations, resident=resident
    )
    if resident:
        program = program.resident
    result = run_perf(program)
    if activations is not None:
        fill_gated(graph, program, result.counts, activations)
    traffic = traffic_of(graph, program)
    rows = [
        LayerRow(
            layer=layer,
            traffic=traffic.layers.get(layer.layer_id),
            counters=result.counters.get(layer.layer_id, {}),
            counts=result.counts.get(layer.layer_id),
        )
        for layer in program.layers
    ]
    return Report(
        model=graph.name,
        engine="perf",
        config=config,
        rows=rows,
        output=[],
        bit_exact={"golden": None, "litert": None},
        crossing_bytes=sum(traffic.crossing.values()),
        wall_seconds=result.wall_seconds,
        energy=energy and estimate(graph, program, energy, activations, perf=result),
    )
