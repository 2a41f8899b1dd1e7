"""docs/results/rlc.md and its chart, from the kept numbers."""

from collections import Counter
from pathlib import Path

import matplotlib
from markdown_table import head, line
from matplotlib.figure import Figure
from rlc_alexnet import PUBLISHED

from skimp_sim.rlc.measure import CODES, IN_HARDWARE

__all__ = ["write_rlc"]

matplotlib.rcParams["svg.hashsalt"] = "skimp"  # the same picture from the same numbers

_OURS = IN_HARDWARE[1:]

_EYERISS_CODE_BITS = 64 / 3

_EXPLAINED = {
    "conv1": "Eyeriss coded the map before its max pool. Only the zeros behind the pool are "
    "published, and a pool leaves a zero only where all nine of its inputs are zeros.",
}
"""Layers whose bytes are more than a tenth off."""


def write_rlc(kept: dict, folder: Path) -> None:
    """Write rlc.md and rlc.svg.

    Parameters
    ----------
    kept : dict
        What rlc.json holds: geometry, layers by network, AlexNet's layers.
    folder : Path
        docs/results.
    """
    geometry, networks = kept["geometry"], kept["networks"]
    lines = [
        "# Codes for zeros in DRAM",
        "",
        "Written by `make bench-rlc` from `docs/results/rlc.json`; do not edit.",
        "",
        "## Real networks",
        "",
        "Every int8 activation of the networks, computed by the golden model from their real inputs",
        "(seeded noise where there is none), is cut into the tiles in which it lies in DRAM: planes of",
        f"words of {geometry['channels']} channels, tiles of up to {geometry['tile_bytes']} bytes. Saved is what is less to move than",
        f"without a code, each tile in whole beats of {geometry['beat_bytes']} bytes. `runN`: run-length with runs of N bits;",
        f"`bitmap`: a bit for each value. The hardware has {' and '.join(_OURS)}; `picked` is the best for each",
        "layer, which may be none. Channels that fill up the last word of a pixel are zeros for the codes but",
        "not counted under `zeros`, so maps of few channels save more than their zeros.",
        "",
        "![DRAM bytes by code](rlc.svg)",
        "",
        *_totals("outputs of ReLU layers", networks, lambda layer: layer["is_relu"]),
        "",
        *_totals("all activations", networks, lambda layer: True),
        "",
        *_growth(networks),
        "",
        "## AlexNet as on Eyeriss",
        "",
        *_alexnet(kept["alexnet"]),
        "",
        "## Layer by layer",
        "",
        "DRAM bytes saved.",
    ]
    for name, layers in networks.items():
        lines += ["", f"### {name}", ""]
        lines += head("layer", "ReLU", "zeros", "bytes", *_OURS, "picked")
        for layer in layers:
            cells = [layer["name"], "yes" if layer["is_relu"] else ""]
            lines.append(_saved_row(cells, [layer], (*_OURS, "picked")))
    (folder / "rlc.md").write_text("\n".join(lines) + "\n")
    _draw(networks).savefig(folder / "rlc.svg", metadata={"Date": None})


def _sum(layers: list[dict]) -> Counter:
    return sum((Counter(layer["dram_bytes"]) for layer in layers), Counter())


def _saved_row(cells: list[str], layers: list[dict], codes) -> str:
    zeros, elements = (sum(layer[name] for layer in layers) for name in ("zeros", "elements"))
    total = _sum(layers)
    saved = (f"{1 - total[code] / total['raw']:.1%}" for code in codes)
    row = [*cells, f"{zeros / elements:.1%}", f"{total['raw']:,}", *saved]
    return line(*row)


def _totals(title: str, networks: dict, is_counted) -> list[str]:
    codes = (*CODES, "picked")
    rows = head(title, "zeros", "bytes", *codes)
    counted = {
        name: [layer for layer in layers if is_counted(layer)] for name, layers in networks.items()
    }
    counted["**together**"] = [layer for layers in counted.values() for layer in layers]
    return rows + [_saved_row([name], layers, codes) for name, layers in counted.items() if layers]


def _growth(networks: dict) -> list[str]:
    layers = [layer for layers in networks.values() for layer in layers]
    worst = max(layers, key=lambda layer: layer["growth"])
    return [
        f"The largest growth of any tensor under a code that does not suit it is {worst['growth']:.3%}",
        f"({worst['network']}, {worst['name']}), of {1 / 64:.3%} that the codes allow: a byte for each frame",
        "of 64. In whole beats a tile grows by a beat at most; `picked` never grows.",
    ]


