"""VGG-16's convolutions on Eyeriss, three images: JSSC 2017, table VI."""

from skimp_sim.reproduce.costs import CHIP_65NM
from skimp_sim.reproduce.eyeriss import measure
from skimp_sim.reproduce.eyeriss_report import (
    add_nn_dataflow,
    chip_notes,
    chip_plot,
    chip_tables,
)
from skimp_sim.reproduce.eyeriss_tables import VGG16, VGG16_IMAGES
from skimp_sim.reproduce.layers import ConvLayer, conv_layers
from skimp_sim.reproduce.result import Reproduction, paragraphs
from skimp_sim.reproduce.row_stationary import EYERISS, Mapping, best_mapping

__all__ = ["CHANNELS_OF_A_PASS", "EYERISS_VGG16", "mapping_of"]

CHANNELS_OF_A_PASS = {"1": 1, "2": 1, "3": 2, "4": 4, "5": 8}
"""By stage: the q r for which psums alone make most of the published buffer accesses."""

WIDEST = 112
"""Columns of a piece: conv1 has the same accesses by MAC as conv2 in the published table."""


def mapping_of(layer: ConvLayer) -> Mapping:
    """The mapping of least energy with the published PEs and the channels of a pass."""
    return best_mapping(
        layer,
        batch=VGG16_IMAGES,
        chip=EYERISS,
        costs=CHIP_65NM,
        active=VGG16[layer.name].active_pes,
        channels=CHANNELS_OF_A_PASS[layer.name[len("conv")]],
        columns=min(layer.columns, WIDEST),
    )


def compute() -> dict:
    layers, rows = conv_layers("vgg16"), []
    for layer, behind in zip(layers, (*layers[1:], layers[-1])):
        zeros = {"psum": VGG16[behind.name].zeros}
        if layer is not layers[0]:
            zeros["ifmap"] = VGG16[layer.name].zeros
        rows.append(measure(layer, VGG16_IMAGES, mapping_of(layer), VGG16[layer.name], zeros))
    add_nn_dataflow(rows, "eyeriss-vgg16")
    return {"network": "vgg16", "images": VGG16_IMAGES, "layers": rows}


def notes(result: dict) -> list[str]:
    del result
    return paragraphs("""
        The mapping of VGG-16 is not published. Ours has the published number of active PEs, and as
        many channels in a pass (q r) as the published buffer accesses imply: 1, 1, 2, 4 and 8 in
        the five stages; conv1's maps are cut into two pieces of 112 columns. What that leaves open
        is chosen for least energy, filters cut evenly. So buffer figures are fitted stage by stage,
        and both cuts were chosen with the published buffer and DRAM figures in sight: agreement
        shows that such a mapping exists, not that it was predicted.
    """) + paragraphs(chip_notes()) + paragraphs("""
        Why conv1_2 takes nearly four times as long as conv4_2 for the same MACs: its psums go
        through the buffer after every channel instead of after every four, and the buffer is the
        slower part. nn-dataflow, which does not limit the buffer, has the same time for both.
    """)  # fmt: skip


EYERISS_VGG16 = Reproduction(
    name="eyeriss-vgg16",
    title="VGG-16 on the Eyeriss chip: buffer, latency, DRAM, energy by layer",
    sources=(
        "Y.-H. Chen, T. Krishna, J. Emer, V. Sze, Eyeriss, IEEE JSSC 52(1), 2017",
        "its tables: https://github.com/cucapra/fodlam",
        "nn-dataflow 2.1, https://github.com/stanford-mast/nn_dataflow",
    ),
    compute=compute,
    tables=chip_tables,
    notes=notes,
    plot=chip_plot,
)
"""`skimp reproduce`."""
