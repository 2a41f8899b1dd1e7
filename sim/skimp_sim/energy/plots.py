"""Charts of where the energy goes."""

from matplotlib.axes import Axes

from skimp_sim.energy.model import DATA, LEVELS

__all__ = ["DATA_COLOURS", "LEVEL_COLOURS", "stack"]

LEVEL_COLOURS = dict(
    zip(LEVELS, ("#3b6ea8", "#6aa84f", "#b8a1d9", "#ffd966", "#f6b26b", "#e06666", "#cccccc"))
)

DATA_COLOURS = dict(zip(DATA, ("#3b6ea8", "#6aa84f", "#e06666", "#f6b26b", "#b8a1d9", "#cccccc")))


def stack(axes: Axes, names: list[str], rows: list[dict], colours: dict[str, str]) -> None:
    """Draw a horizontal bar for each name, in parts by the keys of `colours`."""
    left = [0.0] * len(names)
    for key, colour in colours.items():
        values = [row[key] for row in rows]
        axes.barh(names, values, left=left, label=key, color=colour)
        left = [a + b for a, b in zip(left, values)]
    axes.invert_yaxis()
    axes.tick_params(axis="y", labelsize=7)
    axes.legend(fontsize=7)
