"""Dataflows beside each other: energy by level and by tensor with the relative costs.

Published: Y.-H. Chen, J. Emer, V. Sze, "Eyeriss", ISCA 2016: on AlexNet's convolutions the
row-stationary dataflow takes 1.4 to 2.5 times less energy than the others on as many PEs and the
same storage area.
"""

import json
from pathlib import Path

from matplotlib.figure import Figure

from skimp_sim.reproduce.costs import LEVELS, RELATIVE, TENSORS
from skimp_sim.reproduce.dataflow_models import ARRAYS, DATAFLOWS, buffer_words, count
from skimp_sim.reproduce.layers import conv_layers
from skimp_sim.reproduce.nn_dataflow import nn_dataflow
from skimp_sim.reproduce.result import Reproduction, ResultTable, paragraphs

__all__ = ["DATAFLOWS_COMPARED", "NETWORKS", "SKIMP_COUNTS"]

NETWORKS = {"alexnet": 16, "vgg16": 3, "mobilenet_v2": 16}
"""Images."""

PUBLISHED_FACTORS = (1.4, 2.5)

NN_DATAFLOW = {
    ("alexnet", 168): "relative-alexnet-168",
    ("alexnet", 256): "isca16-alexnet",
    ("vgg16", 168): "relative-vgg16-168",
    ("vgg16", 256): "relative-vgg16-256",
}

SKIMP_COUNTS = Path(__file__).with_name("skimp_counts.json")
"""Written by bench/skimp_counts.py."""


def _case(network: str, pes: int | None, dataflow: str, macs: int, counts: list[dict]) -> dict:
    """Energy per MAC, by level and by tensor."""
    energy = {
        level: {
            tensor: RELATIVE.of(level) * sum(one[level][tensor] for one in counts) / macs
            for tensor in TENSORS
        }
        for level in LEVELS
    }
    return {
        "network": network,
        "pes": pes,
        "dataflow": dataflow,
        "alu": RELATIVE.mac,
        "energy": energy,
        "per_mac": RELATIVE.mac + sum(sum(one.values()) for one in energy.values()),
    }


def compute() -> dict:
    rows = []
    skimp = json.loads(SKIMP_COUNTS.read_text())
    for network, images in NETWORKS.items():
        layers = conv_layers(network)
        macs = images * sum(layer.macs for layer in layers)
        for pes in ARRAYS:
            for dataflow in DATAFLOWS:
                counts = [count(layer, images, dataflow, pes) for layer in layers]
                rows.append(_case(network, pes, dataflow, macs, counts))
            if (network, pes) in NN_DATAFLOW:
                theirs = [
                    layer
                    for name, layer in nn_dataflow(NN_DATAFLOW[network, pes]).items()
                    if name.startswith("conv")
                ]
                total = sum(layer["macs"] for layer in theirs)
                counts = [layer["accesses"] for layer in theirs]
                rows.append(_case(network, pes, "row-stationary, nn-dataflow", total, counts))
        own = skimp[network]
        rows.append(_case(network, None, "skimp zcu104, 1 image", own["macs"], [own["accesses"]]))
    return {
        "images": NETWORKS,
        "buffer_kb": {
            dataflow: {str(pes): buffer_words(dataflow, pes) / 512 for pes in ARRAYS}
            for dataflow in DATAFLOWS
        },
        "published_factors": list(PUBLISHED_FACTORS),
        "rows": rows,
    }


def _factor(result: dict, row: dict) -> float | None:
    """Energy over that of our row-stationary on as many PEs."""
    ours = {
        (one["network"], one["pes"]): one["per_mac"]
        for one in result["rows"]
        if one["dataflow"] == DATAFLOWS[0]
    }
    case = row["network"], row["pes"]
    return row["per_mac"] / ours[case] if case in ours else None


def _with_registers(result: dict, dataflow: str) -> float:
    """Factor on AlexNet if psums handed from PE to PE also took two accesses of registers."""
    energy = {
        row["dataflow"]: row["per_mac"]
        + 2 * RELATIVE.rf / RELATIVE.array * row["energy"]["array"]["psum"]
        for row in result["rows"]
        if (row["network"], row["pes"]) == ("alexnet", min(ARRAYS))
    }
    return energy[dataflow] / energy[DATAFLOWS[0]]


def _name(row: dict) -> str:
    pes = f", {row['pes']} PEs" if row["pes"] else ""
    return f"{row['network']}{pes}, {row['dataflow']}"


