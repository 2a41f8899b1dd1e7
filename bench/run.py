"""`make bench`: runs networks on the RTL, checks them, keeps cycles and simulation speed.

Writes docs/results/bench.json, one entry per network and configuration; other entries stay. The
numbers are those of `skimp run --json`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "docs" / "results" / "bench.json"
SKIMP = Path(sys.executable).with_name("skimp")


def measure(model: str, config: str) -> dict:
    """Return what is kept of one checked run."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "run.json"
        command = [SKIMP, "run", model, "--config", config, "--check", "--json", path]
        code = subprocess.run(command, check=False).returncode
        if code:
            raise SystemExit(f"bench: {model} on {config} ended with status {code}; nothing kept")
        run = json.loads(path.read_text())
    keep = ("name", "op", "unit", "macs", "cycles", "limit_cycles", "utilisation", "stall_cycles")
    return {
        "clock_mhz": run["clock_mhz"],
        "peak_macs_per_cycle": run["peak_macs_per_cycle"],
        "bit_exact": run["bit_exact"],
        "total": run["total"],
        "layers": [{name: layer.get(name) for name in keep} for layer in run["layers"]],
        "host": run["host"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", action="append", help="preset; may be repeated")
    parser.add_argument("models", nargs="*", default=["efficientnet_lite0"])
    options = parser.parse_args()
    kept = json.loads(KEPT.read_text()) if KEPT.is_file() else {"schema": 1, "runs": {}}
    for config in options.config or ["small"]:
        for model in options.models:
            name = Path(model).stem
            kept["runs"][f"{name} {config}"] = measure(model, config)
            KEPT.parent.mkdir(parents=True, exist_ok=True)
            partial = KEPT.with_suffix(".partial")
            partial.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
            os.replace(partial, KEPT)
    for key, run in sorted(kept["runs"].items()):
        total, host = run["total"], run["host"]
        print(
            f"{key}: {total['cycles']:,} clocks, utilisation {total['utilisation']:.3f}, "
            f"{host['simulated_cycles_per_second']:,.0f} simulated clocks/s"
        )


if __name__ == "__main__":
    main()
