"""The ZCU104 as the command line knows it."""

from importlib.resources import files

from skimp.configs import PRESETS
from skimp_boards.board import Board
from skimp_boards.zcu104.top import Zcu104Top

__all__ = ["BOARD"]

BOARD = Board(
    name="zcu104",
    title="AMD ZCU104",
    part="xczu7ev-ffvc1156-2-e",
    config=PRESETS["zcu104"],
    make_top=Zcu104Top,
    platform="xilinx",
    beside=tuple(
        files("skimp_boards.zcu104").joinpath(name) for name in ("zcu104.xdc", "block_design.tcl")
    ),
)
