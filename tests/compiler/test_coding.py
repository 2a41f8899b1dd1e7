"""Which activations lie coded in DRAM, in which units, with which entries of the tile table."""

from dataclasses import replace

import numpy as np
import pytest
from chains import random_blocks
from netlib import random_inputs

from skimp.configs import PRESETS
from skimp.isa import Opcode
from skimp.rlc.format import Code, unit_pitch_bytes
from skimp_compiler.coding import coded_bytes
from skimp_compiler.compiler import compile_graph
from skimp_compiler.program import DeviceStep, pack
from skimp_sim.counting import commands_of, count_layers, unit_starts
from skimp_sim.executor import run_program
from skimp_sim.golden.network import run_graph
from skimp_sim.rlc.codec import encode_tile

CONFIG = replace(PRESETS["small"], name="no store", act_depth=0)
"""All maps between layers go through DRAM."""

CODES = (Code.RUN_LENGTH, Code.BITMAP)


@pytest.mark.parametrize("code", CODES)
def test_lengths_are_those_of_the_encoder(code):
    rng = np.random.default_rng(1)
    for _ in range(300):
        size, zero = int(rng.integers(1, 300)), int(rng.integers(-128, 128))
        values = rng.integers(-128, 128, (3, size))
        units = np.where(rng.random((3, size)) < rng.random(), values, zero).astype(np.int8)
        wanted = [len(encode_tile(code, unit.tobytes(), zero=zero % 256)) for unit in units]
        assert coded_bytes(code, units, zero).tolist() == wanted, (size, zero)


def networks(count, config, **options):
    """Yield networks with their inputs, golden values and programs that have coded activations."""
    seed = 0
    while count:
        seed += 1
        graph = random_blocks(np.random.default_rng(seed))
        inputs = random_inputs(np.random.default_rng(seed), graph)
        golden = run_graph(graph, inputs)
        program = compile_graph(graph, config, activations=golden, **options)
        if any(place.coding for place in program.tensors.values()):
            count -= 1
            yield seed, graph, inputs, golden, program


def moves(program):
    """Return loads and stores of coded units in order."""
    steps = (step for step in program.steps if isinstance(step, DeviceStep))
    commands = [c for step in steps for c in commands_of(program, step)]
    return [c for c in commands if getattr(c, "code", 0)]


def blocks_of(command):
    return command.num_blocks if command.opcode is Opcode.STORE else command.dma_blocks


def test_every_unit_is_stored_once_and_loaded_behind_it():
    for seed, _, _, _, program in networks(6, CONFIG, compress="auto"):
        stored = set()
        for command in moves(program):
            units = unit_starts(CONFIG, command, blocks_of(command)).reshape(-1).tolist()
            if command.opcode is Opcode.STORE:
                assert not stored & set(units), seed
                stored.update(units)
            else:
                assert set(units) <= stored, seed
        places = {p.address: p for p in program.tensors.values() if p.coding}
        every = {
            address + n * place.coding.pitch_bytes
            for address, place in places.items()
            for n in range(place.num_units)
        }
        assert stored == every == set(program.unit_beats), seed


def test_expected_beats_are_what_the_encoder_makes():
    for seed, graph, inputs, _, program in networks(4, CONFIG, compress="auto"):
        result = run_program(graph, program, inputs)
        for place in (p for p in program.tensors.values() if p.coding):
            for n in range(place.num_units):
                address = place.address + n * place.coding.pitch_bytes
                expected, made = program.unit_beats[address], result.unit_beats[address]
                # Lanes beyond the last channel are taken for levels where nobody knows better.
                assert made <= expected, (seed, place)
                assert made == expected or place.channels % place.block, (seed, place)


def test_lanes_beyond_the_last_channel():
    """Zeros where a sum makes them, else taken for levels; also where planes have gaps."""
    sums, counted = {"conv", "depthwise", "max_pool"}, 0
    for seed, graph, _, golden, program in networks(18, CONFIG, compress="auto"):
        coded = [p for p in program.tensors.values() if p.coding]
        for place in coded:
            makers = {graph.producer(p.index).kind for p in coded if p.address == place.address}
            planes = np.frombuffer(pack(place, golden[place.index]), np.int8)
            planes = planes.reshape(place.num_blocks, place.plane_words, place.block)
            planes = planes[:, : place.height * place.width].copy()
            if place.channels % place.block and not makers <= sums:
                planes[-1, :, place.channels % place.block :] = ~place.zero_point
                counted += place.plane_words != place.height * place.width
            units = planes.reshape(place.num_units, -1)
            lengths = coded_bytes(place.coding.code, units, place.zero_point)
            pitch = place.coding.pitch_bytes
            found = [program.unit_beats[place.address + n * pitch] for n in range(len(units))]
            assert found == (-(-lengths // CONFIG.bus_bytes)).tolist(), (seed, place)
    assert counted >= 3


def test_bytes_are_fewer_than_without_a_code():
    for seed, graph, _, _, program in networks(4, CONFIG, compress="auto"):

        def moved(program):
            commands = (
                c
                for step in program.steps
                if isinstance(step, DeviceStep)
                for c in commands_of(program, step)
            )
            counts = count_layers(CONFIG, commands, program.unit_beats).values()
            return sum(c.dram_read_bytes["ifmap"] + c.dram_write_bytes["ofmap"] for c in counts)

        assert moved(program) < moved(compile_graph(graph, CONFIG)), seed


def test_only_what_saves_is_coded():
    """Noise has no zeros."""
    for seed, graph, _, golden, _ in networks(3, CONFIG, compress="bitmap"):
        noise = {
            index: np.random.default_rng(seed).integers(1, 128, value.shape).astype(np.int8)
            for index, value in golden.items()
            if value.dtype == np.int8
        }
        graph_zeros = {t.zero_point for t in graph.tensors if t.dtype == np.int8 and t.quant}
        if graph_zeros & set(range(1, 128)):
            continue
        program = compile_graph(graph, CONFIG, compress="auto", activations=noise)
        assert not program.unit_beats, seed


def test_off_changes_nothing():
    for seed, graph, _, golden, _ in networks(2, CONFIG, compress="auto"):
        plain = compile_graph(graph, CONFIG)
        assert plain.image == compile_graph(graph, CONFIG, activations=golden).image, seed
        without = replace(CONFIG, tile_table_depth=0)
        program = compile_graph(graph, without, compress="bitmap")
        assert not program.unit_beats and not moves(program)


def test_the_table_is_never_too_small():
    small = replace(CONFIG, tile_table_depth=24)
    for seed, _, _, _, program in networks(4, small, compress="bitmap"):
        for command in moves(program):
            units = unit_starts(small, command, blocks_of(command)).shape[1]
            last = (
                command.table_base
                + (blocks_of(command) - 1) * command.table_block_step
                + (command.seg_count - 1) * command.table_step
                + units
            )
            assert last <= 24, seed


def test_places_say_how_long_a_unit_can_become():
    for _, _, _, _, program in networks(3, CONFIG, compress="run-length"):
        for place in program.tensors.values():
            if place.coding:
                size = place.coding.unit_words * place.block
                assert place.coding.pitch_bytes == unit_pitch_bytes(size, CONFIG.bus_bytes)
                assert size <= place.coding.pitch_bytes <= size * 65 / 64 + CONFIG.bus_bytes
