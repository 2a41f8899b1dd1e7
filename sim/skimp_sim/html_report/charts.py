"""Which charts a page has: those that the run has figures for."""

from dataclasses import dataclass, field

from markupsafe import Markup

from skimp_sim.energy.model import DATA, LEVELS, NetworkEnergy
from skimp_sim.energy.plots import DATA_COLOURS, LEVEL_COLOURS
from skimp_sim.energy.summary import by_level
from skimp_sim.html_report.blocks import Block
from skimp_sim.html_report.columns import WIDTH, Column, column_chart
from skimp_sim.html_report.roofs import roofline_drawing
from skimp_sim.report import LayerRow, Report
from skimp_sim.roofline import TPU, Roofline
from skimp_sim.traffic import KINDS

__all__ = ["Chart", "charts_of"]

_CAUSES = {
    "array": ("array", "#3b6ea8"),
    "depthwise": ("depthwise unit alone", "#6aa84f"),
    "stall_dram_read": ("waits for DRAM reads", "#e06666"),
    "stall_dram_write": ("waits for DRAM writes", "#f6b26b"),
    "stall_drain": ("waits for the drain", "#ffd966"),
    "stall_other": ("set-up and ends", "#b7b7b7"),
}
"""Counters that make up a layer's clocks: what they are called, and their colours."""

_KIND_COLOURS = dict(
    zip(KINDS, ("#6aa84f", "#3b6ea8", "#b8a1d9", "#8fc1c9", "#b7b7b7", "#f6b26b", "#e06666"))
)

