"""Weights and parameters that stay on the chip from one image to the next."""

from dataclasses import replace

import numpy as np
import pytest
from chains import random_blocks, random_chain
from engines import engine_of
from netlib import conv_net, random_inputs
from testconfigs import ODD, WIDE, on_rtl

from skimp.configs import PRESETS
from skimp.isa import LoadTarget, Opcode
from skimp_compiler.compiler import compile_graph
from skimp_compiler.graph import ModelError
from skimp_compiler.program import DeviceStep
from skimp_sim.counting import commands_of
from skimp_sim.energy.command import energy_model
from skimp_sim.executor import FunctionalEngine, run_program
from skimp_sim.golden.network import run_graph
from skimp_sim.perf.command import perf_report
from skimp_sim.perf.model import run_perf
from skimp_sim.run import run_model


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
        result = run_two(seed, graph, program, engine_of(program))
        model = run_perf(program.resident).counters
        assert model.keys() == result.counters.keys()
        for layer, counters in result.counters.items():
            got = {name: counters[name] for name in model[layer]}
            assert got == model[layer], f"seed {seed}, layer {layer}"


@pytest.mark.parametrize("config", [WIDE, PRESETS["small"]], ids=lambda c: c.name)
def test_model_of_the_second_image(config):
    """Two images in a row are the first one and then what is reported of the second."""
    for seed, _, program in fitting(config, 8):
        both = run_perf(replace(program, steps=[*program.steps, *program.resident_steps]))
        first, second = run_perf(program), run_perf(program.resident)
        assert second.counters == both.counters, seed
        assert first.requests + second.requests == both.requests, seed
        assert second.dram["reads"] > 0
        for name, number in both.dram.items():
            assert first.dram[name] + second.dram[name] == number, (seed, name)
        assert second.counts.keys() == first.counts.keys()
        assert moved_weights(second) < moved_weights(first), seed


def moved_weights(result):
    return sum(counts.dram_read_bytes["wgt"] for counts in result.counts.values())


def test_energy_is_of_the_second_image():
    """Rows that the first image opens are not among its own; `run` and `perf` say the same."""
    costs = energy_model(True, "45nm", "ddr4")
    for seed, graph, program in fitting(WIDE, 4):
        inputs = random_inputs(np.random.default_rng(seed), graph)
        options = dict(resident=True, energy=costs)
        perf = perf_report(graph, WIDE, activations=run_graph(graph, inputs), **options)
        run = run_model(graph, None, inputs, WIDE, engine="functional", checked=False, **options)
        expected = run_perf(program.resident)
        for report in (perf, run):
            uses = report.energy.uses.values()
            opened = sum(use.activates for use in uses)
            assert opened == pytest.approx(expected.dram["activates"]), seed
            assert sum(use.cycles for use in uses) == expected.cycles, seed


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
