"""Boards by name, wherever they come from."""

from importlib.metadata import entry_points

from skimp.config import ConfigError

__all__ = ["BOARDS", "load_board"]

BOARDS = "skimp.boards"
"""Entry points of boards; a package of its own may add more."""


def load_board(name: str):
    """Return the board (`skimp_boards.board.Board`) of that name.

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
