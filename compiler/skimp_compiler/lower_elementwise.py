"""Adds and operators of one int8 tensor: second stages of a drain, fused or behind a copy."""

from dataclasses import replace

import numpy as np

from skimp.isa import MAX_SHIFT, MIN_SHIFT, TABLE_ENTRIES
from skimp_compiler.depthwise_layer import DepthwiseLayer, DepthwiseSpec, Region
from skimp_compiler.drain_store import SecondStage
from skimp_compiler.emitter import Emitter
from skimp_compiler.geometry import Window
from skimp_compiler.graph import Op
from skimp_compiler.lower_parts import IDENTITY, LoweringParts, OnHost
from skimp_sim.golden.elementwise import scaled_input
from skimp_sim.golden.network import run_op
from skimp_sim.golden.params import add_params

__all__ = ["ElementwiseLayers"]

_TABLE_KINDS = ("logistic", "hard_swish", "quantize", "mul", "add", "sub")


class ElementwiseLayers(LoweringParts):
    """add, sub, mul by a constant, logistic, hard_swish, quantize."""

    def _lower_add(self, op: Op, emitter: Emitter):
        index = op.inputs[0]
        if self.graph.tensors[index].is_const:
            index = op.inputs[1]
        stage = self._second_stage(op, index)
        self._emit_copy(op, emitter, index, stage)
        if stage.residual is None:
            return "post", f"one int8 tensor in, one out: a table of {TABLE_ENTRIES} results"
        return "post", "sum of two maps: scaled inputs from tables, one requantisation"

    _lower_sub = _lower_add
    _lower_mul = _lower_add
    _lower_logistic = _lower_add
    _lower_hard_swish = _lower_add
    _lower_quantize = _lower_add

    def _fuse(self, op: Op) -> tuple[SecondStage | None, int]:
        """Take the only user of an operator's result along, where a second stage can do it.

        Returns that stage, or None, and the tensor that then comes out. Sets `_fused` and the
        layout of the user's output.
        """
        graph, made = self.graph, op.outputs[0]
        users = graph.consumers(made)
        if len(users) != 1 or made in graph.outputs or users[0].kind not in _TABLE_KINDS:
            return None, made
        user = users[0]
        others = [i for i in user.inputs if i >= 0 and i != made and not graph.tensors[i].is_const]
        if list(user.inputs).count(made) != 1 or any(i not in self.places for i in others):
            return None, made
        if any(graph.tensors[i].dtype != np.int8 for i in (made, *user.outputs)):
            return None, made
        try:
            stage = self._second_stage(user, made)
        except OnHost:
            return None, made
        self._fused = user
        return stage, user.outputs[0]

    def _second_stage(self, op: Op, index: int) -> SecondStage:
        """Return what a drain of tensor `index` does to make the result of `op`."""
        graph = self.graph
        others = [i for i in op.inputs if i >= 0 and i != index and not graph.tensors[i].is_const]
        twice = list(op.inputs).count(index) == 2
        self.layouts.set(op.outputs[0], replace(self.layouts[index], root=op.outputs[0]))
        if op.kind in ("add", "sub") and (others or twice):
            return self._sum_stage(op, index, others[0] if others else index)
        if others or twice:
            raise OnHost("a product of two maps; the golden model's code runs it")
        constants = [graph.tensors[i] for i in op.inputs if i >= 0 and graph.tensors[i].is_const]
        if any(c.data.size != 1 for c in constants):
            raise OnHost("its constant operand is not a single value")
        values = np.arange(TABLE_ENTRIES, dtype=np.uint8).view(np.int8)
        out_zp = graph.tensors[op.outputs[0]].zero_point
        (results,) = run_op(graph, op, {index: values})
        table = results.astype(np.int32).reshape(-1) - out_zp
        return self._stage(
            op, np.stack([table, np.zeros_like(table)]), None, *IDENTITY, out_zp, -128, 127
        )

    def _sum_stage(self, op: Op, index: int, other: int) -> SecondStage:
        graph = self.graph
        tensors = [graph.tensors[i] for i in op.inputs]
        first, second = self.layouts[index], self.layouts[other]
        if tensors[0].shape != tensors[1].shape or any(t.dtype != np.int8 for t in tensors):
            raise OnHost("its operands differ in shape or type")
        if replace(first, root=0) != replace(second, root=0):
            raise OnHost("its operands lie differently")
        params = add_params(graph, op)
        values = np.arange(TABLE_ENTRIES, dtype=np.uint8).view(np.int8)
        tables = [scaled_input(params, n, values) for n in (0, 1)]
        if op.inputs[0] != index:
            tables.reverse()
        return self._stage(
            op, np.stack(tables), self._planes(other), params.out_multiplier, params.out_shift,
            params.out_zp, params.act_min, params.act_max,
        )  # fmt: skip

    def _stage(self, op, tables, residual, mult, shift, out_zp, act_min, act_max) -> SecondStage:
        if not MIN_SHIFT <= shift <= MAX_SHIFT:
            raise OnHost(
                f"its output scale needs a shift by {shift}; the hardware shifts "
                f"{MIN_SHIFT} to {MAX_SHIFT}"
            )
        return SecondStage(
            tables_addr=self.constants.constant(
                tables.astype("<i4"), f"tables {self.graph.op_name(op)}"
            ),
            residual=residual,
            mult=int(mult),
            shift=int(shift),
            out_zp=int(out_zp),
            act_min=int(act_min),
            act_max=int(act_max),
        )

    def _emit_copy(self, op: Op, emitter: Emitter, index: int, stage: SecondStage) -> None:
        """A tensor through the depthwise unit as it is; every pixel is alike, so it is one row."""
        zero_point = self.graph.tensors[index].zero_point
        output = self._planes(op.outputs[0]).flat()
        if stage.residual is not None:
            stage = replace(stage, residual=stage.residual.flat())
        self._layer = DepthwiseLayer(
            emitter,
            self.config,
            DepthwiseSpec(
                window=Window(),
                num_channels=self.layouts[index].channels,
                inputs=(self._planes(index).flat(),),
                output=output,
                wgt_addr=None,
                in_zp=zero_point,
                fill=zero_point,
                requant=self._identity(op, out_zp=zero_point),
                params_per_block=False,
                regions=(Region(y0=0, x0=0, rows=1, cols=output.width),),
                second=stage,
            ),
        )
