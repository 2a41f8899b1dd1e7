"""What a run says: the per-layer table, the JSON of `skimp run`, the answer."""

import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from skimp.config import Config
from skimp_compiler.graph import Graph, ModelError
from skimp_compiler.program import Layer, Program
from skimp_sim.executor import RunResult
from skimp_sim.traffic import KINDS, LayerTraffic, traffic_of

if TYPE_CHECKING:
    from skimp_sim.energy.model import NetworkEnergy

__all__ = ["LayerRow", "Report", "check_writable", "top_answers", "write_text"]


@dataclass(kw_only=True)
class LayerRow:
    """One layer: what it is, what it cost, whether it is exact.

    `traffic` is None for layers without commands.
    """

    layer: Layer
    traffic: LayerTraffic | None = None
    counters: dict[str, int] = field(default_factory=dict)
    counts: object = None
    golden: bool | None = None
    litert: bool | None = None
    zero_fraction: float = 0.0

    @property
    def cycles(self) -> int:
        return self.counters.get("cycles", 0)

    @property
    def macs_gated(self) -> int:
        """Counted by time but where the cycle model has them from values."""
        return self.counters.get("macs_gated", getattr(self.counts, "macs_gated", 0))

    @property
    def dram_bytes(self) -> int:
        """Bytes moved while the layer ran, for whichever layer."""
        if self.counts is None:
            return 0
        return sum((*self.counts.dram_read_bytes.values(), *self.counts.dram_write_bytes.values()))


@dataclass(kw_only=True)
class Report:
    """A finished run.

    Parameters
    ----------
    model : str
    engine : str
    config : Config
    rows : list of LayerRow
    output : list
        Best answers: (class, score, name).
    bit_exact : dict
        "golden", "litert" -> bool or None (not checked).
    crossing_bytes : int
        What has to cross the pins of DRAM whatever the schedule (`skimp_sim.traffic`).
    wall_seconds : float
    energy : NetworkEnergy or None
    """

    model: str
    engine: str
    config: Config
    rows: list[LayerRow]
    output: list
    bit_exact: dict
    crossing_bytes: int
    wall_seconds: float
    energy: "NetworkEnergy | None" = None

    @classmethod
    def of(
        cls,
        graph: Graph,
        program: Program,
        result: RunResult,
        *,
        engine,
        golden,
        litert,
        labels,
        wall_seconds,
        energy=None,
    ) -> "Report":
        """Put together what a run left.

        Parameters
        ----------
        golden, litert : dict or None
            Verdict by layer_id.
        labels : list of str or None
        energy : NetworkEnergy or None
        """
        traffic = traffic_of(graph, program)
        rows = []
        for layer in program.layers:
            number = layer.layer_id
            source = graph.ops[layer.op_indices[-1]].inputs[0]
            rows.append(
                LayerRow(
                    layer=layer,
                    traffic=traffic.layers.get(number),
                    counters=result.counters.get(number, {}),
                    counts=result.counts.get(number),
                    golden=(golden or {}).get(number),
                    litert=(litert or {}).get(number),
                    zero_fraction=_zero_fraction(graph, result.values, source),
                )
            )
        exact = {
            name: None if verdict is None else all(v is not False for v in verdict.values())
            for name, verdict in (("golden", golden), ("litert", litert))
        }
        output = top_answers(graph, result.values[graph.outputs[0]], labels)
        return cls(
            model=graph.name,
            engine=engine,
            config=program.config,
            rows=rows,
            output=output,
            bit_exact=exact,
            crossing_bytes=sum(traffic.crossing.values()),
            wall_seconds=wall_seconds,
            energy=energy,
        )

    @property
    def cycles(self) -> int:
        return sum(row.cycles for row in self.rows)

    @property
    def macs(self) -> int:
        return sum(row.layer.macs for row in self.rows)

    @property
    def utilisation(self) -> float:
        peak = self.config.macs_per_cycle
        return self.macs / (peak * self.cycles) if self.cycles else 0.0

    @property
    def dram_bytes(self) -> int:
        return sum(row.dram_bytes for row in self.rows)

    @property
    def exact(self) -> bool:
        return all(value is not False for value in self.bit_exact.values())

    def to_json(self) -> dict:
        """Return the JSON of `skimp run` (schema 1)."""
        config = self.config
        names = {row.layer.layer_id: row.layer.name for row in self.rows}
        layers = [_layer_json(row, config, names) for row in self.rows]
        fps = config.clock_mhz * 1e6 / self.cycles if self.cycles else 0.0
        energy = {}
        if self.energy is not None:
            # Asks the hardware for its clocks; a board's own processor has no Amaranth.
            from skimp_sim.energy.summary import layer_json, network_json

            energy = {"energy": network_json(self.energy)}
            for row, layer in zip(self.rows, layers):
                layer.update(layer_json(self.energy, row.layer.layer_id))
        return {
            "schema": 1,
            "model": self.model,
            "config": config.name,
            "engine": self.engine,
            "bit_exact": self.bit_exact,
            "output": [
                {"class": index, "score": score, "name": name} for index, score, name in self.output
            ],
            "peak_macs_per_cycle": config.macs_per_cycle,
            "clock_mhz": config.clock_mhz,
            "layers": layers,
            "total": {
                "macs": self.macs,
                "cycles": self.cycles,
                "limit_cycles": sum(layer["limit_cycles"] for layer in layers),
                "utilisation": self.utilisation,
                "fps": fps,
                "dram_bytes": self.dram_bytes,
                "dram_lower_bound_bytes": self.crossing_bytes,
                "layers_lower_bound_bytes": sum(x["dram_lower_bound_bytes"] for x in layers),
                "compulsory_bytes": sum(x["compulsory_bytes"] for x in layers),
                "chip_compulsory_bytes": sum(x["chip_compulsory_bytes"] for x in layers),
                **({"energy_pj": self.energy.total_pj} if energy else {}),
            },
            **energy,
            "host": {
                "wall_seconds": self.wall_seconds,
                "simulated_cycles_per_second": (
                    self.cycles / self.wall_seconds if self.wall_seconds else 0.0
                ),
            },
        }


