"""What quantisation costs: the INT8 network beside the float one, on pictures from packages.

`python -m skimp_compiler.zoo.measure` prints a table; LiteRT's reference kernels run the INT8
network. There is no labelled test set here, so this is agreement with the float network, not
accuracy on ImageNet.
"""

import json
from pathlib import Path

import click
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from rich.console import Console
from rich.table import Table

from skimp_compiler import zoo
from skimp_compiler.zoo import efficientnet_lite0 as net
from skimp_compiler.zoo.float_net import forward
from skimp_compiler.zoo.pictures import CALIBRATION, HELD_OUT, Crop, load_crop, picture_path

__all__ = ["Int8Network", "measure"]

_NAME = "efficientnet_lite0"
_SETS = (
    ("calibration pictures", CALIBRATION, Crop()),
    ("their details, not calibrated on", CALIBRATION, Crop(0.8, 0.8, 0.6)),
    ("held-out pictures", HELD_OUT, Crop()),
)


class Int8Network:
    """The .tflite under LiteRT's reference kernels: a picture in, logits out."""

    def __init__(self, path: Path):
        self._interpreter = Interpreter(
            model_path=str(path),
            experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
            experimental_preserve_all_tensors=True,
        )
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        details = self._interpreter.get_tensor_details()
        self._logits = next(d for d in details if d["name"] == "logits")

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        """Return the logits as real numbers for a uint8 picture [H, W, C]."""
        stored = (pixels.astype(np.int16) - 128).astype(np.int8)
        self._interpreter.set_tensor(self._input, stored[None])
        self._interpreter.invoke()
        scale, zero_point = self._logits["quantization"]
        stored = self._interpreter.get_tensor(self._logits["index"])[0]
        return (stored.astype(np.float64) - zero_point) * scale


def _compare(int8: Int8Network, layers, labels, path: Path, crop: Crop) -> dict:
    pixels = load_crop(path, net.SIZE, crop)
    real = (pixels.astype(np.float32) - 127) / 128
    exact = forward(layers, real).astype(np.float64)
    logits = int8.logits(pixels)
    probability = np.exp(exact - exact.max())
    float_class, int8_class = int(exact.argmax()), int(logits.argmax())
    return {
        "picture": path.name,
        "float_class": float_class,
        "float_label": labels[float_class],
        "float_probability": float(probability.max() / probability.sum()),
        "int8_class": int8_class,
        "int8_label": labels[int8_class],
        "in_float_top5": int8_class in np.argsort(-exact)[:5].tolist(),
        "sqnr_db": float(10 * np.log10((exact**2).sum() / ((logits - exact) ** 2).sum())),
    }


def measure(path: Path, extra: tuple[Path, ...] = ()) -> dict:
    """Compare the INT8 file with the float network and return all numbers.

    Parameters
    ----------
    path : Path
        The .tflite of `efficientnet_lite0`.
    extra : tuple of Path
        More pictures, as a set of their own.
    """
    int8, layers, labels = Int8Network(path), net.load_layers(), zoo.labels(_NAME)
    sets = []
    for title, names, crop in _SETS:
        sets.append((title, [picture_path(name) for name in names], crop))
    if extra:
        sets.append(("given pictures", list(extra), Crop()))
    results = {}
    for title, paths, crop in sets:
        rows = [_compare(int8, layers, labels, picture, crop) for picture in paths]
        results[title] = {
            "pictures": len(rows),
            "same_top1": sum(row["float_class"] == row["int8_class"] for row in rows),
            "int8_top1_in_float_top5": sum(row["in_float_top5"] for row in rows),
            "mean_sqnr_db": float(np.mean([row["sqnr_db"] for row in rows])),
            "rows": rows,
        }
    return {"network": _NAME, "reference": "float32, same weights", "sets": results}


def _print(result: dict) -> None:
    console = Console()
    for title, group in result["sets"].items():
        table = Table(title=title, title_justify="left")
        for column in ("picture", "float", "p", "INT8", "SQNR of logits, dB"):
            table.add_column(column, no_wrap=column == "picture")
        for row in group["rows"]:
            table.add_row(
                row["picture"],
                f"{row['float_class']} {row['float_label'].split(',')[0]}",
                f"{row['float_probability']:.2f}",
                f"{row['int8_class']} {row['int8_label'].split(',')[0]}",
                f"{row['sqnr_db']:.1f}",
            )
        console.print(table)
        console.print(
            f"same top-1: {group['same_top1']} of {group['pictures']}; INT8 top-1 in float top-5: "
            f"{group['int8_top1_in_float_top5']}; mean SQNR {group['mean_sqnr_db']:.1f} dB\n"
        )


@click.command()
@click.argument("pictures", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path), help="Write the numbers here."
)
def main(pictures: tuple[Path, ...], json_path: Path | None) -> None:
    """Print what quantising EfficientNet-Lite0 costs; PICTURES are looked at as well."""
    try:
        result = measure(zoo.path_of(_NAME), pictures)
    except zoo.ModelError as error:
        raise click.ClickException(str(error)) from error
    _print(result)
    if json_path:
        json_path.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
