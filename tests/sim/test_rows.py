"""Open rows under a program, and under the same one with its tensors row by row."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from netlib import conv_net, random_net

from skimp.configs import PRESETS
from skimp_compiler.compiler import compile_graph
from skimp_compiler.memory_map import MemoryMap
from skimp_compiler.weights import pack_conv, pack_depthwise
from skimp_sim.counting import segment_starts
from skimp_sim.dram import Request
from skimp_sim.perf import run_perf
from skimp_sim.rows import ACCESS_PJ, play, row_major, row_use
from skimp_sim.traffic import transfers

TINY, ZCU104 = PRESETS["tiny"], PRESETS["zcu104"]
NO_STORE = replace(PRESETS["small"], name="no_store", act_depth=0)


def test_energy_of_an_access():
    """docs of the DRAM's makers, as DRAMsim3 has them for DDR4-2400 8Gb x8, times the clock."""
    for kind, picojoules in (("activate", 3450), ("read", 2932), ("write", 2550)):
        assert ACCESS_PJ[kind] == pytest.approx(picojoules, rel=0.01)


def test_rows_by_hand():
    """64-byte beats: a stripe is 256 bytes, 4 accesses; 32 KB of address a row in each group."""
    page = 32768
    requests = [
        Request(0, False, 0, 16),  # opens the row of every group: 4 misses, 12 hits
        Request(0, False, 1024, 4),  # 4 hits
        Request(0, False, page, 1),  # the next bank: a part of a stripe costs all of it
        Request(0, False, 4 * page, 4),  # another row of the first bank
    ]
    use = play(ZCU104, requests)
    assert (use.bursts, use.reads, use.writes) == (4, 28, 0)
    assert (use.row_hits, use.activates) == (16, 12)
    assert use.bank_accesses == [24, 4, 0, 0]
    assert use.busiest_bank == 24 * 4 / 28
    assert use.hit_rate == 16 / 28
    total = 12 * ACCESS_PJ["activate"] + 28 * ACCESS_PJ["read"]
    assert sum(use.energy_pj.values()) == pytest.approx(total)
    assert use.access_pj == pytest.approx(total / 28)


@pytest.mark.parametrize("config", [TINY, NO_STORE, ZCU104], ids=lambda config: config.name)
def test_replay_is_what_the_cycle_model_saw(config):
    graph = conv_net(np.random.default_rng(1), height=40, width=30, c=24, k=40, r=3, s=3)
    result = run_perf(compile_graph(graph, config))
    use, again = row_use(config, result.dram, result.requests), play(config, result.requests)
    assert (use.reads, use.writes, use.bank_accesses) == (
        again.reads, again.writes, again.bank_accesses,
    )  # fmt: skip
    assert sum(use.bank_accesses) == use.reads + use.writes
    assert again.row_hits == pytest.approx(use.row_hits, rel=0.01)


def elements(graph, program, transfer):
    """Places in a row-major tensor of what a command moves, sorted, by going through it all."""
    c = transfer.command
    if transfer.kind == "weights":
        ((start, _, _),) = [
            region for region in program.memory_map if region[2].split()[0] == "weights"
        ]
        ids = packed_ids(graph, program)
        first = c.dram_addr - start
        return np.unique(ids[first : first + c.num_beats * program.config.bus_bytes])[1:]
    place = program.tensors[transfer.tensor]
    starts = segment_starts(c, transfer.num_blocks)[..., None] + place.block * np.arange(
        c.seg_words
    )
    words = (starts.reshape(-1) - place.address) // place.block
    found = set()
    height, width, channels = place.shape[-3:]
    for word in words.tolist():
        block, pixel = divmod(word, place.plane_words)
        y, x = divmod(pixel, place.width)
        for channel in range(place.block * block, min(place.block * (block + 1), place.channels)):
            column = x
            if place.fold is not None:
                s, channel = divmod(channel, channels)
                column = x * place.fold.stride - place.fold.pad_left + s
            if 0 <= column < width and y < height:
                found.add((channel * height + y) * width + column)
    return np.array(sorted(found))


