"""docs/results/toggles.md and its charts, from the kept runs."""

from collections import Counter
from pathlib import Path

import matplotlib
from markdown_table import head, line
from matplotlib.figure import Figure

from skimp_sim.roofline import write_chart
from skimp_sim.toggles.units import TOGGLE_UNITS

__all__ = ["saved", "write_toggles"]

matplotlib.rcParams["svg.hashsalt"] = "skimp"  # the same picture from the same numbers

_INTRO = """\
Written by `make bench-toggles` from `docs/results/toggles.json`; do not edit.

Bits that change in the registers of the RTL, all of them in every clock, by unit; real networks on
real pictures. `skimp run MODEL --energy` counts the same, `--waves FILE.saif` writes every bit's
count in the standard format (a test finds the same numbers in it)."""

_GATING = """\
Every layer of the networks by itself, on the network's real activations, with `gating` on and off (an
option of the configuration, only for this), and equal results. Gated, a slice's activation register
and its product stay as they are while the activation is 0.

- slices: products and activations' registers, which gating is for. Weights' registers change when a
  block of weights is swapped, gated or not; sums do as they must, for to add nothing and to add a
  product of 0 is the same.
- What is saved depends on what lies between the zeros. With zeros at random and products of either
  sign, z of them save z / (1 + z): without gating a register changes unless it stays 0, with it
  unless the new value is 0. That is 37.5 % at 0.6 (cocotb benches of blocks assert it). Behind a ReLU
  activations have one sign, so consecutive products of a slice differ in fewer bits than a product
  and 0 do, and more is saved.
- A slice of the depthwise unit has two pixels and rests only where both are 0 or the weight is;
  neighbours in a window are 0 together. Little is saved there."""

_BINS = (0.0, 0.2, 0.4, 0.55, 0.65, 0.8, 1.01)
_NEAR = (0.57, 0.63)
_ARRAY = ("operands_ifmap", "products")
_WITH_WGT = (*_ARRAY, "operands_wgt")
_ALL = (*_WITH_WGT, "sums")
_DEPTHWISE = ("dw_operands_ifmap", "dw_products")


def saved(layers: list[dict], units) -> float:
    """Return the share of the toggles of some units that gating saves in some layers."""
    on, off = (
        sum(layer[key].get(u, 0) for layer in layers for u in units) for key in ("on", "off")
    )
    return 1 - on / off if off else 0.0


def write_toggles(runs: dict, folder: Path) -> None:
    """Write toggles.md and a chart per configuration.

    Parameters
    ----------
    runs : dict
        "network config" -> what `make bench-toggles` keeps.
    folder : Path
        docs/results.
    """
    parts = ["# What toggles", _INTRO]
    for config in dict.fromkeys(run["config"] for run in runs.values()):
        mine = {run["network"]: run for run in runs.values() if run["config"] == config}
        parts += _section(config, mine)
        write_chart(_chart(config, mine), folder / f"toggles-{config}.svg")
    (folder / "toggles.md").write_text("\n\n".join(parts) + "\n")


def _rows(names: list[str], rows: list[list[str]]) -> str:
    return "\n".join([*head(*names), *(line(*cells) for cells in rows)])


def _section(config: str, runs: dict) -> list[str]:
    layers = [layer for run in runs.values() for layer in run["layers"].values()]
    array = [layer for layer in layers if layer["unit"] == "array"]
    depthwise = [layer for layer in layers if layer["unit"] == "depthwise"]
    bins = [_bin(array, depthwise, low, high) for low, high in (*zip(_BINS, _BINS[1:]), _NEAR)]
    networks = []
    for name, run in runs.items():
        mine = [layer for layer in run["layers"].values() if layer["unit"] != "host"]
        on = sum(found["counted"] for found in run["toggles"].values())
        networks.append(
            [name]
            + [f"{saved(mine, units):.1%}" for units in (_ARRAY, _WITH_WGT, _ALL, _DEPTHWISE)]
            + [f"{1 - on / sum(run['ungated'].values()):.1%}"]
        )
    columns = ["slices", "and weights' registers", "and sums"]
    return [
        f"## {config}",
        "### What gating saves",
        _GATING,
        f"![saved by gating](toggles-{config}.svg)",
        "Layers of all networks by their share of zeros (mean: by MACs); last, those nearest to 0.6:",
        _rows(
            ["zeros", "array layers", "mean", *columns, "depthwise layers", "their slices"], bins
        ),
        "By network, all of its layers; last, the whole network, all registers of the chip:",
        _rows(["network", *columns, "depthwise slices", "chip"], networks),
        "### By unit",
        "Thousands of bits; in brackets what values predict without RTL (`skimp perf`), as a ratio:",
        _by_unit(runs),
        "### Energy, by RTL and by model",
        "Energy with toggles and accesses to memories as the RTL has them, and model / RTL by level:",
        _energy(runs),
        "### What counting costs",
        "Seconds of the simulation, builds not counted, same machine, one after the other:",
        _cost(runs),
    ]


