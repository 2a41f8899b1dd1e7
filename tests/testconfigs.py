"""Configurations for tests: small and awkward ones."""

import dataclasses

import pytest

from skimp.configs import PRESETS

ODD = dataclasses.replace(
    PRESETS["small"], name="odd", pixels=3, out_channels=16, psum_depth=9, psum_slots=3, dw_psum_slots=2, wgt_depth=40,
    dw_wgt_depth=64, dw_ifmap_depth=40, dw_psum_depth=9, ifmap_depth=100, ofmap_depth=64, param_depth=4, queue_depth=3, burst_beats=8,
    reads_outstanding=2, writes_outstanding=2, watchdog_cycles=4096, packed=False, bus_words=1,
    drain_pixels=1, drain_slices=0, act_depth=0, tile_table_depth=0,
)  # fmt: skip
"""Lanes that divide nothing, buffers that hold next to nothing, one product per multiplier."""

WIDE = dataclasses.replace(
    PRESETS["zcu104"], name="wide", pixels=2, out_channels=16, psum_depth=8, wgt_depth=64, wgt_slices=2,
    dw_wgt_depth=64, dw_ifmap_depth=64, dw_psum_depth=8, ifmap_depth=128, ofmap_depth=32, param_depth=4, burst_beats=16, bus_words=2,
    drain_pixels=2, drain_slices=0, act_depth=32, tile_table_depth=512, reads_outstanding=4,
)  # fmt: skip
"""Two chains a pixel, weights for two slices a clock, a 256-bit bus, an activation store."""

QUAD = dataclasses.replace(
    PRESETS["small"], name="quad", pixels=5, out_channels=32, psum_depth=8, psum_slots=3, wgt_depth=40,
    dw_wgt_depth=64, dw_ifmap_depth=50, dw_psum_depth=8, dw_psum_slots=3, dw_rows=2,
    ifmap_depth=100, ofmap_depth=48, param_depth=4, burst_beats=8, bus_words=4,
    act_words=8, act_depth=40, reads_outstanding=3, writes_outstanding=3, drain_pixels=1,
    drain_slices=0, wgt_slices=4, tile_table_depth=100,
)  # fmt: skip
"""Four words a beat, eight on the chip, over five lanes, weights for four slices a clock; depths that
are no powers of two."""

DUAL = dataclasses.replace(
    WIDE, name="dual", act_words=0, act_depth=0, tile_table_depth=0, dw_rows=1, drain_pixels=1,
    watchdog_cycles=2048,
)  # fmt: skip
"""The least with a bus of two 128-bit ports; gives up soon where nothing answers."""


def on_rtl(*configs):
    """Parameters for tests on the RTL: those of a configuration share a worker and its build."""
    return [pytest.param(c, marks=pytest.mark.xdist_group(c.name), id=c.name) for c in configs]
