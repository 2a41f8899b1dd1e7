"""`make bench-rlc`: what codes for zeros save in DRAM.

On the activations of real networks with their real inputs, and on AlexNet's shapes with the zeros
that were published of Eyeriss, whose own code stands beside ours. Real networks come from
SKIMP_MODELS (default ../shared/models). Writes docs/results/rlc.json, docs/results/rlc.md and a
chart.
"""

import argparse
import json
from collections import defaultdict

from keeping import RESULTS
from rich.progress import track
from rlc_alexnet import compare
from rlc_results import write_rlc

from skimp_compiler.zoo import models_dir
from skimp_sim.real_networks import real_networks
from skimp_sim.report import write_text
from skimp_sim.rlc.measure import measure_network

GEOMETRY = {"channels": 16, "tile_bytes": 4096, "beat_bytes": 64}
"""As on zcu104: channels of a word, longest tile of a block, bytes of a beat."""

SEED = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.parse_args()
    files = real_networks()
    if not files:
        parser.error(f"no networks in {models_dir()}; set SKIMP_MODELS")
    networks = defaultdict(list)
    for path in track(files, description="networks"):
        for layer in measure_network(path, **GEOMETRY):
            networks[layer.network].append(vars(layer) | {"growth": layer.growth})
    kept = {
        "schema": 1,
        "geometry": GEOMETRY,
        "networks": networks,
        "alexnet": {"seed": SEED, "layers": compare(SEED, **GEOMETRY)},
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    write_text(RESULTS / "rlc.json", json.dumps(kept, indent=1) + "\n")
    write_rlc(kept, RESULTS)


if __name__ == "__main__":
    main()
