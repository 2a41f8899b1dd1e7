"""Toggles of the array with and without gating, against what the values predict, bit for bit."""

import os
from collections import Counter
from dataclasses import replace

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from togglebench import (
    SHARES,
    SideBySide,
    both_modes,
    check_shares,
    counts_of,
    drive,
    pack,
    run_counted,
    unit_in,
    unpack,
)

from skimp.config import CHAIN, Config
from skimp.configs import load_config
from skimp.pe.array import PeArray
from skimp_sim.toggles.streams import ACT_BITS, array_toggles, changes

pytestmark = pytest.mark.verilog

UNITS = ("operands_ifmap", "operands_wgt", "products", "sums", "links")
PASSES, REST = 48, 4

TINY = load_config("tiny")
WIDE = replace(TINY, name="wide", in_channels=16, out_channels=16, wgt_slices=4)
KINDS = {
    "tiny": {"packed": TINY, "plain": replace(TINY, packed=False)},
    "two": {"packed": replace(TINY, name="two", pixels=2, wgt_slices=2)},
    "wide": {"packed": WIDE},
}
"""Configurations side by side, by test."""


def streams(config: Config, rng) -> tuple[dict[float, np.ndarray], np.ndarray]:
    """Return activations [clock, pixel, channel] by share; weights [pass, channel, pair, 2].

    The zeros of a share are among those of the next one, all else is the same. The first pass and
    the last ones are rests without zeros, in which nothing changes once all has come through.
    """
    px, ci, pairs = config.pixels, config.in_channels, config.out_channels // 2
    shape = (PASSES * CHAIN, px, ci)
    dense = rng.integers(1, 256, shape) * rng.choice((-1, 1), shape)
    level = rng.random(shape)
    busy = rng.integers(-127, 128, (PASSES, ci, pairs, 2))
    busy[1], busy[2:4] = rng.choice((-127, 127), busy[1].shape), 0
    rest = np.full((1, ci, pairs, 2), 85)
    wgts = np.concatenate([rest, busy, *[rest] * (REST - 1)])
    row = np.ones((CHAIN, px, ci), int)
    acts = {
        share: np.concatenate([row, np.where(level < share, 0, dense), *[row] * (REST - 1)])
        for share in SHARES
    }
    return acts, wgts


def vectors(config: Config, acts: np.ndarray, wgts: np.ndarray, rng):
    """Yield the inputs of every clock; weights of a pass are loaded during the one before.

    A weight port holds noise but in the clock in which a slice takes its weights.
    """
    for t, row in enumerate(acts):
        number, k = divmod(t, CHAIN)
        following = wgts[(number + 1) % len(wgts)]
        word, position = divmod(k, config.wgt_slices)
        size = config.wgt_slice_bytes
        ports = [int.from_bytes(rng.bytes(size), "little") for _ in range(config.wgt_slices)]
        # Of slice k: byte co * num_chains + g with co = 2 * pair + field.
        ports[position] = pack(following[k::CHAIN].transpose(1, 2, 0).ravel(), 8)
        yield (
            {f"act__{i}": pack(row[i], 9) for i in range(config.pixels)}
            | {f"wgt__{p}": port for p, port in enumerate(ports)}
            | {"wgt_load": int(position == 0) << word, "wgt_swap": int(k == 0)}
        )


def predicted(config: Config, acts: np.ndarray, working: np.ndarray) -> Counter:
    """Return what `array_toggles` says, without the register in the feed."""
    found = array_toggles(config, acts, working)
    found["links"] -= changes(acts, ACT_BITS)
    return found


@cocotb.test()
async def bench_shares(dut):
    """Streams of all shares: right results, toggles as predicted, saved what chance says."""
    kinds, seed = KINDS[os.environ["KINDS"]], int(os.environ["SEED"])
    blocks = both_modes(kinds)
    rng = np.random.default_rng(seed)
    config = next(iter(kinds.values()))
    streamed, wgts = streams(config, rng)
    working = np.repeat(wgts, CHAIN, axis=0)
    block = PeArray(config)
    cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())

    async def run(acts):
        """Return the dots of every clock by block."""
        dots = {name: [] for name in blocks}
        for vector in vectors(config, acts, wgts, rng):
            drive(dut, vector)
            await RisingEdge(dut.clk)
            for name, rows in dots.items():
                ports = [getattr(dut, f"{name}__dot__{i}") for i in range(config.pixels)]
                rows.append([port.value.to_unsigned() for port in ports])
        return dots

    found, expected = {}, {}
    await run(streamed[0])  # so that all registers hold what they hold before the other streams
    for share, acts in streamed.items():
        before = counts_of(dut)
        dots = await run(acts)
        after = counts_of(dut)
        want = np.einsum("tic,tcpf->tipf", acts, working).reshape(*acts.shape[:2], -1)
        for name, mine in blocks.items():
            got = [
                [unpack(dot, block.dot_bits, config.out_channels) for dot in row]
                for row in dots[name][block.latency :]
            ]
            assert np.array_equal(got, want[: -block.latency]), f"seed {seed}, {share}, {name}"
            found[share, name] = after[name] - before[name]
            expected[share, name] = predicted(mine, acts, working)
    saved = check_shares(found, expected, f"seed {seed}")
    # Without gating a register changes unless both values are 0, with it unless the latter is.
    for (kind, share), part in saved.items():
        if share == 1:
            assert found[share, f"{kind}_on"]["products"] == 0, f"seed {seed}, {kind}"
        else:
            assert abs(part - share / (1 + share)) < 0.04, f"seed {seed}, {kind}, {share}: {part}"


@pytest.mark.parametrize(
    "kinds", ["tiny", *(pytest.param(name, marks=pytest.mark.long) for name in ("two", "wide"))]
)
def test_shares(kinds):
    dut = SideBySide({name: PeArray(c) for name, c in both_modes(KINDS[kinds]).items()})

    def group(path, name):
        unit = unit_in("core.array.array")(path, name)
        return unit if unit in UNITS else None

    print(run_counted(dut, __file__, "bench_shares", group=group, env={"KINDS": kinds}, seed=3))
