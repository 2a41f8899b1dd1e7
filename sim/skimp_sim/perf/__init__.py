"""Cycle model: what a program costs on a configuration, without data and without RTL."""

from skimp_sim.perf.model import PerfResult, run_perf

__all__ = ["PerfResult", "run_perf"]
