"""Options of commands that say what a network costs."""

import click

from skimp_sim.energy.model import EnergyModel
from skimp_sim.energy.reader import known
from skimp_sim.energy.technology import load_technology

__all__ = ["DEFAULT_DRAM", "DEFAULT_TECHNOLOGY", "energy_model", "energy_options"]

DEFAULT_TECHNOLOGY = "45nm"
"""Of the published tables the one with most numbers."""

DEFAULT_DRAM = "ddr4"
"""What the DRAM model is."""


def energy_options(command):
    """Add --energy, --technology and --dram to a command."""
    for option in (
        click.option(
            "--dram", metavar="NAME",
            help=f"DRAM of the technology's tables; --energy with {DEFAULT_DRAM} without it.",
        ),
        click.option(
            "--technology", metavar="NAME|FILE",
            help=f"{', '.join(known())} or a YAML; --energy with {DEFAULT_TECHNOLOGY} without it.",
        ),
        click.option("--energy", is_flag=True, help="Say where the energy goes."),
    ):  # fmt: skip
        command = option(command)
    return command


def energy_model(energy: bool, technology: str | None, dram: str | None) -> EnergyModel | None:
    """Return what the options ask for; None: no energy.

    Raises
    ------
    ModelError
        No such technology or DRAM, or a wrong table.
    """
    if not energy and technology is None and dram is None:
        return None
    tables = load_technology(technology or DEFAULT_TECHNOLOGY)
    return EnergyModel(technology=tables, dram=tables.dram(dram or DEFAULT_DRAM))
