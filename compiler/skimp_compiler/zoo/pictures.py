"""Pictures that installed packages carry, cut to the input of a network: nothing is downloaded.

All crops are square and centred unless said otherwise, and resized with Pillow's bicubic filter,
whose eight-bit arithmetic is integer.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from skimp_compiler.graph import ModelError

__all__ = ["CALIBRATION", "HELD_OUT", "Crop", "calibration_crops", "load_crop", "picture_path"]

# Photographs, because the networks were trained on such.
CALIBRATION = (
    "skimage/data/chelsea.png",
    "skimage/data/coffee.png",
    "skimage/data/astronaut.png",
    "skimage/data/rocket.jpg",
    "skimage/data/motorcycle_left.png",
    "skimage/data/camera.png",
    "sklearn/datasets/images/china.jpg",
    "sklearn/datasets/images/flower.jpg",
)

# Never calibrated on. Few show one of ImageNet's classes, so the float answer itself is unsure.
HELD_OUT = (
    "skimage/data/brick.png",
    "skimage/data/clock_motion.png",
    "skimage/data/coins.png",
    "skimage/data/color.png",
    "skimage/data/grass.png",
    "skimage/data/gravel.png",
    "skimage/data/horse.png",
    "skimage/data/hubble_deep_field.jpg",
    "skimage/data/ihc.png",
    "skimage/data/logo.png",
    "skimage/data/moon.png",
    "skimage/data/page.png",
    "skimage/data/retina.jpg",
)


@dataclass(frozen=True)
class Crop:
    """A square cut from a picture.

    Parameters
    ----------
    fraction : float
        Side over the picture's shorter side.
    x, y : float
        Place in the free space: 0 left or top, 1 right or bottom.
    mirrored : bool
    """

    fraction: float = 1.0
    x: float = 0.5
    y: float = 0.5
    mirrored: bool = False


def picture_path(name: str) -> Path:
    """Return the file of a picture named as in `CALIBRATION`: package, then the path in it."""
    package, file = name.split("/", 1)
    spec = find_spec(package)
    path = Path(spec.origin).parent / file if spec and spec.origin else None
    if path is None or not path.is_file():
        raise ModelError(f"{name}: this picture is not installed; `pip install skimp[models]`")
    return path


def load_crop(path: Path, size: int, crop: Crop = Crop()) -> np.ndarray:
    """Return a crop as uint8 [size, size, 3]."""
    with Image.open(path) as file:
        picture = file.convert("RGB")
    side = min(picture.size) * crop.fraction
    left = (picture.width - side) * crop.x
    top = (picture.height - side) * crop.y
    box = (left, top, left + side, top + side)
    pixels = np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC, box=box))
    return pixels[:, ::-1] if crop.mirrored else pixels


def calibration_crops(size: int) -> list[np.ndarray]:
    """Return every calibration picture, whole and as a mirrored detail off the centre."""
    paths = [picture_path(name) for name in CALIBRATION]
    crops = (Crop(), Crop(0.7, 0.2, 0.3, mirrored=True))
    return [load_crop(path, size, crop) for crop in crops for path in paths]
