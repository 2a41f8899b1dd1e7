"""Activations on the chip: only what the host never touches, and never two in one place."""

from dataclasses import replace

import numpy as np
import pytest
from chains import random_chain
from netlib import Net, random_inputs
from randomconfig import random_config
from testconfigs import WIDE

from skimp.configs import PRESETS
from skimp_compiler.compiler import compile_graph
from skimp_compiler.program import HostStep
from skimp_sim.executor import run_program
from skimp_sim.functional import FunctionalError
from skimp_sim.golden.network import run_graph

SMALL = replace(PRESETS["small"], act_depth=4096)


def conv_chain(rng, length, *, height=9, width=11, c=16, host_at=()):
    """Convolutions in a row; behind some of them a softmax, which the host runs."""
    net = Net(rng, "chain")
    x = y = net.tensor((1, height, width, c), scale=0.05)
    made = []
    for n in range(length):
        size = (c, 3, 3, c)
        w = net.tensor(size, scale=np.full(c, 0.002), zero_point=0, data=net.weights(size))
        z = net.tensor((1, height, width, c), scale=0.05)
        net.op(
            "conv", (y, w, net.bias(c, 0.0001)), (z,), stride_h=1, stride_w=1, padding="same",
            dilation_h=1, dilation_w=1, activation="none",
        )  # fmt: skip
        made.append(z)
        y = z
        if n in host_at:
            y = net.tensor((1, height, width, c), scale=1 / 256, zero_point=-128)
            net.op("softmax", (z,), (y,), beta=1.0)
            made.append(y)
    return net.done((x,), (y,)), made


def run(graph, config, seed, *, keep=True):
    inputs = random_inputs(np.random.default_rng(seed), graph)
    golden = run_graph(graph, inputs)
    program = compile_graph(graph, config)
    result = run_program(graph, program, inputs, keep=keep)
    for index, value in result.values.items():
        np.testing.assert_array_equal(value, golden[index], err_msg=f"seed {seed}, {index}")
    return program, result


def on_chip(program, indices):
    return [program.tensors[index].on_chip for index in indices]


def test_all_but_the_ends():
    graph, made = conv_chain(np.random.default_rng(1), 4)
    program, result = run(graph, SMALL, 1)
    assert on_chip(program, [*graph.inputs, *made]) == [False, True, True, True, False]
    counts = list(result.counts.values())
    assert [bool(c.dram_read_bytes["ifmap"]) for c in counts] == [True, False, False, False]
    assert [bool(c.dram_write_bytes["ofmap"]) for c in counts] == [False, False, False, True]
    # Two activations take turns; a third is never needed.
    assert len({program.tensors[index].address for index in made[:3]}) == 2


def test_no_activation_store():
    graph, made = conv_chain(np.random.default_rng(1), 3)
    program, result = run(graph, replace(SMALL, act_depth=0), 1)
    assert not any(on_chip(program, made))
    assert not any(c.act_accesses for c in result.counts.values())


@pytest.mark.parametrize("room", [1, 2, 3])
def test_what_does_not_fit_lies_in_dram(room):
    """With room for one activation, every second one has to go to DRAM."""
    graph, made = conv_chain(np.random.default_rng(1), 5)
    size = compile_graph(graph, SMALL).tensors[made[0]].size_bytes
    unit = -(-size // 128) * 128
    config = replace(SMALL, act_depth=unit * room // SMALL.chip_bytes)
    program, _ = run(graph, config, 1)
    wanted = [True, False, True, False, False] if room == 1 else [True] * 4 + [False]
    assert on_chip(program, made) == wanted


def test_what_the_host_reads_and_writes_lies_in_dram():
    graph, made = conv_chain(np.random.default_rng(1), 4, host_at=(1,))
    program, _ = run(graph, SMALL, 1)
    # conv, conv, softmax, conv, conv
    assert on_chip(program, made) == [True, False, False, True, False]
    assert sum(isinstance(step, HostStep) for step in program.steps) == 1


def test_both_operands_of_the_host_lie_in_dram():
    net = Net(np.random.default_rng(1), "product")
    x, a, b, y = (net.tensor((1, 6, 7, 16), scale=s) for s in (0.05, 0.06, 0.07, 0.08))
    net.op("quantize", (x,), (a,))
    net.op("quantize", (x,), (b,))
    net.op("mul", (a, b), (y,), activation="none")
    program, _ = run(net.done((x,), (y,)), SMALL, 1)
    assert program.layers[2].unit == "host"
    assert on_chip(program, (a, b)) == [False, False]


@pytest.mark.parametrize("kind", ["reshape", "transpose"])
def test_an_output_that_is_a_view(kind):
    """The network's output is the same bytes as an activation: those must be in DRAM too."""
    net = Net(np.random.default_rng(1), "view")
    x = net.tensor((1, 6, 7, 16), scale=0.05)
    y = net.tensor((1, 6, 7, 16), scale=0.07, zero_point=3)
    net.op("quantize", (x,), (y,))
    out = (1, 42, 16) if kind == "reshape" else (1, 16, 6, 7)
    if kind == "reshape":
        flat = net.tensor((1, 6, 7, 16), scale=0.07, zero_point=3)
        net.op("reshape", (y, net.plain([6, 7, 16])), (flat,))
        net.graph.tensors[flat].shape = (6, 7, 16)
        view = flat
    else:
        view = net.tensor(out, scale=0.07, zero_point=3)
        net.op("transpose", (y, net.plain([0, 3, 1, 2])), (view,))
    # Something else comes later and would like the place.
    z, last = net.tensor((1, 6, 7, 16), scale=0.3), net.tensor((1, 6, 7, 16), scale=0.4)
    net.op("quantize", (x,), (z,))
    net.op("quantize", (z,), (last,))
    graph = net.done((x,), (view, last))
    for keep in (True, False):
        program, result = run(graph, SMALL, 1, keep=keep)
        assert {layer.unit for layer in program.layers} == {"post", "none"}
        assert not program.tensors[y].on_chip
        assert set(graph.outputs) <= set(result.values)


@pytest.mark.parametrize("start", range(0, 120, 20))
def test_random_networks(start):
    """Values are right even where only the outputs are fetched; the host sees DRAM only."""
    seen = 0
    for seed in range(start, start + 20):
        rng = np.random.default_rng(seed)
        graph = random_chain(rng)
        config = replace(random_config(rng), act_depth=int(rng.choice([40, 1000, 20_000])))
        program, result = run(graph, config, seed, keep=False)
        assert set(graph.outputs) <= set(result.values)
        seen += sum(place.on_chip for place in program.tensors.values())
        touched = {*graph.inputs, *graph.outputs}
        for step in program.steps:
            if isinstance(step, HostStep):
                op = graph.ops[step.op_index]
                touched |= {*op.inputs, *op.outputs}
        for index in touched & set(program.tensors):
            assert not program.tensors[index].on_chip, f"seed {seed}, tensor {index}"
        for place in program.tensors.values():
            if place.on_chip:
                end = place.address % (1 << 31) + place.size_bytes
                assert place.address % 128 == 0 and end <= config.act_bytes, f"seed {seed}"
    assert seen


def test_a_place_given_back_too_early_is_seen(monkeypatch):
    """The comparison must notice an activation that another one overwrites."""
    from skimp_compiler import lower_parts

    monkeypatch.setattr(lower_parts, "_last_uses", lambda graph: {})
    with pytest.raises((AssertionError, FunctionalError)):
        for seed in range(10):
            rng = np.random.default_rng(seed)
            run(random_chain(rng), replace(WIDE, act_depth=2000), seed, keep=False)
