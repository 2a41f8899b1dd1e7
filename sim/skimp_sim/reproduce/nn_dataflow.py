"""What nn-dataflow (Stanford) has for the same layers, kept beside this module.

Written by bench/nn_dataflow_counts.py, which says how the tool is run.
"""

import json
from functools import cache
from pathlib import Path

__all__ = ["KEPT", "nn_dataflow"]

KEPT = Path(__file__).with_name("nn_dataflow.json")


@cache
def nn_dataflow(case: str) -> dict[str, dict]:
    """MACs, cycles and accesses (level, tensor, in words) by layer of nn-dataflow."""
    return json.loads(KEPT.read_text())[case]["layers"]
