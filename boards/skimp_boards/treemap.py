"""What takes the device: a tile for every block, as large as its share."""

import matplotlib
import squarify
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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
_FREE = "#ffffff"
_WIDTH, _HEIGHT = 160, 100
_SMALLEST = 0.004
"""Share of the map below which a tile has no name."""


def treemap(kept: dict) -> Figure:
    """Return the picture of a synthesis, in the form that `skimp synth --json` writes.

    Every resource of the budget has a map; what the budget has left is white.
    """
    names = list(kept["budget"])
    figure = Figure(figsize=(13, 4.4 * -(-len(names) // 2)))
    shown = {}
    for axes, name in zip(figure.subplots(-(-len(names) // 2), 2).flat, names):
        shown |= _draw(axes, kept, name)
    for axes in figure.axes[len(names) :]:
        axes.axis("off")
    handles = [
        handle for group, handle in sorted(shown.items(), key=lambda s: [*_COLOURS].index(s[0]))
    ]
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), fontsize=9)
    figure.suptitle(f"{kept['config']} on {kept['device']}, by {kept['tool']}")
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    return figure


def _draw(axes: Axes, kept: dict, name: str) -> dict:
    """Draw one resource; return group -> a tile of it."""
    tiles = [(b["count"] * b[name], block) for block, b in kept["blocks"].items() if b[name]]
    tiles.sort(key=lambda tile: (-tile[0], tile[1]))
    used, budget = sum(size for size, _ in tiles), kept["budget"][name]
    if used < budget:
        tiles.append((budget - used, ""))
    sizes = squarify.normalize_sizes([size for size, _ in tiles], _WIDTH, _HEIGHT)
    shown = {}
    for (size, block), rect in zip(tiles, squarify.squarify(sizes, 0, 0, _WIDTH, _HEIGHT)):
        group = group_of(block)
        (patch,) = axes.bar(
            rect["x"], rect["dy"], rect["dx"], bottom=rect["y"], align="edge", edgecolor="black",
            linewidth=0.4, color=_COLOURS[group] if block else _FREE, label=group,
        )  # fmt: skip
        if block:
            shown[group] = patch
        if rect["dx"] * rect["dy"] >= _SMALLEST * _WIDTH * _HEIGHT:
            axes.text(
                rect["x"] + rect["dx"] / 2, rect["y"] + rect["dy"] / 2,
                f"{block or 'left'}\n{size:,g}", ha="center", va="center", clip_on=True,
                fontsize=min(8, 1.3 * rect["dx"] / max(4, len(block)) * 2),
                rotation=90 if rect["dy"] > 2.5 * rect["dx"] else 0,
            )  # fmt: skip
    axes.set_title(f"{name}: {used:,g} of {budget:,} budgeted", fontsize=10)
    axes.axis("off")
    return shown