_BLUE = "#3b6ea8"
_HALF = WIDTH // 2 - 10


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A drawing, and what is said around it.

    Parameters
    ----------
    key : str
        Of the element in the page.
    title, note : str
    svg : Markup
    legend : dict
        Colours by what they mean.
    signs : dict
        Classes of other marks by what they mean.
    """

    key: str
    title: str
    svg: Markup
    note: str = ""
    legend: dict[str, str] = field(default_factory=dict)
    signs: dict[str, str] = field(default_factory=dict)


def charts_of(report: Report, blocks: list[Block]) -> list[Chart]:
    """Return what there is to draw, in order."""
    # Layers for which nothing runs on the hardware have no place.
    shown = [row for row in report.rows if row.cycles or row.dram_bytes]
    charts = []
    if report.cycles:
        charts += [_utilisation(report, shown, blocks), _clocks(shown)]
    if report.dram_bytes:
        charts.append(_traffic(shown))
    if report.energy is not None:
        charts += [_energy(report.energy, shown), *_shares(report.energy)]
    if report.dram_bytes and any(row.layer.macs for row in shown):
        charts.append(_roofline(report))
    return charts


def _names(rows: list[LayerRow]) -> list[str]:
    return [row.layer.name for row in rows]


def _listed(title: str, parts: dict[str, float], form: str, unit: str) -> str:
    """What the pointer is told of a column in parts."""
    lines = [f"{name}: {value:{form}} {unit}" for name, value in parts.items() if value]
    return "\n".join([title, f"{sum(parts.values()):{form}} {unit}", *lines])


def _utilisation(report: Report, shown: list[LayerRow], blocks: list[Block]) -> Chart:
    places = {row.layer.layer_id: place for place, row in enumerate(shown)}
    columns = []
    for block in blocks:
        share = block.utilisation(report.config.macs_per_cycle)
        inside = [places[x.layer.layer_id] for x in block.rows if x.layer.layer_id in places]
        if share is not None and inside:
            title = f"{block.name}\n{block.macs:,} MACs in {block.cycles:,} clocks: {share:.3f}"
            columns.append(
                Column(first=inside[0], last=inside[-1], parts={"share": share}, title=title)
            )
    svg = column_chart(
        _names(shown), columns, {"share": _BLUE}, label="utilisation by layer",
        lines=((1.0, "peak of the array"), (report.utilisation, f"all {report.utilisation:.3f}")),
    )  # fmt: skip
    return Chart(
        key="chart-utilisation",
        title="Utilisation",
        note="MACs by clocks and peak. Layers that run side by side share a column, those "
        "beside them may start a little early; MACs of the depthwise unit come on top of the peak.",
        svg=svg,
    )


def _clocks(shown: list[LayerRow]) -> Chart:
    columns = []
    for place, row in enumerate(shown):
        clocks = {label: row.counters.get(key, 0) for key, (label, _) in _CAUSES.items()}
        columns.append(
            Column(
                first=place,
                last=place,
                parts={label: count / 1000 for label, count in clocks.items()},
                title=_listed(row.layer.name, clocks, ",", "clocks"),
            )
        )
    colours = dict(_CAUSES.values())
    return Chart(
        key="chart-clocks",
        title="Where the clocks go, thousands",
        note="From the end of the layer before to the layer's own end; waits are clocks in which "
        "nothing is computed.",
        legend=colours,
        svg=column_chart(_names(shown), columns, colours, label="thousand clocks by layer"),
    )


def _traffic(shown: list[LayerRow]) -> Chart:
    columns = []
    for place, row in enumerate(shown):
        if row.traffic is None:
            continue
        moved = {kind: row.traffic.moved[kind] for kind in KINDS}
        bound = row.traffic.bound_bytes
        title = f"{_listed(row.layer.name, moved, ',', 'bytes')}\nbound: {bound:,} bytes"
        parts = {kind: size / 1000 for kind, size in moved.items()}
        columns.append(Column(first=place, last=place, parts=parts, title=title, mark=bound / 1000))
    return Chart(
        key="chart-dram",
        title="DRAM traffic, kB",
        note="What the layer's own commands move, whenever they do. Bound: the least of the layer "
        "by itself, were its maps in DRAM; maps that stay on the chip go below it.",
        legend=_KIND_COLOURS,
        signs={"bound": "mark"},
        svg=column_chart(_names(shown), columns, _KIND_COLOURS, label="DRAM kB by layer"),
    )


def _microjoules(parts: dict[str, float]) -> dict[str, float]:
    return {key: 1e-6 * pj for key, pj in parts.items()}


def _stacks(stacks: dict[str, dict[str, float]]) -> list[Column]:
    """Columns of energies in pJ, by name and part."""
    columns = []
    for place, (name, parts) in enumerate(stacks.items()):
        parts = _microjoules(parts)
        title = _listed(name, parts, ",.2f", "uJ")
        columns.append(Column(first=place, last=place, parts=parts, title=title))
    return columns


def _energy(energy: NetworkEnergy, shown: list[LayerRow]) -> Chart:
    none = dict.fromkeys(LEVELS, 0.0)
    stacks = {
        row.layer.name: by_level(energy.layers[row.layer.layer_id])
        if row.layer.layer_id in energy.layers
        else none
        for row in shown
    }
    return Chart(
        key="chart-energy",
        title="Where the energy goes, uJ by level",
        note=f"Tables of {energy.model.technology.name} with {energy.model.dram.name}.",
        legend=LEVEL_COLOURS,
        svg=column_chart(list(stacks), _stacks(stacks), LEVEL_COLOURS, label="uJ by layer"),
    )


def _shares(energy: NetworkEnergy) -> list[Chart]:
    found = energy.all
    levels = {level: {data: found[level, data] for data in DATA} for level in LEVELS}
    kinds = {data: {level: found[level, data] for level in LEVELS} for data in DATA}
    return [
        Chart(
            key=key,
            title=title,
            legend=colours,
            svg=column_chart(list(stacks), _stacks(stacks), colours, label=title, width=_HALF),
        )
        for key, title, stacks, colours in (
            ("chart-levels", "Levels by type of data, uJ", levels, DATA_COLOURS),
            ("chart-data", "Types of data by level, uJ", kinds, LEVEL_COLOURS),
        )
    ]


def _roofline(report: Report) -> Chart:
    return Chart(
        key="chart-roofline",
        title="Roofline",
        note="An operation is a multiplication or an addition. Layers side by side are one circle; "
        f"weights that come early can lift one above the roof. {TPU.name}: 92 TOP/s behind 34 GB/s.",
        signs={
            "a layer, where the roof lets it go": "layer",
            "as it runs": "unit",
            "network": "network",
        },
        svg=roofline_drawing(Roofline.of(report)),
    )
