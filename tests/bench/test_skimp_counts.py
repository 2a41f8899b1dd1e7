"""What skimp's dataflow reads and writes: of a small network, by hand."""

import numpy as np
from netlib import conv_net
from skimp_counts import values

from skimp.configs import PRESETS
from skimp_compiler.compiler import compile_graph
from skimp_sim.perf.model import run_perf


def test_one_convolution():
    graph = conv_net(np.random.default_rng(5), height=6, width=7, c=5, k=9, r=3, s=3)
    config = PRESETS["tiny"]
    program = compile_graph(graph, config)
    (layer,) = program.layers
    found = values(program)
    assert found["macs"] == layer.macs > 0
    assert found["accesses"]["array"] == {"ifmap": layer.macs, "wgt": 0, "psum": layer.macs}
    one = run_perf(program).counts[layer.layer_id]
    dram = found["accesses"]["dram"]
    assert dram == {
        "ifmap": one.dram_read_bytes["ifmap"], "wgt": one.dram_read_bytes["wgt"],
        "psum": one.dram_write_bytes["ofmap"],
    }  # fmt: skip
    assert dram["wgt"] >= 9 * 9 * 5
    assert found["accesses"]["glb"]["ifmap"] == config.in_channels * one.glb_accesses["ifmap"]
    assert found["accesses"]["rf"]["wgt"] == layer.macs + one.spad_accesses["wgt"]
    assert found["accesses"]["rf"]["psum"] == one.spad_accesses["psum"]