def _bin(array: list[dict], depthwise: list[dict], low: float, high: float) -> list[str]:
    some, dw = (
        [layer for layer in group if low <= layer["zeros"] < high] for group in (array, depthwise)
    )
    macs = sum(layer["macs"] for layer in some)
    zeros = sum(layer["zeros"] * layer["macs"] for layer in some) / max(1, macs)
    return (
        [f"{low:.2f} to {min(high, 1):.2f}", f"{len(some)}", f"{zeros:.3f}"]
        + [f"{saved(some, units):.1%}" for units in (_ARRAY, _WITH_WGT, _ALL)]
        + [f"{len(dw)}", f"{saved(dw, _DEPTHWISE):.1%}" if dw else ""]
    )


def _by_unit(runs: dict) -> str:
    rows = []
    for unit in TOGGLE_UNITS:
        row = [unit]
        for run in runs.values():
            found = run["toggles"][unit]
            row.append(f"{found['counted'] / 1e3:,.0f}")
            if found["predicted"] and found["counted"]:
                row[-1] += f" ({found['predicted'] / found['counted']:.2f})"
        rows.append(row)
    clocks = ["clocks", *(f"{run['cycles']:,}" for run in runs.values())]
    return _rows(["unit", *runs], [*rows, clocks])


def _energy(runs: dict) -> str:
    levels = list(next(iter(runs.values()))["energy_pj"]["rtl"])
    rows = []
    for name, run in runs.items():
        rtl, model = run["energy_pj"]["rtl"], run["energy_pj"]["model"]
        total = sum(rtl.values())
        ratios = [f"{model[level] / rtl[level]:.3f}" if rtl[level] else "" for level in levels]
        rows.append([name, f"{total * 1e-6:,.1f}", f"{sum(model.values()) / total:.3f}", *ratios])
    return _rows(["network", "uJ", "all", *levels], rows)


def _cost(runs: dict) -> str:
    rows = []
    for name, run in runs.items():
        plain, energy = run["seconds"]["plain"], run["seconds"]["energy"]
        rows.append([name, f"{plain:.1f}", f"{energy:.1f}", f"{energy / plain:.2f}"])
    return _rows(["network", "plain", "`--energy`", "ratio"], rows)


def _chart(config: str, runs: dict) -> Figure:
    """Return what gating saves in every layer by its zeros, and toggles by unit, on and off."""
    figure = Figure(figsize=(11, 4.2))
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    for unit, units, colour in (
        ("array", _ARRAY, "#3b6ea8"), ("depthwise", _DEPTHWISE, "#6aa84f"),
    ):  # fmt: skip
        some = [
            layer for run in runs.values() for layer in run["layers"].values()
            if layer["unit"] == unit and sum(layer["off"].get(u, 0) for u in units)
        ]  # fmt: skip
        zeros = [layer["zeros"] for layer in some]
        left.scatter(zeros, [saved([one], units) for one in some], s=14, color=colour, label=unit)
    at = [k / 50 for k in range(51)]
    left.plot(at, [z / (1 + z) for z in at], "--", color="#999999", label="z / (1 + z)")
    left.set_xlabel("share of zeros, z")
    left.set_ylabel("toggles of operands and products saved")
    left.set_title(f"{config}: layers of real networks", fontsize=9)
    left.legend(fontsize=7)
    on, off = Counter(), Counter()
    for run in runs.values():
        on.update({unit: found["counted"] for unit, found in run["toggles"].items()})
        off.update(run["ungated"])
    places = range(len(TOGGLE_UNITS))
    right.barh(places, [off[u] / 1e6 for u in TOGGLE_UNITS], color="#cccccc", label="gating off")
    right.barh(places, [on[u] / 1e6 for u in TOGGLE_UNITS], color="#3b6ea8", label="on", height=0.5)
    right.set_yticks(places, TOGGLE_UNITS, fontsize=7)
    right.invert_yaxis()
    right.set_xlabel("million bits that changed")
    right.set_title("all networks", fontsize=9)
    right.legend(fontsize=7)
    figure.tight_layout()
    return figure
