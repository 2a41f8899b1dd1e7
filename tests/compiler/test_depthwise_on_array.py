"""Depthwise convolutions as convolutions of channel blocks on the array, value for value."""

import numpy as np
import pytest
from chains import random_chain
from netlib import Net, conv_net, random_inputs
from randomconfig import random_config
from schedule import commands, run_schedule
from testconfigs import ODD, QUAD, WIDE

from skimp.configs import PRESETS
from skimp.isa import LoadTarget, Opcode
from skimp_compiler.compiler import compile_graph
from skimp_compiler.graph import ModelError
from skimp_compiler.weights import dense_parts
from skimp_sim.executor import run_program
from skimp_sim.golden.network import run_graph

CONFIGS = [*PRESETS.values(), ODD, WIDE, QUAD]


def compare(graph, config, seed, **options):
    """Hold every value against the golden model; return the program."""
    inputs = random_inputs(np.random.default_rng(seed), graph)
    golden = run_graph(graph, inputs)
    program = compile_graph(graph, config, **options)
    result = run_program(graph, program, inputs)
    for index, value in result.values.items():
        np.testing.assert_array_equal(
            value, golden[index], err_msg=f"seed {seed}, {config}, tensor {index}"
        )
    assert set(graph.outputs) <= set(result.values)
    return program


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
@pytest.mark.parametrize("multiplier", [1, 2, 3, 7])
@pytest.mark.parametrize("c", [1, 7, 8, 17, 33, 96])
def test_parts_are_the_whole(c, multiplier, config):
    """Put together, the parts are weights [K, R, S, C] with zeros wherever k // m is not c."""
    weights = np.random.default_rng(c).integers(-127, 128, (1, 2, 3, c * multiplier), np.int8)
    num_k, ci, co = c * multiplier, config.in_channels, config.out_channels
    whole, made = np.zeros((num_k, 2, 3, c), np.int8), 0
    for first_input, first_output, part in dense_parts(weights, c, config):
        k0, c0 = first_output * co, first_input * ci
        assert k0 == made and c0 < c
        made += part.shape[0]
        whole[k0:made, :, :, c0 : c0 + part.shape[3]] = part
        # An input block that no output of the part looks at would be loaded for nothing.
        blocks = [part[..., n : n + ci] for n in range(0, part.shape[3], ci)]
        assert all(block.any() for block in blocks)
    assert made == num_k
    k = np.arange(num_k)
    assert (whole[k, :, :, k // multiplier] == weights[0].transpose(2, 0, 1)).all()
    whole[k, :, :, k // multiplier] = 0
    assert not whole.any()


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_on_the_array(config):
    """Odd shapes, strides, paddings, multipliers, padding that comes with the loads."""
    for seed in range(16):
        rng = np.random.default_rng(seed)
        r, s = (int(n) for n in rng.integers(1, 6, 2))
        graph = conv_net(
            rng, height=int(rng.integers(r, 20)), width=int(rng.integers(s, 20)),
            c=int(rng.integers(1, 80)), k=0, r=r, s=s,
            stride=tuple(int(n) for n in rng.integers(1, 4, 2)),
            padding=str(rng.choice(["same", "valid"])), depthwise=True,
            multiplier=int(rng.choice([1, 1, 2, 3])),
        )  # fmt: skip
        (layer,) = compare(graph, config, seed, depthwise="array").layers
        assert layer.unit == "array"


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
@pytest.mark.parametrize("c", [16, 48, 80, 97])
def test_an_output_block_takes_its_own_input_blocks_only(c, config):
    graph = conv_net(
        np.random.default_rng(1), height=9, width=11, c=c, k=0, r=3, s=3, depthwise=True
    )
    program = compare(graph, config, 1, depthwise="array")
    (step,) = program.steps
    stream = commands(program, step)
    assert not any(opcode is Opcode.DEPTHWISE for opcode, _ in stream)
    passes, most = {}, 0
    for opcode, f in stream:
        if opcode is Opcode.CONV:
            slot = passes.setdefault(f["psum_slot"], [])
            slot += [f["num_c"] * f["num_r"] * f["num_s"]]
            if f["last"]:
                most = max(most, sum(passes.pop(f["psum_slot"])))
    assert most == 9 * min(config.ofmap_blocks, -(-c // config.in_channels))
    # All weights once at least, and no more than the blocks on the diagonal.
    loads = [
        f["num_beats"] * config.bus_bytes
        for opcode, f in stream
        if opcode is Opcode.LOAD_LINEAR and f["target"] == LoadTarget.WGT
    ]
    blocks = -(-c // config.in_channels)
    assert sum(loads) % (9 * config.wgt_block_bytes) == 0
    if config in PRESETS.values():
        assert sum(loads) == 9 * blocks * config.wgt_block_bytes


@pytest.mark.parametrize("fuse", [True, False])
def test_random_chains(fuse):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        graph = random_chain(rng)
        config = CONFIGS[seed % len(CONFIGS)] if seed % 2 else random_config(rng)
        program = compare(graph, config, seed, fuse=fuse, depthwise="array")
        for layer in program.layers:
            assert layer.op != "depthwise" or layer.unit in ("array", "host"), f"seed {seed}"


def test_parts_finish_under_any_timing():
    """Commands of several parts behind each other, in buffers that hold next to nothing."""
    for config in CONFIGS:
        program = compile_graph(between_convolutions(1, 3, 1), config, depthwise="array")
        (step,) = program.steps
        for seed in range(10):
            run_schedule(
                commands(program, step), queue_depth=2 + seed % 3, rng=np.random.default_rng(seed)
            )


def between_convolutions(*multipliers):
    """1x1, then depthwise layers of some depth multipliers, then 1x1."""
    net = Net(np.random.default_rng(2), "between")
    shape, kinds = (1, 9, 9, 24), ["conv", *multipliers, "conv"]
    x = previous = net.tensor(shape, scale=0.05)
    for kind in kinds:
        conv, c = kind == "conv", shape[3]
        k = c if conv else c * kind
        size = (k, 1, 1, c) if conv else (1, 3, 3, k)
        w = net.tensor(
            size, scale=np.full(k, 0.002), zero_point=0, data=net.weights(size),
            axis=0 if conv else 3,
        )  # fmt: skip
        shape = (*shape[:3], k)
        y = net.tensor(shape, scale=0.05)
        attrs = {} if conv else {"multiplier": kind}
        net.op(
            "conv" if conv else "depthwise", (previous, w, net.bias(k, 0.0001)), (y,), stride_h=1,
            stride_w=1, padding="same", dilation_h=1, dilation_w=1, activation="none", **attrs,
        )  # fmt: skip
        previous = y
    return net.done((x,), (previous,))


@pytest.mark.parametrize("multipliers", [(2,), (1,), (2, 1), (1, 2)])
def test_depth_multipliers_among_layers_side_by_side(multipliers):
    """What does not run on the depthwise unit is not put beside the array's layers."""
    for config in CONFIGS:
        for depthwise in ("unit", "array"):
            program = compare(between_convolutions(*multipliers), config, 1, depthwise=depthwise)
            units = [layer.unit for layer in program.layers]
            on_unit = [m == 1 and depthwise == "unit" for m in multipliers]
            assert units == ["array", *("depthwise" if u else "array" for u in on_unit), "array"]


def test_why():
    graph = between_convolutions(1, 2)
    reasons = [layer.reason for layer in compile_graph(graph, PRESETS["tiny"]).layers]
    assert reasons[1].startswith("one filter per channel")
    assert reasons[2].startswith("depth multiplier above 1")
    program = compile_graph(graph, PRESETS["tiny"], depthwise="array")
    assert program.layers[1].reason.startswith("depthwise on the array")
    with pytest.raises(ValueError, match="depthwise"):
        compile_graph(graph, PRESETS["tiny"], depthwise="both")


def test_weights_that_do_not_fit_the_packed_operand():
    """Two output channels of one input channel share an operand; of two, one of them is zero."""
    for multiplier, fits in ((1, True), (2, False)):
        graph = conv_net(
            np.random.default_rng(1), height=4, width=4, c=4, k=0, r=1, s=1, depthwise=True,
            multiplier=multiplier,
        )  # fmt: skip
        weights = graph.tensors[graph.ops[0].inputs[1]].data
        weights[...] = np.resize(np.array([-1, -128], np.int8), weights.shape)
        if fits:
            compare(graph, PRESETS["tiny"], 1, depthwise="array")
        else:
            with pytest.raises(ModelError, match="-128"):
                compile_graph(graph, PRESETS["tiny"])
