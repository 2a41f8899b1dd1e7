"""A run as one self-contained HTML page: answer, charts, table."""

import base64
import html
import io
from pathlib import Path

from matplotlib.figure import Figure

from skimp_sim.energy.plots import energy_chart, share_chart
from skimp_sim.energy.summary import energy_line
from skimp_sim.report import Report

__all__ = ["html_page", "layer_chart"]

_CAUSES = (
    ("array", "array", "#3b6ea8"),
    ("depthwise", "depthwise unit alone", "#6aa84f"),
    ("stall_dram_read", "waits for DRAM reads", "#e06666"),
    ("stall_dram_write", "waits for DRAM writes", "#f6b26b"),
    ("stall_drain", "waits for the drain", "#ffd966"),
    ("stall_other", "set-up and ends", "#cccccc"),
)


_STYLE = (
    "<style>body{font-family:sans-serif;margin:2em}td,th{padding:2px 8px;text-align:right}"
    "td:first-child,th:first-child{text-align:left}tr:nth-child(even){background:#f4f4f4}</style>"
)


def layer_chart(report: Report) -> Figure:
    """Return stacked bars: where each layer's clocks went."""
    rows = [row for row in report.rows if row.counters]
    figure = Figure(figsize=(11, max(2.5, 0.2 * len(rows) + 1.2)))
    axes = figure.subplots()
    names = [row.layer.name for row in rows]
    left = [0] * len(rows)
    for key, label, colour in _CAUSES:
        values = [row.counters.get(key, 0) for row in rows]
        axes.barh(names, values, left=left, label=label, color=colour)
        left = [a + b for a, b in zip(left, values)]
    axes.invert_yaxis()
    axes.set_xlabel("clocks")
    axes.set_title(f"{report.model} on {report.config.name}: where the clocks go")
    axes.tick_params(axis="y", labelsize=7)
    axes.legend(fontsize=7)
    figure.tight_layout()
    return figure


def _svg(figure: Figure) -> str:
    image = io.BytesIO()
    figure.savefig(image, format="svg")
    text = image.getvalue().decode()
    return text[text.index("<svg") :]


def _picture(path: Path) -> str:
    kind = {".png": "png", ".bmp": "bmp"}.get(path.suffix.lower(), "jpeg")
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="input" style="max-height:240px" src="data:image/{kind};base64,{data}">'


def _verdict(value) -> str:
    return {True: "exact", False: "<b>different</b>", None: "-"}[value]


def html_page(report: Report, picture: Path | None = None) -> str:
    """Return the page.

    Parameters
    ----------
    report : Report
    picture : Path or None
        The input, where it was a picture.
    """
    exact = {name: _verdict(value) for name, value in report.bit_exact.items()}
    summary = (
        f"{report.macs:,} MACs in {report.cycles:,} clocks: utilisation {report.utilisation:.3f}; "
        f"engine {report.engine}; golden: {exact['golden']}, LiteRT: {exact['litert']}"
    )
    parts = [
        "<!doctype html><meta charset=utf-8>",
        f"<title>skimp: {html.escape(report.model)}</title>",
        _STYLE,
        f"<h1>{html.escape(report.model)} on {html.escape(report.config.name)}</h1>",
        f"<p>{summary}</p>",
    ]
    if picture is not None:
        parts.append(_picture(picture))
    if report.output:
        items = "".join(
            f"<li>{html.escape(name)} ({score:.3f})</li>" for _, score, name in report.output
        )
        parts.append(f"<ol>{items}</ol>")
    if report.cycles:
        parts.append(_svg(layer_chart(report)))
    if report.energy is not None:
        title = f"{report.model} on {report.config.name}"
        parts += [
            f"<p>{html.escape(energy_line(report.energy))}</p>",
            _svg(energy_chart(report.energy, title)),
            _svg(share_chart(report.energy, title)),
        ]
    parts.append(
        "<table><tr><th>layer</th><th>unit</th><th>MACs</th><th>clocks</th><th>utilisation</th>"
        "<th>gated</th><th>golden</th><th>LiteRT</th></tr>"
    )
    peak = report.config.macs_per_cycle
    for row in report.rows:
        layer = row.layer
        utilisation = layer.macs / (peak * row.cycles) if row.cycles else 0
        gated = row.counters.get("macs_gated", 0) / layer.macs if layer.macs else 0
        parts.append(
            f"<tr><td>{html.escape(layer.name)}</td><td>{layer.unit}</td><td>{layer.macs:,}</td>"
            f"<td>{row.cycles:,}</td><td>{utilisation:.2f}</td><td>{gated:.2f}</td>"
            f"<td>{_verdict(row.golden)}</td><td>{_verdict(row.litert)}</td></tr>"
        )
    parts.append("</table>")
    return "\n".join(parts) + "\n"
