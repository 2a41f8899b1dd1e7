"""The accelerator's RTL with its DRAM, as an object."""

import ctypes
import dataclasses
from collections import Counter
from importlib.resources import files
from pathlib import Path

import numpy as np

from skimp.config import Config
from skimp.top import Skimp
from skimp_sim.bench.harness import Channel, Harness, RtlError, harness_headers
from skimp_sim.bench.kept import kept_verilog
from skimp_sim.bench.verilator import build_shared
from skimp_sim.dram.params import Ddr4Params
from skimp_sim.toggles.probes import place_probes

__all__ = ["Channel", "RtlError", "RtlSim"]


def top_verilog(config: Config) -> str:
    """Return the Verilog of the whole accelerator."""
    return kept_verilog("skimp", config.to_json(), lambda: Skimp(config))


def _wave_format(path) -> str:
    suffix = Path(path).suffix
    if suffix not in (".fst", ".vcd", ".saif"):
        raise RtlError(
            f"{path}: waves are written as .fst or .vcd, toggles of every bit as .saif; "
            "choose one of them"
        )
    return suffix[1:]


_CHIP_MODULE = "*act*ram"
_CHIP_MEMORY = "skimp__DOT__core__DOT__act__DOT__ram__DOT__memory"


class ChipMemory:
    """The activation store of a simulation, read by slices of bytes.

    Parameters
    ----------
    sim : RtlSim
    """

    def __init__(self, sim: "RtlSim"):
        self._sim = sim

    def __getitem__(self, where: slice) -> np.ndarray:
        return self._sim.read_chip(where.start, where.stop - where.start)


class RtlSim(Harness):
    """Verilated accelerator; clocks run in C++ only.

    Parameters
    ----------
    config : Config
    dram_bytes : int
    waves : str, Path or None
        File to write, .fst or .vcd; another, slower build.
    ddr4 : Ddr4Params or None
        Timing of the DRAM; None: flat, `latency_cycles` and then a beat a clock.
    latency_cycles : int
        Clocks from a burst's address to its first beat, where the DRAM is flat.
    toggles : bool
        Count what registers and memories do; another build, about half as fast.
    verilog : str or None
        Another module `skimp` with the ports of this configuration's, such as its netlist, and
        models of what it instantiates. Neither its toggles nor its activation store can be seen.
    quick : str or None
        For short runs: built sooner, with this level of g++ (`build_shared`).
    """

    def __init__(
        self,
        config: Config,
        *,
        dram_bytes: int,
        waves=None,
        ddr4: Ddr4Params | None = None,
        latency_cycles: int = 30,
        toggles: bool = False,
        verilog: str | None = None,
        quick: str | None = None,
    ):
        self._config = config
        inside = verilog is None  # its signals have the names that the harness knows
        verilog, probes = top_verilog(config) if inside else verilog, ()
        if toggles:
            if not inside:
                raise ValueError("toggles are counted in this configuration's own Verilog")
            verilog, probes = place_probes(verilog, "skimp")
        cpp = files("skimp_sim").joinpath("cpp")
        defines, hints = [f"BUS_BYTES={config.bus_bytes}"], ""
        if config.act_depth and inside:
            defines += [f"CHIP_MEMORY={_CHIP_MEMORY}", f"CHIP_BYTES={config.chip_bytes}"]
            hints = f'public_flat_rd -module "{_CHIP_MODULE}" -var "memory"\n'
        library = build_shared(
            verilog,
            top="skimp",
            cpp=cpp.joinpath("harness.cpp").read_text(),
            headers=harness_headers(),
            name=f"skimp-{config.name}",
            defines=tuple(defines),
            hints=hints,
            trace=None if waves is None else _wave_format(waves),
            quick=quick,
        )
        super().__init__(
            library,
            dram_bytes=dram_bytes,
            functions={
                "event": [],
                "watch": [ctypes.c_uint64, ctypes.c_uint64],
                "chip": [ctypes.c_uint64, ctypes.c_uint64, ctypes.c_void_p],
                "ddr4": [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p],
                "trace": [ctypes.c_char_p],
                "counters": [],
                "probe": [ctypes.c_char_p, ctypes.c_char_p, *[ctypes.c_int] * 3],
            },
        )
        lib = self._lib
        lib.skimp_counters.restype = ctypes.POINTER(ctypes.c_uint64)
        lib.skimp_latency(self._handle, latency_cycles)
        if ddr4 is not None:
            values = dataclasses.asdict(ddr4)
            names = (ctypes.c_char_p * len(values))(*(name.encode() for name in values))
            numbers = (ctypes.c_int64 * len(values))(*(int(v) for v in values.values()))
            if lib.skimp_ddr4(self._handle, len(values), names, numbers):
                raise RtlError("the DRAM model lacks a parameter")
        if waves is not None and lib.skimp_trace(self._handle, str(waves).encode()):
            raise RtlError(f"{waves}: cannot be written; choose another file for the waves")

        self._counted = sorted({(probe.unit, probe.kind, probe.weight) for probe in probes})
        for probe in probes:
            counter = self._counted.index((probe.unit, probe.kind, probe.weight))
            place = probe.scope.encode(), probe.name.encode()
            ones = probe.kind != "register"
            if lib.skimp_probe(self._handle, *place, probe.bits, counter, ones):
                raise RtlError(f"{probe.path} {probe.name}: not in the simulation")

    @property
    def toggles(self) -> Counter:
        """Bits that changed so far, by TOGGLE_UNITS, and bits read and written, by MEMORIES.

        Keys are (unit, "register"), (memory, "read"), (memory, "write").
        """
        counts, found = self._lib.skimp_counters(self._handle), Counter()
        for k, (unit, kind, weight) in enumerate(self._counted):
            found[unit, kind] += weight * counts[k]
        return found

    @property
    def chip(self) -> "ChipMemory":
        """Contents of the activation store, by slices."""
        return ChipMemory(self)

    def read_chip(self, start: int, count: int) -> np.ndarray:
        """Return bytes of the activation store."""
        data = np.zeros(count, np.uint8)
        if not self._lib.skimp_chip(self._handle, start, count, data.ctypes.data):
            raise RtlError(f"config {self._config.name} has no activation store")
        return data

    def watch(self, low: int, high: int) -> None:
        """Let `run` return when a record in DRAM bytes [low, high) has been written."""
        self._lib.skimp_watch(self._handle, low, high)

    def take_event(self) -> bool:
        """Say whether `run` returned for a watched write; the next call says no."""
        return bool(self._lib.skimp_event(self._handle))
