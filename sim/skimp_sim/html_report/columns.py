"""Columns in parts, one beside the other: a place for every layer, the same in all charts."""

from dataclasses import dataclass, field
from math import ceil

from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from skimp_sim.html_report.svg import Drawing

__all__ = ["WIDTH", "Column", "column_chart"]

WIDTH = 1200
"""Of a chart over the whole page; type sizes are in the same units."""

_PLOT_HEIGHT = 190
_LEFT, _RIGHT, _TOP = 56, 10, 12
_CHARACTER = 5.6  # of a label
_LINE = 10
_LONGEST = 13  # characters of a label; the pointer is told the rest
_WIDEST = 90  # a few layers do not make a wall


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column over one or more places.

    Parameters
    ----------
    first, last : int
        Places that it covers.
    parts : dict
        Height by the name of the part, from below.
    title : str
        What the pointer is told.
    mark : float or None
        Height of a line across it.
    """

    first: int
    last: int
    parts: dict[str, float]
    title: str
    mark: float | None = None

    @property
    def height(self) -> float:
        return sum(self.parts.values())


@dataclass(kw_only=True)
class _Axes:
    """Where places and heights lie in the drawing."""

    width: float
    names: list[str]
    top: float
    ticks: list[float] = field(init=False)
    slot: float = field(init=False)

    def __post_init__(self):
        locator = MaxNLocator(4, steps=[1, 2, 2.5, 5, 10])
        self.ticks = [float(x) for x in locator.tick_values(0, self.top or 1) if x >= 0]
        self.slot = min(_WIDEST, (self.width - _LEFT - _RIGHT) / max(1, len(self.names)))

    @property
    def labels(self) -> list[str]:
        return [x if len(x) <= _LONGEST else f"{x[: _LONGEST - 1]}…" for x in self.names]

    @property
    def labels_width(self) -> float:
        return max(map(len, self.labels), default=0) * _CHARACTER

    @property
    def rotated(self) -> bool:
        return self.labels_width > self.slot

    @property
    def labels_height(self) -> float:
        return 8 + (self.labels_width if self.rotated else 12)

    @property
    def every(self) -> int:
        """Places from one label to the next."""
        return ceil(_LINE / self.slot)

    @property
    def floor(self) -> float:
        return _TOP + _PLOT_HEIGHT

    def x(self, place: float) -> float:
        return _LEFT + place * self.slot

    def y(self, value: float) -> float:
        return self.floor - _PLOT_HEIGHT * value / self.ticks[-1]


def column_chart(
    names: list[str],
    columns: list[Column],
    colours: dict[str, str],
    *,
    label: str,
    lines: tuple[tuple[float, str], ...] = (),
    width: float = WIDTH,
) -> Markup:
    """Return the drawing.

    Parameters
    ----------
    names : list of str
        Of the places.
    columns : list of Column
    colours : dict
        By part.
    label : str
        What it shows, with the unit of the heights.
    lines : tuple
        (height, text) of lines across the whole chart.
    width : float
    """
    heights = [max(c.height, c.mark or 0) for c in columns] + [height for height, _ in lines]
    axes = _Axes(width=width, names=names, top=max(heights, default=0))
    drawing = Drawing(width, axes.floor + axes.labels_height, label)
    _scale(drawing, axes, width)
    gap = min(0.12 * axes.slot, 6)
    for column in columns:
        left, right = axes.x(column.first) + gap, axes.x(column.last + 1) - gap
        group = drawing.add("g", title=column.title, class_="column")
        below = 0.0
        for part, value in column.parts.items():
            if value > 0:
                drawing.add(
                    "rect", parent=group, x=left, y=axes.y(below + value), width=right - left,
                    height=axes.y(below) - axes.y(below + value), fill=colours[part],
                )  # fmt: skip
                below += value
        if column.mark is not None:
            y = axes.y(column.mark)
            drawing.add("line", parent=group, x1=left, x2=right, y1=y, y2=y, class_="mark")
    for height, text in lines:
        y = axes.y(height)
        drawing.add("line", x1=_LEFT, x2=width - _RIGHT, y1=y, y2=y, class_="reference")
        drawing.add(
            "text", text=text, x=width - _RIGHT - 2, y=y - 3, text_anchor="end", class_="name"
        )  # fmt: skip
    return drawing.markup()


def _scale(drawing: Drawing, axes: _Axes, width: float) -> None:
    """Lines and figures of the heights, names of the places."""
    for tick in axes.ticks:
        y = axes.y(tick)
        drawing.add("line", x1=_LEFT, x2=width - _RIGHT, y1=y, y2=y, class_="grid")
        drawing.add("text", text=f"{tick:,.10g}", x=_LEFT - 6, y=y + 3, text_anchor="end")
    for place, name in enumerate(axes.labels):
        if place % axes.every:
            continue
        x = axes.x(place + 0.5)
        if axes.rotated:
            turned = f"rotate(-90 {x + 3:.2f} {axes.floor + 6})"
            drawing.add(
                "text", text=name, x=x + 3, y=axes.floor + 6, text_anchor="end", transform=turned
            )
        else:
            drawing.add("text", text=name, x=x, y=axes.floor + 14, text_anchor="middle")
