"""Energy of a network by layer, level of the hierarchy and type of data.

energy = sum of actions x energy per action x activity. Actions are counted from the commands that
work for a layer, whenever they run, so every executor has the same; clocks are those that a layer
adds to the run, the executor's or the cycle model's; opened rows are the cycle model's. Gated MACs
of a layer are the golden model's zeros, scaled to what the executor counted in all: executors count
by time, and layers run side by side. Levels:

* mac: products, operand registers, adders and registers of sums, requantisation. A gated MAC has
  no product, and its operand register keeps its value.
* spad: weights and psums, of the array and of the depthwise unit.
* noc: a hop of every value between units (DRAM or store to buffer, ifmap buffer to its lane of
  pixels, psums to the drain, drain to ofmap buffer and from there out), and of every weight to
  each lane of pixels that it is broadcast to. A lane of pixels, without memories in it, is about
  what lies between two PEs of the chip that the energy of a hop comes from.
* glb: ifmap buffers, ofmap buffer, residual buffer. act: the activation store.
* dram: bits, opened rows (by a layer's share of the bytes), standby and refresh.
* other: clock and static power of all lanes, all the time.

Left out: commands' way through the sequencer, parameters and tables on the chip, codecs of coded
activations, layers on the host.

Activity: energies in tables are for random data. Products, operand registers, sums in the chains
of slices and links from the ifmap buffers cost in proportion to the bits that change in them,
beside those that random data would change: predicted from the golden model's values
(`skimp_sim.toggles`), or counted in RTL. An access to a memory costs the same whatever the data,
because bit lines are charged for each; RTL counts accesses, too. Everything else counts as random.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property

from skimp.config import CHAIN, DW_SUM_BITS, Config
from skimp_compiler.graph import Graph, ModelError
from skimp_compiler.program import Layer, Program
from skimp_sim.counting import GLB, SPAD, LayerCounts
from skimp_sim.energy.gated import gated_share
from skimp_sim.energy.technology import Dram, Technology
from skimp_sim.executor import RunResult
from skimp_sim.perf.model import PerfResult, run_perf
from skimp_sim.toggles.activity import activity as activity_of
from skimp_sim.toggles.predict import predict_toggles
from skimp_sim.toggles.totals import changed_bits, over_layers
from skimp_sim.traffic import own_counts

__all__ = [
    "DATA",
    "LEVELS",
    "UNITS",
    "EnergyModel",
    "LayerUse",
    "NetworkEnergy",
    "estimate",
    "layer_energy",
]

LEVELS = ("mac", "spad", "noc", "glb", "act", "dram", "other")

DATA = ("compute", "ifmap", "wgt", "psum", "ofmap", "other")
"""compute: products. other: commands, records, and what goes on with time."""

UNITS = (
    "multiply", "operands", "chain", "add", "requantise", *GLB, *SPAD, "act", "links", "noc", "dram",
    "clock",
)  # fmt: skip
"""What activity factors are for: products, their operand registers, sums in chains of slices with
their registers, other sums, requantisation, memories by name, links from the ifmap buffers to the
slices, other links, DRAM, clock."""

_ENABLES = dict.fromkeys((*GLB, *SPAD, "act"), ("read", "write"))
# These are read without an enable.
_ENABLES |= {"psum": ("write",), "dw_psum": ("write",)}

OPERAND_BITS, WEIGHT_BITS = 9, 8
CHAIN_BITS = 19
"""Of a sum in a chain of slices: a product of 9 x 8 bits, eight of them added up."""
PSUM_BITS = 32

Energy = Counter
"""pJ by (level, type of data)."""


@dataclass(frozen=True, kw_only=True)
class EnergyModel:
    """What actions cost.

    Parameters
    ----------
    technology : Technology
    dram : Dram
    """

    technology: Technology
    dram: Dram


@dataclass(frozen=True, kw_only=True)
class LayerUse:
    """What a layer did.

    Parameters
    ----------
    layer : Layer
    counts : LayerCounts
    gated, activates : float
        MACs gated, rows opened.
    cycles : int
    activity : dict
        By UNITS; 1.0 where there is none.
    """

    layer: Layer
    counts: LayerCounts
    gated: float = 0.0
    activates: float = 0.0
    cycles: int = 0
    activity: dict[str, float] = field(default_factory=dict)

    def __post_init__(self):
        for unit in self.activity:
            if unit not in UNITS:
                raise ModelError(f"activity of {unit!r}: not one of {', '.join(UNITS)}")

    def of(self, unit: str) -> float:
        return self.activity.get(unit, 1.0)


def memories(config: Config) -> dict[str, tuple[int, int]]:
    """Return bits of what an access counts, and rows, of each memory on the chip."""
    word = config.word_bits
    return {
        "ifmap": (word, config.ifmap_depth),
        "dw_ifmap": (word, config.dw_ifmap_depth),
        "ofmap": (word, config.ofmap_depth),
        "residual": (word, config.ofmap_depth),
        "wgt": (8, config.wgt_depth * CHAIN // config.wgt_slices),
        "dw_wgt": (8, config.dw_wgt_depth),
        "psum": (PSUM_BITS, config.psum_depth),
        "psum_done": (PSUM_BITS, config.psum_slots * config.psum_depth),
        "dw_psum": (DW_SUM_BITS, config.dw_psum_slots * config.dw_psum_depth),
    }


def layer_energy(config: Config, use: LayerUse, model: EnergyModel) -> Energy:
    """Return what one layer costs."""
    found = Energy()
    _arithmetic(config, use, model.technology, found)
    _memories(config, use, model.technology, found)
    _dram(config, use, model.dram, found)
    lanes = config.macs_per_cycle + config.dw_macs_per_cycle
    tech = model.technology
    found["other", "other"] += lanes * tech.clock_pj * use.cycles * use.of("clock")
    found["other", "other"] += lanes * tech.static_mw * _nanoseconds(config, use)
    return found


def _nanoseconds(config: Config, use: LayerUse) -> float:
    return use.cycles * 1000 / config.clock_mhz


def _arithmetic(config: Config, use: LayerUse, tech: Technology, found: Energy) -> None:
    counted = use.counts.arithmetic
    macs = counted["macs"]
    works = macs + counted["dw_macs"] - use.gated
    multiply = tech.multiply(OPERAND_BITS, WEIGHT_BITS)
    found["mac", "compute"] += works * multiply * use.of("multiply")
    # A slice of the packed array multiplies one activation by two weights.
    shared = 2 if macs and config.packed else 1
    operands = works * OPERAND_BITS / shared * tech.register_pj
    found["mac", "ifmap"] += operands * use.of("operands")
    adds = counted["psum_adds"] * tech.add(PSUM_BITS) + counted["dw_adds"] * tech.add(DW_SUM_BITS)
    chain = macs * (tech.add(CHAIN_BITS) + CHAIN_BITS * tech.register_pj)
    found["mac", "psum"] += adds * use.of("add") + chain * use.of("chain")
    scaled = counted["requantised"] + counted["second"]
    scale = tech.multiply(PSUM_BITS, PSUM_BITS) + tech.add(PSUM_BITS)
    found["mac", "ofmap"] += scaled * scale * use.of("requantise")


def _memories(config: Config, use: LayerUse, tech: Technology, found: Energy) -> None:
    hop = tech.link_pj * use.of("noc")
    sizes = memories(config)
    lanes = {"wgt": config.pixels, "dw_wgt": config.pixels * config.dw_rows}
    for (memory, verb), number in use.counts.accesses.items():
        width, depth = sizes[memory]
        bits = number * width
        level, data = ("glb", GLB[memory]) if memory in GLB else ("spad", SPAD[memory])
        found[level, data] += bits * tech.access(verb, 8 * depth) * use.of(memory)
        # Psums under way stay beside their adder.
        if (memory in ("psum_done", "dw_psum") and verb == "write") or memory == "psum":
            continue
        hops = lanes.get(memory, 1) if verb == "read" else 1
        to_slices = data == "ifmap" and verb == "read"
        found["noc", data] += bits * hops * hop * (use.of("links") if to_slices else 1.0)
    for verb, data in (("read", "ifmap"), ("write", "ofmap")):
        bits = act_bits(config, use.counts)[verb]
        if bits:
            found["act", data] += bits * tech.access(verb, 8 * config.act_depth) * use.of("act")


def act_bits(config: Config, counts: LayerCounts) -> dict[str, int]:
    """Return the bits that are read from and written to the activation store."""
    return {
        "read": counts.act_accesses["read"] * config.chip_bits,
        "write": counts.act_accesses["written_words"] * config.word_bits,
    }


def _dram(config: Config, use: LayerUse, dram: Dram, found: Energy) -> None:
    counts = use.counts
    moved = Counter()
    for sizes, price in (
        (counts.dram_read_bytes, dram.read_pj),
        (counts.dram_write_bytes, dram.write_pj),
    ):
        for kind, size in sizes.items():
            data = kind if kind in DATA else "other"
            moved[data] += size
            found["dram", data] += 8 * size * price * use.of("dram")
    opened = use.activates * dram.activate_pj / max(1, moved.total())
    for data, size in moved.items():
        found["dram", data] += size * opened
    found["dram", "other"] += dram.background_mw * _nanoseconds(config, use)


@dataclass(frozen=True, kw_only=True)
class NetworkEnergy:
    """What a network costs.

    Parameters
    ----------
    config : Config
    model : EnergyModel
    uses : dict
        LayerUse by layer_id.
    toggles : dict
        What an executor counted by layer_id, as `RtlSim.toggles`; layers run side by side, so it is
        what happened until a layer's end, since the end of the one before.
    predicted : dict
        Toggles of SLICE_UNITS by layer_id, from values.
    """

    config: Config
    model: EnergyModel
    uses: dict[int, LayerUse]
    toggles: dict[int, Counter] = field(default_factory=dict)
    predicted: dict[int, Counter] = field(default_factory=dict)

    @cached_property
    def layers(self) -> dict[int, Energy]:
        """By layer_id."""
        return {
            number: layer_energy(self.config, use, self.model) for number, use in self.uses.items()
        }

    @cached_property
    def all(self) -> Energy:
        """Of all layers."""
        found = Energy()
        for energy in self.layers.values():
            found.update(energy)
        return found

    @property
    def total_pj(self) -> float:
        return sum(self.all.values())

    @property
    def images_per_joule(self) -> float:
        return 1e12 / self.total_pj if self.total_pj else 0.0

    @property
    def seconds(self) -> float:
        return sum(use.cycles for use in self.uses.values()) / (self.config.clock_mhz * 1e6)

    @property
    def watts(self) -> float:
        """Mean power; images a second and watt are images a joule."""
        return self.total_pj * 1e-12 / self.seconds if self.seconds else 0.0

    def with_dram(self, name: str) -> "NetworkEnergy":
        """Return the same network on another DRAM."""
        return replace(self, model=replace(self.model, dram=self.model.technology.dram(name)))

    def sensitivity(self) -> dict[str, Energy]:
        """Return the energy of the network with every DRAM that is known, by its name."""
        return {name: self.with_dram(name).all for name in self.model.technology.drams}


def estimate(
    graph: Graph,
    program: Program,
    model: EnergyModel,
    values: dict,
    *,
    result: RunResult | None = None,
    perf: PerfResult | None = None,
    activity: dict[int, dict[str, float]] | None = None,
) -> NetworkEnergy:
    """Return what a program costs.

    Parameters
    ----------
    graph : Graph
    program : Program
    model : EnergyModel
    values : dict
        Activations by tensor number, of the golden model.
    result : RunResult or None
        Of an executor: its clocks, gated MACs and toggles, as far as it counts them.
    perf : PerfResult or None
        None: the cycle model is run.
    activity : dict or None
        By layer_id and UNITS, 1 where there is none. None: from toggles, those that the executor
        counted or predicted ones.
    """
    perf = run_perf(program) if perf is None else perf
    counters = result.counters if result is not None and result.counters else perf.counters
    counts = own_counts(graph, program)
    sizes = {
        number: sum((*c.dram_read_bytes.values(), *c.dram_write_bytes.values()))
        for number, c in counts.items()
    }
    rows = perf.dram["activates"] / max(1, sum(sizes.values()))
    gated = _gated(graph, program, counts, values, result)
    toggles = {} if result is None else result.toggles
    predicted = {}
    if activity is None:
        predicted = predict_toggles(graph, program, values)
        activity = _activity(program.config, counts, gated, predicted, toggles)
    uses = {
        number: LayerUse(
            layer=program.layers[number],
            counts=counts[number],
            gated=gated[number],
            activates=rows * sizes[number],
            cycles=counters.get(number, {}).get("cycles", 0),
            activity=activity.get(number, {}),
        )
        for number in sorted(counts)
    }
    return NetworkEnergy(
        config=program.config, model=model, uses=uses, toggles=toggles, predicted=predicted
    )


def _activity(config: Config, counts, gated, predicted, toggles) -> dict:
    """Return activity by layer_id and UNITS."""
    if not toggles:
        return activity_of(config, counts, gated, predicted)
    counted, asked = over_layers(toggles), Counter()
    for count in counts.values():
        for (memory, verb), number in count.accesses.items():
            asked[memory, verb] += number * memories(config)[memory][0]
        for verb, bits in act_bits(config, count).items():
            asked["act", verb] += bits
    accessed = {}
    for memory, verbs in _ENABLES.items():
        expected = sum(asked[memory, verb] for verb in verbs)
        if expected:
            accessed[memory] = sum(counted[memory, verb] for verb in verbs) / expected
    return activity_of(config, counts, gated, predicted, changed_bits(counted), accessed)


def _gated(graph: Graph, program: Program, counts: dict, values: dict, result) -> dict[int, float]:
    """Return the gated MACs of each layer; all of them together are those that were counted."""
    found, macs = {}, {}
    for number, count in counts.items():
        macs[number] = count.arithmetic["macs"] + count.arithmetic["dw_macs"]
        found[number] = macs[number] * gated_share(graph, program.layers[number], values)
    counted = sum(found.values())
    if result is not None and result.counters:
        counted = sum(c.get("macs_gated", 0) for c in result.counters.values())
    elif result is not None and result.counts:
        counted = sum(c.macs_gated for c in result.counts.values())
    scale = counted / sum(found.values()) if counted else 1.0
    return {number: min(macs[number], scale * zeros) for number, zeros in found.items()}
