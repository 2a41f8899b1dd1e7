"""docs/results/depthwise.md and its charts, from the kept runs."""

from pathlib import Path

import matplotlib
from markdown_table import head
from matplotlib.figure import Figure

__all__ = ["write_depthwise"]

matplotlib.rcParams["svg.hashsalt"] = "skimp"  # the same picture from the same numbers

_WAYS = (
    ("fused", "fused: beside the array", "#3b6ea8"),
    ("unfused", "unfused: layer by layer", "#6aa84f"),
    ("array", "on the array, zeros between", "#e06666"),
)

_ONCE = ("weights", "input", "output")
_REST = (
    "parameters", "tables", "commands", "records", "depthwise inputs", "depthwise outputs",
    "other maps",
)  # fmt: skip
"""Kinds of DRAM bytes: those that have to be moved, and others."""


def write_depthwise(runs: dict, folder: Path) -> None:
    """Write depthwise.md and a chart per configuration.

    Parameters
    ----------
    runs : dict
        "network config" -> network, config, clock_mhz and, by way, what `measure` returned.
    folder : Path
        docs/results.
    """
    lines = [
        "# Depthwise layers: beside the array, after it, on it",
        "",
        "Written by `make bench-depthwise` from `docs/results/depthwise.json`; do not edit.",
        "",
        "By the cycle model, which has the clocks of the RTL. *Fused*: depthwise layers and the",
        "convolutions around them go side by side, tile by tile, on two units. *Unfused*: the same",
        "units, layer by layer. *Array*: depthwise layers on the array, layer by layer, as",
        "first-generation designs ran them: a convolution of each block of output channels with the",
        "blocks of input channels that it looks at, zeros between (pools and means stay where they",
        "were).",
        "",
        "`utilisation` is MACs / (peak of the array x clocks). `array` and `depthwise unit` are clocks",
        "in which they work, `both` those in which they do at the same time. DRAM bytes are counted",
        "from the commands, those of maps by the addresses that are loaded and stored. `once` is every",
        "weight, the network's input and its output moved once, a byte a value; the second table says",
        "what comes on top.",
    ]
    for config in sorted({run["config"] for run in runs.values()}, reverse=True):
        of = {run["network"]: run for _, run in sorted(runs.items()) if run["config"] == config}
        chart = f"depthwise-{config}.svg"
        _draw(of, config).savefig(folder / chart, metadata={"Date": None})
        lines += ["", f"## {config}", "", f"![clocks and DRAM bytes]({chart})", ""]
        lines += _clocks(of)
        lines += ["", "DRAM bytes, each kind read and written:", ""]
        lines += _bytes(of)
    (folder / "depthwise.md").write_text("\n".join(lines) + "\n")


def _moved(way: dict) -> dict[str, int]:
    """Bytes by kind, both ways."""
    read, written = way["dram_bytes"]["read"], way["dram_bytes"]["written"]
    return {kind: read.get(kind, 0) + written.get(kind, 0) for kind in {**read, **written}}


def _clocks(runs: dict) -> list[str]:
    rows = head(
        "network", "depthwise", "clocks", "to fused", "utilisation", "images/s", "array",
        "depthwise unit", "both", "neither", "DRAM MB", "once MB", "DRAM / once",
    )  # fmt: skip
    for name, run in runs.items():
        fused = run["ways"]["fused"]["cycles"]
        for key, _, _ in _WAYS:
            way = run["ways"][key]
            moved, least = sum(_moved(way).values()), sum(way["dram_bytes_once"].values())
            neither = way["cycles"] - way["array"] - way["depthwise"]
            rows.append(
                f"| {name} | {key} | {way['cycles']:,} | {way['cycles'] / fused:.2f} "
                f"| {way['utilisation']:.3f} | {way['fps']:,.0f} at {run['clock_mhz']} MHz "
                f"| {way['array']:,} | {way['depthwise'] + way['beside']:,} | {way['beside']:,} "
                f"| {neither:,} | {moved / 1e6:.3f} | {least / 1e6:.3f} | {moved / least:.3f} |"
            )
    return rows


def _bytes(runs: dict) -> list[str]:
    """What has to be moved and what comes with it (zeros in words, re-reads); all the rest."""
    kinds = [name for kind in _ONCE for name in (f"{kind} once", "packed, again")]
    rows = head("network", "depthwise", *kinds, *_REST)
    for name, run in runs.items():
        for key, _, _ in _WAYS:
            way = run["ways"][key]
            moved, least = _moved(way), way["dram_bytes_once"]
            row = []
            for kind in _ONCE:
                row += [least.get(kind, 0), moved.get(kind, 0) - least.get(kind, 0)]
            row += [moved.get(kind, 0) for kind in _REST]
            rows.append(f"| {name} | {key} | " + " | ".join(f"{n:,}" for n in row) + " |")
    return rows


def _draw(runs: dict, config: str) -> Figure:
    figure = Figure(figsize=(12, 5))
    clocks, dram = figure.subplots(1, 2)
    width = 0.8 / len(_WAYS)
    for n, (key, label, colour) in enumerate(_WAYS):
        at = [k + (n - (len(_WAYS) - 1) / 2) * width for k in range(len(runs))]
        ways = [run["ways"][key] for run in runs.values()]
        for axes, values in (
            (clocks, [way["cycles"] / 1000 for way in ways]),
            (dram, [sum(_moved(way).values()) / 1e6 for way in ways]),
        ):
            bars = axes.bar(at, values, width=0.95 * width, label=label, color=colour)
            axes.bar_label(bars, fmt="{:,.3g}" if axes is dram else "{:,.0f}", fontsize=7)
    for k, run in enumerate(runs.values()):
        least = sum(run["ways"]["fused"]["dram_bytes_once"].values()) / 1e6
        dram.hlines(
            least, k - 0.4, k + 0.4, color="black", linewidth=1.2,
            label=None if k else "weights, input, output once",
        )  # fmt: skip
    for axes, unit in ((clocks, "thousand clocks"), (dram, "MB of DRAM")):
        axes.set_ylabel(unit)
        axes.set_xticks(range(len(runs)), list(runs))
        axes.margins(y=0.15)
        axes.legend(fontsize=8)
    figure.suptitle(f"depthwise layers on {config}")
    figure.tight_layout()
    return figure
