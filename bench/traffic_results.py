"""docs/results/traffic.md and its charts, from the kept runs."""

from pathlib import Path

import matplotlib
from markdown_table import head
from matplotlib.figure import Figure

__all__ = ["why", "write_traffic"]

matplotlib.rcParams["svg.hashsalt"] = "skimp"  # the same picture from the same numbers

EXPLAINED = 1.3
"""Ratio from which a layer gets an explanation."""

TARGET = 1.1
HITS_TARGET = 0.9

_KINDS = (
    ("weights", "#3b6ea8"), ("parameters", "#8fb4d9"), ("tables", "#b8a1d9"),
    ("ifmap", "#6aa84f"), ("ofmap", "#b6d7a8"), ("commands", "#e06666"), ("records", "#999999"),
)  # fmt: skip

_LAYOUTS = (("tiles", "as it is", "#3b6ea8"), ("row_major", "row by row", "#e06666"))

_INTRO = """\
Written by `make bench-traffic` from `docs/results/traffic.json`; do not edit.

Bytes are counted from the commands (whole beats), each given to the layer that it works for. The
least that they could be, from the weakest demand to the strictest:

- *compulsory*: ifmaps, weights and ofmap of each layer once, a byte a value, as if every map lay in
  DRAM (summed layer by layer).
- *bound*: what no schedule of a convolution between DRAM and DRAM stays below on a chip of this
  size (Chen, Han, Wang, HPCA 2020), at least the compulsory bytes. Where it is above these it is an
  asymptotic form and may exceed a real schedule by 3 %.
- *units*: compulsory again, but layers that are under way together (a convolution and its add;
  depthwise layers and their neighbours) count as one: maps between them stay inside.
- *chip*: what has to cross the pins with maps where the compiler put them, on the chip or in DRAM:
  weights, parameters and tables once; maps in DRAM written once and read once by each unit that
  reads them.
- *network*: weights, parameters and tables, the picture and the answer once. Nothing that runs the
  network moves less.

Parameters are bias, multiplier and shift, 12 bytes a channel. Layers on the host are left out."""

_ROWS = """\
By the cycle model's DDR4-2400 (eight x8 chips, open rows, 8 KB a row in each of 16 banks; see
`skimp_sim.dram`). An access is 64 bytes; a hit finds its row open. Energy is that of the DRAM core:
opening and closing a row {activate:,.0f} pJ, reading 64 bytes {read:,.0f} pJ, writing them
{write:,.0f} pJ; no refresh, background, interface. `per access` has the activations' share in it.
`busiest bank` is its accesses to the mean of the four banks of a group (groups share every burst
evenly).

*As it is*: channel blocks of 16 bytes a pixel, weights in the order in which they are used, the
picture with kernel columns side by side. *Row by row*: the same tiles and commands over maps
[channels][rows][columns], weights [output channels][input channels][rows][columns] and the plain
picture, nothing padded, tensors in the same order, each from a multiple of 128 bytes on; commands
and parameters as they are. What a command moves becomes the runs of consecutive bytes that hold it,
channel by channel, in whole beats of {beat} bytes and bursts as long as the hardware's, handed over
when the program's own bursts were. A part of {stripe} bytes costs all of them: short runs bring more
accesses, and more hits with them, so compare rows opened and energy, not rates. (Accesses are also
more than the bytes above for commands fetched beyond a program's end.)

*Maps in DRAM*: the same hardware without its activation store, compiled for that."""


def write_traffic(runs: dict, folder: Path) -> None:
    """Write traffic.md and a chart per configuration.

    Parameters
    ----------
    runs : dict
        "network config" -> network, config and what `measure` returned.
    folder : Path
        docs/results.
    """
    lines = ["# DRAM traffic: what moves, and the least that could", "", _INTRO]
    for config in sorted({run["config"] for run in runs.values()}, reverse=True):
        of = {run["network"]: run for _, run in sorted(runs.items()) if run["config"] == config}
        chart = f"traffic-{config}.svg"
        _draw(of, config).savefig(folder / chart, metadata={"Date": None})
        words = next(iter(of.values()))["chip_words"]
        lines += ["", f"## {config}", "", f"![bytes and row activations]({chart})", ""]
        lines += _totals(of)
        lines += [
            "",
            f"The bound is for {sum(words.values()):,} values on the chip: "
            + ", ".join(f"{name} {n:,}" for name, n in words.items() if n)
            + " (a psum is a value; parameters, tables, queues left out).",
            "",
            "By kind, bytes:",
            "",
            *_by_kind(of),
            "",
            f"### Open rows on {config}",
            "",
            _ROWS.format(**next(iter(of.values()))["access"]),
            "",
            *_rows(of),
        ]
        for name, run in of.items():
            lines += ["", f"### {name} on {config}", "", *_layers(run)]
    (folder / "traffic.md").write_text("\n".join(lines) + "\n")


