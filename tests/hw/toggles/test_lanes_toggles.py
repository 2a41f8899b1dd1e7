"""Toggles of the depthwise lanes with and without gating, against what the values predict."""

import os
from dataclasses import replace
from functools import cache

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from togglebench import (
    SHARES,
    SideBySide,
    both_modes,
    check_equal,
    check_shares,
    counts_of,
    drive,
    pack,
    run_counted,
    unit_in,
    unpack,
)

from skimp.config import DW_SUM_BITS, Config
from skimp.configs import load_config
from skimp.dw.lanes import DepthwiseLanes
from skimp_sim.toggles.streams import depthwise_toggles

pytestmark = pytest.mark.verilog

UNITS = ("operands_ifmap", "operands_wgt", "products", "sums")
TAPS, GROUPS, REST = 9, 40, 12

TWO = replace(load_config("tiny"), name="two", pixels=2)
CONFIGS = {config.name: config for config in (TWO, replace(TWO, name="odd", pixels=3))}


def blocks_of(config: Config) -> dict[str, Config]:
    """Return the kinds of lanes, with gating and without."""
    kinds = {
        "packed": config,
        "plain": replace(config, packed=False),
        "luts": replace(config, dw_slices=False),
    }
    return both_modes(kinds)


class Lanes:
    """Lanes in the hands of a bench, with random operands; a row of ones stands between streams."""

    def __init__(self, dut):
        self._dut = dut
        config = CONFIGS[os.environ["CONFIG"]]
        self._latency = DepthwiseLanes(config, maxima=False).latency
        self.blocks = blocks_of(config)
        self.where = f"seed {os.environ['SEED']}"
        self.rng = np.random.default_rng(int(os.environ["SEED"]))
        self._pixels, self._channels = config.pixels, config.out_channels
        shape = (TAPS * GROUPS, config.pixels, config.out_channels)
        self.acts = self.rng.integers(1, 256, shape) * self.rng.choice((-1, 1), shape)
        shape = shape[::2]
        self.wgts = self.rng.integers(1, 128, shape) * self.rng.choice((-1, 1), shape)

    @classmethod
    async def start(cls, dut) -> "Lanes":
        lanes = cls(dut)
        cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
        await lanes._run(*lanes._stream(lanes.acts, lanes.wgts))
        return lanes

    async def toggles(self, acts, wgts, where) -> tuple[dict, dict]:
        """Run a stream [clock, pixel, channel], [clock, channel]; check its sums.

        Returns
        -------
        found, expected : dict of str to Counter
            Toggles by block.
        """
        acts, wgts, first = self._stream(acts, wgts)
        before = counts_of(self._dut)
        sums = await self._run(acts, wgts, first)
        after = counts_of(self._dut)
        products = acts * wgts[:, None]
        starts = np.maximum.accumulate(np.where(first, np.arange(len(first)), 0))
        want = [products[start : t + 1].sum(axis=0) for t, start in enumerate(starts)]
        for name, got in sums.items():
            right = np.array_equal(got[self._latency :], want[: -self._latency])
            assert right, f"{self.where}, {where}, {name}"
        expected = {n: depthwise_toggles(c, acts, wgts, first) for n, c in self.blocks.items()}
        for toggles in expected.values():
            del toggles["links"]  # outside of the lanes
        return {name: after[name] - before[name] for name in self.blocks}, expected

    @staticmethod
    def _stream(acts, wgts):
        """Return operands between rows of ones, and which taps are the first ones of a group."""
        first = np.ones(1 + len(acts) + REST, bool)
        first[1:-REST] = np.arange(len(acts)) % TAPS == 0
        acts = np.pad(acts, ((1, REST), (0, 0), (0, 0)), constant_values=1)
        return acts, np.pad(wgts, ((1, REST), (0, 0)), constant_values=85), first

    async def _run(self, acts, wgts, first) -> dict[str, list]:
        """Return the sums of every clock by block."""
        sums = {name: [] for name in self.blocks}
        for row in zip(acts, wgts, first):
            await self.clock(*row)
            for name, rows in sums.items():
                ports = [getattr(self._dut, f"{name}__acc__{i}") for i in range(self._pixels)]
                rows.append(
                    [unpack(p.value.to_unsigned(), DW_SUM_BITS, self._channels) for p in ports]
                )
        return sums

    async def clock(self, acts, wgts, first, valid=True):
        drive(
            self._dut,
            {f"act__{i}": pack(act, 9) for i, act in enumerate(acts)}
            | {f"zero__{i}": pack(act == 0, 1) for i, act in enumerate(acts)}
            | {"wgt": pack(wgts, 8), "first": int(first), "valid": int(valid)},
        )
        await RisingEdge(self._dut.clk)


@cocotb.test()
async def bench_shares(dut):
    """All shares of zeros among the activations."""
    lanes = await Lanes.start(dut)
    level = lanes.rng.random(lanes.acts.shape)
    found, expected = {}, {}
    for share in SHARES:
        acts = np.where(level < share, 0, lanes.acts)
        counted, predicted = await lanes.toggles(acts, lanes.wgts, share)
        found |= {(share, name): toggles for name, toggles in counted.items()}
        expected |= {(share, name): toggles for name, toggles in predicted.items()}
    check_shares(found, expected, lanes.where)


@cocotb.test()
async def bench_zero_weights(dut):
    """Zeros among the weights let products rest, too."""
    lanes = await Lanes.start(dut)
    saved = []
    for share in (0, 0.5, 1):
        wgts = np.where(lanes.rng.random(lanes.wgts.shape) < share, 0, lanes.wgts)
        found, expected = await lanes.toggles(lanes.acts, wgts, share)
        for name in lanes.blocks:
            check_equal(found[name], expected[name], f"{lanes.where}, {share}, {name}")
        total = [sum(found[name].values()) for name in lanes.blocks]
        saved.append([1 - on / off for on, off in zip(total[::2], total[1::2])])
    for name, toggles in found.items():
        if name.endswith("_on"):  # what is left: products that are added, or not
            assert toggles.keys() <= {"products", "sums"}, f"{lanes.where}, {name}: {toggles}"
    assert all(a < b for rows in zip(*saved) for a, b in zip(rows, rows[1:])), saved


@cocotb.test()
async def bench_between_taps(dut):
    """Nothing changes while no tap comes, whatever stands at the inputs, gating or not."""
    lanes = await Lanes.start(dut)
    for t, row in enumerate(zip(lanes.acts, lanes.wgts)):
        await lanes.clock(*row, first=lanes.rng.integers(2), valid=False)
        if t == REST:  # the last product has gone
            before = counts_of(dut)
    assert counts_of(dut) == before, lanes.where


@cache
def side_by_side(config: str) -> SideBySide:
    """Return all kinds, made once for all benches."""
    blocks = blocks_of(CONFIGS[config])
    return SideBySide({name: DepthwiseLanes(c, maxima=False) for name, c in blocks.items()})


@pytest.mark.parametrize("bench", ["bench_shares", "bench_zero_weights", "bench_between_taps"])
@pytest.mark.parametrize("config", ["two", pytest.param("odd", marks=pytest.mark.long)])
def test_lanes(config, bench):
    def group(path, name):
        unit = unit_in("core.depthwise.lanes")(path, name).removeprefix("dw_")
        return unit if unit in UNITS else None

    dut, env = side_by_side(config), {"CONFIG": config}
    print(run_counted(dut, __file__, bench, group=group, env=env, seed=4))
