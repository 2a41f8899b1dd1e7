"""Runs a compiled network: device steps on an engine, host steps in the golden model's code."""

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from skimp.isa import CHIP_BASE
from skimp_compiler.graph import Graph
from skimp_compiler.program import DeviceStep, Program, pack, unpack
from skimp_sim.functional import FunctionalModel, LayerCounts
from skimp_sim.golden.network import run_op
from skimp_sim.rlc.units import plain_bytes

__all__ = ["FunctionalEngine", "RunResult", "check", "run_program"]


@dataclass(kw_only=True)
class RunResult:
    """Outcome of a run.

    Parameters
    ----------
    values : dict
        Every activation that exists, by tensor number.
    counts : dict
        LayerCounts by layer_id; macs_gated from the functional engine alone.
    counters : dict
        Hardware counters by layer_id (RTL engine).
    unit_beats : dict
        Beats that each unit of coded activations took, by its address (functional engine).
    toggles : dict
        What registers and memories did, by layer_id (RTL engine, where it was asked to count).
    """

    values: dict[int, np.ndarray]
    unit_beats: dict[int, int] = field(default_factory=dict)
    counts: dict[int, LayerCounts] = field(default_factory=dict)
    counters: dict[int, dict[str, int]] = field(default_factory=dict)
    toggles: dict[int, Counter] = field(default_factory=dict)


class FunctionalEngine:
    """Device steps on the functional model; `dram` and `chip` are its memories.

    Parameters
    ----------
    program : Program
    """

    def __init__(self, program: Program):
        self.program = program
        self.dram = np.zeros(-(-program.dram_bytes // 64) * 64, np.uint8)
        self._model = FunctionalModel(program.config, self.dram)
        self.chip = self._model.chip
        self.counts = self._model.layers
        self.counters: dict[int, dict[str, int]] = {}
        self.toggles: dict[int, Counter] = {}
        self.unit_beats = self._model.unit_beats

    def run(self, step: DeviceStep, on_layer) -> None:
        self._model.run(step.address, on_layer)

    def close(self) -> None:
        """Nothing to give back."""


def run_program(
    graph: Graph, program: Program, inputs, *, engine=None, on_layer=None, keep=True, more=False
) -> RunResult:
    """Run a program on inputs.

    Parameters
    ----------
    graph : Graph
    program : Program
    inputs : list of np.ndarray
        In the order of graph.inputs.
    engine : object or None
        Has `dram` and `chip` (uint8 arrays), `run(step, on_layer)`, `counts`, `counters`,
        `toggles`, `unit_beats`, `close`;
        None: the functional model. `on_layer` comes while the layer's output is still there.
    on_layer : callable or None
        Called with each layer_id that ends.
    keep : bool
        Keep the outputs of all layers, not only the network's.
    more : bool
        The engine goes on to another image: leave it open.
    """
    engine = FunctionalEngine(program) if engine is None else engine
    dram = engine.dram
    dram[: len(program.image)] = np.frombuffer(program.image, np.uint8)
    values: dict[int, np.ndarray] = {}

    def store(index, value):
        values[index] = value
        place = program.tensors.get(index)
        if place is not None:
            dram[place.address : place.address + place.size_bytes] = np.frombuffer(
                pack(place, value), np.uint8
            )

    def fetch(index):
        place = program.tensors.get(index)
        if place is not None and index not in values:
            memory = engine.chip if place.on_chip else dram
            start = place.address % CHIP_BASE
            if place.coding is None:
                data = memory[start : start + place.size_bytes].tobytes()
            else:
                data = plain_bytes(place, memory)
            values[index] = unpack(replace(place, coding=None), data)
        return values[index]

    def layer_done(layer_id):
        layer = program.layers[layer_id]
        if keep and layer.unit != "host" and layer.output in program.tensors:
            fetch(layer.output)
        if on_layer is not None:
            on_layer(layer_id)

    try:
        for index, value in zip(graph.inputs, inputs):
            store(index, value)
        for step in program.steps:
            if isinstance(step, DeviceStep):
                engine.run(step, layer_done)
                continue
            op = graph.ops[step.op_index]
            wanted = [i for i in op.inputs if i >= 0 and graph.tensors[i].data is None]
            for index in wanted:
                if index not in values and index not in program.tensors:
                    _materialise(graph, program, index, fetch, values)
            operands = {index: fetch(index) for index in wanted}
            for index, value in zip(op.outputs, run_op(graph, op, operands)):
                store(index, value)
            if on_layer is not None:
                on_layer(step.layer)
        for index in graph.outputs:
            if index not in values:
                _materialise(graph, program, index, fetch, values)
        return RunResult(
            values=values,
            counts=dict(engine.counts),
            counters=dict(engine.counters),
            toggles=dict(engine.toggles),
            unit_beats=dict(engine.unit_beats),
        )
    finally:
        if not more:
            engine.close()


def _materialise(graph: Graph, program: Program, index: int, fetch, values) -> None:
    """Compute a view that no place was reserved for, from its source."""
    if index in program.tensors:
        fetch(index)
        return
    op = graph.producer(index)
    source = op.inputs[0]
    if source not in values:
        _materialise(graph, program, source, fetch, values)
    values[index] = run_op(graph, op, {source: values[source]})[0]


def check(program: Program, values: dict, reference: dict) -> dict[int, bool | None]:
    """Return, per layer_id, whether its output equals the reference (None: no output of its own)."""
    verdict = {}
    for layer in program.layers:
        if layer.output not in values or layer.output not in reference:
            verdict[layer.layer_id] = None
        else:
            verdict[layer.layer_id] = bool(
                np.array_equal(values[layer.output], reference[layer.output])
            )
    return verdict