def _zero_fraction(graph: Graph, values: dict, index: int) -> float:
    value, tensor = values.get(index), graph.tensors[index]
    if value is None or tensor.dtype != np.int8 or tensor.quant is None:
        return 0.0
    return float(np.mean(value == tensor.zero_point))


def _layer_json(row: LayerRow, config: Config, names: dict[int, str]) -> dict:
    """Return one layer of the JSON of `skimp run` and `skimp perf`; `names` by layer_id."""
    layer, counters, counts = row.layer, row.counters, row.counts

    def counted(name, keys):
        found = getattr(counts, name) if counts is not None else {}
        return {key: int(found.get(key, 0)) for key in keys}

    reads = counted("dram_read_bytes", ("ifmap", "wgt", "psum", "program"))
    writes = counted("dram_write_bytes", ("ofmap", "psum", "record"))
    on_chip = 0 if layer.unit == "host" else layer.macs
    peak = config.macs_per_cycle
    limit = max(-(-on_chip // peak), -(-row.dram_bytes // config.bus_bytes))
    cycles = row.cycles
    return {
        "name": layer.name,
        "op": layer.op,
        "unit": layer.unit,
        "fused_with": names.get(layer.fused_with),
        "shape": layer.shape,
        "macs": layer.macs,
        "macs_gated": row.macs_gated,
        "cycles": cycles,
        "limit_cycles": limit,
        "utilisation": layer.macs / (peak * cycles) if cycles else 0.0,
        "stall_cycles": {
            "dram_read": counters.get("stall_dram_read", 0),
            "dram_write": counters.get("stall_dram_write", 0),
            "drain": counters.get("stall_drain", 0),
            "other": counters.get("stall_other", 0),
        },
        "busy_cycles": {
            name: counters.get(name, 0) for name in ("array", "depthwise", "beside", "drain")
        },
        "dram_read_bytes": reads,
        "dram_write_bytes": writes,
        **_traffic_json(row.traffic),
        "act_accesses": counted("act_accesses", ("read", "written")),
        "glb_accesses": counted("glb_accesses", ("ifmap", "wgt", "psum", "ofmap")),
        "spad_accesses": counted("spad_accesses", ("ifmap", "wgt", "psum")),
        "zero_fraction": row.zero_fraction,
        "bit_exact": {"golden": row.golden, "litert": row.litert},
        "reason": layer.reason,
    }


def _traffic_json(traffic: LayerTraffic | None) -> dict:
    """What a layer's own commands move, whenever they do, and the least that it needs."""
    found = traffic or LayerTraffic(layer=None)
    return {
        "moved_bytes": {kind: found.moved[kind] for kind in KINDS},
        "compulsory_bytes": found.compulsory_bytes,
        "dram_lower_bound_bytes": found.bound_bytes,
        "chip_compulsory_bytes": found.chip_bytes,
    }


def top_answers(graph: Graph, output: np.ndarray, labels, count: int = 5) -> list:
    """Return (class, score, name) of the largest outputs, or [] where it is no classification."""
    tensor = graph.tensors[graph.outputs[0]]
    flat = output.reshape(-1)
    last = graph.producer(graph.outputs[0])
    scores = flat.astype(np.float64)
    if tensor.dtype != np.float32:
        scores = (scores - tensor.zero_point) * tensor.scale
    if not 2 <= flat.size <= 2000 or last is None or last.kind == "fully_connected":
        return []
    best = np.argsort(-scores, kind="stable")[:count]
    names = labels if labels is not None and len(labels) == flat.size else None
    return [(int(k), float(scores[k]), names[k] if names else f"class {k}") for k in best]


def check_writable(path: str) -> None:
    """Refuse an output before the work, not behind it."""
    folder = Path(path).resolve().parent
    if Path(path).is_dir():
        raise ModelError(f"{path}: is a folder; give a file")
    write_text_probe = folder / f".skimp-probe-{Path(path).name}"
    try:
        write_text_probe.touch()
        write_text_probe.unlink()
    except OSError as error:
        raise ModelError(f"{path}: cannot be written ({error.strerror}); choose another") from error


def write_text(path: str | Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    ModelError
        The folder cannot be written.
    """
    path, temporary = Path(path), None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent or ".", prefix=".skimp")
        # File names that are no UTF-8 come in here, too.
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        Path(temporary).chmod(0o644)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise ModelError(f"{path}: cannot be written ({error.strerror}); choose another") from error


def json_text(report: Report) -> str:
    """The report's JSON as text."""
    return json.dumps(report.to_json(), indent=1) + "\n"