def tables(result: dict) -> list[ResultTable]:
    rows = []
    for row in result["rows"]:
        factor = _factor(result, row)
        rows.append(
            (
                _name(row),
                f"{row['alu']:.2f}",
                *(f"{sum(row['energy'][level].values()):.2f}" for level in LEVELS),
                *(
                    f"{sum(row['energy'][level][tensor] for level in LEVELS):.2f}"
                    for tensor in TENSORS
                ),
                f"{row['per_mac']:.2f}",
                f"{factor:.2f}" if factor else "",
            )
        )
    columns = (
        "MACs' energy per MAC", "ALU", "DRAM", "buffer", "array", "RF", "ifmap", "weights", "psum",
        "all", "/ row-stationary",
    )  # fmt: skip
    sizes = [
        (dataflow, *(f"{kb:.0f}" for kb in by_pes.values()))
        for dataflow, by_pes in result["buffer_kb"].items()
    ]
    return [
        ResultTable("Energy of the convolutions by level and by tensor", columns, rows),
        ResultTable(
            "Buffer, KB, for the same area", ("dataflow", *(f"{p} PEs" for p in ARRAYS)), sizes
        ),
    ]


def notes(result: dict) -> list[str]:
    low, high = result["published_factors"]
    ours = {
        (row["pes"], row["dataflow"]): _factor(result, row)
        for row in result["rows"]
        if row["network"] == "alexnet" and row["dataflow"] in DATAFLOWS[1:]
    }
    least, most = min(ours, key=ours.get), max(ours, key=ours.get)
    images = ", ".join(f"{network} {count}" for network, count in result["images"].items())
    return paragraphs(f"""
        Relative costs of the ISCA paper, 16-bit words: MAC 1, RF 1, array 2, buffer 6, DRAM 200.
        Images: {images}. Every layer has the best tiles and shares of the array that each dataflow
        allows; what is counted is in the head of `dataflow_models`.

        Published for AlexNet's convolutions: row-stationary {low} to {high} times lower than all
        others. Ours: {ours[least]:.2f} ({least[1]}, {least[0]} PEs) to {ours[most]:.2f} ({most[1]},
        {most[0]} PEs). Ours grant every dataflow its best shares of the
        array for each layer, and count a psum that is handed from PE to PE as one access of the
        array; with a register written and read for it, too, weight-stationary takes
        {_with_registers(result, "weight-stationary"):.2f} and input-stationary
        {_with_registers(result, "input-stationary"):.2f} times as much as row-stationary (168 PEs).

        nn-dataflow's words may go past the buffer, into the registers, but for AlexNet on 256 PEs.

        MobileNetV2: most layers are 1x1 or depthwise, a kernel's row has nothing to slide over in
        the first and psums have one channel in the second, so the dataflows differ less and DRAM
        decides.

        skimp: its own commands for the zcu104 preset, one image, each value one access whatever its
        width, its scratchpads of weights and sums as RF, its store of activations as buffer. Maps
        that stay on the chip between layers never go to DRAM, which none of the others does.
    """)


def plot(result: dict) -> Figure:
    """Energy per MAC by level, 256 PEs."""
    figure = Figure(figsize=(13, 5))
    colours = ("#3b6ea8", "#6aa84f", "#f6b26b", "#e06666")
    for axes, network in zip(figure.subplots(1, len(NETWORKS)), NETWORKS):
        rows = [
            row
            for row in result["rows"]
            if row["network"] == network and row["pes"] in (max(ARRAYS), None)
        ]
        bottom = [row["alu"] for row in rows]
        axes.bar(range(len(rows)), bottom, color="#cccccc", label="ALU")
        for level, colour in zip(LEVELS, colours):
            heights = [sum(row["energy"][level].values()) for row in rows]
            axes.bar(range(len(rows)), heights, bottom=bottom, color=colour, label=level)
            bottom = [a + b for a, b in zip(bottom, heights)]
        names = [row["dataflow"].replace(", ", ",\n") for row in rows]
        axes.set_xticks(range(len(rows)), names, rotation=60, ha="right", fontsize=7)
        axes.set_title(network)
    figure.axes[0].set_ylabel("energy per MAC, in MACs")
    figure.axes[0].legend(fontsize=8)
    figure.suptitle("Energy of the convolutions by dataflow, 256 PEs")
    figure.tight_layout()
    return figure


DATAFLOWS_COMPARED = Reproduction(
    name="dataflows",
    title="Energy by dataflow: weight-, output-, input-, row-stationary, no local reuse, skimp",
    sources=(
        "Y.-H. Chen, J. Emer, V. Sze, Eyeriss, ISCA 2016",
        "nn-dataflow 2.1, https://github.com/stanford-mast/nn_dataflow",
    ),
    compute=compute,
    tables=tables,
    notes=notes,
    plot=plot,
)
"""`skimp reproduce`."""