def why(one: dict) -> str:
    """Return where most of a layer's bytes beyond the chip's compulsory ones come from."""
    parts = sorted(one["surplus_bytes"].items(), key=lambda part: -part[1])
    least = 0.1 * sum(one["surplus_bytes"].values())
    return ", ".join(f"{what} {size / 1000:,.1f} kB" for what, size in parts if size >= least)


def _moved(one: dict) -> int:
    return sum(one["moved_bytes"].values())


def _sum(parts: list[dict], key: str) -> int:
    return sum(part[key] for part in parts)


def _figures(run: dict) -> dict[str, int]:
    """Bytes of a network, and the least of each kind."""
    return {
        "moved": sum(map(_moved, run["layers"])),
        "compulsory": _sum(run["layers"], "compulsory_bytes"),
        "bound": _sum(run["layers"], "bound_bytes"),
        "units": _sum(run["units"], "bound_bytes"),
        "chip": _sum(run["units"], "chip_compulsory_bytes"),
        "network": sum(run["crossing_bytes"].values()),
    }


def _totals(runs: dict) -> list[str]:
    rows = head(
        "network", "moved MB", "compulsory MB", "bound MB", "moved / larger", "units MB",
        "moved / units", "chip MB", "moved / chip", "network MB", "moved / network",
    )  # fmt: skip
    for name, run in runs.items():
        figures = _figures(run)
        moved, compulsory, bound, *stricter = figures.values()
        row = [moved, compulsory, bound]
        cells = [f"{n / 1e6:.3f}" for n in row] + [f"{moved / max(compulsory, bound):.3f}"]
        for least in stricter:
            cells += [f"{least / 1e6:.3f}", f"{moved / least:.3f}"]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    rows += [
        "",
        f"The target is {TARGET:.2f} for moved / larger of compulsory and bound. Below 1: maps stay",
        "on the chip from layer to layer, so that the bytes of layers by themselves are no limit.",
        f"Against `network`, the strictest, {_within(runs)} at most {TARGET:.2f}.",
    ]
    return rows


def _within(runs: dict) -> str:
    names = []
    for name, run in runs.items():
        figures = _figures(run)
        if figures["moved"] <= TARGET * figures["network"]:
            names.append(name)
    if not names:
        return "no network is"
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"


def _by_kind(runs: dict) -> list[str]:
    once = ("weights", "parameters", "tables", "input", "output")
    rows = head("network", *(kind for kind, _ in _KINDS), *(f"{kind} once" for kind in once))
    for name, run in runs.items():
        sums = [sum(one["moved_bytes"][kind] for one in run["layers"]) for kind, _ in _KINDS]
        least = [run["crossing_bytes"].get(kind, 0) for kind in once]
        rows.append(f"| {name} | " + " | ".join(f"{n:,}" for n in [*sums, *least]) + " |")
    return rows


def _rows(runs: dict) -> list[str]:
    rows = head(
        "network", "maps", "layout", "accesses", "hits", "rows opened", "activate mJ", "read mJ",
        "write mJ", "sum mJ", "pJ per access", "busiest bank",
    )  # fmt: skip
    for name, run in runs.items():
        for key, maps in (
            ("rows", "on the chip where they fit"),
            ("rows_without_store", "in DRAM"),
        ):
            if run[key] is None:
                continue
            for layout, label, _ in _LAYOUTS:
                use = run[key][layout]
                energy, banks = use["energy_pj"], use["bank_accesses"]
                accesses, total = use["reads"] + use["writes"], sum(energy.values())
                cells = [
                    f"{accesses:,}", f"{100 * use['row_hits'] / accesses:.1f} %",
                    f"{use['activates']:,}",
                    *(f"{energy[k] / 1e9:.3f}" for k in ("activate", "read", "write")),
                    f"{total / 1e9:.3f}", f"{total / accesses:,.0f}",
                    f"{max(banks) * len(banks) / sum(banks):.3f}",
                ]  # fmt: skip
                rows.append(f"| {name} | {maps} | {label} | {' | '.join(cells)} |")
    rates = [use["row_hits"] / (use["reads"] + use["writes"]) for use in _as_it_is(runs)]
    reached = f"{100 * min(rates):.1f} to {100 * max(rates):.1f} %"
    return [*rows, "", f"The target is {100 * HITS_TARGET:.0f} % of hits; as it is: {reached}."]


