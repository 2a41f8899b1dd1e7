"""The ULX3S as a board (`skimp_boards.board`)."""

from dataclasses import replace

from skimp.configs import PRESETS
from skimp_boards.nextpnr_ecp5 import Ecp5Board, Ecp5Part
from skimp_boards.ulx3s.pins import constraints
from skimp_boards.ulx3s.top import DRAM_BYTES, Ulx3sTop

__all__ = ["BOARD"]

BOARD = Ecp5Board(
    name="ulx3s",
    title="Radiona ULX3S",
    part="LFE5U-85F-6BG381C",
    config=replace(PRESETS["tiny"], name="ulx3s", packed=False, urams=False, clock_mhz=30),
    make_top=Ulx3sTop,
    platform=None,
    device=Ecp5Part(size="85k", package="CABGA381", speed=6),
    constraints=constraints(),
    dram_bytes=DRAM_BYTES,
)
