"""nn-dataflow (Stanford; PyPI) on the layers of our reproductions, kept for their tables.

`python bench/nn_dataflow_counts.py` makes an environment of its own in build/nn-dataflow, for the
tool needs old versions of its requirements, and takes a quarter of an hour. With names only those
cases are run; what is kept of the others stays.
"""

import argparse
import json
import subprocess
import sys
import venv
from pathlib import Path

from skimp_sim.report import write_text
from skimp_sim.reproduce.nn_dataflow import KEPT

__all__ = ["CASES", "shortened"]

ENVIRONMENT = Path(__file__).resolve().parents[1] / "build" / "nn-dataflow"
REQUIREMENTS = ("nn-dataflow==2.1", "sympy<1.6", "numpy<2")

CHIP = "--word 16 --nodes 1 1 --array 12 14 --regf 522 --gbuf 110592"
CHIP_COSTS = "--op-cost 2 --hier-cost 460 15 4 1 --unit-idle-cost 150"
"""pJ; 30 mW at 200 MHz are 150 pJ a cycle. As in its own test of the chip."""

NO_BYPASS = "--disable-bypass i o f"
"""All words go through the buffer; else the tool may take them past it, into the registers."""

PAPER = "--word 16 --nodes 1 1 --array 16 16 --regf 512 --gbuf 131072"

CASES = {
    "eyeriss-alexnet": f"alex_net --batch 4 {CHIP} {NO_BYPASS} {CHIP_COSTS}",
    "eyeriss-vgg16": f"vgg_net --batch 3 {CHIP} {CHIP_COSTS}",
    "isca16-alexnet": f"alex_net --batch 16 {PAPER} {NO_BYPASS}",
    "relative-alexnet-168": f"alex_net --batch 16 {CHIP}",
    "relative-vgg16-168": f"vgg_net --batch 3 {CHIP}",
    "relative-vgg16-256": f"vgg_net --batch 3 {PAPER}",
    "relative-googlenet-168": f"googlenet --batch 4 {CHIP} --solve-loopblocking",
}
"""Arguments of nn_dataflow_search; relative costs (200, 6, 2, 1, 1) are its defaults. GoogLeNet's
mappings are solved, for the search of all takes hours."""

TENSORS = ("wgt", "ifmap", "psum")
LEVELS = ("dram", "glb", "array", "rf")


def _tool() -> Path:
    """Path of the tool, installed if it is not yet."""
    tool = ENVIRONMENT / "bin" / "nn_dataflow_search"
    if not tool.exists():
        venv.create(ENVIRONMENT, with_pip=True)
        subprocess.run(
            [ENVIRONMENT / "bin" / "pip", "install", "--quiet", *REQUIREMENTS], check=True
        )
    return tool


def shortened(answer: dict) -> dict:
    """MACs, cycles and accesses by level and tensor of each layer with MACs; halves of AlexNet's
    layers (names that end in _a, _b) are one layer."""
    layers = {}
    for name, (schedule, *_) in answer["schedules"].items():
        if "pool" in name and "pool_proj" not in name:
            continue
        layer = layers.setdefault(
            name.removesuffix("_a").removesuffix("_b"),
            {"macs": 0, "cycles": 0, "accesses": {level: [0, 0, 0] for level in LEVELS}},
        )
        layer["macs"] += round(schedule["ops"])
        layer["cycles"] += round(schedule["time"])
        for level, counts in zip(LEVELS, schedule["access"]):
            sums = layer["accesses"][level]
            layer["accesses"][level] = [a + round(b) for a, b in zip(sums, counts)]
    for layer in layers.values():
        layer["accesses"] = {
            level: dict(zip(TENSORS, counts)) for level, counts in layer["accesses"].items()
        }
    # Behind a plus stands the commit of the folder in which the tool was run.
    return {"version": answer["version"].split("+")[0], "layers": layers}


def main() -> None:
    """Run the cases, write what is kept of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(CASES))
    names = parser.parse_args().names or list(CASES)
    unknown = [name for name in names if name not in CASES]
    if unknown:
        parser.error(f"{unknown[0]}: unknown; choose of {', '.join(CASES)}")
    tool = _tool()
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    for name in names:
        command = [tool, *CASES[name].split(), "--processes", "1"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        kept[name] = {"arguments": CASES[name], **shortened(json.loads(done.stdout))}
        print(name, file=sys.stderr)
        ordered = {case: kept[case] for case in CASES if case in kept}
        write_text(KEPT, json.dumps(ordered, indent=1) + "\n")


if __name__ == "__main__":
    main()
