"""Networks under the rooflines: operations a second, and operations per byte of DRAM, by layer.

An operation is a multiplication or an addition: two a MAC. The compute roof is the array's peak,
the slope what DRAM or its bus moves, whichever is less. Beside them the roofline of a TPU-like
chip: 92 TOP/s of 8 bit behind 34 GB/s (Jouppi et al., ISCA 2017), whose ridge is at 2706
operations a byte. Bytes of a layer are those that its own commands move.

Dots on the roof are layers, where it lets each of them go by itself. Circles are what the run did: layers
that run side by side (`Layer.fused_with`) are one, for the clocks of one of them alone say nothing.
A circle can lie above the roof: weights come while the layer before still runs, and the depthwise
unit's MACs come on top of the array's peak.
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from skimp.config import Config
from skimp_compiler.graph import ModelError
from skimp_sim.report import Report

__all__ = [
    "DRAM_BYTES_PER_SECOND",
    "TPU",
    "Point",
    "Roof",
    "Roofline",
    "roof_of",
    "roofline_chart",
    "write_chart",
]

DRAM_BYTES_PER_SECOND = 19.2e9
"""DDR4-2400, 64 bit."""

_OURS, _OTHER = "#3b6ea8", "#e06666"


@dataclass(frozen=True, kw_only=True)
class Roof:
    """What a machine can do: operations and bytes of DRAM in a second."""

    name: str
    operations: float
    bytes: float

    @property
    def ridge(self) -> float:
        """Operations per byte from which DRAM is no limit."""
        return self.operations / self.bytes

    def at(self, intensity: float) -> float:
        """Operations a second that can be reached at so many operations a byte."""
        return min(self.operations, intensity * self.bytes)


TPU = Roof(name="TPU-like", operations=92e12, bytes=34e9)


@dataclass(frozen=True, kw_only=True)
class Point:
    """Layers side by side, or a network: operations per byte of DRAM, operations a second."""

    name: str
    intensity: float
    operations: float


def roof_of(config: Config) -> Roof:
    """Return the roofline of a configuration."""
    clock = config.clock_mhz * 1e6
    return Roof(
        name=config.name,
        operations=2 * config.macs_per_cycle * clock,
        bytes=min(config.bus_bytes * clock, DRAM_BYTES_PER_SECOND),
    )


def _point(name: str, macs: int, moved: int, cycles: int, clock_mhz: int) -> Point:
    seconds = cycles / (clock_mhz * 1e6)
    return Point(name=name, intensity=2 * macs / moved, operations=2 * macs / seconds)


@dataclass(frozen=True, kw_only=True)
class Roofline:
    """A network under its roof.

    Parameters
    ----------
    title : str
    roof : Roof
    layers : list of float
        Operations per byte of DRAM of the layers that multiply, in order.
    units : list of Point
        What the run did, layers side by side as one, in order.
    network : Point or None
        None: nothing multiplies.
    """

    title: str
    roof: Roof
    layers: list[float]
    units: list[Point]
    network: Point | None

    @classmethod
    def of(cls, report: Report) -> "Roofline":
        """Return that of a finished run."""
        rows = [row for row in report.rows if row.traffic is not None and row.traffic.moved_bytes]
        clock = report.config.clock_mhz
        units = defaultdict(list)
        for row in rows:
            layer = row.layer
            units[layer.layer_id if layer.fused_with is None else layer.fused_with].append(row)
        found = []
        for members in units.values():
            macs, cycles = (
                sum(values) for values in zip(*((row.layer.macs, row.cycles) for row in members))
            )
            if macs and cycles:
                name = "+".join(row.layer.name for row in members)
                moved = sum(row.traffic.moved_bytes for row in members)
                found.append(_point(name, macs, moved, cycles, clock))
        network = None
        if found:
            network = _point(report.model, report.macs, report.dram_bytes, report.cycles, clock)
        return cls(
            title=f"{report.model} on {report.config.name}",
            roof=roof_of(report.config),
            layers=[2 * x.layer.macs / x.traffic.moved_bytes for x in rows if x.layer.macs],
            units=found,
            network=network,
        )

    @classmethod
    def from_json(cls, kept: dict) -> "Roofline":
        """Return what `dataclasses.asdict` made a dict of."""
        network = kept["network"]
        fields = {
            "roof": Roof(**kept["roof"]),
            "units": [Point(**point) for point in kept["units"]],
            "network": None if network is None else Point(**network),
        }
        return cls(**{**kept, **fields})


def roofline_chart(rooflines: list[Roofline]) -> Figure:
    """Return a row for each network: rooflines, and operations per byte layer by layer."""
    figure = Figure(figsize=(11, 3.6 * len(rooflines)))
    rows = figure.subplots(len(rooflines), 2, squeeze=False)
    for found, (left, right) in zip(rooflines, rows):
        roofs = (found.roof, _OURS), (TPU, _OTHER)
        _rooflines(left, roofs, found)
        left.set_title(found.title, fontsize=9)
        _intensities(right, roofs, found.layers)
    figure.tight_layout()
    return figure


def _rooflines(axes: Axes, roofs, found: Roofline) -> None:
    xs = found.layers + [roof.ridge for roof, _ in roofs]
    low, high = min(xs) / 2, max(xs) * 2
    for roof, colour in roofs:
        line = (low, roof.ridge, high)
        axes.loglog(line, [roof.at(x) / 1e9 for x in line], color=colour, label=roof.name)
        axes.loglog(roof.ridge, roof.operations / 1e9, "D", color=colour)
        axes.annotate(
            f"{roof.operations / 1e12:.3g} TOP/s, {roof.ridge:,.0f} op/B",
            (roof.ridge, roof.operations / 1e9), xytext=(-4, 5), textcoords="offset points",
            fontsize=7, ha="right",
        )  # fmt: skip
    allowed = [found.roof.at(x) / 1e9 for x in found.layers]
    axes.loglog(found.layers, allowed, ".", color="#6aa84f", label="layers")
    axes.loglog(
        [point.intensity for point in found.units],
        [point.operations / 1e9 for point in found.units],
        "o", markerfacecolor="none", color="black", markersize=4, label="as it runs",
    )  # fmt: skip
    if found.network is not None:
        axes.loglog(
            found.network.intensity, found.network.operations / 1e9, "*", color="black",
            markersize=11, label="network",
        )  # fmt: skip
    axes.set_xlabel("operations per byte of DRAM", fontsize=8)
    axes.set_ylabel("GOP/s", fontsize=8)
    axes.legend(fontsize=7, loc="lower right")


def _intensities(axes: Axes, roofs, layers: list[float]) -> None:
    """Computation to communication, layer by layer."""
    axes.bar(range(len(layers)), layers, color="#6aa84f")
    for roof, colour in roofs:
        axes.axhline(roof.ridge, color=colour, label=f"ridge of {roof.name}")
    axes.set_yscale("log")
    axes.set_xlabel("layers that multiply, in order", fontsize=8)
    axes.set_ylabel("operations per byte of DRAM", fontsize=8)
    axes.legend(fontsize=7)


def write_chart(figure: Figure, path: str | Path) -> None:
    """Write a chart.

    Raises
    ------
    ModelError
        It cannot be written.
    """
    try:
        figure.savefig(path, metadata={"Date": None} if Path(path).suffix == ".svg" else None)
    except OSError as error:
        raise ModelError(f"{path}: cannot be written ({error.strerror}); choose another") from error
