"""`skimp run` as a function: compile, run on an engine, compare, report."""

import time
from pathlib import Path

from skimp.config import Config
from skimp_compiler.compiler import compile_graph
from skimp_compiler.graph import Graph
from skimp_sim.energy import EnergyModel, estimate
from skimp_sim.executor import FunctionalEngine, RunResult, check, run_program
from skimp_sim.golden.network import run_graph
from skimp_sim.litert import run_litert
from skimp_sim.report import Report

__all__ = ["ENGINES", "run_model"]

ENGINES = ("rtl", "functional", "golden")


def run_model(
    graph: Graph,
    path: Path,
    inputs: list,
    config: Config,
    *,
    engine: str,
    checked: bool,
    fuse: bool | None = None,
    compress: str = "off",
    resident: bool = False,
    energy: EnergyModel | None = None,
    waves=None,
    names=None,
    on_start=None,
    on_layer=None,
    on_poll=None,
) -> Report:
    """Compile and run a network; return what happened.

    Parameters
    ----------
    graph : Graph
    path : Path
        Its file, for LiteRT.
    inputs : list of np.ndarray
    config : Config
    engine : str
        One of ENGINES.
    checked : bool
        Compare every layer with the golden model and LiteRT's reference kernels.
    fuse, compress
        As `compile_graph` takes them; codes are chosen by these inputs.
    resident : bool
        Report the second of two images: weights and parameters are on the chip.
    energy : EnergyModel or None
        What actions cost; the cycle model gives what the engine does not count.
    waves : path or None
    names : list of str or None
        Class names.
    on_start : callable or None
        Called with the program once the engine is ready to run.
    on_layer, on_poll : callable or None
        Called with a finished layer_id; with the clocks so far.
    """
    needed = checked or engine == "golden" or compress != "off" or energy is not None
    golden = run_graph(graph, inputs) if needed else None
    program = compile_graph(
        graph, config, fuse=fuse, compress=compress, activations=golden, resident=resident
    )
    if engine == "golden":
        start = time.perf_counter()
        result = RunResult(values=golden)
    else:
        if engine == "rtl":
            from skimp_sim.rtl_engine import RtlEngine

            toggles = energy is not None
            device = RtlEngine(program, waves=waves, on_poll=on_poll, toggles=toggles)
        else:
            device = FunctionalEngine(program)
        if resident:
            run_program(graph, program, inputs, engine=device, keep=False, more=True)
            program = device.program = program.resident
        if on_start is not None:
            on_start(program)
        start = time.perf_counter()
        result = run_program(graph, program, inputs, engine=device, on_layer=on_layer)
    wall_seconds = time.perf_counter() - start
    verdicts = {"golden": None, "litert": None}
    if checked:
        verdicts["golden"] = check(program, result.values, golden)
        verdicts["litert"] = check(program, result.values, run_litert(path, inputs))
    return Report.of(
        graph,
        program,
        result,
        engine=engine,
        labels=names,
        wall_seconds=wall_seconds,
        energy=energy and estimate(graph, program, energy, golden, result=result),
        **verdicts,
    )
