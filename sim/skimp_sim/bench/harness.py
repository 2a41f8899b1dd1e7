"""A simulation in C++ of the accelerator with its DRAM, as an object."""

import ctypes
import enum
from importlib.resources import files
from pathlib import Path

import numpy as np

from skimp_sim.dram.params import Ddr4Params

__all__ = ["Channel", "Harness", "RtlError", "harness_headers"]

_HEADERS = ("axi_slave.hpp", "ddr4.hpp", "harness.hpp", "probes.hpp")


class RtlError(RuntimeError):
    """The simulated hardware broke a rule of the bus or does not answer."""


class Channel(enum.IntEnum):
    """AXI channels that can be stalled."""

    AR = 0
    R = 1
    AW = 2
    W = 3
    B = 4


def harness_headers() -> dict[str, str]:
    """Return the texts that a harness includes, by name."""
    cpp = files("skimp_sim").joinpath("cpp")
    return {
        "ddr4_params.h": Ddr4Params().header(),
        **{name: cpp.joinpath(name).read_text() for name in _HEADERS},
    }


class Harness:
    """What all simulations of the accelerator can do; clocks run in C++ only (harness.hpp).

    Parameters
    ----------
    library : Path
        Of a model and a harness (`build_shared`).
    dram_bytes : int
    functions : dict
        Argument types of further functions of the harness, by name.
    """

    def __init__(self, library: Path, *, dram_bytes: int, functions: dict | None = None):
        lib = self._lib = ctypes.CDLL(str(library))
        lib.skimp_create.restype = ctypes.c_void_p
        lib.skimp_create.argtypes = [ctypes.c_uint64]
        lib.skimp_dram.restype = ctypes.c_void_p
        lib.skimp_cycle.restype = ctypes.c_uint64
        lib.skimp_run.restype = ctypes.c_uint64
        lib.skimp_violation.restype = ctypes.c_char_p
        for name, types in {
            "destroy": [],
            "dram": [],
            "cycle": [],
            "violation": [],
            "irq": [],
            "latency": [ctypes.c_uint32],
            "hang": [ctypes.c_int],
            "stall": [ctypes.c_int, ctypes.c_uint32, ctypes.c_uint32],
            "error": [ctypes.c_uint64, ctypes.c_uint64, ctypes.c_int],
            "write": [ctypes.c_uint32, ctypes.c_uint32],
            "read": [ctypes.c_uint32, ctypes.POINTER(ctypes.c_uint32)],
            "run": [ctypes.c_uint64],
            **(functions or {}),
        }.items():
            getattr(lib, f"skimp_{name}").argtypes = [ctypes.c_void_p, *types]
        self._handle = ctypes.c_void_p(lib.skimp_create(dram_bytes))
        pointer = ctypes.cast(lib.skimp_dram(self._handle), ctypes.POINTER(ctypes.c_uint8))
        self.dram = np.ctypeslib.as_array(pointer, (dram_bytes,))

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
