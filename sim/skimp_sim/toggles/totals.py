"""Sums of what was counted layer by layer."""

from collections import Counter

from skimp_sim.toggles.units import TOGGLE_UNITS

__all__ = ["changed_bits", "over_layers"]


def over_layers(by_layer: dict[int, Counter]) -> Counter:
    """Return what all layers have together."""
    found = Counter()
    for counted in by_layer.values():
        found.update(counted)
    return found


def changed_bits(counted: Counter) -> dict[str, int]:
    """Return the bits that changed in registers by TOGGLE_UNITS, of what `RtlSim` counts."""
    return {unit: counted[unit, "register"] for unit in TOGGLE_UNITS}
