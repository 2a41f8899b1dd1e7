"""DRAM mapping: the same tiles with tensors laid out in DRAM in different ways.

Published: R. Putra, M. Hanif, M. Shafique, "ROMANet: fine-grained reuse-driven off-chip memory
access management and data organization for deep neural network accelerators" (arXiv 1902.10222v2,
IEEE TVLSI): DRAM access energy 12 % lower for AlexNet, 36 % for VGG-16, 46 % for MobileNet.
"""

from collections.abc import Callable
from functools import cache, reduce
from operator import add

from matplotlib.figure import Figure

from skimp_sim.reproduce.layers import ConvLayer, conv_layers
from skimp_sim.reproduce.layout import Runs, row_major, tile_by_tile
from skimp_sim.reproduce.result import Reproduction, ResultTable, paragraphs
from skimp_sim.reproduce.row_buffer import DDR3_1600, DDR4_2400, Use, play
from skimp_sim.reproduce.schedule import moves
from skimp_sim.reproduce.tiles import Tile, best_of, most_channels, search

__all__ = ["ARRANGEMENTS", "DRAM_MAPPING", "TIES", "measure"]

BUFFER_BYTES = 64 * 1024
CHIPS = (DDR3_1600, DDR4_2400)

ROMANET_LOWER_PERCENT = {"alexnet": 12, "vgg16": 36, "mobilenet_v1": 46}
"""arXiv 1902.10222v2, abstract: DRAM access energy lower than the state of the art."""

ARRANGEMENTS: dict[str, tuple[Callable[..., Runs], bool]] = {
    "row-major": (row_major, False),
    "row-major, banks in turn": (row_major, True),
    "tile by tile": (tile_by_tile, False),
    "tile by tile, banks in turn": (tile_by_tile, True),
}
"""Layout of the tensors, and whether page after page goes to the next bank. The first is the
baseline of every claim."""

BASELINE = next(iter(ARRANGEMENTS))


def _widest(tile: Tile):
    return -tile.n, -tile.c, -tile.r, -tile.m


def _one_channel(tile: Tile):
    return tile.n, -tile.c, -tile.r, tile.m


TIES = {
    "most channels": most_channels,
    "longest runs": _widest,
    "fewest input channels": _one_channel,
}
"""Which of the tiles with equal traffic is taken; row-major runs depend on it, traffic does not."""


@cache
def _measure_layer(layer: ConvLayer, tie: Callable[[Tile], tuple]) -> tuple[dict, int]:
    """Cost by chip and arrangement, and bytes of halo that lie in DRAM twice."""
    choice = best_of(search(layer, batch=1, buffer_words=BUFFER_BYTES, tie=tie))
    tiles = list(moves(layer, choice))
    runs = {layout: layout(layer, tiles) for layout in (row_major, tile_by_tile)}
    use = {
        (chip.name, name): play(chip, runs[layout], banks_in_turn=in_turn)
        for chip in CHIPS
        for name, (layout, in_turn) in ARRANGEMENTS.items()
    }
    return use, runs[tile_by_tile].halo_copies


def measure(network: str, tie: str) -> dict:
    """Cost of a network's convolutions by chip and arrangement, one image of bytes."""
    layers = [_measure_layer(layer, TIES[tie]) for layer in conv_layers(network)]
    chips = {}
    for chip in CHIPS:
        chips[chip.name] = {
            name: _as_dict(reduce(add, (use[chip.name, name] for use, _ in layers)))
            for name in ARRANGEMENTS
        }
    return {
        "network": network,
        "equal_tiles": tie,
        "halo_copies_bytes": sum(copies for _, copies in layers),
        "chips": chips,
    }


def _as_dict(use: Use) -> dict:
    return {
        **vars(use),
        "over_fetched_bytes": use.over_fetched_bytes,
        "row_hit_rate": use.row_hit_rate,
    }


def compute() -> dict:
    rows = [measure(network, tie) for tie in TIES for network in ROMANET_LOWER_PERCENT]
    return {
        "buffer_bytes": BUFFER_BYTES,
        "baseline": BASELINE,
        "romanet_energy_lower_percent": ROMANET_LOWER_PERCENT,
        "rows": rows,
    }


def _ratio(row: dict, chip: str, name: str, what: str) -> float:
    """An arrangement over the baseline."""
    uses = row["chips"][chip]
    return uses[name][what] / uses[BASELINE][what]


def _change(row: dict, chip: str, name: str, what: str) -> str:
    """The same in percent of change."""
    return f"{100 * (_ratio(row, chip, name, what) - 1):+z.1f}"


def _main_rows(result: dict) -> list[dict]:
    first = next(iter(TIES))
    return [row for row in result["rows"] if row["equal_tiles"] == first]


def tables(result: dict) -> list[ResultTable]:
    return [_cost_table(result), _tie_table(result)]