def _as_it_is(runs: dict) -> list[dict]:
    return [run["rows"]["tiles"] for run in runs.values()]


def _ratio(moved: int, least: int) -> str:
    return f"{moved / least:.2f}" if least >= 1024 else ""


def _layers(run: dict) -> list[str]:
    """Table of layers, and of those under way together."""
    kinds = ("ifmap", "weights", "parameters", "commands", "ofmap")
    rows = [
        f"Why: from {EXPLAINED} times the chip's compulsory bytes (or the bound) on, what makes at",
        "least a tenth of the difference. `parameters` has the tables, `ofmap` the counters of the",
        "layers. Ratios to less than a kB are left out.",
        "",
        *head(
            "layer", *(f"{kind} kB" for kind in kinds), "moved", "compulsory", "bound",
            "moved / bound", "chip", "moved / chip", "why",
        ),
    ]  # fmt: skip
    groups = [
        {**unit, "name": _group_name(unit)} for unit in run["units"] if len(unit["layers"]) > 1
    ]
    for one in [*run["layers"], *groups]:
        moved, kind = _moved(one), one["moved_bytes"]
        bound, chip = one["bound_bytes"], one["chip_compulsory_bytes"]
        sums = {**kind, "parameters": kind["parameters"] + kind["tables"]}
        sums["ofmap"] += kind["records"]
        sizes = [*(sums[name] for name in kinds), moved, one["compulsory_bytes"], bound]
        cells = [f"{n / 1000:,.1f}" for n in sizes]
        cells += [_ratio(moved, bound), f"{chip / 1000:,.1f}", _ratio(moved, chip)]
        explained = moved > EXPLAINED * min(chip, bound)
        rows.append(f"| {one['name']} | {' | '.join(cells)} | {why(one) if explained else ''} |")
    return rows


def _group_name(unit: dict) -> str:
    first, *rest = unit["layers"]
    return f"**{first} to {rest[-1]} together**" if len(rest) > 1 else f"**{first} + {rest[0]}**"


def _draw(runs: dict, config: str) -> Figure:
    figure = Figure(figsize=(13, 5))
    moved, opened = figure.subplots(1, 2)
    names = list(runs)
    bottom = [0.0] * len(names)
    least = [_figures(run)["network"] for run in runs.values()]
    for kind, colour in _KINDS:
        values = [
            sum(one["moved_bytes"][kind] for one in run["layers"]) / n
            for run, n in zip(runs.values(), least)
        ]
        moved.bar(names, values, bottom=bottom, label=kind, color=colour, width=0.6)
        bottom = [a + b for a, b in zip(bottom, values)]
    for x, value in enumerate(bottom):
        moved.text(x, value, f"{value:.3f}", ha="center", va="bottom", fontsize=8)
    moved.axhline(1, color="black", linewidth=1, label="weights, picture, answer once")
    moved.axhline(TARGET, color="black", linewidth=1, linestyle="--", label=f"{TARGET:.2f}")
    moved.set_ylabel("moved / network's values once")
    moved.set_ylim(0, 1.15 * max(*bottom, TARGET))
    moved.legend(fontsize=7, ncols=3, loc="lower center")

    stores = [key for key in ("rows", "rows_without_store") if all(r[key] for r in runs.values())]
    width = 0.8 / (len(stores) * len(_LAYOUTS))
    for n, key in enumerate(stores):
        for m, (layout, label, colour) in enumerate(_LAYOUTS):
            place = n * len(_LAYOUTS) + m
            at = [k + place * width - 0.4 for k in range(len(names))]
            values = [run[key][layout]["activates"] / 1000 for run in runs.values()]
            maps = "maps on the chip" if key == "rows" else "maps in DRAM"
            bars = opened.bar(
                at, values, align="edge", width=0.95 * width, color=colour,
                alpha=0.5 if n else 1, label=f"{label}, {maps}",
            )  # fmt: skip
            opened.bar_label(bars, fmt="{:,.3g}", fontsize=6)
    opened.set_yscale("log")
    opened.set_xticks(range(len(names)), names)
    opened.set_ylabel("thousand rows opened")
    opened.margins(y=0.15)
    opened.legend(fontsize=7)
    figure.suptitle(f"DRAM traffic on {config}")
    figure.tight_layout()
    return figure
