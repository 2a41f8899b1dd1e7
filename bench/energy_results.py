"""docs/results/energy.md and its charts, from the kept runs."""

from pathlib import Path

import matplotlib
from markdown_table import head, line
from matplotlib.figure import Figure

from skimp_sim.energy.model import DATA, LEVELS
from skimp_sim.energy.plots import DATA_COLOURS, LEVEL_COLOURS, stack
from skimp_sim.roofline import Roofline, roofline_chart, write_chart

__all__ = ["write_energy"]

matplotlib.rcParams["svg.hashsalt"] = "skimp"  # the same picture from the same numbers

_INTRO = """\
Written by `make bench-energy` from `docs/results/energy.json`; do not edit.

Energy of one image: actions, counted by the cycle model from the commands, times the energy of each
from published tables (`sim/skimp_sim/energy/tables`, a source beside every number), with the zeros
that the network's default picture makes. It says what such a design would take in silicon of that
node; an FPGA takes several times as much, and no board has been measured. `skimp perf MODEL
--energy` and `skimp run MODEL --energy` say the same layer by layer.

- 45 nm: Horowitz (ISSCC 2014), memories by CACTI 7. 65 nm: what reproduces the Eyeriss chip, CACTI.
  16 nm: 45 nm scaled by one factor (Stillmaker and Baas 2017), which is kind to memories and wires.
- mac: products, operand registers, sums, requantisation; a gated MAC has no product. spad: weights
  and psums. noc: hops between units and to lanes of pixels. glb: ifmap, ofmap, residual buffers.
  act: activation store. other: clock and static power; no leakage of memories.
- Between the sizes in the tables, energy is a straight line in logarithms. Tables are for random
  data; products, operand registers, sums in the array and links to it are scaled by the bits that
  change in them, predicted from the golden model's values ([toggles](toggles.md): beside RTL).
- DRAM, if not said otherwise: DDR4-2400, 12.7 pJ a bit read and 9.9 written (core and
  termination), 3.5 nJ a row opened, and 0.5 W of standby and refresh all the time.
- Zeros are those of trained weights only where `skimp models` says so; seeded networks have about
  half their activations zero behind every ReLU.

Images a joule are images a second and watt."""

_SENSITIVITY = """\
Published prices of DRAM go from 6 to 70 pJ a bit, and decide where the energy goes. mJ an image
and, behind it, DRAM's share of them; the chip at {technology}. `ddr4` and `ddr4_x16` pay for rows and
for standby, the others a price per bit: lpddr4 8, hbm2 6.25, tetris 15, horowitz 20.3 to 40.6,
eyeriss 28.75, lpddr 40, ddr3 70 pJ."""

_ROOFLINE = """\
Lines: what the configuration and a TPU-like chip (92 TOP/s behind 34 GB/s) could do at most. Dots:
layers, where the roof lets them go; circles: what the cycle model says that they do, layers side by
side as one (weights that come while the layer before still runs can lift one above the roof). On the
right, computation to communication: operations per byte of DRAM, layer by layer."""


def write_energy(runs: dict, folder: Path) -> None:
    """Write energy.md and charts per configuration.

    Parameters
    ----------
    runs : dict
        "network config" -> what `make bench-energy` keeps.
    folder : Path
        docs/results.
    """
    lines = ["# Where the energy goes", "", _INTRO]
    configs = sorted({run["config"] for run in runs.values()}, reverse=True)
    for config in configs:
        ours = {key: run for key, run in sorted(runs.items()) if run["config"] == config}
        bars, roofs = f"energy-{config}.svg", f"energy-roofline-{config}.svg"
        write_chart(_bars(ours), folder / bars)
        rooflines = [Roofline.from_json(run["roofline"]) for run in ours.values()]
        write_chart(roofline_chart(rooflines), folder / roofs)
        some = next(iter(ours.values()))
        lines += ["", f"## {config}", "", *_levels(ours), "", f"![energy]({bars})"]
        lines += ["", "By type of data:", "", *_data(ours)]
        lines += ["", "By technology, with DDR4 and with LPDDR4:", "", *_technologies(ours)]
        lines += ["", f"### {config}: price of DRAM", ""]
        lines += [_SENSITIVITY.format(technology=some["technology"]), "", *_drams(ours)]
        lines += ["", f"### {config}: rooflines", "", _ROOFLINE, "", f"![rooflines]({roofs})"]
    (folder / "energy.md").write_text("\n".join(lines) + "\n")


def by_level(run: dict) -> dict[str, int]:
    return {level: sum(run["energy_pj"][level].values()) for level in LEVELS}


def by_data(run: dict) -> dict[str, int]:
    return {data: sum(run["energy_pj"][level][data] for level in LEVELS) for data in DATA}


def _shares(parts: dict) -> list[str]:
    total = sum(parts.values())
    return [f"{pj / total:.1%}" for pj in parts.values()]


def _levels(runs: dict) -> list[str]:
    rows = head("network", "mJ", "images/J", "images/s", "W", "pJ/MAC", "gated", *LEVELS)
    for run in runs.values():
        levels = by_level(run)
        total = sum(levels.values())
        rows.append(
            line(
                run["network"],
                f"{total * 1e-9:.3f}",
                f"{1e12 / total:,.1f}",
                f"{1 / run['seconds']:,.1f}",
                f"{total * 1e-12 / run['seconds']:.2f}",
                f"{total / run['macs']:.2f}",
                f"{run['gated'] / run['macs']:.2f}",
                *_shares(levels),
            )
        )
    return rows


def _data(runs: dict) -> list[str]:
    rows = head("network", *DATA)
    return rows + [line(run["network"], *_shares(by_data(run))) for run in runs.values()]


def _technologies(runs: dict) -> list[str]:
    names = sorted(next(iter(runs.values()))["technologies"], reverse=True)
    drams = ("ddr4", "lpddr4")
    rows = head("network, mJ", *(f"{name}, {dram}" for name in names for dram in drams))
    for run in runs.values():
        tables = run["technologies"]
        cells = (
            f"{sum(tables[name][dram].values()) * 1e-9:.3f}" for name in names for dram in drams
        )
        rows.append(line(run["network"], *cells))
    return rows


def _drams(runs: dict) -> list[str]:
    some = next(iter(runs.values()))
    tables = some["technologies"][some["technology"]]
    names = sorted(tables, key=lambda name: sum(tables[name].values()))
    rows = head("network", *names)
    for run in runs.values():
        cells = []
        for name in names:
            levels = run["technologies"][run["technology"]][name]
            total = sum(levels.values())
            cells.append(f"{total * 1e-9:.2f} ({levels['dram'] / total:.0%})")
        rows.append(line(run["network"], *cells))
    return rows


def _bars(runs: dict) -> Figure:
    """Energy per MAC of every network: by level, by type of data."""
    names = [run["network"] for run in runs.values()]
    figure = Figure(figsize=(11, 0.45 * len(names) + 1.8))
    for axes, parts_of, colours in zip(
        figure.subplots(1, 2), (by_level, by_data), (LEVEL_COLOURS, DATA_COLOURS)
    ):
        rows = [
            {key: pj / run["macs"] for key, pj in parts_of(run).items()} for run in runs.values()
        ]
        stack(axes, names, rows, colours)
        axes.set_xlabel("pJ per MAC")
    some = next(iter(runs.values()))
    figure.suptitle(f"{some['config']}, {some['technology']}, {some['dram']}", fontsize=10)
    figure.tight_layout()
    return figure
