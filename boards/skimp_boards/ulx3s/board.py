"""The ULX3S as a board (`skimp_boards.board`)."""

from dataclasses import replace

from skimp.configs import PRESETS
from skimp_boards.board import Board
from skimp_boards.ulx3s.top import Ulx3sTop

__all__ = ["BOARD"]

BOARD = Board(
    name="ulx3s",
    title="Radiona ULX3S",
    part="LFE5U-85F-6BG381C",
    config=replace(PRESETS["tiny"], name="ulx3s", packed=False, urams=False, clock_mhz=30),
    make_top=Ulx3sTop,
    platform=None,
)
