"""What takes the device: a tile for every block, as large as its share."""

import matplotlib
import squarify
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from skimp_boards.groups import GROUPS, REST, group_of

__all__ = ["treemap"]

matplotlib.rcParams["svg.hashsalt"] = "skimp"  # the same picture from the same numbers

_COLOURS = dict(
    zip(
        (*GROUPS, REST),
        "#3b6ea8 #6aa84f #f6b26b #e06666 #8e7cc3 #45818e #ffd966 #b7b7b7".split(),
        strict=True,
    )
)
_LEFT = "left"
_WIDTH, _HEIGHT = 160, 100
_POINTS = 2.5
"""Of a unit of the map, about."""

_LEAST_POINTS, _MOST_POINTS = 4.5, 8
_CHARACTER, _LINES = 0.65, 2.6
"""How wide a letter and how high two lines are, in sizes of the letters."""


def treemap(kept: dict) -> Figure:
    """Return the picture of a synthesis, in the form that `skimp synth --json` writes.

    Every resource of the budget has a map; what the budget has left is white.
    """
    names = list(kept["budget"])
    rows = -(-len(names) // 2)
    figure = Figure(figsize=(13, 4.4 * rows))
    for axes, name in zip(figure.subplots(rows, 2, squeeze=False).flat, names):
        _draw(axes, kept, name)
    for axes in figure.axes[len(names) :]:
        axes.axis("off")
    handles = [Patch(color=_COLOURS[group], label=group) for group in kept["groups"]]
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), fontsize=9)
    figure.suptitle(f"{kept['config']} on {kept['device']}, by {kept['tool']}")
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    return figure


def _draw(axes: Axes, kept: dict, name: str) -> None:
    tiles = [(b["count"] * b[name], block) for block, b in kept["blocks"].items() if b[name]]
    tiles.sort(key=lambda tile: (-tile[0], tile[1]))
    used, budget = sum(size for size, _ in tiles), kept["budget"][name]
    if used < budget:
        tiles.append((budget - used, _LEFT))
    sizes = squarify.normalize_sizes([size for size, _ in tiles], _WIDTH, _HEIGHT)
    for (size, block), rect in zip(tiles, squarify.squarify(sizes, 0, 0, _WIDTH, _HEIGHT)):
        x, y, dx, dy = (rect[side] for side in ("x", "y", "dx", "dy"))
        colour = "white" if block == _LEFT else _COLOURS[group_of(block)]
        axes.add_patch(Rectangle((x, y), dx, dy, facecolor=colour, edgecolor="black", lw=0.4))
        _name(axes, f"{block}\n{size:,g}", x, y, dx, dy)
    axes.set_title(f"{name}: {used:,g} of {budget:,} budgeted", fontsize=10)
    axes.set(xlim=(0, _WIDTH), ylim=(0, _HEIGHT))
    axes.axis("off")


def _name(axes: Axes, text: str, x: float, y: float, dx: float, dy: float) -> None:
    """Write into a tile, along its longer side, where it fits."""
    across, along = sorted((dx, dy))
    points = min(
        _MOST_POINTS,
        _POINTS * along / (_CHARACTER * max(map(len, text.splitlines()))),
        _POINTS * across / _LINES,
    )
    if points >= _LEAST_POINTS:
        turned = 90 if dy > dx else 0
        axes.text(
            x + dx / 2, y + dy / 2, text, ha="center", va="center", fontsize=points, rotation=turned
        )