def packed_ids(graph, program):
    """For every byte of the packed weights its place in [outputs, inputs, rows, columns]; or -1."""
    op = next(op for op in graph.ops if op.kind in ("conv", "depthwise", "fully_connected"))
    weights = graph.tensors[op.inputs[1]].data
    if op.kind == "depthwise":
        _, r, s, k = weights.shape
        ids = np.arange(weights.size).reshape(k, r, s).transpose(1, 2, 0)[None]
        pack = pack_depthwise
    else:
        k, r, s, c = weights.reshape(weights.shape[0], 1, 1, -1).shape if weights.ndim == 2 else (
            weights.shape
        )  # fmt: skip
        ids = np.arange(weights.size).reshape(k, c, r, s).transpose(0, 2, 3, 1)
        fold = program.tensors[op.inputs[0]].fold
        if fold is not None:
            # A part of the kernel's taps never comes by itself, so their order does not matter.
            ids = ids.reshape(k, r, 1, s * c)
        pack = pack_conv
    digits = [pack(((ids >> shift) & 127).astype(np.int8), program.config) for shift in (0, 7, 14)]
    real = pack(np.ones(ids.shape, np.int8), program.config).reshape(-1)
    value = sum(digit.reshape(-1).astype(np.int64) << 7 * n for n, digit in enumerate(digits))
    # One -1 at least, which `elements` leaves out.
    return np.where(real > 0, value, -1)


def beats_of(places, base, bus_bytes):
    """Beats of the runs of consecutive bytes."""
    if not places.size:
        return 0
    runs = np.split(places, np.flatnonzero(np.diff(places) != 1) + 1)
    return sum(
        (base + r[-1]) // bus_bytes - (base + r[0]) // bus_bytes + 1 for r in map(list, runs)
    )


CASES = {
    "3x3": dict(height=14, width=13, c=20, k=35, r=3, s=3),
    "tiles": dict(height=40, width=33, c=24, k=24, r=3, s=3),
    "1x1 stride 2": dict(height=13, width=15, c=36, k=70, r=1, s=1, stride=(2, 2)),
    "picture": dict(height=30, width=28, c=3, k=20, r=3, s=3, stride=(2, 2)),
    "depthwise": dict(height=14, width=13, c=37, k=0, r=3, s=3, depthwise=True),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("config", [TINY, NO_STORE, ZCU104], ids=lambda config: config.name)
def test_row_major_moves_the_same_values(config, case):
    """Beats of every kind, against sets of values that are made one by one."""
    graph = conv_net(np.random.default_rng(5), **CASES[case])
    program = compile_graph(graph, config)
    bus = config.bus_bytes
    memory, base, kinds = MemoryMap(), {}, []
    for _, size, what in program.memory_map:
        kind, name, *_ = what.split()
        if kind == "weights":
            size = graph.tensors[graph.ops[0].inputs[1]].data.size
        elif kind == "activation":
            size = int(np.prod(graph.tensors[int(name)].shape))
            kind = int(name)
        base[kind] = memory.reserve(size, what)
        kinds.append((base[kind], size, kind))
    expected = Counter()
    for transfer in transfers(graph, program):
        if transfer.kind in ("weights", "ifmap", "ofmap"):
            key = "weights" if transfer.tensor is None else transfer.tensor
            places = elements(graph, program, transfer)
            expected[key] += beats_of(places, base[key], bus)
    requests = run_perf(program).requests
    moved, beats = row_major(graph, program, requests), Counter()
    for request in moved:
        start, size, kind = next(
            region for region in reversed(kinds) if region[0] <= request.address
        )
        assert request.address + request.beats * bus <= start + MemoryMap.round_up(size)
        assert request.beats <= config.burst_beats
        assert request.address // 4096 == (request.address + request.beats * bus - 1) // 4096
        assert not request.is_write or kind in ("counters", graph.outputs[0])
        beats[kind] += request.beats
    for key, number in expected.items():
        assert beats[key] == number, key
    clocks = [request.clock for request in moved]
    assert clocks == sorted(clocks)
    assert play(config, moved).reads > 0


@pytest.mark.parametrize("kind", ["add", "max_pool", "fully_connected", "concat", "depthwise"])
def test_other_layers(kind):
    for seed in range(4):
        graph = random_net(np.random.default_rng(seed), kind)
        program = compile_graph(graph, NO_STORE)
        requests = run_perf(program).requests
        moved = row_major(graph, program, requests)
        assert bool(moved) == bool(requests), f"seed {seed}"
