"""The accelerator's RTL with its DRAM, as an object."""

import ctypes
import dataclasses
import enum
import hashlib
import os
from collections import Counter
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import numpy as np

import skimp
from skimp.config import Config
from skimp.gen import to_verilog
from skimp.top import Skimp
from skimp_sim.bench.verilator import build_shared, cache_dir
from skimp_sim.dram.params import Ddr4Params
from skimp_sim.toggles.probes import place_probes

__all__ = ["Channel", "RtlError", "RtlSim"]


class RtlError(RuntimeError):
    """The simulated hardware broke a rule of the bus or does not answer."""


class Channel(enum.IntEnum):
    """AXI channels that can be stalled."""

    AR = 0
    R = 1
    AW = 2
    W = 3
    B = 4


def top_verilog(config: Config) -> str:
    """Return the Verilog of the whole accelerator, kept by the hash of its sources.

    Elaboration takes longer than a small network's simulation.
    """
    sources = sorted(Path(skimp.__file__).parent.rglob("*.py"))
    parts = [source.read_bytes() for source in sources]
    parts += [config.to_json().encode(), version("amaranth").encode()]
    digest = hashlib.sha256(b"\0".join(parts)).hexdigest()[:20]
    kept = cache_dir() / "verilog" / f"skimp-{config.name}-{digest}.v"
    if not kept.is_file():
        text = to_verilog(Skimp(config), name="skimp")
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(f".{os.getpid()}")
        partial.write_text(text)
        os.replace(partial, kept)
    return kept.read_text()


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


class RtlSim:
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
            headers={
                "ddr4.hpp": cpp.joinpath("ddr4.hpp").read_text(),
                "probes.hpp": cpp.joinpath("probes.hpp").read_text(),
                "ddr4_params.h": Ddr4Params().header(),
            },
            name=f"skimp-{config.name}",
            defines=tuple(defines),
            hints=hints,
            trace=None if waves is None else _wave_format(waves),
        )
        lib = self._lib = ctypes.CDLL(str(library))
        lib.skimp_create.restype = ctypes.c_void_p
        lib.skimp_create.argtypes = [ctypes.c_uint64]
        lib.skimp_dram.restype = ctypes.c_void_p
        lib.skimp_cycle.restype = ctypes.c_uint64
        lib.skimp_run.restype = ctypes.c_uint64
        lib.skimp_violation.restype = ctypes.c_char_p
        lib.skimp_counters.restype = ctypes.POINTER(ctypes.c_uint64)
        for name, types in {
            "destroy": [],
            "dram": [],
            "cycle": [],
            "violation": [],
            "irq": [],
            "event": [],
            "watch": [ctypes.c_uint64, ctypes.c_uint64],
            "chip": [ctypes.c_uint64, ctypes.c_uint64, ctypes.c_void_p],
            "ddr4": [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p],
            "latency": [ctypes.c_uint32],
            "hang": [ctypes.c_int],
            "stall": [ctypes.c_int, ctypes.c_uint32, ctypes.c_uint32],
            "error": [ctypes.c_uint64, ctypes.c_uint64, ctypes.c_int],
            "write": [ctypes.c_uint32, ctypes.c_uint32],
            "read": [ctypes.c_uint32, ctypes.POINTER(ctypes.c_uint32)],
            "run": [ctypes.c_uint64],
            "trace": [ctypes.c_char_p],
            "counters": [],
            "probe": [ctypes.c_char_p, ctypes.c_char_p, *[ctypes.c_int] * 3],
        }.items():
            getattr(lib, f"skimp_{name}").argtypes = [ctypes.c_void_p, *types]
        self._handle = ctypes.c_void_p(lib.skimp_create(dram_bytes))
        pointer = ctypes.cast(lib.skimp_dram(self._handle), ctypes.POINTER(ctypes.c_uint8))
        self.dram = np.ctypeslib.as_array(pointer, (dram_bytes,))
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

    def close(self) -> None:
        """Free the model; the DRAM array is gone with it."""
        if self._handle is not None:
            self._lib.skimp_destroy(self._handle)
            self._handle = None
            self.dram = None

    @property
    def cycle(self) -> int:
        return self._lib.skimp_cycle(self._handle)

    @property
    def irq(self) -> bool:
        return bool(self._lib.skimp_irq(self._handle))

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

    def write(self, addr: int, value: int) -> int:
        """Write a register; return the AXI response."""
        return self._answered(self._lib.skimp_write(self._handle, addr, value), addr)

    def read(self, addr: int) -> tuple[int, int]:
        """Read a register; return the AXI response and the value."""
        value = ctypes.c_uint32()
        response = self._lib.skimp_read(self._handle, addr, ctypes.byref(value))
        return self._answered(response, addr), value.value

    def run(self, max_cycles: int) -> int:
        """Run until the interrupt, a watched write or max_cycles; return the clocks run.

        Raises
        ------
        RtlError
            The master broke a rule of AXI4.
        """
        clocks = self._lib.skimp_run(self._handle, max_cycles)
        violation = self._lib.skimp_violation(self._handle).decode()
        if violation:
            raise RtlError(f"AXI4 rule broken: {violation}")
        return clocks

    def stall(self, channel: Channel, permille: int, seed: int) -> None:
        """Withhold ready or valid of a channel in that many of 1,000 clocks."""
        self._lib.skimp_stall(self._handle, channel, permille, seed)

    def inject_error(self, low: int, high: int, response: int) -> None:
        """Answer addresses in [low, high) with a response (2 SLVERR, 3 DECERR; 0 ends it)."""
        self._lib.skimp_error(self._handle, low, high, response)

    def hang(self, on: bool) -> None:
        """Take no more addresses or data."""
        self._lib.skimp_hang(self._handle, int(on))

    def _answered(self, response: int, addr: int) -> int:
        if response < 0:
            raise RtlError(f"register {addr:#x} does not answer")
        return response
