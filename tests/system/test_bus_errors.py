"""AXI errors in the middle of a network: one clear line, no hang, and the next run is exact."""

import itertools

import numpy as np
import pytest
from chains import random_blocks
from engines import engine_of
from netlib import conv_net, random_inputs
from testconfigs import WIDE

from skimp.configs import PRESETS
from skimp.isa import RECORD_BYTES
from skimp.rlc.format import RAW_FRAME
from skimp_compiler.compiler import compile_graph
from skimp_compiler.program import DeviceStep, pack
from skimp_sim.driver.device import Device, DeviceError
from skimp_sim.driver.simulated import SimTransport
from skimp_sim.executor import run_program
from skimp_sim.golden.network import run_graph

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

    engine = engine_of(program)
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


@pytest.mark.verilog
@pytest.mark.xdist_group("wide")
def test_damaged_units_stop_and_reset_recovers():
    """Somebody else writes into a coded activation between two layers."""
    for seed in itertools.count():
        graph = random_blocks(np.random.default_rng(seed))
        program = compile_graph(graph, WIDE, compress="bitmap", fuse=False)
        place = next((place for place in program.tensors.values() if place.coding), None)
        if place is not None:
            break
    inputs = random_inputs(np.random.default_rng(7), graph)
    engine = engine_of(program)
    dram, step = engine.dram, next(s for s in program.steps if isinstance(s, DeviceStep))
    layers = list(step.layers)

    def fill():
        dram[: len(program.image)] = np.frombuffer(program.image, np.uint8)
        for index, value in zip(graph.inputs, inputs):
            data = pack(program.tensors[index], value)
            address = program.tensors[index].address
            dram[address : address + len(data)] = np.frombuffer(data, np.uint8)

    def damage():
        if program.layers[layers.pop(0)].output == place.index:
            for n in range(place.num_units):
                dram[place.address + n * place.coding.pitch_bytes] = RAW_FRAME + 1

    fill()
    records = program.records_addr
    engine.sim.watch(records, records + RECORD_BYTES * len(program.layers))
    device = Device(SimTransport(engine.sim, on_event=damage), WIDE)
    with pytest.raises(DeviceError, match="DAMAGED") as caught:
        device.run(step.address, limit_cycles=1_000_000)
    assert len(str(caught.value).splitlines()) == 1

    device.reset()
    result = run_program(graph, program, inputs, engine=engine)
    golden = run_graph(graph, inputs)
    np.testing.assert_array_equal(result.values[graph.outputs[0]], golden[graph.outputs[0]])
