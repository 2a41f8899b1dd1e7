"""Weights and parameters that stay on the chip from one image to the next."""

from dataclasses import replace

import numpy as np
import pytest
from chains import random_blocks, random_chain
from netlib import conv_net, random_inputs
from testconfigs import ODD, WIDE, on_rtl

from skimp.configs import PRESETS
from skimp.isa import LoadTarget, Opcode
from skimp_compiler.compiler import compile_graph
from skimp_compiler.graph import ModelError
from skimp_compiler.program import DeviceStep
from skimp_sim.counting import commands_of
from skimp_sim.executor import FunctionalEngine, run_program
from skimp_sim.golden.network import run_graph
from skimp_sim.perf.model import run_perf
from skimp_sim.rtl_engine import RtlEngine


def fitting(config, count):
    """Yield networks whose weights stay on the chip, with their programs and seeds."""
    seed = 0
    while count:
        seed += 1
        graph = (random_blocks if seed % 2 else random_chain)(np.random.default_rng(seed))
        try:
            program = compile_graph(graph, config, resident=True)
        except ModelError as error:
            assert "weights cannot stay on the chip" in str(error)
            continue
        count -= 1
        yield seed, graph, program


def constants(program):
    """Return what is loaded of weights and parameters."""
    steps = (step for step in program.steps if isinstance(step, DeviceStep))
    commands = (c for step in steps for c in commands_of(program, step))
    return [c for c in commands if c.opcode is Opcode.LOAD_LINEAR and c.target != LoadTarget.TABLE]


def run_two(seed, graph, program, engine):
    """Run two images that differ; hold the second one against the golden model."""
    first, second = (random_inputs(np.random.default_rng(n), graph) for n in (seed, seed + 1000))
    run_program(graph, program, first, engine=engine, keep=False, more=True)
    engine.program = program.resident
    result = run_program(graph, program.resident, second, engine=engine)
    golden = run_graph(graph, second)
    for index, value in result.values.items():
        np.testing.assert_array_equal(value, golden[index], err_msg=f"seed {seed}, {index}")
    return result


@pytest.mark.parametrize(
    "config", [WIDE, PRESETS["small"], PRESETS["zcu104"]], ids=lambda c: c.name
)
def test_functional(config):
    for seed, graph, program in fitting(config, 8):
        assert constants(program)
        assert not constants(program.resident)
        run_two(seed, graph, program, FunctionalEngine(program))


@pytest.mark.verilog
@pytest.mark.parametrize("config", on_rtl(WIDE))
def test_rtl(config):
    """Bit-exact, and clock for clock what the cycle model says of a second image."""
    for seed, graph, program in fitting(config, 5):
        result = run_two(seed, graph, program, RtlEngine(program))
        both = replace(program, steps=[*program.steps, *program.resident_steps])
        model = run_perf(both).counters
        for layer, counters in result.counters.items():
            got = {name: counters[name] for name in model[layer]}
            assert got == model[layer], f"seed {seed}, layer {layer}"


def test_first_image_is_what_it_was():
    """Commands of the first image do not depend on those of the next ones."""
    graph = conv_net(np.random.default_rng(1), height=9, width=9, c=24, k=40, r=3, s=3)
    plain, both = (compile_graph(graph, WIDE, resident=n) for n in (False, True))
    assert [s.num_commands for s in plain.steps] == [s.num_commands for s in both.steps]
    assert not plain.resident_steps


@pytest.mark.parametrize("what", ["weights", "parameters"])
def test_what_does_not_fit_is_told(what):
    config = replace(PRESETS["small"], name="little", param_depth=4)
    size = dict(c=24, k=200, r=1, s=1) if what == "parameters" else dict(c=300, k=16, r=3, s=3)
    if what == "weights":
        config = replace(PRESETS["small"], name="little", wgt_depth=40)
    graph = conv_net(np.random.default_rng(1), height=4, width=4, **size)
    with pytest.raises(ModelError, match=f"its {what} are more than little holds"):
        compile_graph(graph, config, resident=True)


def test_host_between_is_told():
    for seed in range(200):
        graph = random_chain(np.random.default_rng(seed))
        program = compile_graph(graph, ODD)
        if sum(isinstance(step, DeviceStep) for step in program.steps) > 1:
            with pytest.raises(ModelError, match="the host works between"):
                compile_graph(graph, ODD, resident=True)
            return
    raise AssertionError("no network with the host between")
