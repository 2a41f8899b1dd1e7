"""docs/results.md and its chart, from the kept runs."""

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from pnr_results import bitstreams
from published import published
from synth_results import area

__all__ = ["write_results"]

matplotlib.rcParams["svg.hashsalt"] = "skimp"  # the same picture from the same numbers

_CAUSES = (
    ("array", "array computes", "#3b6ea8"),
    ("depthwise", "depthwise unit computes", "#6aa84f"),
    ("dram_read", "waits for DRAM reads", "#e06666"),
    ("dram_write", "waits for DRAM writes", "#f6b26b"),
    ("drain", "waits for the drain", "#ffd966"),
    ("other", "set-up, short passes, pipeline ends", "#cccccc"),
)


def write_results(
    runs: dict, models: dict, codes: dict, folder: Path, *, charts: tuple[str, ...]
) -> None:
    """Write results.md beside the folder and the charts of some runs into it.

    Parameters
    ----------
    runs : dict
        "network config" -> what `skimp run --json` wrote.
    models : dict
        "network config" -> what is kept of `skimp perf --json`.
    codes : dict
        "network config compress" -> "model" and "rtl" totals with codes for activations.
    folder : Path
        docs/results.
    charts : tuple of str
        Runs to draw.
    """
    lines = [
        "# Results",
        "",
        "Written by `make bench` from `docs/results/bench.json`; do not edit.",
        "",
        "Every run is the RTL on Verilator, with the DDR4-2400 model behind its bus, and is bit-exact",
        "at every layer to the golden model and to LiteRT's reference kernels. Clocks are exact and the",
        "same on every machine; `limit` is the larger of MACs / peak and bytes / bus width, layer by",
        "layer; `peak` is in MACs a clock, `MB` what DRAM moves. `model` is the cycle model (`skimp perf`), which knows neither data nor RTL. No board",
        "has run this yet: runs a second are clocks at the clock that the preset is meant for.",
        "",
        "Depthwise layers beside the array, after it and on it: [depthwise](results/depthwise.md).",
        "Codes for zeros in DRAM, on real networks and beside Eyeriss's: [codes](results/rlc.md).",
        "DRAM bytes beside the least that they could be, and the DRAM's open rows:",
        "[traffic](results/traffic.md). Where the energy goes, and rooflines:",
        "[energy](results/energy.md). What toggles, what gating of zeros saves, and the model's energy",
        "beside the RTL's: [toggles](results/toggles.md).",
        "",
        "| network | config | peak | MACs | clocks | model | utilisation | limit | runs/s | MB | gated |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for key, run in sorted(runs.items(), key=lambda item: (item[0].split()[-1], item[0])):
        name, config = key.rsplit(" ", 1)
        total = run["total"]
        gated = sum(layer["macs_gated"] for layer in run["layers"]) / max(total["macs"], 1)
        model = models.get(key, {}).get("total", {}).get("cycles")
        beside = f"{model:,} ({100 * (model / total['cycles'] - 1):+.2f} %)" if model else ""
        lines.append(
            f"| {name} | {config} | {run['peak_macs_per_cycle']} | {total['macs']:,} "
            f"| {total['cycles']:,} | {beside} | {total['utilisation']:.3f} "
            f"| {total['limit_cycles']:,} | {total['fps']:,.1f} at {run['clock_mhz']} MHz "
            f"| {total['dram_bytes'] / 1e6:.2f} | {gated:.2f} |"
        )
    lines += _coded(codes, runs, models)
    lines += _modelled(models, "zcu104")
    lines += published()
    lines += area()
    lines += bitstreams()
    for chart in charts:
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


def _coded(codes: dict, runs: dict, models: dict) -> list[str]:
    """Table of runs with codes for activations in DRAM, beside those without."""
    rows = [
        "",
        "## Activations coded in DRAM",
        "",
        "`skimp run --compress`, bit-exact like the runs above; see [codes](rlc.md). Encoder and decoder",
        "take 64 bytes in five clocks: where loads and stores are what a network waits for, fewer bytes",
        "cost clocks. Without clocks on the RTL: by the cycle model alone.",
        "",
        "| network | config | code | MB without | MB | saved | clocks without | clocks | model |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for key, entry in sorted(codes.items()):
        name, config, code = key.rsplit(" ", 2)
        plain = (runs if "rtl" in entry else models).get(f"{name} {config}", {}).get("total")
        if plain is None:
            continue
        rtl, model = entry.get("rtl"), entry["model"]
        total = rtl or model
        before, after = plain["dram_bytes"], total["dram_bytes"]
        clocks = f"{rtl['cycles']:,}" if rtl else ""
        beside = f" ({100 * (model['cycles'] / rtl['cycles'] - 1):+.2f} %)" if rtl else ""
        rows.append(
            f"| {name} | {config} | {code} | {before / 1e6:.2f} | {after / 1e6:.2f} "
            f"| {100 * (1 - after / before):.1f} % | {plain['cycles']:,} | {clocks} "
            f"| {model['cycles']:,}{beside} |"
        )
    return rows


def _modelled(models: dict, config: str) -> list[str]:
    """Table of the cycle model's answers for one preset."""
    rows = [
        "",
        f"## Every built-in network on {config}, by the cycle model",
        "",
        "`1x1` is the utilisation of the 1x1 convolutions by themselves (maps of more than a pixel),",
        "`3x3` the lowest of any 3x3 convolution of at least 64 channels.",
        "",
        "| network | MACs | clocks | utilisation | runs/s | 1x1 | 3x3 | DRAM MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for key, model in sorted(models.items()):
        name, of = key.rsplit(" ", 1)
        if of != config:
            continue
        total, peak = model["total"], model["peak_macs_per_cycle"]
        convs = [x for x in model["layers"] if x["op"] == "conv" and x["cycles"]]
        points = [x for x in convs if x["shape"].get("R") == 1 and x["shape"].get("P", 1) > 1]
        wide = [x for x in convs if x["shape"].get("R") == 3 and x["shape"].get("C", 0) >= 64]
        clocks = sum(x["cycles"] for x in points)
        ones = f"{sum(x['macs'] for x in points) / (peak * clocks):.3f}" if clocks else ""
        threes = f"{min(x['macs'] / (peak * x['cycles']) for x in wide):.3f}" if wide else ""
        rows.append(
            f"| {name} | {total['macs']:,} | {total['cycles']:,} | {total['utilisation']:.3f} "
            f"| {total['fps']:,.0f} at {model['clock_mhz']} MHz | {ones} | {threes} "
            f"| {total['dram_bytes'] / 1e6:.2f} |"
        )
    return rows


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
