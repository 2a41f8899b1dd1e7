"""Charts of where the energy goes."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from skimp_sim.energy.model import DATA, LEVELS, NetworkEnergy
from skimp_sim.energy.summary import by_level

__all__ = ["DATA_COLOURS", "LEVEL_COLOURS", "energy_chart", "share_chart", "stack"]

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


def _microjoules(parts: dict) -> dict:
    return {key: 1e-6 * pj for key, pj in parts.items()}


def _title(network: NetworkEnergy, title: str) -> str:
    return f"{title}, {network.model.technology.name}, {network.model.dram.name}"


def energy_chart(network: NetworkEnergy, title: str) -> Figure:
    """Return stacked bars: each layer's energy by level."""
    names = [network.uses[number].layer.name for number in network.layers]
    rows = [_microjoules(by_level(energy)) for energy in network.layers.values()]
    figure = Figure(figsize=(11, max(2.5, 0.2 * len(names) + 1.2)))
    axes = figure.subplots()
    stack(axes, names, rows, LEVEL_COLOURS)
    axes.set_xlabel("uJ")
    axes.set_title(f"{_title(network, title)}: where the energy goes")
    figure.tight_layout()
    return figure


def share_chart(network: NetworkEnergy, title: str) -> Figure:
    """Return stacked bars: levels by type of data, and types of data by level."""
    total = network.all
    levels = [_microjoules({data: total[level, data] for data in DATA}) for level in LEVELS]
    kinds = [_microjoules({level: total[level, data] for level in LEVELS}) for data in DATA]
    figure = Figure(figsize=(11, 3.2))
    left, right = figure.subplots(1, 2)
    stack(left, list(LEVELS), levels, DATA_COLOURS)
    stack(right, list(DATA), kinds, LEVEL_COLOURS)
    for axes in (left, right):
        axes.set_xlabel("uJ")
    figure.suptitle(_title(network, title), fontsize=10)
    figure.tight_layout()
    return figure
