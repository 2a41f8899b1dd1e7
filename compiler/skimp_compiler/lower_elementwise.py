"""Layers of the elementwise unit: adds and operators of one int8 tensor."""

from dataclasses import replace

import numpy as np

from skimp_compiler.elementwise_layer import TABLE_ENTRIES, ElementwiseSpec, emit_elementwise
from skimp_compiler.emitter import Emitter
from skimp_compiler.graph import Op
from skimp_compiler.lower_parts import LoweringParts, OnHost
from skimp_sim.golden.elementwise import scaled_input
from skimp_sim.golden.network import run_op
from skimp_sim.golden.params import add_params

__all__ = ["ElementwiseLayers"]


class ElementwiseLayers(LoweringParts):
    """add, sub, mul by a constant, logistic, hard_swish, quantize."""

    def _lower_add(self, op: Op, emitter: Emitter):
        graph = self.graph
        tensors = [graph.tensors[i] for i in op.inputs]
        if any(t.is_const for t in tensors):
            return self._lower_table(op, emitter)
        first, second = (self.layouts[i] for i in op.inputs)
        if tensors[0].shape != tensors[1].shape or tensors[1].dtype != np.int8:
            raise OnHost("its operands differ in shape or type")
        if replace(first, root=0) != replace(second, root=0):
            raise OnHost("its operands lie differently")
        params = add_params(graph, op)
        values = np.arange(TABLE_ENTRIES, dtype=np.uint8).view(np.int8)
        tables = np.stack([scaled_input(params, n, values) for n in (0, 1)])
        self.layouts.set(op.outputs[0], replace(first, root=op.outputs[0]))
        requant = self._requant_lanes(
            op,
            params.out_multiplier,
            params.out_shift,
            out_zp=params.out_zp,
            act=(params.act_min, params.act_max),
        )
        self._emit_elementwise(op, emitter, op.inputs, tables, requant)
        return "post", "sum of two maps: scaled inputs from tables, one requantisation"

    _lower_sub = _lower_add

    def _lower_mul(self, op: Op, emitter: Emitter):
        if not any(self.graph.tensors[i].is_const for i in op.inputs):
            raise OnHost("a product of two maps; the golden model's code runs it")
        return self._lower_table(op, emitter)

    def _lower_table(self, op: Op, emitter: Emitter):
        """An operator of one int8 tensor: every result is in a table of 256."""
        graph = self.graph
        operands = [i for i in op.inputs if i >= 0 and not graph.tensors[i].is_const]
        constants = [graph.tensors[i] for i in op.inputs if i >= 0 and graph.tensors[i].is_const]
        if len(operands) != 1 or any(c.data.size != 1 for c in constants):
            raise OnHost("its constant operand is not a single value")
        index = operands[0]
        values = np.arange(TABLE_ENTRIES, dtype=np.uint8).view(np.int8)
        out_zp = graph.tensors[op.outputs[0]].zero_point
        (results,) = run_op(graph, op, {index: values})
        table = results.astype(np.int32).reshape(-1) - out_zp
        tables = np.stack([table, np.zeros_like(table)])
        self.layouts.set(op.outputs[0], replace(self.layouts[index], root=op.outputs[0]))
        requant = self._identity(op, out_zp=out_zp)
        self._emit_elementwise(op, emitter, (index,), tables, requant)
        return "post", "one int8 tensor in, one out: a table of 256 results"

    _lower_logistic = _lower_table
    _lower_hard_swish = _lower_table
    _lower_quantize = _lower_table

    def _emit_elementwise(self, op, emitter, inputs, tables, requant) -> None:
        spec = ElementwiseSpec(
            num_channels=self.layouts[inputs[0]].channels,
            inputs=tuple(self._planes(i) for i in inputs),
            output=self._planes(op.outputs[0]),
            tables_addr=self.constants.constant(
                tables.astype("<i4"), f"tables {self.graph.op_name(op)}"
            ),
            requant=requant,
        )
        emit_elementwise(emitter, self.config, spec)
