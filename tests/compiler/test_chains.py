"""Networks of several operators through compiler and functional model, value for value."""

import numpy as np
import pytest
from chains import random_chain
from netlib import Net, random_inputs, random_net
from randomconfig import random_config
from testconfigs import ODD, QUAD, WIDE

from skimp.configs import PRESETS
from skimp_compiler.compiler import compile_graph
from skimp_sim.executor import run_program
from skimp_sim.golden.network import run_graph

CONFIGS = [*PRESETS.values(), ODD, WIDE, QUAD]


def compare(graph, config, seed):
    """Hold every value that the program leaves against the golden model; return units by name.

    The functional model holds every order that the semaphores leave open against the program's.
    """
    inputs = random_inputs(np.random.default_rng(seed), graph)
    golden = run_graph(graph, inputs)
    program = compile_graph(graph, config)
    result = run_program(graph, program, inputs)
    kinds = [op.kind for op in graph.ops]
    for index, value in result.values.items():
        np.testing.assert_array_equal(
            value, golden[index], err_msg=f"seed {seed}, {config}, {kinds}, tensor {index}"
        )
    assert set(graph.outputs) <= set(result.values)
    return {layer.name: layer.unit for layer in program.layers}


@pytest.mark.parametrize("start", range(0, 400, 40))
def test_random_chains(start):
    for seed in range(start, start + 40):
        rng = np.random.default_rng(seed)
        graph = random_chain(rng)
        compare(graph, CONFIGS[seed % len(CONFIGS)] if seed % 2 else random_config(rng), seed)


@pytest.mark.parametrize(
    "kind", "conv depthwise fully_connected add avg_pool max_pool mean pad concat quantize".split()
)
def test_single_operators_on_random_configurations(kind):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        config = random_config(rng)
        compare(random_net(rng, kind), config, seed)


def pad_then_conv(scale):
    net = Net(np.random.default_rng(3), "pad_conv")
    x = net.tensor((1, 6, 6, 8), scale=0.5, zero_point=3)
    y = net.tensor((1, 8, 8, 8), scale=0.5, zero_point=3)
    net.op("pad", (x, net.plain([[0, 0], [1, 1], [1, 1], [0, 0]])), (y,))
    shape = (8, 3, 3, 8)
    w = net.tensor(shape, scale=np.full(8, scale), zero_point=0, data=net.weights(shape))
    z = net.tensor((1, 6, 6, 8), scale=0.5, zero_point=0)
    net.op(
        "conv", (y, w, net.bias(8, 0.01)), (z,), stride_h=1, stride_w=1, dilation_h=1,
        dilation_w=1, padding="valid", activation="none",
    )  # fmt: skip
    return net.done((x,), (z,))


def flatten_then_fully_connected(scale):
    net = Net(np.random.default_rng(3), "flatten_fc")
    x = net.tensor((1, 3, 4, 8), scale=0.5, zero_point=3)
    y = net.tensor((1, 96), scale=0.5, zero_point=3)
    net.op("reshape", (x, net.plain([1, 96])), (y,))
    w = net.tensor((8, 96), scale=scale, zero_point=0, data=net.weights((8, 96)))
    z = net.tensor((1, 8), scale=0.5, zero_point=0)
    net.op(
        "fully_connected", (y, w, net.bias(8, 0.01)), (z,), activation="none", keep_num_dims=False
    )
    return net.done((x,), (z,))


@pytest.mark.parametrize("build", [pad_then_conv, flatten_then_fully_connected])
def test_what_was_folded_goes_where_its_user_goes(build):
    """A scale of 1000 needs a shift that the hardware lacks: user and fold run on the host."""
    for config in PRESETS.values():
        folded, user = compare(build(0.01), config, 1).values()
        assert (folded, user) == ("none", "array")
        folded, user = compare(build(1000.0), config, 1).values()
        assert (folded, user) == ("host", "host")


def test_a_tensor_concatenated_with_itself():
    for config in CONFIGS:
        net = Net(np.random.default_rng(1), "twice")
        x = net.tensor((1, 9, 7, 32), scale=0.1, zero_point=4)
        y = net.tensor((1, 9, 7, 96), scale=0.1, zero_point=4)
        net.op("concat", (x, x, x), (y,), axis=3, activation="none")
        graph = net.done((x,), (y,))
        assert compare(graph, config, 1) == {"0:concat": "depthwise"}


