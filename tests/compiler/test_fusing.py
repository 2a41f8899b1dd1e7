"""Adds and table operators on the way out of the layer before them, and where they must not be."""

import numpy as np
import pytest
from netlib import Net, random_inputs
from schedule import commands
from testconfigs import ODD, WIDE

from skimp.configs import PRESETS
from skimp.isa import Opcode
from skimp_compiler.compiler import compile_graph
from skimp_compiler.program import DeviceStep
from skimp_sim.executor import run_program
from skimp_sim.golden.network import run_graph

CONFIGS = [PRESETS["tiny"], PRESETS["small"], ODD, WIDE]
SHAPE = (1, 5, 7, 20)


class Build:
    """A network of maps of one shape, operator by operator."""

    def __init__(self, seed=1):
        self.net = Net(np.random.default_rng(seed), "fusing")
        self.inputs = []

    def input(self):
        self.inputs.append(self.net.tensor(SHAPE, scale=0.05))
        return self.inputs[-1]

    def map(self, **options):
        return self.net.tensor(SHAPE, **({"scale": 0.07} | options))

    def conv(self, x, *, depthwise=False, into=None):
        net, c = self.net, SHAPE[3]
        size = (1, 3, 3, c) if depthwise else (c, 3, 3, c)
        w = net.tensor(
            size, scale=np.full(c, 0.002), zero_point=0, data=net.weights(size),
            axis=3 if depthwise else 0,
        )  # fmt: skip
        y = self.map() if into is None else into
        attrs = dict(multiplier=1) if depthwise else {}
        net.op(
            "depthwise" if depthwise else "conv", (x, w, net.bias(c, 0.0001)), (y,), stride_h=1,
            stride_w=1, padding="same", dilation_h=1, dilation_w=1, activation="none", **attrs,
        )  # fmt: skip
        return y

    def pool(self, x, kind="max_pool"):
        tensor = self.net.graph.tensors[x]
        y = self.map(scale=tensor.scale, zero_point=tensor.zero_point)
        self.net.op(
            kind, (x,), (y,), filter_h=3, filter_w=3, stride_h=1, stride_w=1, padding="same",
            activation="none",
        )  # fmt: skip
        return y

    def two(self, kind, a, b):
        y = self.map()
        self.net.op(kind, (a, b), (y,), activation="relu")
        return y

    def constant(self):
        return self.net.tensor((1,), data=np.array([37], np.int8), scale=0.03)

    def one(self, kind, x):
        fixed = dict(scale=1 / 256, zero_point=-128) if kind == "logistic" else {}
        y = self.map(**fixed)
        self.net.op(kind, (x,), (y,))
        return y

    def done(self, *outputs):
        return self.net.done(self.inputs, outputs)


def run(graph, config, seed=3):
    """Hold every value against the golden model; return the program and the device's commands."""
    inputs = random_inputs(np.random.default_rng(seed), graph)
    golden = run_graph(graph, inputs)
    program = compile_graph(graph, config)
    result = run_program(graph, program, inputs)
    for index, value in result.values.items():
        np.testing.assert_array_equal(value, golden[index], err_msg=f"{config.name}, {index}")
    assert set(graph.outputs) <= set(result.values)
    stream = [c for s in program.steps if isinstance(s, DeviceStep) for c in commands(program, s)]
    return program, stream


def fused(program) -> dict[str, str]:
    """Name of every fused layer: name of the one that does its work."""
    names = {layer.layer_id: layer.name for layer in program.layers}
    return {
        layer.name: names[layer.fused_with]
        for layer in program.layers
        if layer.unit == "post" and layer.fused_with is not None
    }


BEFORE = {
    "conv": lambda b, x: b.conv(x),
    "depthwise": lambda b, x: b.conv(x, depthwise=True),
    "max_pool": lambda b, x: b.pool(x),
    "avg_pool": lambda b, x: b.pool(x, "avg_pool"),
}
BEHIND = {
    "add of something older": lambda b, x, y: b.two("add", y, x),
    "add, older first": lambda b, x, y: b.two("add", x, y),
    "sub of something older": lambda b, x, y: b.two("sub", y, x),
    "sub from something older": lambda b, x, y: b.two("sub", x, y),
    "add of a constant": lambda b, x, y: b.two("add", y, b.constant()),
    "constant times": lambda b, x, y: b.two("mul", b.constant(), y),
    "hard_swish": lambda b, x, y: b.one("hard_swish", y),
    "logistic": lambda b, x, y: b.one("logistic", y),
    "quantize": lambda b, x, y: b.one("quantize", y),
}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("before", BEFORE)
def test_fused(before, behind, config):
    b = Build()
    x = b.input()
    made = BEFORE[before](b, x)
    graph = b.done(BEHIND[behind](b, x, made))
    program, stream = run(graph, config)
    first, second = program.layers
    assert (second.unit, second.fused_with) == ("post", first.layer_id)
    assert first.name in second.reason
    # Nobody needs what is between them: it has no place.
    assert made not in program.tensors
    drains = [fields for opcode, fields in stream if opcode is Opcode.DRAIN]
    residual = "older" in behind
    assert {(f["add"], f["residual"]) for f in drains} == {(1, int(residual))}
    loads = sum(opcode is Opcode.LOAD_RESIDUAL for opcode, _ in stream)
    assert loads == (len(drains) if residual else 0)
    assert sum(opcode is Opcode.LAYER for opcode, _ in stream) == 2


