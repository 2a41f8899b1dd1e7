"""From operators to layers of the hardware: where each runs, why, and its commands."""

from dataclasses import replace

import numpy as np

from skimp.config import Config
from skimp.isa import RECORD_BYTES, CommandError
from skimp_compiler.depthwise_layer import band_rows
from skimp_compiler.emitter import Emitter
from skimp_compiler.geometry import DoesNotFit
from skimp_compiler.graph import Graph, ModelError, Op
from skimp_compiler.lower_depthwise import DepthwiseLayers
from skimp_compiler.lower_parts import IDENTITY_PERM, MAX_PAD, OnHost
from skimp_compiler.program import Layer
from skimp_compiler.schedule import LayerWork, Schedule
from skimp_sim.golden.params import pool_window

__all__ = ["Lowering"]


class Lowering(DepthwiseLayers):
    """Walks the graph in order and emits what the hardware can run.

    Parameters
    ----------
    graph : Graph
    config : Config
    in_dram : set of int
        Activations (roots of views) that have to lie in DRAM.
    fuse : bool
        Depthwise layers and their neighbours are emitted side by side, tile by tile.
    depthwise : str
        "unit", or "array": depthwise convolutions become convolutions with zeros between.
    alone : str
        Why they are emitted layer by layer, where they are.

    Attributes
    ----------
    wanted_in_dram : set of int
        Activations that the host reads or writes, but which were put on the chip.
    layers : list of Layer
    segments : list of (Emitter, list of layer ids) or Layer
        Device steps and host layers in order; layers in the order in which they end.
    """

    def __init__(
        self,
        graph: Graph,
        config: Config,
        *,
        in_dram=frozenset(),
        fuse=True,
        depthwise="unit",
        alone="as asked for",
    ):
        super().__init__(graph, config, in_dram=in_dram, depthwise=depthwise)
        self._fuse_layers = fuse
        self._alone = alone
        self._schedule: Schedule | None = None
        self.layers: list[Layer] = []
        self.segments: list = []
        self._done: set[int] = set()
        self._groups: list[list[Layer]] = []  # those side by side
        self._group: list[Layer] | None = None  # the last of them, while it grows

    def run(self) -> None:
        """Lower every operator.

        Raises
        ------
        ModelError
            Where a layer fits neither hardware nor host.
        """
        for op in self.graph.ops:
            self._op_index = op.index
            if op.index not in self._done:
                self._lower(op)
        self._finish()
        for group in self._groups:
            self._explain(group)
        for index in self.graph.outputs:
            # Perhaps a view of something that was put on the chip.
            if self._describable(index):
                root = self.layouts[index].root
                if root in self.places and self.places[root].on_chip:
                    self.wanted_in_dram.add(root)

    def _in_group(self, op: Op) -> bool:
        """On the depthwise unit, or a convolution right before or behind: these go side by side."""
        if not (op.kind == "conv" or self._beside_array(op)):
            return False
        before, behind = self._neighbours(op)
        return any(map(self._beside_array, (op, *before, *behind)))

    def _beside_array(self, op: Op) -> bool:
        """An operator that the depthwise unit works on tile by tile beside convolutions."""
        return self._on_unit(op) or op.kind == "mean"

    def _neighbours(self, op: Op) -> tuple[list[Op], list[Op]]:
        """Operators right before and behind one, beyond padding."""
        graph = self.graph
        folded = self._folded.get(op.inputs[0])
        producer = graph.producer(op.inputs[0] if folded is None else folded.inputs[0])
        behind = []
        for user in graph.consumers(op.outputs[0]):
            behind += graph.consumers(user.outputs[0]) if user.kind == "pad" else [user]
        return [] if producer is None else [producer], behind

    def _band(self, op: Op) -> int | None:
        """Pixels of a tile of a convolution beside a depthwise layer; None: it is not beside one.

        They are those of its tiles.
        """
        if not self._beside:
            return None
        before, behind = (list(filter(self._beside_array, ops)) for ops in self._neighbours(op))
        if before:
            made = self.layouts[before[0].outputs[0]]
            return band_rows(made.height, made.width) * made.width
        layout = self.layouts[op.outputs[0]]
        if behind[0].kind == "mean":
            return layout.height * layout.width
        made = self.layouts[behind[0].outputs[0]]
        _, _, stride, _ = pool_window(self.graph, behind[0])
        rows = band_rows(made.height, made.width) * stride
        return min(rows, layout.height) * layout.width

    @property
    def has_groups(self) -> bool:
        """Whether layers were emitted side by side."""
        return any(layer.fused_with is not None and layer.unit != "post" for layer in self.layers)

    @property
    def estimated_cycles(self) -> float:
        """Clocks of all device steps, as their timelines have them."""
        return sum(s[0].timeline.end for s in self.segments if not isinstance(s, Layer))

    def _finish(self) -> None:
        """Emit what is left of the layers under way."""
        if self._schedule is not None:
            self._schedule.finish()
        self._group = None
        self._release()

    def _make_room(self) -> bool:
        if self._schedule is None or not self._schedule.active:
            return False
        self._schedule.finish_first()
        self._release()
        return True

    def _release(self) -> None:
        """Give back what neither layers under way nor later ones read."""
        active = self._schedule.active if self._schedule is not None else []
        self.release_unused(min((self._op_index, *(work.op_index for work in active))))

    def _tasks(self, op: Op):
        try:
            yield from self._layer.tasks()
        except CommandError as error:
            raise ModelError(
                f"{self.graph.name}: {self.graph.op_name(op)}: too large for a command field "
                f"({error})"
            ) from error

    def _need_int8(self, op: Op) -> None:
        for index in (op.inputs[0], *op.outputs):
            if self.graph.tensors[index].dtype != np.int8:
                raise OnHost(f"{self.graph.tensors[index].dtype} at the network's border")

    def _lower(self, op: Op) -> None:
        graph = self.graph
        if op.kind in ("reshape", "transpose"):
            if self._try_fold_flatten(op):
                return
            if graph.tensors[op.outputs[0]].dtype == np.int8 and self.layouts.try_view(op):
                self._note(op, "none", "a view: the same bytes in DRAM")
                return
        if op.kind == "pad" and self._try_fold_pad(op):
            return
        lower = getattr(self, f"_lower_{op.kind}", None)
        in_group = self._in_group(op)
        self._beside = in_group and self._fuse_layers
        if not self._beside:
            self._finish()
        emitter = None
        try:
            if lower is None:
                raise OnHost(f"the hardware has no {op.kind}; the golden model's code runs it")
            self._need_int8(op)
            emitter, ids = self._segment()
            self._release()
            unit, reason = lower(op, emitter)
        except (OnHost, DoesNotFit) as why:
            self._finish()
            if emitter is not None and not ids:
                self.segments.pop()
            self._unfold(op)
            self.segments.append(self._note(op, "host", str(why)))
            for index in (*op.inputs, *op.outputs):
                if index >= 0:
                    self.host_tensor(index)
            return
        if in_group and not self._beside:
            reason += f"; layer by layer, {self._alone}"
        layers = [self._note(op, unit, reason)]
        if self._beside:
            if self._group is None:
                self._group = []
                self._groups.append(self._group)
            self._group.append(layers[0])
        if self._fused is not None:
            fused, self._fused = self._fused, None
            self._done.add(fused.index)
            reason = f"on the way out of {layers[0].name}: a second requantisation, by tables"
            layers.append(self._note(fused, "post", reason, fused_with=layers[0].layer_id))

        made = self._layer

        def on_end():
            made.out.end()
            for layer in layers:
                ids.append(layer.layer_id)
                emitter.end_layer(layer.layer_id, self._record(layer))

        work = LayerWork(
            unit=self._layer.unit,
            tasks=self._tasks(op),
            op_index=op.index,
            on_end=on_end,
            tile_words=self._layer.tile_words,
        )
        self._schedule.begin(work)
        if not self._beside:
            self._schedule.finish()

    def _explain(self, group: list[Layer]) -> None:
        """Let layers side by side say beside whom they go, and where their maps lie."""
        if len(group) == 1:
            return
        # What a second stage makes is stored instead.
        second = {one.fused_with: one.output for one in self.layers if one.unit == "post"}
        for n, layer in enumerate(group):
            beside = group[n - 1 if n else 1].name
            where = self._map_reason(second.get(layer.layer_id, layer.output))
            self.layers[layer.layer_id] = replace(
                layer,
                reason=f"{layer.reason}; tile by tile beside {beside}, {where}",
                fused_with=group[0].layer_id if n else None,
            )

    def _map_reason(self, index: int) -> str:
        """Where an activation lies, and why not on the chip."""
        if self.places[index].on_chip:
            return "its map stays on the chip"
        if not self.config.act_bytes:
            why = "there is no activation store"
        elif self.layouts[index].root in self._in_dram:
            why = "the host reads it"
        else:
            why = "the activation store has no room"
        return f"its map lies in DRAM: {why}"

    def _record(self, layer: Layer) -> int:
        return self.records + RECORD_BYTES * layer.layer_id

    def host_tensor(self, index: int) -> None:
        """Activations that both sides touch need a place; others stay in the host's memory."""
        tensor = self.graph.tensors[index]
        if index in self.places and self.places[index].on_chip:
            self.wanted_in_dram.add(self.layouts[index].root)
        if index in self.places or tensor.is_const or tensor.dtype != np.int8:
            return
        if tensor.quant is not None and len(tensor.shape) >= 1:
            try:
                if self.place(index).on_chip:
                    self.wanted_in_dram.add(self.layouts[index].root)
            except ModelError:
                return

    def _segment(self):
        if not self.segments or isinstance(self.segments[-1], Layer):
            emitter = Emitter(self.config)
            self._schedule = Schedule(emitter)
            self.segments.append((emitter, []))
        return self.segments[-1]

    def _note(self, op: Op, unit: str, reason: str, fused_with: int | None = None) -> Layer:
        graph = self.graph
        indices = (op.index,)
        if op.inputs[0] in self._folded:
            indices = (self._folded[op.inputs[0]].index, op.index)
        layer = Layer(
            layer_id=len(self.layers),
            name=graph.op_name(op),
            op=op.kind,
            unit=unit,
            op_indices=indices,
            output=op.outputs[0],
            macs=graph.macs(op),
            shape=self._shape(op),
            reason=reason,
            fused_with=fused_with,
        )
        self.layers.append(layer)
        return layer

    def _shape(self, op: Op) -> dict:
        out = self.layouts[op.outputs[0]] if self._describable(op.outputs[0]) else None
        source = self.layouts[op.inputs[0]] if self._describable(op.inputs[0]) else None
        shape = {"N": 1}
        if out is not None:
            shape |= {"K": out.channels, "P": out.height, "Q": out.width}
        if source is not None:
            shape["C"] = source.channels
        if op.kind in ("conv", "depthwise", "avg_pool", "max_pool"):
            r, s, stride, _ = pool_window(self.graph, op)
            shape |= {"R": r, "S": s, "stride": stride}
        return shape

    def _describable(self, index: int) -> bool:
        try:
            return self.layouts[index] is not None
        except ModelError:
            return False

    # Folding

    def _unfold(self, op: Op) -> None:
        """The consumer runs on the host, so what was folded into it does too."""
        folded = self._folded.pop(op.inputs[0], None)
        if folded is None:
            return
        number = next(n for n, one in enumerate(self.layers) if one.op_indices == (folded.index,))
        reason = f"{self.graph.op_name(op)}, which would do it, runs on the host"
        self.layers[number] = replace(self.layers[number], unit="host", reason=reason)
        self.segments.append(self.layers[number])
        for index in (folded.inputs[0], folded.outputs[0]):
            self.host_tensor(index)

    def _try_fold_pad(self, op: Op) -> bool:
        """Let the only consumer, a window operator without padding, do the padding."""
        graph = self.graph
        source, padded = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
        consumers = graph.consumers(op.outputs[0])
        if len(consumers) != 1 or op.outputs[0] in graph.outputs or source.dtype != np.int8:
            return False
        user = consumers[0]
        if user.kind not in ("conv", "depthwise", "avg_pool", "max_pool"):
            return False
        amounts = graph.tensors[op.inputs[1]].data
        if user.attrs["padding"] != "valid" or amounts.shape != (4, 2) or amounts.max() > MAX_PAD:
            return False
        same = (source.scale, source.zero_point) == (padded.scale, padded.zero_point)
        if amounts[0].any() or amounts[3].any() or not same or op.inputs[0] in self._folded:
            return False
        layout = self.layouts[op.inputs[0]]
        if layout.perm != IDENTITY_PERM or tuple(source.shape) != layout.nhwc:
            return False
        self._folded[op.outputs[0]] = op
        self._note(op, "none", f"folded: {graph.op_name(user)} pads while it loads")
        return True

    def _try_fold_flatten(self, op: Op) -> bool:
        """A map flattened for a fully connected layer: that layer takes the map as it lies."""
        graph = self.graph
        consumers = graph.consumers(op.outputs[0])
        source = self.layouts[op.inputs[0]]
        plain = source.perm == IDENTITY_PERM and source.height * source.width > 1
        if op.kind != "reshape" or len(consumers) != 1 or op.outputs[0] in graph.outputs:
            return False
        user = consumers[0]
        if user.kind != "fully_connected" or not plain or op.inputs[0] in self._folded:
            return False
        if graph.tensors[user.inputs[1]].shape[1] != np.prod(source.nhwc):
            return False
        if graph.tensors[op.inputs[0]].dtype != np.int8:
            return False
        self._folded[op.outputs[0]] = op
        self._note(op, "none", f"folded: {graph.op_name(user)} reads the map as it lies")
        return True
