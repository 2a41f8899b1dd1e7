"""Configurations for tests: small and awkward ones."""

import dataclasses

import pytest

from skimp.configs import PRESETS

ODD = dataclasses.replace(
    PRESETS["small"], name="odd", pixels=3, out_channels=16, psum_depth=9, wgt_depth=40,
    dw_wgt_depth=64, ifmap_depth=100, ofmap_depth=64, param_depth=4, queue_depth=3, burst_beats=8,
    reads_outstanding=2, writes_outstanding=2, watchdog_cycles=4096, packed=False,
)  # fmt: skip
"""Lanes that divide nothing, buffers that hold next to nothing, one product per multiplier."""

WIDE = dataclasses.replace(
    PRESETS["zcu104"], name="wide", pixels=2, out_channels=16, psum_depth=8, wgt_depth=64,
    dw_wgt_depth=64, ifmap_depth=128, ofmap_depth=32, param_depth=4, burst_beats=16,
)  # fmt: skip
"""Two chains a pixel, a 128-bit bus."""


def on_rtl(*configs):
    """Parameters for tests on the RTL: those of a configuration share a worker and its build."""
    return [pytest.param(c, marks=pytest.mark.xdist_group(c.name), id=c.name) for c in configs]
