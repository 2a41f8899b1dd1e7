"""RTL engines for tests."""

from skimp.configs import PRESETS
from skimp_sim.rtl_engine import RtlEngine


def engine_of(program):
    """Return the RTL engine of a program; tiny as users have it, since other tests build that."""
    return RtlEngine(program, quick=None if program.config == PRESETS["tiny"] else "-O1")
