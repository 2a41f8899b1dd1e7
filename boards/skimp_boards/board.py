"""What a board is: a part, its configuration, and the top level around the accelerator."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points

from amaranth.lib import wiring

from skimp.config import Config, ConfigError

__all__ = ["BOARDS", "Board", "load_board"]

BOARDS = "skimp.boards"
"""Entry points of boards; a package of its own may add more."""


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board that the accelerator runs on.

    Parameters
    ----------
    name : str
        As the command line knows it.
    title : str
        As people know it.
    part : str
        The FPGA, as its vendor writes it.
    config : Config
        What is built for it unless another configuration is asked for.
    make_top : callable
        Returns the top level of a configuration; raises ConfigError where the board cannot have it.
    platform : str or None
        Handed to `elaborate` (`skimp.gen.TARGETS`).
    """

    name: str
    title: str
    part: str
    config: Config
    make_top: Callable[[Config], wiring.Component]
    platform: str | None


def load_board(name: str) -> Board:
    """Return the board of that name.

    Raises
    ------
    ConfigError
        There is none.
    """
    points = entry_points(group=BOARDS)
    if name not in points.names:
        known = ", ".join(sorted(points.names))
        raise ConfigError(f"board {name}: unknown; choose one of {known}")
    return points[name].load()