def test_concat_counts_all_of_its_parts():
    net = Net(np.random.default_rng(1), "parts")
    x, x2 = (net.tensor((1, 5, 5, c), scale=0.1, zero_point=4) for c in (8, 16))
    y = net.tensor((1, 5, 5, 24), scale=0.1, zero_point=4)
    net.op("concat", (x, x2), (y,), axis=3, activation="none")
    graph = net.done((x, x2), (y,))
    program = compile_graph(graph, PRESETS["tiny"])
    result = run_program(graph, program, random_inputs(np.random.default_rng(0), graph))
    (counts,) = result.counts.values()
    assert counts.dram_read_bytes["ifmap"] == 5 * 5 * 24
    assert counts.dram_write_bytes["ofmap"] == 5 * 5 * 24


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_concat_of_parts_that_are_views(config):
    """The parts lie as one row of ten pixels; the result does too, whatever its shape."""
    net = Net(np.random.default_rng(1), "views")
    x = net.tensor((1, 10, 16), scale=0.1, zero_point=4)
    view = net.tensor((1, 10, 1, 16), scale=0.1, zero_point=4)
    net.op("reshape", (x, net.plain([1, 10, 1, 16])), (view,))
    y = net.tensor((1, 10, 1, 32), scale=0.1, zero_point=4)
    net.op("concat", (view, view), (y,), axis=3, activation="none")
    z = net.tensor((1, 10, 1, 32), scale=0.2, zero_point=0)
    net.op("quantize", (y,), (z,))
    units = compare(net.done((x,), (z,)), config, 1)
    assert units == {"0:reshape": "none", "1:concat": "depthwise", "2:quantize": "post"}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
@pytest.mark.parametrize("amounts", [(0, 0), (0, 1), (0, 2), (0, 5), (1, 0), (2, 3)])
def test_every_second_pixel_of_a_padded_map(config, amounts):
    """1x1 with stride 2: columns of padding on either side, none, or more than the map needs."""
    net = Net(np.random.default_rng(1), "padded")
    x = net.tensor((1, 5, 7, 12), scale=0.5, zero_point=3)
    size = [n + sum(amounts) for n in (5, 7)]
    y = net.tensor((1, *size, 12), scale=0.5, zero_point=3)
    net.op("pad", (x, net.plain([[0, 0], amounts, amounts, [0, 0]])), (y,))
    w = net.tensor((9, 1, 1, 12), scale=0.01, zero_point=0, data=net.weights((9, 1, 1, 12)))
    z = net.tensor((1, *(-(-n // 2) for n in size), 9), scale=0.5, zero_point=0)
    net.op(
        "conv", (y, w, net.bias(9, 0.005)), (z,), stride_h=2, stride_w=2, dilation_h=1,
        dilation_w=1, padding="valid", activation="none",
    )  # fmt: skip
    assert compare(net.done((x,), (z,)), config, 1) == {"0:pad": "none", "1:conv": "array"}


def test_windows_larger_than_the_buffer_run_on_the_host():
    for config, kind in ((PRESETS["tiny"], "avg_pool"), (PRESETS["tiny"], "max_pool")):
        net = Net(np.random.default_rng(1), kind)
        x = net.tensor((1, 40, 40, 8), scale=0.1, zero_point=4)
        y = net.tensor((1, 1, 1, 8), scale=0.1, zero_point=4)
        net.op(
            kind, (x,), (y,), filter_h=40, filter_w=40, stride_h=1, stride_w=1, padding="valid",
            activation="none",
        )  # fmt: skip
        graph = net.done((x,), (y,))
        assert compare(graph, config, 1) == {f"0:{kind}": "host"}
        reason = compile_graph(graph, config).layers[0].reason
        assert "40x40 window does not fit" in reason and "raise dw_ifmap_depth" in reason
        assert compare(graph, PRESETS["small"], 1) == {f"0:{kind}": "depthwise"}


@pytest.mark.parametrize("order", [[0, 3, 1, 2], [0, 2, 3, 1], [0, 2, 1, 3]])
@pytest.mark.parametrize("shape", [(1, 10, 1, 6), (1, 1, 10, 6), (1, 10, 6, 1), (1, 4, 5, 6)])
def test_transposes_of_reshaped_views(shape, order):
    """Axes of length 1 that a reshape moved do not mislead the transpose behind it."""
    for between in [(1, 10, 6), (1, 10, 1, 6), (1, 1, 10, 6)] if 10 in shape else [shape]:
        net = Net(np.random.default_rng(1), "views")
        x = net.tensor(shape, scale=0.1, zero_point=4)
        y = net.tensor(between, scale=0.1, zero_point=4)
        net.op("reshape", (x, net.plain(between)), (y,))
        four = between if len(between) == 4 else (1, *between)
        z = net.tensor(four, scale=0.1, zero_point=4)
        net.op("reshape", (y, net.plain(four)), (z,))
        out = [four[a] for a in order]
        t = net.tensor(out, scale=0.1, zero_point=4)
        net.op("transpose", (z, net.plain(order)), (t,))
        last = net.tensor(out, scale=0.2, zero_point=0)
        net.op("quantize", (t,), (last,))
        units = compare(net.done((x,), (last,)), PRESETS["small"], 1)
        assert list(units.values()) == ["none", "none", "none", "post"]
