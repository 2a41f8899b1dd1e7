"""`make bench`: runs networks on the RTL, checks every layer, keeps the figures.

Writes docs/results/bench.json (other entries stay), docs/results.md and the chart of the default
network. The numbers are those of `skimp run --json`. Real networks come from SKIMP_MODELS
(default ../shared/models); without that folder only the built-in ones run.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from results import write_results

from skimp_compiler.zoo import BUILTIN, DEFAULT

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "results"
KEPT = RESULTS / "bench.json"
SKIMP = Path(sys.executable).with_name("skimp")

INPUTS = {
    "ad01_int8": "ad_normal_id_01_00000000_hist_librosa.bin",
    "mcunet_vww": "person.bmp",
    "mobilenet_v2_1.0_224_int8": "grace_hopper.png",
    "mobilenetv2_160_035_int8": "cat.jpg",
    "resnet8_cifar10_int8": "owl.jpg",
    "vww_96_int8": "person.bmp",
}
ON_TINY = ("ad01_int8", "kws_ref_model")


def work(options) -> list[tuple[str, str, Path | None]]:
    """Return (model, config, input) of every run."""
    if options.models:
        return [(model, config, None) for config in options.config for model in options.models]
    folder = Path(os.environ.get("SKIMP_MODELS", ROOT / ".." / "shared" / "models")).resolve()
    files = sorted(folder.glob("*.tflite"))
    if not files:
        print(f"bench: no networks in {folder}: only the built-in ones run", file=sys.stderr)
    runs = []
    for config in options.config:
        models = [*BUILTIN, *files] if config != "tiny" else [f for f in files if f.stem in ON_TINY]
        for model in models:
            name = INPUTS.get(Path(model).stem)
            runs.append((str(model), config, folder / name if name else None))
    return runs


def measure(model: str, config: str, picture: Path | None) -> dict:
    """Return what is kept of one checked run."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "run.json"
        command = [SKIMP, "run", model, "--config", config, "--check", "--json", path]
        if picture is not None:
            command += ["--input", picture]
        code = subprocess.run(command, check=False).returncode
        if code:
            raise SystemExit(f"bench: {model} on {config} ended with status {code}; nothing kept")
        run = json.loads(path.read_text())
    layers = [
        {key: value for key, value in layer.items() if key not in ("reason", "shape")}
        for layer in run["layers"]
    ]
    return {key: value for key, value in run.items() if key != "layers"} | {"layers": layers}


def keep(runs: dict) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    partial = KEPT.with_suffix(".partial")
    partial.write_text(json.dumps({"schema": 1, "runs": runs}, indent=1, sort_keys=True) + "\n")
    os.replace(partial, KEPT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", action="append", help="preset; may be repeated")
    parser.add_argument("models", nargs="*", help="networks; default: all that are there")
    options = parser.parse_args()
    options.config = options.config or ["small", "tiny"]
    runs = json.loads(KEPT.read_text())["runs"] if KEPT.is_file() else {}
    for model, config, picture in work(options):
        runs[f"{Path(model).stem} {config}"] = measure(model, config, picture)
        keep(runs)
    write_results(runs, RESULTS, chart=f"{DEFAULT} small")


if __name__ == "__main__":
    main()