def two_users(b):
    x = b.input()
    y = b.conv(x)
    return b.done(b.two("add", y, x), b.one("logistic", y)), {}


def graph_output(b):
    x = b.input()
    y = b.conv(x)
    return b.done(y, b.two("add", y, x)), {}


def made_later(b):
    """The first convolution cannot add what the second one makes; the second can."""
    x = b.input()
    first, second = b.conv(x), b.conv(x)
    return b.done(b.two("add", first, second)), {"2:add": "1:conv"}


def both_made_by_adds(b):
    x = b.input()
    sums = b.two("add", x, b.conv(x)), b.two("sub", x, b.conv(x, depthwise=True))
    return b.done(b.two("add", *sums)), {"1:add": "0:conv", "3:sub": "2:depthwise"}


def behind_a_fused_add(b):
    """A drain has one second stage."""
    x = b.input()
    return b.done(b.one("hard_swish", b.two("add", b.conv(x), x))), {"1:add": "0:conv"}


def added_to_itself(b):
    y = b.conv(b.input())
    return b.done(b.two("add", y, y)), {}


def product_of_maps(b):
    x = b.input()
    return b.done(b.two("mul", b.conv(x), x)), {}


def other_layout(b):
    """The other operand lies transposed."""
    c = 6
    x = b.net.tensor((1, c, c, c), scale=0.05)
    b.inputs.append(x)
    tensor = b.net.graph.tensors[x]
    turned = b.net.tensor((1, c, c, c), scale=0.05, zero_point=tensor.zero_point)
    b.net.op("transpose", (x, b.net.plain([0, 3, 1, 2])), (turned,))
    y = b.net.tensor((1, c, c, c), scale=0.05, zero_point=tensor.zero_point)
    b.net.op(
        "max_pool", (x,), (y,), filter_h=3, filter_w=3, stride_h=1, stride_w=1, padding="same",
        activation="none",
    )  # fmt: skip
    z = b.net.tensor((1, c, c, c), scale=0.05)
    b.net.op("add", (y, turned), (z,), activation="none")
    return b.done(z), {}


NOT = [
    two_users, graph_output, made_later, both_made_by_adds, behind_a_fused_add, added_to_itself,
    product_of_maps, other_layout,
]  # fmt: skip


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
@pytest.mark.parametrize("case", NOT, ids=lambda c: c.__name__)
def test_not_fused(case, config):
    graph, wanted = case(Build())
    program, _ = run(graph, config)
    assert fused(program) == wanted
    on_host = {layer.name for layer in program.layers if layer.unit == "host"}
    expected = {product_of_maps: {"1:mul"}, other_layout: {"2:add"}}
    assert on_host == expected.get(case, set())


def test_what_is_added_may_come_from_the_host():
    """Softmax runs on the host: its result is in DRAM when the convolution behind it adds it."""
    for config in CONFIGS:
        b = Build()
        x = b.input()
        soft = b.map(scale=1 / 256, zero_point=-128)
        b.net.op("softmax", (x,), (soft,), beta=1.0)
        program, _ = run(b.done(b.two("add", b.conv(x), soft)), config)
        assert fused(program) == {"2:add": "1:conv"}
        assert not program.tensors[soft].on_chip


def test_made_by_the_host_behind_the_convolution():
    """The convolution comes first in the file; what it would add is made by the host later."""
    for config in CONFIGS:
        b = Build()
        x = b.input()
        y = b.conv(x)
        soft = b.map(scale=1 / 256, zero_point=-128)
        b.net.op("softmax", (x,), (soft,), beta=1.0)
        program, _ = run(b.done(b.two("add", y, soft)), config)
        assert fused(program) == {}


def test_the_second_stage_is_looked_at(monkeypatch):
    """The comparison above must see a second stage that is left out."""
    from skimp_sim.functional import FunctionalModel

    monkeypatch.setattr(FunctionalModel, "_second_stage", lambda self, f, out: out)
    with pytest.raises(AssertionError):
        test_fused("conv", "hard_swish", CONFIGS[0])
