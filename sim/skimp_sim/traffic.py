"""What a program moves between DRAM and chip, layer by layer, and the least that it could.

Moved bytes are counted from the commands, each given to the layer that it works for: weights and
parameters may come while the layer before still runs. Beside them there are four figures, from the
weakest demand on the schedule to the strictest:

*Compulsory*, of a layer by itself: its ifmaps, weights and ofmap once, a byte a value, as if all
maps lay in DRAM. (Pixels that no window looks at do not count.)

*Bound*, of a layer by itself: what no schedule of a convolution between DRAM and DRAM stays below,
by Chen, Han, Wang, "Communication lower bound in convolution accelerators" (HPCA 2020), on a chip
with the memories of `chip_words`; at least the compulsory bytes, which are the bound of all other
layers. See `skimp_sim.bound`.

*Chip compulsory*: what has to cross the pins with maps where the compiler put them: weights,
quantisation parameters, tables; maps that lie in DRAM written once and read once by each unit
that reads them.

*Crossing*, of the network: weights, parameters and tables, its input and its output once.

A *unit* is a layer, or several that are under way together (`Layer.fused_with`): maps between these
are neither in its compulsory bytes nor in its bound.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import prod

import numpy as np

from skimp.config import Config
from skimp.isa import CHIP_BASE, COMMAND_BYTES, RECORD_BYTES, LoadTarget, Opcode
from skimp_compiler.graph import Graph
from skimp_compiler.program import DeviceStep, Layer, Program, TensorPlace
from skimp_sim.bound import block_words
from skimp_sim.counting import (
    Command,
    LayerCounts,
    commands_of,
    count_command,
    segment_beats,
    segment_starts,
)
from skimp_sim.golden.params import pool_window

__all__ = [
    "KINDS",
    "LayerTraffic",
    "Traffic",
    "Transfer",
    "UnitTraffic",
    "activations_read",
    "chip_words",
    "crossing",
    "own_counts",
    "traffic_of",
    "transfers",
]

KINDS = ("ifmap", "weights", "parameters", "tables", "commands", "ofmap", "records")
"""What is moved; the last two are written."""

PARAMETER_BYTES = 12
"""Bias, multiplier and shift of a channel."""

_LINEAR = {
    LoadTarget.WGT: "weights",
    LoadTarget.DW_WGT: "weights",
    LoadTarget.PARAM: "parameters",
    LoadTarget.TABLE: "tables",
}


def chip_words(config: Config) -> dict[str, int]:
    """Return how many values each memory of the chip holds that maps, weights or psums lie in.

    A psum is one value. Left out: parameters, tables, queues and the registers of the array.
    """
    pixels, lanes = config.pixels, config.out_channels
    return {
        "activation store": config.act_bytes,
        "ifmap buffer": pixels * config.ifmap_depth * config.in_channels,
        "ifmap buffer of the depthwise unit": pixels * config.dw_ifmap_depth * lanes,
        "ofmap buffer": config.ofmap_depth * lanes,
        "residual buffer": config.ofmap_depth * lanes,
        "weight scratchpad": config.wgt_depth * config.wgt_block_bytes,
        "weights of the depthwise unit": config.dw_wgt_depth * lanes,
        "psums": config.psum_slots * config.tile_pixels * lanes,
        "psums of the depthwise unit": (
            config.dw_psum_slots * config.dw_rows * config.dw_tile_pixels * lanes
        ),
    }


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """What one command moves besides itself.

    Parameters
    ----------
    layer_id : int
        Layer that it works for.
    command : Command
    kind : str
        One of KINDS but "commands"; "": nothing between DRAM and chip.
    size_bytes : int
        Whole beats.
    tensor : int or None
        Activation that is loaded or stored, wherever it lies.
    """

    layer_id: int
    command: Command
    kind: str = ""
    size_bytes: int = 0
    tensor: int | None = None

    @property
    def is_write(self) -> bool:
        return self.kind in ("ofmap", "records")

    @property
    def num_blocks(self) -> int:
        """Channel blocks of a load or store of an activation; 0: padding only."""
        c = self.command
        blocks = c.num_blocks if c.opcode is Opcode.STORE else c.dma_blocks
        return blocks if c.seg_count * c.seg_words else 0


def own_counts(graph: Graph, program: Program) -> dict[int, LayerCounts]:
    """Return what the commands that work for each layer access, whenever they run (no gating)."""
    found = defaultdict(LayerCounts)
    for transfer in transfers(graph, program):
        command, counts = transfer.command, found[transfer.layer_id]
        count_command(program.config, counts, command.opcode, command, program.unit_beats)
    return dict(found)


def transfers(graph: Graph, program: Program) -> list[Transfer]:
    """Return what every command of all device steps moves, in program order."""
    found = []
    for step in program.steps:
        if isinstance(step, DeviceStep):
            commands = commands_of(program, step)
            owners = _Owners(graph, program, step)
            for command, (layer_id, tensor) in zip(commands, owners.of(commands)):
                kind, size = _moved(program, command)
                found.append(
                    Transfer(
                        layer_id=layer_id, command=command, kind=kind, size_bytes=size,
                        tensor=tensor,
                    )
                )  # fmt: skip
    return found


def _moved(program: Program, c: Command) -> tuple[str, int]:
    """Kind and bytes of what a command moves between DRAM and chip."""
    config = program.config
    if c.opcode is Opcode.LAYER:
        return "records", RECORD_BYTES
    if c.opcode is Opcode.LOAD_LINEAR:
        return _LINEAR[LoadTarget(c.target)], c.num_beats * config.bus_bytes
    if c.opcode not in (Opcode.LOAD_IFMAP, Opcode.LOAD_RESIDUAL, Opcode.STORE):
        return "", 0
    kind, blocks = ("ofmap", c.num_blocks) if c.opcode is Opcode.STORE else ("ifmap", c.dma_blocks)
    if c.dram_addr >= CHIP_BASE or not blocks * c.seg_count * c.seg_words:
        return "", 0
    return kind, segment_beats(config, c, blocks, program.unit_beats) * config.bus_bytes


class _Owners:
    """Finds the layer that each command of a step works for.

    Constants are known by their regions; loads and stores of maps by the first layer still under
    way that reads or makes what lies there (second operands only by adds); a drain by whose parameters it takes; what computes
    psums by who drains them.
    """

    def __init__(self, graph: Graph, program: Program, step: DeviceStep):
        self._program = program
        self._step = step
        by_name = {layer.name: layer.layer_id for layer in program.layers}
        self._constants = [
            (address, address + size, by_name[what.split()[1]])
            for address, size, what in program.memory_map
            if what.split()[0] in _LINEAR.values()
        ]
        layers = [program.layers[number] for number in step.layers]
        self._reads, self._adds = {}, {}
        for one in layers:
            inputs = activations_read(graph, one)
            self._adds[one.layer_id] = inputs if one.unit == "post" else []
            on_the_way_out = one.unit == "post" and one.fused_with is not None
            self._reads[one.layer_id] = [] if on_the_way_out else inputs
        self._makes = {one.layer_id: [one.output] for one in layers}

    def of(self, commands: list[Command]) -> list[tuple[int, int | None]]:
        """Return layer_id and tensor of every command."""
        found: list = [None] * len(commands)
        running = list(self._step.layers)
        params: dict[int, int] = {}  # parameter word -> layer
        for step in self._program.prior_steps:
            if isinstance(step, DeviceStep):
                self._note_params(commands_of(self._program, step), params)
        psums = defaultdict(list)  # slot -> commands that fill it
        last = running[-1]
        for n, c in enumerate(commands):
            if c.opcode is Opcode.LAYER:
                found[n] = c.layer_id, None
                running.remove(c.layer_id)
            elif c.opcode is Opcode.LOAD_LINEAR:
                found[n] = self._whose(c), None
                self._note_params([c], params)
            elif c.opcode is Opcode.LOAD_IFMAP:
                found[n] = self._touching(running, self._reads, c.dram_addr)
            elif c.opcode is Opcode.LOAD_RESIDUAL:
                found[n] = self._touching(running, self._adds, c.dram_addr)
            elif c.opcode is Opcode.STORE:
                found[n] = self._touching(running, self._makes, c.dram_addr)
            elif c.opcode in (Opcode.CONV, Opcode.DEPTHWISE):
                psums[c.opcode is Opcode.DEPTHWISE, c.psum_slot].append(n)
            elif c.opcode is Opcode.DRAIN:
                found[n] = params[c.param_block], None
                for m in psums.pop((bool(c.dw), c.psum_slot), ()):
                    found[m] = found[n]
            if found[n] is None:
                # CHECK, END, loads of padding alone; of computing commands, until the drain.
                found[n] = running[0] if running else last, None
        return found

    def _whose(self, c: Command) -> int:
        """Layer of a constant that is loaded."""
        return next(o for low, high, o in self._constants if low <= c.dram_addr < high)

    def _note_params(self, commands: list[Command], params: dict[int, int]) -> None:
        """Note whose parameters lie in which words."""
        per_block = self._program.config.param_block_beats
        for c in commands:
            if c.opcode is Opcode.LOAD_LINEAR and c.target == LoadTarget.PARAM:
                first, behind = c.beat_addr // per_block, (c.beat_addr + c.num_beats) // per_block
                params |= dict.fromkeys(range(first, behind), self._whose(c))

    def _touching(self, running, tensors, address: int) -> tuple[int, int] | None:
        for number in running:
            for index in tensors[number]:
                place = self._program.tensors.get(index)
                if place and place.address <= address < place.address + place.size_bytes:
                    return number, index
        return None


def activations_read(graph: Graph, layer: Layer) -> list[int]:
    """Return the activations that a layer reads; what is folded into it reads them for it."""
    inputs = graph.ops[layer.op_indices[0]].inputs
    return [index for index in inputs if index >= 0 and not graph.tensors[index].is_const]


@dataclass(kw_only=True)
class LayerTraffic:
    """One layer.

    Parameters
    ----------
    layer : Layer
    moved : Counter
        Bytes by kind.
    compulsory_bytes, bound_bytes, chip_bytes : int
        Compulsory, bound, and chip compulsory (the module says what these are).
    surplus : Counter
        Where the bytes moved beyond `chip_bytes` come from, by a phrase; they add up to the
        difference.
    """

    layer: Layer
    moved: Counter = field(default_factory=Counter)
    compulsory_bytes: int = 0
    bound_bytes: int = 0
    chip_bytes: int = 0
    surplus: Counter = field(default_factory=Counter)

    @property
    def moved_bytes(self) -> int:
        return sum(self.moved.values())


@dataclass(kw_only=True)
class UnitTraffic(LayerTraffic):
    """Layers under way together, or a single one.

    Parameters
    ----------
    layer : Layer
        The first of them.
    members : list of LayerTraffic
    """

    members: list[LayerTraffic] = field(default_factory=list)


@dataclass(kw_only=True)
class Traffic:
    """A program.

    Parameters
    ----------
    layers : dict
        LayerTraffic by layer_id, of all layers that have commands.
    units : list of UnitTraffic
        The same layers in units.
    crossing : dict
        Bytes of the network's "weights", "parameters", "tables", "input" and "output", once.
    """

    layers: dict[int, LayerTraffic]
    units: list[UnitTraffic]
    crossing: dict[str, int]

    @property
    def moved(self) -> Counter:
        """Bytes by kind."""
        return _sum(layer.moved for layer in self.layers.values())


def _sum(counters: Iterable[Counter]) -> Counter:
    """Sum of counters; unlike +, it keeps what is below 0."""
    total = Counter()
    for counter in counters:
        total.update(counter)
    return total


def traffic_of(graph: Graph, program: Program) -> Traffic:
    """Return what a program moves and the least that its layers need."""
    net = _Network(graph, program)
    layers = {one.layer_id: LayerTraffic(layer=one) for one in net.layers}
    moves = defaultdict(list)
    for transfer in transfers(graph, program):
        moves[transfer.layer_id].append(transfer)
        moved = layers[transfer.layer_id].moved
        moved["commands"] += COMMAND_BYTES
        if transfer.kind:
            moved[transfer.kind] += transfer.size_bytes
    for number, found in layers.items():
        found.compulsory_bytes = net.compulsory([found.layer])
        found.bound_bytes = found.compulsory_bytes + net.beyond_compulsory(found.layer)
        found.chip_bytes = net.chip([found.layer])
        found.surplus = net.surplus(found, moves[number])
    units = []
    for members in net.units():
        parts = [layers[one.layer_id] for one in members]
        unit = UnitTraffic(
            layer=members[0],
            members=parts,
            moved=_sum(part.moved for part in parts),
            compulsory_bytes=net.compulsory(members),
            chip_bytes=net.chip(members),
            surplus=_sum(part.surplus for part in parts),
        )
        convs = [part for part in parts if part.layer.macs]
        unit.bound_bytes = unit.compulsory_bytes
        if len(convs) == 1:
            # All else is fixed: the convolution alone needs more than every value once.
            unit.bound_bytes += convs[0].bound_bytes - convs[0].compulsory_bytes
        twice = sum(part.chip_bytes for part in parts) - unit.chip_bytes
        if twice:
            unit.surplus["maps read by several layers"] += twice
        units.append(unit)
    return Traffic(layers=layers, units=units, crossing=crossing(graph, program))


def crossing(graph: Graph, program: Program) -> dict[str, int]:
    """Return the bytes that have to cross the pins whatever the schedule, by kind."""
    net = _Network(graph, program)
    made = {net.root(layer.output) for layer in net.layers}
    read = {net.root(index) for layer in net.layers for index in activations_read(graph, layer)}
    needed = Counter()
    for layer in net.layers:
        needed += net.constants(layer)
    needed["input"] = sum(net.size(index) for index in read - made)
    needed["output"] = sum(net.size(index) for index in made & net.leaving(net.layers))
    return dict(needed)


class _Network:
    """What layers need: sizes of tensors, who reads them, where they lie."""

    def __init__(self, graph: Graph, program: Program):
        self.graph = graph
        self.program = program
        self.config = program.config
        on_device = {n for s in program.steps if isinstance(s, DeviceStep) for n in s.layers}
        self.layers = [one for one in program.layers if one.layer_id in on_device]
        self._views = {
            one.output: graph.ops[one.op_indices[0]].inputs[0]
            for one in program.layers
            if one.unit == "none"
        }
        self._regions = {what: size for _, size, what in program.memory_map}

    def root(self, index: int) -> int:
        """The tensor whose values these are."""
        while index in self._views:
            index = self._views[index]
        return index

    def size(self, index: int) -> int:
        return prod(self.graph.tensors[index].shape)

    def place(self, index: int) -> TensorPlace | None:
        """Where an activation lies in DRAM, if it does."""
        place = self.program.tensors.get(index)
        return place if place is not None and not place.on_chip else None

    def units(self) -> list[list[Layer]]:
        """Layers that are under way together, in the order of the first of each."""
        units = {}
        for layer in self.layers:
            first = layer
            while first.fused_with is not None:
                first = self.program.layers[first.fused_with]
            units.setdefault(first.layer_id, []).append(layer)
        return list(units.values())

    def used(self, layer: Layer, index: int) -> int:
        """Values of an ifmap that a layer's windows look at."""
        op, shape = self.graph.ops[layer.op_indices[-1]], self.graph.tensors[index].shape
        if op.kind not in ("conv", "depthwise", "avg_pool", "max_pool") or len(shape) != 4:
            return prod(shape)
        r, s, stride_h, stride_w = pool_window(self.graph, op)
        _, rows, cols, _ = self.graph.tensors[op.outputs[0]].shape
        _, height, width, channels = shape
        if r < stride_h:
            height = min(height, r * rows)
        if s < stride_w:
            width = min(width, s * cols)
        return height * width * channels

    def weights(self, layer: Layer) -> int:
        if not layer.macs:
            return 0
        return self.graph.tensors[self.graph.ops[layer.op_indices[-1]].inputs[1]].data.size

    def constants(self, layer: Layer) -> Counter:
        """Bytes of weights, parameters and tables: each value once, unless the chip has it."""
        if self.program.prior_steps:
            return +Counter(tables=self._regions.get(f"tables {layer.name}", 0))
        needed = Counter(weights=self.weights(layer))
        if layer.macs:
            channels = self.graph.tensors[layer.output].shape[-1]
            needed["parameters"] = PARAMETER_BYTES * channels
        else:
            # All lanes have the same ones.
            size = self._regions.get(f"parameters {layer.name}", 0)
            needed["parameters"] = size // self.config.out_channels
        needed["tables"] = self._regions.get(f"tables {layer.name}", 0)
        return +needed

    def leaving(self, members: list[Layer]) -> set[int]:
        """Activations that others than these layers, or the user, read."""
        inside = {one.layer_id for one in members}
        found = {self.root(index) for index in self.graph.outputs}
        for layer in self.program.layers:
            if layer.layer_id not in inside and layer.unit != "none":
                found |= {self.root(index) for index in activations_read(self.graph, layer)}
        return found

    def compulsory(self, members: list[Layer]) -> int:
        """Weights, and maps that come from elsewhere or go there, once."""
        made = {self.root(one.output) for one in members}
        reads = self._reads(members)
        needed = sum(self.weights(one) for one in members)
        needed += sum(size for index, size in reads.items() if index not in made)
        return needed + sum(self.size(index) for index in made & self.leaving(members))

    def chip(self, members: list[Layer]) -> int:
        """Constants, and maps that lie in DRAM, once written and once read."""
        needed = _sum(map(self.constants, members)).total()
        needed += sum(self._reads(members, in_dram=True).values())
        return needed + sum(self.size(one.output) for one in members if self.place(one.output))

    def _reads(self, members: list[Layer], *, in_dram: bool = False) -> dict[int, int]:
        """Bytes by the activations that these layers read."""
        found = {}
        for layer in members:
            for index in activations_read(self.graph, layer):
                if self.place(index) or not in_dram:
                    root = self.root(index)
                    found[root] = max(found.get(root, 0), self.used(layer, index))
        return found

    def beyond_compulsory(self, layer: Layer) -> int:
        """Bytes of the bound above the compulsory ones."""
        if layer.op not in ("conv", "fully_connected"):
            return 0
        op = self.graph.ops[layer.op_indices[-1]]
        out = self.graph.tensors[layer.output].shape
        reuse = 1.0
        if layer.op == "conv":
            r, s, stride_h, stride_w = pool_window(self.graph, op)
            reuse = r * s / (stride_h * stride_w)
        needed = block_words(
            macs=layer.macs,
            pixels=prod(out[:-1]),
            channels=out[-1],
            ofmap_words=prod(out),
            reuse=reuse,
            buffer_words=sum(chip_words(self.config).values()),
        )
        return max(0, int(needed) - self.compulsory([layer]))

    # Where bytes beyond the chip's compulsory ones come from

    def surplus(self, found: LayerTraffic, moves: list[Transfer]) -> Counter:
        """Bytes beyond the layer's `chip_bytes`, by a phrase."""
        layer, moved = found.layer, found.moved
        parts = Counter(commands=moved["commands"])
        parts["counters of the layer"] = moved["records"]
        needed = self.constants(layer)
        for kind in ("weights", "parameters", "tables"):
            lies = self._regions.get(f"{kind} {layer.name}", 0)
            if self.program.prior_steps and kind != "tables":
                continue
            parts[f"{kind} padded to lanes"] = lies - needed[kind]
            parts[f"{kind} read again" if moved[kind] > lies else f"{kind} left out"] = (
                moved[kind] - lies
            )
        for index in activations_read(self.graph, layer):
            if self.place(index):
                mine = [m for m in moves if m.tensor == index and m.kind == "ifmap"]
                parts.update(self._map(mine, self.place(index), self.used(layer, index)))
        if self.place(layer.output):
            mine = [m for m in moves if m.kind == "ofmap"]
            parts.update(self._map(mine, self.place(layer.output), self.size(layer.output)))
        return Counter({what: size for what, size in parts.items() if size})

    def _map(self, moves: list[Transfer], place: TensorPlace, used: int) -> Counter:
        """The same of a map, of which `used` values had to move."""
        if place.coding is not None:
            return Counter({"codes, halos": sum(move.size_bytes for move in moves) - used})
        touched = np.zeros(place.num_blocks * place.plane_words, bool)
        asked = beats = 0
        for move in moves:
            c = move.command
            first = (segment_starts(c, move.num_blocks) - place.address) // place.block
            touched[(first[..., None] + np.arange(c.seg_words)).reshape(-1)] = True
            asked += first.size * c.seg_words * place.block
            beats += move.size_bytes
        pixels = int(touched.sum()) // place.num_blocks
        once = int(touched.sum()) * place.block
        lanes = once - pixels * place.channels
        extra = pixels * place.channels - used
        again = "map read again for other channels" if asked > 1.9 * once else "halos read again"
        what = "kernel columns side by side" if place.fold else "pixels that no window needs"
        return Counter(
            {
                "channels padded to lanes": lanes,
                what: extra,
                again: asked - once,
                "beats used in part": beats - asked,
            }
        )
