"""AlexNet's convolutions on Eyeriss: DRAM bytes with its run-length code and with ours.

Zeros are spread at random (seeded) over maps of AlexNet's shapes, as many as were published. The
traffic is that of Eyeriss's mapping, so its code can be held against what its chip moved.
"""

from dataclasses import dataclass

import numpy as np

from skimp_sim.reproduce.layers import ConvLayer, conv_layers
from skimp_sim.rlc.eyeriss import WORD_BYTES, encode
from skimp_sim.rlc.measure import IN_HARDWARE, measure_tensor

__all__ = ["PUBLISHED", "Published", "compare", "traffic"]

IMAGES = 4


@dataclass(frozen=True, kw_only=True)
class Published:
    """A layer of AlexNet on Eyeriss (JSSC 52(1), 2017, tables III and V; IMAGES images).

    Parameters
    ----------
    kept, images, width : int
        Mapping: output channels whose sums the buffer holds, images of a pass, rows of the output
        map that a set of PEs makes.
    zeros : float
        Of the ifmap.
    reduction : float
        DRAM bytes without and with the code.
    dram_mb : float
        With it, all of ifmap, weights and ofmap.
    nn_dataflow_mb : float
        Without it, as nn-dataflow 2.1 schedules the layer.
    """

    kept: int
    images: int
    width: int
    zeros: float
    reduction: float
    dram_mb: float
    nn_dataflow_mb: float


# fmt: off
PUBLISHED = {
    "conv1": Published(kept=96, images=1, width=7, zeros=0.0001, reduction=1.2, dram_mb=5.0, nn_dataflow_mb=5.10),
    "conv2": Published(kept=64, images=1, width=27, zeros=0.387, reduction=1.4, dram_mb=4.0, nn_dataflow_mb=4.68),
    "conv3": Published(kept=64, images=4, width=13, zeros=0.725, reduction=1.7, dram_mb=3.0, nn_dataflow_mb=5.06),
    "conv4": Published(kept=64, images=4, width=13, zeros=0.793, reduction=1.8, dram_mb=2.1, nn_dataflow_mb=3.92),
    "conv5": Published(kept=64, images=4, width=13, zeros=0.776, reduction=1.9, dram_mb=1.3, nn_dataflow_mb=2.62),
}
# fmt: on

OFMAP_ZEROS = {
    "conv1": "conv2",
    "conv2": "conv3",
    "conv3": "conv4",
    "conv4": "conv5",
    "conv5": "conv5",
}
"""Whose ifmap says how many zeros the ofmap has. A max pool follows conv1 and conv2: they have more
zeros than what it leaves. Of conv5's nothing is published: as many as its ifmap has."""


def traffic(layer: ConvLayer, mapping: Published) -> dict[str, int]:
    """Return the words that Eyeriss moves without a code, all images.

    The ifmap, padding and all, is read strip by strip for each group of channels whose sums the
    buffer holds; the weights once for each pass over a strip; the ofmap is written once.
    """
    strips = -(-layer.rows // mapping.width)
    strip_words = layer.window(mapping.width) * layer.window(layer.columns) * layer.in_channels
    return {
        "ifmap": IMAGES * strips * strip_words * -(-layer.group_out // mapping.kept),
        "weights": layer.weight_words * strips * -(-IMAGES // mapping.images),
        "ofmap": IMAGES * layer.ofmap_words,
    }


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
        words = traffic(layer, published)
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
