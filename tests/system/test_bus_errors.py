"""AXI errors in the middle of a network: one clear line, no hang, and the next run is exact."""

import numpy as np
import pytest
from netlib import conv_net, random_inputs

from skimp.configs import PRESETS
from skimp_compiler.compiler import compile_graph
from skimp_sim.driver.device import Device, DeviceError
from skimp_sim.driver.transport import SimTransport
from skimp_sim.executor import run_program
from skimp_sim.golden.network import run_graph
from skimp_sim.rtl_engine import RtlEngine

CONFIG = PRESETS["tiny"]
SLVERR, DECERR = 2, 3


@pytest.mark.verilog
@pytest.mark.xdist_group("tiny")
@pytest.mark.parametrize("response", [SLVERR, DECERR])
@pytest.mark.parametrize("what", ["ifmap", "weights", "ofmap"])
def test_error_stops_and_reset_recovers(what, response):
    rng = np.random.default_rng(5)
    graph = conv_net(rng, height=8, width=8, c=12, k=20, r=3, s=3)
    inputs = random_inputs(rng, graph)
    program = compile_graph(graph, CONFIG)
    places = {"ifmap": graph.inputs[0], "ofmap": graph.outputs[0]}
    if what == "weights":
        low, size, _ = next(r for r in program.memory_map if r[2].startswith("weights"))
    else:
        place = program.tensors[places[what]]
        low, size = place.address, place.size_bytes
    at = low + size // 2 // 8 * 8

    engine = RtlEngine(program)
    engine.sim.inject_error(at, at + 8, response)
    dram, address = engine.dram, program.steps[0].address
    dram[: len(program.image)] = np.frombuffer(program.image, np.uint8)
    device = Device(SimTransport(engine.sim), CONFIG)
    kind = "BUS_WRITE" if what == "ofmap" else "BUS_READ"
    with pytest.raises(DeviceError, match=kind) as caught:
        device.run(address, limit_cycles=1_000_000)
    assert len(str(caught.value).splitlines()) == 1

    # The address is that of the burst with the bad beat.
    info = int(str(caught.value).split(" at ")[1].split(":")[0], 16)
    assert at - 8 * CONFIG.burst_beats < info <= at

    engine.sim.inject_error(0, 0, 0)
    device.reset()
    result = run_program(graph, program, inputs, engine=engine)
    golden = run_graph(graph, inputs)
    np.testing.assert_array_equal(result.values[graph.outputs[0]], golden[graph.outputs[0]])
