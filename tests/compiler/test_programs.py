"""Whole programs of the real networks: placement, order under any timing, memory map, files."""

import json
from functools import cache

import numpy as np
import pytest
from conftest import NETWORKS
from schedule import commands, run_schedule

from skimp.configs import PRESETS
from skimp.isa import CHIP_BASE, COMMAND_BYTES, RECORD_BYTES, Opcode
from skimp_compiler.compiler import compile_graph, disassemble_program, write_program
from skimp_compiler.emitter import Emitter
from skimp_compiler.graph import ModelError
from skimp_compiler.program import DeviceStep, HostStep
from skimp_compiler.tflite_reader import read_tflite

BORDER = {"softmax", "quantize", "dequantize", "reshape"}
"""What these networks leave to the host, at their inputs and outputs."""

UNITS = {
    "conv": {"array"},
    "fully_connected": {"array"},
    "depthwise": {"depthwise", "array"},  # a depth multiplier above 1 goes to the array
    "add": {"post"},
    "sub": {"post"},
    "mul": {"post"},
    "avg_pool": {"depthwise"},
    "max_pool": {"depthwise"},
    "mean": {"depthwise"},
    "pad": {"none", "depthwise"},
    "transpose": {"none"},
    "reshape": {"none", "host"},
    "concat": {"depthwise"},
    "softmax": {"host"},
    "quantize": {"host", "post"},
    "dequantize": {"host"},
}


@cache
def read(path):
    return read_tflite(path)


@cache
def compiled(path, preset):
    """The program of a network, one for all tests."""
    return compile_graph(read(path), PRESETS[preset])


def case(network, preset):
    marks = [pytest.mark.xdist_group(f"programs of {network}")]  # a worker for each network
    if (network, preset) == ("mobilenet_v2_1.0_224_int8", "tiny"):
        marks += [pytest.mark.long]  # 34,000 commands; the same at 160 x 160 is not long
    return pytest.param((network, preset), marks=marks, id=f"{network}-{preset}")


@pytest.fixture(scope="module", params=[case(n, p) for n in NETWORKS for p in PRESETS])
def network_preset(request):
    return request.param


@pytest.fixture(scope="module")
def graph(network_preset, models):
    return read(models / f"{network_preset[0]}.tflite")


@pytest.fixture(scope="module")
def program(network_preset, models):
    network, preset = network_preset
    return compiled(models / f"{network}.tflite", preset)


def test_every_operator_has_its_unit(graph, program):
    for layer in program.layers:
        assert layer.unit in UNITS[layer.op], (layer.name, layer.unit, layer.reason)
        assert layer.reason
    covered = sorted({index for layer in program.layers for index in layer.op_indices})
    assert covered == [op.index for op in graph.ops]


def test_the_host_works_at_the_border_only(graph, program):
    on_host = {layer.op for layer in program.layers if layer.unit == "host"}
    assert on_host <= BORDER
    assert sum(layer.macs for layer in program.layers if layer.unit == "host") == 0
    macs = sum(graph.macs(op) for op in graph.ops)
    assert sum(layer.macs for layer in program.layers) == macs


def test_commands_finish_under_any_timing(program):
    for step in program.steps:
        if isinstance(step, HostStep):
            continue
        stream = commands(program, step)
        # Long programs: the shortest queues only.
        for seed, queue_depth in enumerate((2,) if len(stream) > 3000 else (2, 3, 64)):
            run_schedule(stream, queue_depth=queue_depth, rng=np.random.default_rng(seed))


def test_device_steps_are_framed(program):
    for step in program.steps:
        if isinstance(step, HostStep):
            continue
        stream = commands(program, step)
        opcodes = [opcode for opcode, _ in stream]
        assert opcodes[0] is Opcode.CHECK and stream[0][1]["hash"] == program.config.hash
        assert opcodes[-1] is Opcode.END and Opcode.END not in opcodes[:-1]
        assert opcodes[-2] is Opcode.LAYER
        ids = [f["layer_id"] for opcode, f in stream if opcode is Opcode.LAYER]
        assert ids == list(step.layers)
        records = [f["dram_addr"] for opcode, f in stream if opcode is Opcode.LAYER]
        assert records == [program.records_addr + RECORD_BYTES * n for n in step.layers]
        behind = step.address + step.num_commands * COMMAND_BYTES
        assert not any(program.image[behind : behind + Emitter.TAIL_BYTES])


def test_regions_do_not_overlap(program):
    end = 0
    for address, size, what in program.memory_map:
        assert address >= end, what
        assert address % 128 == 0, what
        end = address + size
    assert end <= program.dram_bytes
    for place in program.tensors.values():
        if place.on_chip:
            assert place.address - CHIP_BASE + place.size_bytes <= program.config.act_bytes
            continue
        assert any(
            address <= place.address and place.address + place.size_bytes <= address + size
            for address, size, what in program.memory_map
            if what.startswith("activation")
        )


def test_layers_touch_only_what_is_theirs(program):
    """Reads of constants stay in the image, writes in the activations."""
    first = min(a for a, _, what in program.memory_map if what.startswith("activation"))
    records = program.records_addr
    behind = records + RECORD_BYTES * len(program.layers)
    assert any(what == "counters of the layers" for _, _, what in program.memory_map)
    for step in program.steps:
        if isinstance(step, HostStep):
            continue
        for opcode, fields in commands(program, step):
            if opcode is Opcode.LOAD_LINEAR:
                size = fields["num_beats"] * program.config.bus_bytes
                assert fields["dram_addr"] + size <= len(program.image) <= min(first, records)
            elif opcode in (Opcode.STORE, Opcode.LOAD_RESIDUAL) or (
                opcode is Opcode.LOAD_IFMAP and fields["seg_words"]
            ):
                address = fields["dram_addr"]
                assert address >= first
                assert not records <= address < behind


@pytest.mark.parametrize("network_preset", [case(n, "small") for n in NETWORKS], indirect=True)
def test_same_program_every_time(graph, program):
    assert compile_graph(graph, program.config).image == program.image


def test_disassembly_has_a_line_per_command_and_host_step(program):
    lines = disassemble_program(program).splitlines()
    expected = sum(
        step.num_commands if isinstance(step, DeviceStep) else 1 for step in program.steps
    )
    assert len(lines) == expected


def test_files(models, tmp_path):
    program = compile_graph(read_tflite(models / "ad01_int8.tflite"), PRESETS["tiny"])
    folder = tmp_path / "new" / "folder"
    files = {path.name: path for path in write_program(program, folder)}
    assert sorted(files) == ["memory_map.json", "program.asm", "program.bin"]
    assert files["program.bin"].read_bytes() == program.image
    facts = json.loads(files["memory_map.json"].read_text())
    assert facts["config_hash"] == PRESETS["tiny"].hash
    assert len(facts["layers"]) == len(program.layers)
    assert {p.name for p in folder.iterdir()} == set(files)
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ModelError, match="cannot be written"):
        write_program(program, blocked)
