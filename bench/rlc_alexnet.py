"""AlexNet's convolutions on Eyeriss: DRAM bytes with its run-length code and with ours.

Zeros are spread at random (seeded) over maps of AlexNet's shapes, as many as were published. The
traffic is that of Eyeriss's mapping, so its code can be held against what its chip moved.
"""

from dataclasses import dataclass

import numpy as np

from skimp_sim.reproduce.eyeriss import ALEXNET_MAPPINGS
from skimp_sim.reproduce.eyeriss_tables import ALEXNET, ALEXNET_IMAGES
from skimp_sim.reproduce.layers import ConvLayer, conv_layers
from skimp_sim.reproduce.row_stationary import accesses
from skimp_sim.rlc.eyeriss import WORD_BYTES, encode
from skimp_sim.rlc.measure import IN_HARDWARE, measure_tensor

__all__ = ["PUBLISHED", "Published", "compare", "traffic"]

IMAGES = ALEXNET_IMAGES


@dataclass(frozen=True, kw_only=True)
class Published:
    """A layer of AlexNet on Eyeriss (JSSC 52(1), 2017, table V; IMAGES images).

    Parameters
    ----------
    zeros : float
        Of the ifmap.
    reduction : float
        DRAM bytes without and with the code.
    dram_mb : float
        With it, all of ifmap, weights and ofmap.
    nn_dataflow_mb : float
        Without it, as nn-dataflow 2.1 schedules the layer.
    """

    zeros: float
    reduction: float
    dram_mb: float
    nn_dataflow_mb: float


_REDUCTION_AND_NN_DATAFLOW_MB = {
    "conv1": (1.2, 5.10),
    "conv2": (1.4, 4.68),
    "conv3": (1.7, 5.06),
    "conv4": (1.8, 3.92),
    "conv5": (1.9, 2.62),
}

PUBLISHED = {
    name: Published(
        zeros=ALEXNET[name].zeros,
        reduction=reduction,
        dram_mb=ALEXNET[name].dram_mb,
        nn_dataflow_mb=nn_dataflow_mb,
    )
    for name, (reduction, nn_dataflow_mb) in _REDUCTION_AND_NN_DATAFLOW_MB.items()
}

OFMAP_ZEROS = {
    "conv1": "conv2",
    "conv2": "conv3",
    "conv3": "conv4",
    "conv4": "conv5",
    "conv5": "conv5",
}
"""Whose ifmap says how many zeros the ofmap has. A max pool follows conv1 and conv2: they have more
zeros than what it leaves. Of conv5's nothing is published: as many as its ifmap has."""


def traffic(layer: ConvLayer) -> dict[str, int]:
    """Return the words that Eyeriss's mapping moves without a code, all images."""
    words = accesses(layer, IMAGES, ALEXNET_MAPPINGS[layer.name])["dram"]
    return {"ifmap": words["ifmap"], "weights": words["wgt"], "ofmap": words["psum"]}


def _sizes(shape: tuple[int, ...], zeros: float, rng: np.random.Generator, geometry: dict) -> dict:
    """Return coded size / plain size by code, of one map with the same zeros for all codes."""
    filled = rng.random(shape) >= zeros
    words = np.where(filled, rng.integers(1, 1 << 16, shape), 0)
    octets = np.where(filled, rng.integers(1, 128, shape), 0).astype(np.int8)
    _, dram_bytes = measure_tensor(octets, 0, **geometry)
    eyeriss = WORD_BYTES * len(encode(words.reshape(-1).tolist())) / (2 * words.size)
    ours = {code: dram_bytes[code] / dram_bytes["raw"] for code in IN_HARDWARE[1:]}
    return {"eyeriss": eyeriss} | ours


def compare(seed: int, **geometry) -> dict[str, dict]:
    """Return by layer words, zeros, sizes by code, and what is left of the layer's DRAM bytes.

    Parameters
    ----------
    seed : int
    **geometry
        Of our codes: as of `measure_tensor`.
    """
    rng = np.random.default_rng(seed)
    found = {}
    for layer in conv_layers("alexnet"):
        published = PUBLISHED[layer.name]
        words = traffic(layer)
        zeros = {"ifmap": published.zeros, "ofmap": PUBLISHED[OFMAP_ZEROS[layer.name]].zeros}
        shapes = {
            "ifmap": (1, layer.window(layer.rows), layer.window(layer.columns), layer.in_channels),
            "ofmap": (1, layer.rows, layer.columns, layer.out_channels),
        }
        sizes = {name: _sizes(shapes[name], zeros[name], rng, geometry) for name in shapes}
        if layer.name == "conv1":  # the picture itself is never coded
            sizes["ifmap"] = dict.fromkeys(sizes["ifmap"], 1.0)
        total = sum(words.values())
        left = {
            code: (words["weights"] + sum(words[name] * sizes[name][code] for name in shapes))
            / total
            for code in sizes["ifmap"]
        }
        found[layer.name] = {"words": words, "zeros": zeros, "sizes": sizes, "left": left}
    return found
