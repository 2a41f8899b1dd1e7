"""Random tiles of both units beside each other: functional model, hazards, cycle model, RTL."""

import numpy as np
import pytest
from engines import engine_of
from schedule import commands, edges, without_edge
from testconfigs import ODD, QUAD, WIDE
from tiles import random_tiles

from skimp.configs import PRESETS
from skimp.isa import COMMANDS, RECORD_BYTES, assemble
from skimp.regs import COUNTERS
from skimp_sim.functional import FunctionalError, FunctionalModel
from skimp_sim.perf.model import run_perf

CONFIGS = (PRESETS["tiny"], ODD, WIDE, QUAD)


def functional(program) -> FunctionalModel:
    """The functional model behind the program's end."""
    dram = np.zeros(program.dram_bytes, np.uint8)
    dram[: len(program.image)] = np.frombuffer(program.image, np.uint8)
    model = FunctionalModel(program.config, dram)
    model.run(0)
    return model


def in_order(stream, first: int, second: int) -> bool:
    """Do units and semaphores put one command of a stream behind another one?"""
    behind = {first}
    units = {COMMANDS[stream[first][0]].unit}
    orders = {}
    for poster, taker, _ in edges(stream):
        orders.setdefault(taker, []).append(poster)
    for number in range(first + 1, second + 1):
        unit = COMMANDS[stream[number][0]].unit
        if unit in units or behind.intersection(orders.get(number, ())):
            units.add(unit)
            behind.add(number)
    return second in behind


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
@pytest.mark.parametrize("seed", range(4))
def test_every_edge_is_missed(config, seed):
    """Take a post and its wait out of a program, one pair after the other: each is found."""
    program = random_tiles(config, np.random.default_rng(seed), count=8)
    functional(program)
    stream = commands(program, program.steps[0])
    missed, kinds = [], set()
    for edge in edges(stream):
        less = without_edge(stream, edge)
        if in_order(less, edge[0], edge[1]):
            continue  # others order the two, too
        kinds.add(edge[2])
        code = b"".join(assemble(o, **f) for o, f in less)
        program.image = code + program.image[len(code) :]
        try:
            functional(program)
            missed.append((edge, stream[edge[0]][0].name, stream[edge[1]][0].name))
        except FunctionalError as error:
            assert "may " in str(error), error
    assert not missed, f"seed {seed}: nobody misses {missed}"
    assert len(kinds) >= 8, kinds


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
@pytest.mark.parametrize("seed", range(8))
def test_counts_are_those_of_the_functional_model(config, seed):
    program = random_tiles(config, np.random.default_rng(seed), count=20)
    model, result = functional(program), run_perf(program)
    assert result.counts.keys() == model.layers.keys() == result.counters.keys()
    for layer, counts in model.layers.items():
        assert vars(result.counts[layer]) == {**vars(counts), "macs_gated": 0}, (seed, layer)
    total = {
        name: sum(counters[name] for counters in result.counters.values())
        for name in result.counters[0]
    }
    causes = [name for name, _ in COUNTERS[1:7]]
    assert total["cycles"] == sum(total[name] for name in causes)
    stream = commands(program, program.steps[0])
    walks = {"CONV": 0, "DEPTHWISE": 0}
    for opcode, f in stream:
        if opcode.name in walks:
            walks[opcode.name] += f["num_groups"] * f["num_c"] * f["num_r"] * f["num_s"]
    assert total["array"] == walks["CONV"]
    assert total["depthwise"] + total["beside"] == walks["DEPTHWISE"]


@pytest.mark.verilog
@pytest.mark.parametrize(
    ("config", "count"),
    [
        pytest.param(c, n, marks=pytest.mark.xdist_group(c.name), id=c.name)
        for c, n in zip((*CONFIGS, PRESETS["small"]), (30, 30, 30, 30, 20))
    ],
)
def test_rtl(config, count):
    """What is stored, byte by byte, and every counter of every layer, clock by clock."""
    for seed in range(count):
        program = random_tiles(config, np.random.default_rng(seed), count=24)
        model, perf = functional(program), run_perf(program)
        engine = engine_of(program)
        try:
            engine.dram[: len(program.image)] = np.frombuffer(program.image, np.uint8)
            engine.run(program.steps[0], lambda layer: None)
            dram = engine.dram[: len(program.image)].copy()
            # Records, which the functional model does not write, lie behind the program.
            start = program.records_addr
            dram[start : start + RECORD_BYTES * len(program.layers)] = 0
            wanted = model.dram[: len(program.image)]
            np.testing.assert_array_equal(dram, wanted, err_msg=f"seed {seed}")
            for layer, counters in engine.counters.items():
                modelled = {k: v for k, v in counters.items() if k != "macs_gated"}
                assert perf.counters[layer] == modelled, f"seed {seed}, layer {layer}"
            gated = sum(counters["macs_gated"] for counters in engine.counters.values())
            assert gated == sum(counts.macs_gated for counts in model.layers.values()), seed
        finally:
            engine.close()
