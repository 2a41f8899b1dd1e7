"""Activity: toggles beside those of random data, which energies in tables are for."""

from collections import Counter

from skimp.config import Config
from skimp_sim.counting import LayerCounts
from skimp_sim.toggles.predict import SLICE_UNITS, random_toggles
from skimp_sim.toggles.totals import over_layers

__all__ = ["FACTORS", "activity"]

FACTORS = {
    "multiply": "products", "operands": "operands_ifmap", "chain": "sums", "links": "links",
}  # fmt: skip
"""Units of the energy model, and the toggles that scale them (with those of the depthwise unit)."""


def activity(
    config: Config,
    counts: dict[int, LayerCounts],
    gated: dict[int, float],
    predicted: dict[int, Counter],
    measured: dict[str, int] | None = None,
    accessed: dict[str, float] | None = None,
) -> dict[int, dict[str, float]]:
    """Return the activity of each layer by units of the energy model.

    Parameters
    ----------
    config : Config
    counts : dict
        What works for each layer_id.
    gated : dict
        MACs gated by layer_id.
    predicted : dict
        Toggles of SLICE_UNITS by layer_id.
    measured : dict or None
        Toggles of the whole run by TOGGLE_UNITS. Layers run side by side, so what was counted is
        shared out as predicted.
    accessed : dict or None
        Accesses that a run made by memory, beside those that were counted from the commands.
    """
    measured, every = measured or {}, over_layers(predicted)
    right = {
        unit: measured[unit] / every[unit]
        for unit in SLICE_UNITS
        if unit in measured and every[unit]
    }
    random = random_toggles(config)
    found = {}
    for number, count in counts.items():
        macs, dw_macs = count.arithmetic["macs"], count.arithmetic["dw_macs"]
        toggles = predicted.get(number, Counter())
        working = 1 - gated.get(number, 0.0) / max(1, macs + dw_macs)
        factors = dict(accessed or {})
        for name, unit in FACTORS.items():
            share = working if name in ("multiply", "operands") else 1.0
            expected = share * (macs * random[unit] + dw_macs * random[f"dw_{unit}"])
            if expected:
                seen = sum(toggles[u] * right.get(u, 1.0) for u in (unit, f"dw_{unit}"))
                factors[name] = seen / expected
        found[number] = factors
    return found
