"""Single operators, generated: golden model against LiteRT's reference kernels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from netlib import KINDS, random_inputs, random_net

from skimp_compiler.tflite_reader import read_tflite
from skimp_compiler.tflite_writer import write_tflite
from skimp_sim.golden.network import run_graph
from skimp_sim.litert import run_litert


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1 << 30))
def test_operator(tmp_path_factory, kind, seed):
    rng = np.random.default_rng(seed)
    graph = random_net(rng, kind)
    inputs = random_inputs(rng, graph)
    path = tmp_path_factory.mktemp(kind) / "net.tflite"
    path.write_bytes(write_tflite(graph))
    litert = run_litert(path, inputs)
    golden = run_graph(graph, inputs)
    for index in graph.outputs:
        np.testing.assert_array_equal(golden[index], litert[index], err_msg=f"seed {seed}")


@pytest.mark.parametrize("kind", KINDS)
def test_written_file_reads_back(tmp_path, kind):
    graph = random_net(np.random.default_rng(5), kind)
    path = tmp_path / f"{graph.name}.tflite"
    path.write_bytes(write_tflite(graph))
    again = read_tflite(path)
    assert again.ops == graph.ops
    assert (again.inputs, again.outputs) == (graph.inputs, graph.outputs)
    for ours, theirs in zip(graph.tensors, again.tensors):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        if ours.data is not None:
            np.testing.assert_array_equal(ours.data, theirs.data)
        if ours.quant is not None:
            np.testing.assert_array_equal(ours.quant.scale, theirs.quant.scale)
            np.testing.assert_array_equal(ours.quant.zero_point, theirs.quant.zero_point)