def _alexnet(alexnet: dict) -> list[str]:
    layers = alexnet["layers"]
    return [
        f"Zeros at random (seed {alexnet['seed']}) in maps of AlexNet's shapes, as many as Eyeriss's table of results",
        "has for the input map of each layer. An output map has as many as the input map of the next",
        "layer (for conv1 and conv2 too few: a max pool lies between); conv5's as many as its input map,",
        "for nothing is published of it. Weights and the picture itself are not coded. The bytes are those",
        "of Eyeriss's mapping, 4 images, words of 16 bits: strips of the padded input map for each group of",
        "output channels whose sums the buffer holds, weights once for each pass over a strip, the output",
        "map once. The published reductions are quoted second-hand, not checked against the paper's text.",
        "",
        *head(
            "layer", "zeros in", "zeros out", "MB, no code", "nn-dataflow", "published x reduction",
            "MB, Eyeriss's code", "published", "off", "reduction", "published", "off",
        ),
        *(_eyeriss_row(name, layer) for name, layer in layers.items()),
        "",
        *_why(layers),
        "",
        "Our codes on the same zeros with words of 8 bits, weights of 8 bits, too; `map` is the input map by",
        "itself, `layer` all that the layer moves, each without the code to with it:",
        "",
        *head(
            "layer", "zeros in", "map: Eyeriss, 16 bits", *(f"map: {code}" for code in _OURS),
            "layer: Eyeriss, 16 bits", *(f"layer: {code}" for code in _OURS),
        ),
        *(_ours_row(name, layer) for name, layer in layers.items()),
        "",
        "Where most values are zeros, ours reduce less for two reasons. A value of 16 bits takes 64/3 bits in Eyeriss's code, 4/3 of what",
        "it is; one of 8 bits takes 9 in our bitmap if it is not zero, and one bit, an eighth, if it is. With",
        "runs of 2 bits a value takes 10, 5/4 of what it is, but every fourth zero of a run is stored. Runs",
        "as long as Eyeriss's would take 13 bits a value, which loses more on real networks than it gains on",
        "maps with as many zeros as these (`run5` above).",
    ]  # fmt: skip


def _off(ours: float, published: float) -> str:
    return f"{ours / published - 1:+.1%}"


def _eyeriss_row(name: str, layer: dict) -> str:
    published, left = PUBLISHED[name], layer["left"]["eyeriss"]
    plain = 2 * sum(layer["words"].values()) / 1e6
    cells = [
        name,
        *(f"{layer['zeros'][which]:.1%}" for which in ("ifmap", "ofmap")),
        f"{plain:.2f}",
        f"{published.nn_dataflow_mb:.2f}",
        f"{published.dram_mb * published.reduction:.2f}",
        f"{plain * left:.2f}",
        f"{published.dram_mb:.1f}",
        _off(plain * left, published.dram_mb),
        f"{1 / left:.2f}",
        f"{published.reduction:.1f}",
        _off(1 / left, published.reduction),
    ]
    return line(*cells)


def _ours_row(name: str, layer: dict) -> str:
    cells = [name, f"{layer['zeros']['ifmap']:.1%}"]
    for sizes in (layer["sizes"]["ifmap"], layer["left"]):
        cells += [f"{1 / sizes[code]:.2f}" for code in ("eyeriss", *_OURS)]
    return line(*cells)


def _why(layers: dict) -> list[str]:
    """Of layers that are more than a tenth off: why, and the zeros that would close the gap."""
    lines = []
    for name, layer in layers.items():
        published, words = PUBLISHED[name], layer["words"]
        ours = sum(words.values()) * layer["left"]["eyeriss"]
        others = ours - words["ofmap"] * layer["sizes"]["ofmap"]["eyeriss"]
        if abs(2 * ours / 1e6 / published.dram_mb - 1) <= 0.1:
            continue
        size = (published.dram_mb * 1e6 / 2 - others) / words["ofmap"]
        zeros = 1 - 16 * size / _EYERISS_CODE_BITS
        lines.append(
            f"- {name} is more than a tenth off: {_EXPLAINED[name]} With {zeros:.0%} of zeros in its "
            f"output map it would move the published {published.dram_mb:.1f} MB."
        )
    lines.append(
        "- Bytes without a code are those that were published times the published reduction, to 6 %. "
        "nn-dataflow has a schedule of its own for each layer: conv1 and conv2 move less with it "
        "than on the chip."
    )
    return lines


def _draw(networks: dict) -> Figure:
    figure = Figure(figsize=(12, 5))
    axes = figure.subplots()
    bars = (*_OURS, "picked")
    width = 0.8 / len(bars)
    for n, (code, colour) in enumerate(zip(bars, ("#e06666", "#6aa84f", "#3b6ea8"), strict=True)):
        at = [k + (n - (len(bars) - 1) / 2) * width for k in range(len(networks))]
        totals = [_sum(layers) for layers in networks.values()]
        heights = [100 * total[code] / total["raw"] for total in totals]
        drawn = axes.bar(at, heights, width=0.95 * width, label=code, color=colour)
        axes.bar_label(drawn, fmt="{:.0f}", fontsize=7)
    axes.axhline(100, color="black", linewidth=0.8)
    axes.set_ylabel("DRAM bytes of all activations, % of those without a code")
    axes.set_xticks(range(len(networks)), list(networks), fontsize=7)
    axes.set_ylim(0, 115)
    axes.legend(fontsize=8, ncols=len(bars))
    figure.tight_layout()
    return figure
