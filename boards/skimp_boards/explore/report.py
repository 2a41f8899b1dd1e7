"""What the search found: table, JSON, plot."""

import dataclasses

from matplotlib.figure import Figure
from rich.table import Table

from skimp.configs import PRESETS
from skimp_boards.explore.evaluate import ENERGY, Point
from skimp_boards.explore.search import pareto
from skimp_boards.explore.space import Space

__all__ = ["as_json", "as_plot", "as_table"]

_SHOWN = (
    "psum_depth", "psum_slots", "drain_pixels", "bus_words", "act_words", "act_depth",
    "wgt_depth", "ifmap_depth", "ofmap_depth",
)  # fmt: skip


def _geometry(point: Point) -> str:
    c = point.config
    return f"{c.pixels}x{c.in_channels}x{c.out_channels}"


def _is_preset(point: Point, space: Space) -> bool:
    return dataclasses.replace(point.config, name=space.preset.name) == PRESETS[space.preset.name]


def as_table(points: list[Point], space: Space, *, rows: int = 24) -> Table:
    """The chosen point, the Pareto front and the next best ones."""
    table = Table(title=f"{space.board}: {', '.join(space.networks)}", box=None)
    for name in ("", "array", *_SHOWN, "images/s", "energy", "LUT", "DSP", "BRAM", "URAM", "share"):
        table.add_column(name.replace("_", "\n"), justify="right")
    front = pareto(points)
    shown = [points[0], *(p for p in front if p is not points[0])]
    shown += [p for p in points if p not in shown][: max(0, rows - len(shown))]
    for p in shown:
        mark = ">" if p is points[0] else "*" if p in front else ""
        mark += "=" if _is_preset(p, space) else ""
        table.add_row(
            mark,
            _geometry(p),
            *(str(getattr(p.config, name)) for name in _SHOWN),
            f"{p.images_per_second:,.0f}",
            f"{p.mean_energy / 1e6:,.0f} M",
            *(f"{p.area.get(key, 0):,.0f}" for key in ("lut", "dsp", "bram36", "uram")),
            f"{p.share:.2f}",
        )
    return table


def as_json(points: list[Point], space: Space) -> dict:
    """Everything that was looked at (schema 1)."""
    front = pareto(points)
    return {
        "schema": 1,
        "board": space.board,
        "networks": list(space.networks),
        "energy_units": ENERGY,
        "points": [
            {
                "config": dataclasses.asdict(p.config),
                "chosen": p is points[0],
                "pareto": p in front,
                "preset": _is_preset(p, space),
                "images_per_second": p.images_per_second,
                "cycles": p.cycles,
                "energy": p.energy,
                "area": p.area,
                "budget_share": p.share,
            }
            for p in points
        ],
    }


def as_plot(points: list[Point], space: Space) -> Figure:
    """Images a second over area; energy as colour, the front as a line."""
    figure = Figure(figsize=(9, 5.5))
    axes = figure.subplots()
    shares = [100 * p.share for p in points]
    rates = [p.images_per_second for p in points]
    dots = axes.scatter(
        shares, rates, c=[p.mean_energy / 1e6 for p in points], cmap="viridis_r", s=28
    )
    figure.colorbar(dots, label="energy per image (million MACs' worth)")
    front = sorted(pareto(points), key=lambda p: p.share)
    axes.plot(
        [100 * p.share for p in front], [p.images_per_second for p in front],
        color="#888888", linewidth=0.8, zorder=0,
    )  # fmt: skip
    labelled = set()
    for p in points:
        if _geometry(p) not in labelled:
            labelled.add(_geometry(p))
            axes.annotate(
                _geometry(p), (100 * p.share, p.images_per_second), fontsize=7,
                textcoords="offset points", xytext=(4, 4),
            )  # fmt: skip
    axes.scatter([shares[0]], [rates[0]], s=120, facecolors="none", edgecolors="#cc0000")
    axes.set_xlabel(f"largest share of {space.board}'s budget, %")
    axes.set_ylabel("images/s, geometric mean of " + ", ".join(space.networks))
    axes.set_title(f"Configurations for {space.board}; circled: the choice")
    figure.tight_layout()
    return figure
