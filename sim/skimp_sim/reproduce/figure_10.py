"""ISCA 2016, figure 10: AlexNet's energy by layer on a row-stationary accelerator, 16 images."""

from skimp_sim.reproduce.costs import LEVELS, RELATIVE
from skimp_sim.reproduce.eyeriss import ALEXNET_MAPPINGS
from skimp_sim.reproduce.eyeriss_tables import FIGURE_10
from skimp_sim.reproduce.layers import conv_layers, dense_layer
from skimp_sim.reproduce.nn_dataflow import nn_dataflow
from skimp_sim.reproduce.result import ResultTable
from skimp_sim.reproduce.row_stationary import EYERISS, accesses, best_mapping

__all__ = ["TOLERANCE", "compute", "table"]

IMAGES = 16

TOLERANCE = 0.1
"""10^9 MACs; of nn-dataflow's own test of the figure."""

DENSE = (
    dense_layer("fc1", 256, 4096, kernel=6),
    dense_layer("fc2", 4096, 4096),
    dense_layer("fc3", 4096, 1000),
)


def _energies(macs: int, counts: dict) -> dict[str, float]:
    """In 10^9 MACs."""
    by_level = {level: RELATIVE.of(level) * sum(counts[level].values()) for level in LEVELS}
    return {key: value / 1e9 for key, value in {"alu": RELATIVE.mac * macs, **by_level}.items()}


def compute() -> list[dict]:
    theirs, rows = nn_dataflow("isca16-alexnet"), []
    for layer in (*conv_layers("alexnet"), *DENSE):
        searched = best_mapping(layer, batch=IMAGES, chip=EYERISS, costs=RELATIVE)
        mapping = ALEXNET_MAPPINGS.get(layer.name, searched)
        macs = IMAGES * layer.macs
        rows.append(
            {
                "name": layer.name,
                "mapping": mapping._asdict(),
                "energy": _energies(macs, accesses(layer, IMAGES, mapping)),
                "searched_mapping": searched._asdict(),
                "searched": _energies(macs, accesses(layer, IMAGES, searched)),
                "nn_dataflow": _energies(
                    theirs[layer.name]["macs"], theirs[layer.name]["accesses"]
                ),
                "published": dict(zip(("alu", "dram", "rf"), FIGURE_10[layer.name])),
            }
        )
    return rows


def table(rows: list[dict]) -> ResultTable:
    found = []
    for row in rows:
        ours, published = row["energy"], row["published"]
        off = max(abs(ours[key] - published[key]) for key in published)
        found.append(
            (
                row["name"],
                *(f"{values[key]:.2f}" for key in published for values in (ours, published)),
                f"{off:.2f}",
                f"{row['nn_dataflow']['dram']:.2f}",
                f"{row['searched']['dram']:.2f}",
                *(f"{sum(row[key].values()):.2f}" for key in ("energy", "searched")),
            )
        )
    columns = (
        "layer", "ALU", "paper", "DRAM", "paper", "RF", "paper", "largest difference",
        "nn-dataflow DRAM", "DRAM, mapping searched", "all levels", "all levels, searched",
    )  # fmt: skip
    title = f"ISCA 2016, figure 10: energy in 10^9 MACs, {IMAGES} images"
    return ResultTable(title, columns, found)
