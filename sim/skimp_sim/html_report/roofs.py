"""The rooflines of `skimp_sim.roofline` as a drawing inside the page."""

from dataclasses import dataclass
from math import ceil, floor, log10

from markupsafe import Markup

from skimp_sim.html_report.svg import Drawing
from skimp_sim.roofline import TPU, Point, Roof, Roofline

__all__ = ["roofline_drawing"]

_WIDTH, _HEIGHT = 1200, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 14, 14, 40


@dataclass(frozen=True, kw_only=True)
class _Log:
    """A logarithmic axis: values from low to high, drawn from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = log10(value / self.low) / log10(self.high / self.low)
        return self.start + share * (self.end - self.start)

    @property
    def decades(self) -> list[float]:
        """Powers of ten on it."""
        return [10.0**power for power in range(ceil(log10(self.low)), floor(log10(self.high)) + 1)]


def roofline_drawing(found: Roofline) -> Markup:
    """Return the drawing: roofs, layers on the roof, what the run did, the network."""
    roofs = ((found.roof, "ours"), (TPU, "other"))
    intensities = [*found.layers, *(p.intensity for p in found.units)]
    x_values = [*intensities, *(roof.ridge for roof, _ in roofs)]
    x = _Log(low=min(x_values) / 2, high=2 * max(x_values), start=_LEFT, end=_WIDTH - _RIGHT)
    y_values = [found.roof.at(value) for value in (x.low, *found.layers)]
    y_values += [point.operations for point in found.units]
    peak = max(roof.operations for roof, _ in roofs)
    y = _Log(low=min(y_values) / 2, high=2 * peak, start=_HEIGHT - _BOTTOM, end=_TOP)
    drawing = Drawing(_WIDTH, _HEIGHT, f"{found.title} under the rooflines")
    _scale(drawing, x, y)
    for roof, kind in roofs:
        _roof(drawing, x, y, roof, kind)
    for intensity in found.layers:
        drawing.add(
            "circle", cx=x(intensity), cy=y(found.roof.at(intensity)), r=3.5, class_="layer",
            title=f"a layer at {intensity:,.1f} operations a byte",
        )  # fmt: skip
    for point in found.units:
        drawing.add("circle", **_place(x, y, point), r=5, class_="unit", title=_words(point))
    if found.network is not None:
        drawing.add(
            "circle", **_place(x, y, found.network), r=7, class_="network",
            title=_words(found.network),
        )  # fmt: skip
    return drawing.markup()


def _place(x: _Log, y: _Log, point: Point) -> dict[str, float]:
    return {"cx": x(point.intensity), "cy": y(point.operations)}


def _words(point: Point) -> str:
    return (
        f"{point.name}\n{point.operations / 1e9:,.1f} GOP/s at {point.intensity:,.1f} operations a "
        "byte"
    )


def _roof(drawing: Drawing, x: _Log, y: _Log, roof: Roof, kind: str) -> None:
    # A slope that starts below the chart starts at its floor.
    low = max(x.low, y.low / roof.bytes)
    corners = ((value, roof.at(value)) for value in (low, roof.ridge, x.high))
    points = " ".join(f"{x(a):.2f},{y(b):.2f}" for a, b in corners)
    drawing.add("polyline", points=points, class_=f"roof {kind}")
    drawing.add(
        "text", x=x.end - 2, y=y(roof.operations) - 7, text_anchor="end", class_="name",
        text=f"{roof.name}: {roof.operations / 1e12:.3g} TOP/s from {roof.ridge:,.0f} op/B on",
    )  # fmt: skip


def _scale(drawing: Drawing, x: _Log, y: _Log) -> None:
    for value in x.decades:
        at = x(value)
        drawing.add("line", x1=at, x2=at, y1=y.start, y2=y.end, class_="grid")
        drawing.add("text", text=f"{value:,g}", x=at, y=y.start + 14, text_anchor="middle")
    for value in y.decades:
        at = y(value)
        drawing.add("line", x1=x.start, x2=x.end, y1=at, y2=at, class_="grid")
        drawing.add("text", text=f"{value / 1e9:,g}", x=x.start - 6, y=at + 3, text_anchor="end")
    middle = (y.start + y.end) / 2
    drawing.add(
        "text", text="operations per byte of DRAM", x=(x.start + x.end) / 2, y=_HEIGHT - 6,
        text_anchor="middle",
    )  # fmt: skip
    drawing.add(
        "text", text="GOP/s", x=14, y=middle, text_anchor="middle",
        transform=f"rotate(-90 14 {middle})",
    )  # fmt: skip
