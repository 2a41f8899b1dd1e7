"""The ULX3S's top level in Verilator: its pins, with a host's serial port at the other end."""

import ctypes
from pathlib import Path

import skimp
import skimp_boards
from skimp.config import Config
from skimp_boards.ulx3s.board import BOARD
from skimp_boards.ulx3s.top import DRAM_BYTES, Ulx3sTop
from skimp_sim.bench.kept import kept_verilog
from skimp_sim.bench.verilator import build_shared

__all__ = ["Ulx3sSim"]

_HARNESS = Path(__file__).with_name("sim.cpp")
_RESET_CLOCKS = 64
"""More than the button and the synchroniser behind it need."""


class Ulx3sSim:
    """Verilated `Ulx3sTop`, without its PLL; a `skimp_sim.driver.serial.Line` to its pins.

    Time only passes in `read`, `sleep` and `run`; a second of it is `clock_hz` clocks, few enough that
    time-outs end soon.

    Parameters
    ----------
    config : Config
    divisor : int
        Clocks of a bit on the line.
    clock_hz : int
        Clocks that the board and the host take for a second.
    dram_bytes : int
    """

    def __init__(
        self,
        config: Config = BOARD.config,
        *,
        divisor: int = 4,
        clock_hz: int = 1_000_000,
        dram_bytes: int = DRAM_BYTES,
    ):
        options = {"divisor": divisor, "simulated_hz": clock_hz, "dram_bytes": dram_bytes}
        verilog = kept_verilog(
            "ulx3s",
            f"{config.to_json()} {sorted(options.items())}",
            lambda: Ulx3sTop(config, **options),
            packages=(skimp, skimp_boards),
        )
        library = build_shared(verilog, top="ulx3s", cpp=_HARNESS.read_text(), name="ulx3s")
        lib = self._lib = ctypes.CDLL(str(library))
        handle, number, text = ctypes.c_void_p, ctypes.c_uint64, ctypes.c_char_p
        for name, result, arguments in (
            ("create", handle, [ctypes.c_uint32]),
            ("destroy", None, [handle]),
            ("send", None, [handle, text, number]),
            ("run", number, [handle, number, number]),
            ("take", None, [handle, text, number]),
            ("button", None, [handle, ctypes.c_int]),
            ("leds", ctypes.c_uint32, [handle]),
            ("cycle", number, [handle]),
            ("damaged", number, [handle]),
        ):
            function = getattr(lib, f"board_{name}")
            function.restype, function.argtypes = result, arguments
        self._handle = ctypes.c_void_p(lib.board_create(divisor))
        self._clock_hz = clock_hz
        self.run(_RESET_CLOCKS)

    @property
    def cycle(self) -> int:
        """Clocks since power on."""
        return self._lib.board_cycle(self._handle)

    @property
    def leds(self) -> int:
        """The lamps, lamp 0 in bit 0."""
        return self._lib.board_leds(self._handle)

    def run(self, cycles: int) -> None:
        """Let clocks pass."""
        self._lib.board_run(self._handle, cycles, -1 % 2**64)

    def press_reset(self) -> None:
        """Press the button and let it go: power-on reset of everything but the memory."""
        for is_pressed in (1, 0):
            self._lib.board_button(self._handle, is_pressed)
            self.run(_RESET_CLOCKS)

    def write(self, data: bytes) -> None:
        """Put bytes on their way; they arrive while time passes."""
        self._lib.board_send(self._handle, bytes(data), len(data))

    def read(self, count: int, timeout_seconds: float) -> bytes:
        """Return `count` bytes, or what of them has come after that time."""
        cycles = round(timeout_seconds * self._clock_hz)
        there = self._lib.board_run(self._handle, cycles, count)
        if self._lib.board_damaged(self._handle):
            raise RuntimeError("the board sent a byte without stop bit")
        data = ctypes.create_string_buffer(min(count, there))
        self._lib.board_take(self._handle, data, len(data))
        return data.raw

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.run(round(seconds * self._clock_hz))

    def close(self) -> None:
        """Free the model."""
        if self._handle is not None:
            self._lib.board_destroy(self._handle)
            self._handle = None