def _cost_table(result: dict) -> ResultTable:
    rows = []
    for row in _main_rows(result):
        for chip, uses in row["chips"].items():
            for name, use in uses.items():
                rows.append(
                    (
                        f"{row['network']}, {chip.split()[0]}, {name}",
                        f"{use['asked_bytes'] / 1e6:.2f}",
                        f"{use['over_fetched_bytes'] / 1e6:.2f}",
                        f"{100 * use['row_hit_rate']:.1f}",
                        f"{use['energy_mj']:.3f}",
                        _change(row, chip, name, "energy_mj"),
                        f"{use['time_ms']:.2f}",
                        _change(row, chip, name, "time_ms"),
                    )
                )
    columns = (
        "network, DRAM, layout", "MB asked", "MB over-fetched", "row hits %", "mJ", "mJ %", "ms",
        "ms %",
    )  # fmt: skip
    title = f"Layouts beside {BASELINE}, 64 KB, int8, one image, one x8 chip"
    return ResultTable(title, columns, rows)


def _tie_table(result: dict) -> ResultTable:
    rows = []
    for row in result["rows"]:
        rows.append(
            (
                f"{row['network']}, {row['equal_tiles']}",
                *(_change(row, chip.name, "tile by tile", "energy_mj") for chip in CHIPS),
                f"-{result['romanet_energy_lower_percent'][row['network']]}",
                f"{row['halo_copies_bytes'] / 1e6:.2f}",
            )
        )
    columns = (
        "network, which of equal tiles", *(f"{chip.name.split()[0]} mJ %" for chip in CHIPS),
        "ROMANet %", "MB of halo copies",
    )  # fmt: skip
    return ResultTable("Tile by tile against row-major, by the tile that is taken", columns, rows)


def notes(result: dict) -> list[str]:
    del result
    return paragraphs("""
        Baseline: tensors row-major ([channels][rows][columns], weights [output][input][taps]),
        pages in address order in a bank, every run of a tile rounded to bursts of 8 bytes by
        itself. Same tiles, orders and bytes asked for in every line of a network.

        Tile by tile: every tile one run, halos included and so in DRAM more than once; writing
        those copies, 'MB of halo copies', is not in the figures.

        Banks in turn: page after page goes to the next bank. Energy hardly changes (rows are opened
        as often), time does: other banks open rows meanwhile.

        Many tiles have the same least traffic, and row-major runs depend on which is taken: weights
        of a tile with one input channel lie in runs of a kernel's taps, one byte for MobileNet's
        1x1. So the saving says more about the baseline than about the layout. The first table has
        'most channels' (of output, then of input; then the fewest pixels).

        ROMANet's 12, 36 and 46 % are against the state of the art of its time and count fewer
        accesses by better tiles, too, with buffers, DRAM simulator and energy tool of its own; ours
        are the layout alone. The order AlexNet, VGG-16, MobileNet is the same.

        Energy of the DRAM core by data-sheet currents, without refresh, background and interface.
    """)


def plot(result: dict) -> Figure:
    """Energy over that of the baseline, by network and layout, for each chip."""
    figure = Figure(figsize=(12, 5))
    rows = _main_rows(result)
    colours = ("#cccccc", "#f6b26b", "#3b6ea8", "#6aa84f")
    width = 0.8 / len(ARRANGEMENTS)
    for axes, chip in zip(figure.subplots(1, len(CHIPS), sharey=True), CHIPS):
        for number, (name, colour) in enumerate(zip(ARRANGEMENTS, colours)):
            at = [k + (number - (len(ARRANGEMENTS) - 1) / 2) * width for k in range(len(rows))]
            heights = [_ratio(row, chip.name, name, "energy_mj") for row in rows]
            bars = axes.bar(at, heights, width=0.95 * width, label=name, color=colour)
            axes.bar_label(bars, fmt="{:.2f}", fontsize=7)
        for k, row in enumerate(rows):
            published = 1 - result["romanet_energy_lower_percent"][row["network"]] / 100
            axes.hlines(
                published, k - 0.4, k + 0.4, color="black", linewidth=1.2,
                label=None if k else "ROMANet, against its own baseline",
            )  # fmt: skip
        axes.set_xticks(range(len(rows)), [row["network"] for row in rows])
        axes.set_title(chip.name)
        axes.set_ylim(0, 1.4)
    figure.axes[0].set_ylabel(f"DRAM energy / {BASELINE}")
    figure.axes[0].legend(fontsize=8, ncols=2, loc="upper center")
    figure.suptitle("DRAM energy by layout: 64 KB, int8, one image")
    figure.tight_layout()
    return figure


DRAM_MAPPING = Reproduction(
    name="dram-mapping",
    title="DRAM energy with row-major and tile-contiguous layouts (ROMANet)",
    sources=(
        "R. Putra, M. Hanif, M. Shafique, ROMANet, IEEE TVLSI, arXiv 1902.10222v2",
        "currents, formulas and DDR3 times: DRAMsim3, https://github.com/umd-memsys/DRAMsim3",
    ),
    compute=compute,
    tables=tables,
    notes=notes,
    plot=plot,
)
