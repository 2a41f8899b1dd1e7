"""`make bench`: runs networks on the RTL, checks every layer, keeps the figures.

Writes docs/results/bench.json (other entries stay), docs/results.md and its charts. The numbers are
those of `skimp run --json` and, beside them and for all built-in networks on zcu104, of the cycle
model, `skimp perf --json`. Real networks come from SKIMP_MODELS (default ../shared/models); without
that folder only the built-in ones run.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from keeping import RESULTS, arguments, keep, kept
from results import write_results

from skimp_compiler.zoo import BUILTIN, DEFAULT, models_dir
from skimp_sim.real_networks import input_of, real_networks

KEPT = RESULTS / "bench.json"
SKIMP = Path(sys.executable).with_name("skimp")

ON_TINY = ("ad01_int8", "kws_ref_model")
ON_ZCU104 = ("mobilenet_v1", "mobilenet_v2", "efficientnet_lite0", "resnet50")
CODED = {
    "small": {
        "efficientnet_lite0": ("auto",),
        "mobilenet_v2_1.0_224_int8": ("auto",),
        "mobilenetv2_160_035_int8": ("run-length", "bitmap"),
    }
}
"""Runs with codes for activations in DRAM, too: network -> --compress."""

CODED_MODELS = {"zcu104": {"vgg16": ("auto",), "yolov3_tiny": ("auto",)}}
"""The same by the cycle model alone."""

MODELLED = "zcu104"
"""Every built-in network goes through the cycle model for this preset."""


def work(configs: list[str], asked: list[str]) -> list[tuple[str, str, Path | None]]:
    """Return (model, config, input) of every run; of all networks where none is asked for."""
    if asked:
        return [(model, config, None) for config in configs for model in asked]
    files = real_networks()
    if not files:
        print(f"bench: no networks in {models_dir()}: only the built-in ones run", file=sys.stderr)
    runs = []
    for config in configs:
        if config == "tiny":
            models = [f for f in files if f.stem in ON_TINY]
        elif config == "zcu104":
            models = [*ON_ZCU104, *(f for f in files if f.stem in ON_TINY)]
        else:
            models = [DEFAULT, *files]
        for model in models:
            runs.append((str(model), config, input_of(Path(model))))
    return runs


def modelled(model: str, config: str, picture: Path | None = None, compress="off") -> dict:
    """Return what is kept of the cycle model's answer."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "perf.json"
        command = [SKIMP, "perf", model, "--config", config, "--compress", compress, "--json", path]
        if picture is not None:
            command += ["--input", picture]
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


def measure(model: str, config: str, picture: Path | None, compress: str = "off") -> dict:
    """Return what is kept of one checked run."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "run.json"
        command = [SKIMP, "run", model, "--config", config, "--check", "--json", path]
        command += ["--compress", compress]
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


def coded(config: str, model: str, picture: Path | None, *, on_rtl: bool) -> dict:
    """Return the totals with codes, by --compress, of the RTL (where asked for) and the model."""
    found = {}
    for compress in (CODED if on_rtl else CODED_MODELS)[config].get(Path(model).stem, ()):
        entry = {"model": modelled(model, config, picture, compress)["total"]}
        if on_rtl:
            run = measure(model, config, picture, compress)
            entry |= {"rtl": run["total"], "bit_exact": run["bit_exact"]}
        found[f"{Path(model).stem} {config} {compress}"] = entry
    return found


def write_page() -> None:
    """Write docs/results.md and its charts from what is kept."""
    found = (kept(KEPT).get(name, {}) for name in ("runs", "models", "coded"))
    write_results(*found, RESULTS, charts=(f"{DEFAULT} small", "resnet50 zcu104"))


def main() -> None:
    configs, asked = arguments(__doc__, configs=("small", "tiny", "zcu104"))
    before = kept(KEPT)
    runs, models, codes = (before.get(name, {}) for name in ("runs", "models", "coded"))
    for model, config, picture in work(configs, asked):
        key = f"{Path(model).stem} {config}"
        runs[key] = measure(model, config, picture)
        models[key] = modelled(model, config)
        if config in CODED:
            codes |= coded(config, model, picture, on_rtl=True)
        keep(KEPT, runs=runs, models=models, coded=codes)
    if not asked:
        for model in BUILTIN:
            models[f"{model} {MODELLED}"] = modelled(model, MODELLED)
            keep(KEPT, runs=runs, models=models, coded=codes)
        for config, networks in CODED_MODELS.items():
            for model in networks:
                codes |= coded(config, model, None, on_rtl=False)
                keep(KEPT, runs=runs, models=models, coded=codes)
    write_page()


if __name__ == "__main__":
    main()
