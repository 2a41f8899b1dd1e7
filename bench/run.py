"""`make bench`: runs networks on the RTL, checks every layer, keeps the figures.

Writes docs/results/bench.json (other entries stay), docs/results.md and its charts. The numbers are
those of `skimp run --json` and, beside them and for all built-in networks on zcu104, of the cycle
model, `skimp perf --json`. Real networks come from SKIMP_MODELS (default ../shared/models); without
that folder only the built-in ones run.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from results import write_results

from skimp_compiler.zoo import BUILTIN, DEFAULT, models_dir
from skimp_sim.real_networks import input_of, real_networks

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "results"
KEPT = RESULTS / "bench.json"
SKIMP = Path(sys.executable).with_name("skimp")

ON_TINY = ("ad01_int8", "kws_ref_model")
ON_ZCU104 = ("mobilenet_v1", "mobilenet_v2", "efficientnet_lite0", "resnet50")
MODELLED = "zcu104"
"""Every built-in network goes through the cycle model for this preset."""


def work(options) -> list[tuple[str, str, Path | None]]:
    """Return (model, config, input) of every run."""
    if options.models:
        return [(model, config, None) for config in options.config for model in options.models]
    files = real_networks()
    if not files:
        print(f"bench: no networks in {models_dir()}: only the built-in ones run", file=sys.stderr)
    runs = []
    for config in options.config:
        if config == "tiny":
            models = [f for f in files if f.stem in ON_TINY]
        elif config == "zcu104":
            models = [*ON_ZCU104, *(f for f in files if f.stem in ON_TINY)]
        else:
            models = [DEFAULT, *files]
        for model in models:
            runs.append((str(model), config, input_of(Path(model))))
    return runs


def modelled(model: str, config: str) -> dict:
    """Return what is kept of the cycle model's answer."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "perf.json"
        command = [SKIMP, "perf", model, "--config", config, "--json", path]
        code = subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode
        if code:
            raise SystemExit(f"bench: perf of {model} on {config} ended with status {code}")
        perf = json.loads(path.read_text())
    keys = ("name", "op", "unit", "shape", "macs", "cycles", "limit_cycles", "stall_cycles")
    layers = [{key: layer[key] for key in keys} for layer in perf["layers"]]
    return {
        "peak_macs_per_cycle": perf["peak_macs_per_cycle"],
        "clock_mhz": perf["clock_mhz"],
        "total": perf["total"],
        "layers": layers,
    }


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


def keep(runs: dict, models: dict) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    partial = KEPT.with_suffix(".partial")
    partial.write_text(
        json.dumps({"schema": 1, "runs": runs, "models": models}, indent=1, sort_keys=True) + "\n"
    )
    os.replace(partial, KEPT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", action="append", help="preset; may be repeated")
    parser.add_argument("models", nargs="*", help="networks; default: all that are there")
    options = parser.parse_args()
    options.config = options.config or ["small", "tiny", "zcu104"]
    kept = json.loads(KEPT.read_text()) if KEPT.is_file() else {"runs": {}}
    runs, models = kept["runs"], kept.get("models", {})
    for model, config, picture in work(options):
        key = f"{Path(model).stem} {config}"
        runs[key] = measure(model, config, picture)
        models[key] = modelled(model, config)
        keep(runs, models)
    if not options.models:
        for model in BUILTIN:
            models[f"{model} {MODELLED}"] = modelled(model, MODELLED)
            keep(runs, models)
    write_results(runs, models, RESULTS, charts=(f"{DEFAULT} small", "resnet50 zcu104"))


if __name__ == "__main__":
    main()
