"""docs/results.md and its chart, from the kept runs."""

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

__all__ = ["write_results"]

matplotlib.rcParams["svg.hashsalt"] = "skimp"  # the same picture from the same numbers

_CAUSES = (
    ("array", "array computes", "#3b6ea8"),
    ("depthwise", "depthwise unit computes", "#6aa84f"),
    ("elementwise", "elementwise unit computes", "#b4a7d6"),
    ("dram_read", "waits for DRAM reads", "#e06666"),
    ("dram_write", "waits for DRAM writes", "#f6b26b"),
    ("drain", "waits for the drain", "#ffd966"),
    ("other", "set-up, pipeline ends, fences", "#cccccc"),
)


def write_results(runs: dict, folder: Path, *, chart: str) -> None:
    """Write results.md beside the folder and the chart of one run into it.

    Parameters
    ----------
    runs : dict
        "network config" -> what `skimp run --json` wrote.
    folder : Path
        docs/results.
    chart : str
        Run to draw.
    """
    lines = [
        "# Results",
        "",
        "Written by `make bench` from `docs/results/bench.json`; do not edit. Every run is the RTL",
        "on Verilator with one AXI port of in_channels bytes a clock and 30 clocks to a burst's",
        "first beat, and is bit-exact at every layer to the golden model and to LiteRT's reference",
        "kernels. Clocks are exact and the same on every machine; `limit` is the larger of MACs /",
        "peak and bytes / bus width, layer by layer.",
        "",
        "| network | config | MAC/clock | MACs | clocks | utilisation | limit | runs/s | DRAM MB | gated |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for key, run in sorted(runs.items(), key=lambda item: (item[0].split()[-1], item[0])):
        name, config = key.rsplit(" ", 1)
        total = run["total"]
        gated = sum(layer["macs_gated"] for layer in run["layers"]) / max(total["macs"], 1)
        lines.append(
            f"| {name} | {config} | {run['peak_macs_per_cycle']} | {total['macs']:,} "
            f"| {total['cycles']:,} | {total['utilisation']:.3f} | {total['limit_cycles']:,} "
            f"| {total['fps']:,.1f} at {run['clock_mhz']} MHz | {total['dram_bytes'] / 1e6:.2f} "
            f"| {gated:.2f} |"
        )
    if chart in runs:
        name = f"{chart.replace(' ', '-')}.svg"
        _draw(runs[chart], chart).savefig(folder / name, metadata={"Date": None})
        lines += [
            "",
            f"## Where the clocks of {chart} go",
            "",
            f"![clocks by layer](results/{name})",
        ]
    for key, run in sorted(runs.items()):
        lines += ["", f"## {key}", "", *_layer_table(run)]
    (folder.parent / "results.md").write_text("\n".join(lines) + "\n")


def _layer_table(run: dict) -> list[str]:
    rows = [
        "| layer | unit | MACs | clocks | utilisation | waits: read | write | drain | other | gated |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for layer in run["layers"]:
        stalls, macs = layer["stall_cycles"], layer["macs"]
        gated = f"{layer['macs_gated'] / macs:.2f}" if macs else ""
        rows.append(
            f"| {layer['name']} | {layer['unit']} | {macs:,} | {layer['cycles']:,} "
            f"| {layer['utilisation']:.2f} | {stalls['dram_read']:,} | {stalls['dram_write']:,} "
            f"| {stalls['drain']:,} | {stalls['other']:,} | {gated} |"
        )
    return rows


def _draw(run: dict, title: str) -> Figure:
    layers = [layer for layer in run["layers"] if layer["cycles"]]
    figure = Figure(figsize=(12, 5))
    axes = figure.subplots()
    names = [layer["name"] for layer in layers]
    bottom = [0.0] * len(layers)
    for key, label, colour in _CAUSES:
        values = [
            (layer["busy_cycles"].get(key, layer["stall_cycles"].get(key, 0)) / 1000)
            if key != "drain"
            else layer["stall_cycles"]["drain"] / 1000
            for layer in layers
        ]
        axes.bar(names, values, bottom=bottom, label=label, color=colour, width=0.8)
        bottom = [a + b for a, b in zip(bottom, values)]
    axes.set_ylabel("thousand clocks")
    axes.set_title(f"{title}: where the clocks go")
    axes.tick_params(axis="x", rotation=90, labelsize=6)
    axes.legend(fontsize=8)
    figure.tight_layout()
    return figure
