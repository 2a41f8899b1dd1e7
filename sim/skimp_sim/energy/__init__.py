"""Where the energy goes: actions counted, times what each costs in a technology's tables."""

from skimp_sim.energy.model import EnergyModel, NetworkEnergy, estimate
from skimp_sim.energy.technology import Technology, load_technology

__all__ = ["EnergyModel", "NetworkEnergy", "Technology", "estimate", "load_technology"]
