"""Which tensors GoogLeNet's energy goes to: the published share of weights is 22 %.

The share is quoted second-hand; the estimate is that of T.-J. Yang, Y.-H. Chen, V. Sze, "Designing
energy-efficient convolutional neural networks using energy-aware pruning", CVPR 2017.
"""

from skimp_sim.reproduce.costs import RELATIVE, TENSORS
from skimp_sim.reproduce.layers import conv_layers, dense_layer
from skimp_sim.reproduce.nn_dataflow import nn_dataflow
from skimp_sim.reproduce.result import ResultTable
from skimp_sim.reproduce.row_stationary import (
    EYERISS,
    accesses,
    best_mapping,
    energy_by_tensor,
)

__all__ = ["PUBLISHED_WEIGHTS_PERCENT", "compute", "table"]

BATCHES = (1, 4, 16)
PUBLISHED_WEIGHTS_PERCENT = 22

NN_DATAFLOW = "relative-googlenet-168"
NN_DATAFLOW_BATCH = 4


def compute() -> list[dict]:
    """Percent of the energy by tensor, all layers with weights."""
    layers = (*conv_layers("googlenet"), dense_layer("logits", 1024, 1000))
    rows = []
    for batch in BATCHES:
        options = {"batch": batch, "chip": EYERISS, "costs": RELATIVE}
        counts = [accesses(layer, batch, best_mapping(layer, **options)) for layer in layers]
        macs = batch * sum(layer.macs for layer in layers)
        rows.append({"name": f"{batch} images", **_shares(macs, counts)})
    theirs = nn_dataflow(NN_DATAFLOW).values()
    rows.append(
        {
            "name": f"nn-dataflow, {NN_DATAFLOW_BATCH} images",
            **_shares(
                sum(layer["macs"] for layer in theirs), [layer["accesses"] for layer in theirs]
            ),
        }
    )
    return rows


def _shares(macs: int, counts: list[dict]) -> dict:
    energy = {"computation": RELATIVE.mac * macs, **dict.fromkeys(TENSORS, 0.0)}
    for one in counts:
        for tensor, value in energy_by_tensor(one, RELATIVE).items():
            energy[tensor] += value
    total = sum(energy.values())
    return {
        "percent": {key: 100 * value / total for key, value in energy.items()},
        "energy_per_mac": total / macs,
    }


def table(rows: list[dict]) -> ResultTable:
    keys = "wgt", "ifmap", "psum", "computation"
    found = [
        (
            row["name"],
            *(f"{row['percent'][key]:.1f}" for key in keys),
            f"{row['energy_per_mac']:.2f}",
        )
        for row in rows
    ]
    found.append(("published", f"{PUBLISHED_WEIGHTS_PERCENT}", "", "", "", ""))
    columns = "GoogLeNet", "weights %", "ifmap %", "psum %", "computation %", "MACs' energy per MAC"
    return ResultTable("Energy of GoogLeNet by tensor", columns, found)
