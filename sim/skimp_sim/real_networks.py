"""Real networks beside the checkout, and their real inputs."""

from pathlib import Path

from skimp_compiler.zoo import models_dir

__all__ = ["INPUTS", "input_of", "real_networks"]

INPUTS = {
    "ad01_int8": "ad_normal_id_01_00000000_hist_librosa.bin",
    "mcunet_vww": "person.bmp",
    "mobilenet_v2_1.0_224_int8": "grace_hopper.png",
    "mobilenetv2_160_035_int8": "cat.jpg",
    "resnet8_cifar10_int8": "owl.jpg",
    "vww_96_int8": "person.bmp",
}
"""Files that lie beside the networks; kws_ref_model has none (its input is a spectrogram)."""


def real_networks() -> list[Path]:
    """Return the files in the folder of real networks; [] where it is missing."""
    folder = models_dir()
    return sorted(folder.glob("*.tflite")) if folder is not None else []


def input_of(network: Path) -> Path | None:
    """Return the real input of a network; None: it takes seeded noise."""
    name = INPUTS.get(network.stem)
    return network.parent / name if name else None
