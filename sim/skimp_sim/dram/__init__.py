"""A DDR4-2400 memory of 64 bit: its timing, clock for clock, in Python and in C++ alike.

``python -m skimp_sim.dram`` prints what typical access patterns reach.
"""

from skimp_sim.dram.ddr4 import Burst, Ddr4, Ddr4Counters
from skimp_sim.dram.params import Ddr4Params
from skimp_sim.dram.replay import Request, replay

__all__ = ["Burst", "Ddr4", "Ddr4Counters", "Ddr4Params", "Request", "replay"]
