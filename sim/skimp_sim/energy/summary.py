"""The energy of a network as table, line and JSON."""

from rich.console import Console
from rich.table import Table

from skimp_sim.energy.model import DATA, LEVELS, Energy, NetworkEnergy
from skimp_sim.toggles.predict import SLICE_UNITS
from skimp_sim.toggles.totals import changed_bits, over_layers
from skimp_sim.toggles.units import TOGGLE_UNITS

__all__ = [
    "by_data",
    "by_level",
    "energy_line",
    "layer_json",
    "network_json",
    "print_energy",
    "toggles_of",
]


def by_level(energy: Energy) -> dict[str, float]:
    return {level: sum(energy[level, data] for data in DATA) for level in LEVELS}


def by_data(energy: Energy) -> dict[str, float]:
    return {data: sum(energy[level, data] for level in LEVELS) for data in DATA}


def _nested(energy: Energy) -> dict[str, dict[str, float]]:
    return {level: {data: energy[level, data] for data in DATA} for level in LEVELS}


def layer_json(network: NetworkEnergy, layer_id: int) -> dict:
    """Return what the JSON of a layer has of it; the activation store counts as GLB there."""
    energy = network.layers.get(layer_id, Energy())
    levels = by_level(energy)
    levels["glb"] += levels.pop("act")
    found = {"energy_pj": levels, "energy": _nested(energy)}
    if layer_id in network.toggles:
        found["toggles"] = changed_bits(network.toggles[layer_id])
    return found


def toggles_of(network: NetworkEnergy) -> dict[str, dict[str, float | None]]:
    """Return the bits that changed by TOGGLE_UNITS: "counted" in RTL (None: no RTL), "predicted"
    from values (None: not predicted).
    """
    counted, predicted = changed_bits(over_layers(network.toggles)), over_layers(network.predicted)
    return {
        unit: {
            "counted": counted[unit] if network.toggles else None,
            "predicted": float(predicted[unit]) if unit in SLICE_UNITS else None,
        }
        for unit in TOGGLE_UNITS
        if network.toggles or unit in SLICE_UNITS
    }


def network_json(network: NetworkEnergy) -> dict:
    """Return what the JSON has of the whole network."""
    return {
        "technology": network.model.technology.name,
        "dram": network.model.dram.name,
        "by_level_pj": by_level(network.all),
        "by_data_pj": by_data(network.all),
        "images_per_joule": network.images_per_joule,
        "watts": network.watts,
        "toggles": toggles_of(network),
        "total_pj_by_dram": {
            name: sum(energy.values()) for name, energy in network.sensitivity().items()
        },
    }


def energy_line(network: NetworkEnergy) -> str:
    """Return the summary in a line."""
    model = network.model
    rate = 1 / network.seconds if network.seconds else 0.0
    return (
        f"energy at {model.technology.name} with {model.dram.name}: "
        f"{network.total_pj * 1e-9:.3f} mJ an image, {network.images_per_joule:.1f} images/J = "
        f"images/s per W ({rate:.1f} images/s at {network.watts:.2f} W)"
    )


def _table(first: str, columns: tuple[str, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first, no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _thousands(number: float | None) -> str:
    return "" if number is None else f"{1e-3 * number:,.0f}"


def print_energy(console: Console, network: NetworkEnergy) -> None:
    """Print layers by level, levels by type of data, the total with every DRAM, and toggles."""
    total = network.total_pj or 1.0
    layers = _table("energy, uJ", (*LEVELS, "all", "share"))
    for number, energy in network.layers.items():
        levels = by_level(energy)
        if any(levels.values()):
            layers.add_row(
                network.uses[number].layer.name,
                *(f"{1e-6 * pj:,.2f}" for pj in levels.values()),
                f"{1e-6 * sum(levels.values()):,.2f}",
                f"{sum(levels.values()) / total:.1%}",
            )
    kinds = _table("energy, uJ", (*DATA, "all", "share"))
    for level, parts in _nested(network.all).items():
        sums = (*parts.values(), sum(parts.values()))
        kinds.add_row(level, *(f"{1e-6 * pj:,.2f}" for pj in sums), f"{sums[-1] / total:.1%}")
    drams = _table("with DRAM", ("mJ", "share of DRAM", "images/J"))
    for name, energy in network.sensitivity().items():
        pj = sum(energy.values())
        share = by_level(energy)["dram"] / pj if pj else 0.0
        drams.add_row(name, f"{1e-9 * pj:,.3f}", f"{share:.1%}", f"{1e12 / pj if pj else 0:,.1f}")
    changes = _table("bits that change, thousands", ("counted", "predicted", "a clock"))
    clocks = sum(use.cycles for use in network.uses.values()) or 1
    for unit, found in toggles_of(network).items():
        counted, predicted = found["counted"], found["predicted"]
        seen = predicted if counted is None else counted
        changes.add_row(unit, _thousands(counted), _thousands(predicted), f"{seen / clocks:,.0f}")
    for table in (layers, kinds, drams, changes):
        console.print()
        console.print(table)
    console.print(f"\n{energy_line(network)}")
