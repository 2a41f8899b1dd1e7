"""The registers: one table from which decoder, driver constants, C header and docs are made.

No Amaranth in here: the drivers import this module too.
"""

import enum
from dataclasses import dataclass

__all__ = [
    "COUNTERS",
    "MAGIC",
    "REGISTERS",
    "VERSION",
    "Access",
    "Bits",
    "Register",
    "c_header",
    "markdown",
    "register",
]

MAGIC = int.from_bytes(b"SKMP", "big")
VERSION = 0x0002_0000
"""Major in the upper half: a driver refuses another one."""


class Access(enum.Enum):
    """R read only; RW read and write; W1P write 1 for a pulse (reads 0); W1C write 1 to clear."""

    R = "r"
    RW = "rw"
    W1P = "w1p"
    W1C = "w1c"


@dataclass(frozen=True)
class Bits:
    """Field of a register."""

    name: str
    lsb: int
    width: int
    access: Access
    doc: str


@dataclass(frozen=True)
class Register:
    """One 32-bit register."""

    name: str
    offset: int
    doc: str
    bits: tuple[Bits, ...]


def _whole(name: str, offset: int, access: Access, doc: str) -> Register:
    return Register(name, offset, doc, (Bits("value", 0, 32, access, doc),))


COUNTERS = (
    ("cycles", "clocks since start"),
    ("array", "clocks in which the array takes a pixel group"),
    ("depthwise", "clocks in which the depthwise unit takes a tap and the array rests"),
    ("stall_dram_read", "clocks in which compute waits for ifmap, weights or a command"),
    ("stall_drain", "clocks in which compute waits for psums to drain"),
    ("stall_dram_write", "the same, while the drain waits for the store"),
    ("stall_other", "all other clocks: set-up, short passes, pipeline ends"),
    ("drain", "clocks in which the drain requantises"),
    ("read_beats", "AXI beats read, commands included"),
    ("write_beats", "AXI beats written, records included"),
    ("commands", "commands fetched"),
    ("macs_gated", "MACs of real lanes that an ifmap value equal to the zero point gated"),
    ("beside", "clocks in which the depthwise unit takes a tap beside the array"),
)
"""Counters of 64 bits, name and meaning; the first one is the sum of the six behind it. LAYER
records hold the low halves in this order."""

_COUNTER_BASE = 0x80

REGISTERS = (
    _whole("MAGIC", 0x00, Access.R, "0x534B4D50: 'SKMP'"),
    _whole("VERSION", 0x04, Access.R, "interface version, major in bits 31:16"),
    _whole("CONFIG_HASH", 0x08, Access.R, "hash of the configuration that was built"),
    Register(
        "CTRL",
        0x0C,
        "control",
        (
            Bits("start", 0, 1, Access.W1P, "clear counters, status and error; run the program"),
            Bits("irq_enable", 1, 1, Access.RW, "raise irq on done and error"),
            Bits("reset", 2, 1, Access.W1P, "soft reset of everything but these registers"),
        ),
    ),
    Register(
        "STATUS",
        0x10,
        "state",
        (
            Bits("busy", 0, 1, Access.R, "a program runs"),
            Bits("done", 1, 1, Access.R, "END was reached"),
            Bits("error", 2, 1, Access.R, "stopped; see ERROR"),
        ),
    ),
    Register(
        "ERROR",
        0x14,
        "why it stopped",
        (Bits("code", 0, 8, Access.R, "Error (docs/isa.md)"),),
    ),
    _whole("ERROR_INFO", 0x18, Access.R, "address of the command or the bus access in question"),
    Register(
        "IRQ",
        0x1C,
        "interrupt pending",
        (Bits("pending", 0, 1, Access.W1C, "done or error happened"),),
    ),
    _whole("DRAM_BASE", 0x20, Access.RW, "bus address that all addresses of a program count from"),
    _whole("PROGRAM_ADDR", 0x24, Access.RW, "first command, bytes from DRAM_BASE"),
    _whole("LAYER_ID", 0x28, Access.R, "layer_id of the last LAYER command"),
) + tuple(
    _whole(f"{name.upper()}_{half}", _COUNTER_BASE + 8 * i + 4 * j, Access.R, f"{doc}, {bits}")
    for i, (name, doc) in enumerate(COUNTERS)
    for j, (half, bits) in enumerate((("LO", "bits 31:0"), ("HI", "bits 63:32")))
)


def register(name: str) -> Register:
    """Return the register of that name."""
    return next(r for r in REGISTERS if r.name == name)


def c_header() -> str:
    """Return a C header with offsets, masks and shifts."""
    lines = [
        "/* Made from hw/skimp/regs.py; do not edit. */",
        "#ifndef SKIMP_REGS_H",
        "#define SKIMP_REGS_H",
        f"#define SKIMP_MAGIC_VALUE {MAGIC:#010x}u",
        f"#define SKIMP_VERSION_VALUE {VERSION:#010x}u",
    ]
    for r in REGISTERS:
        lines.append(f"#define SKIMP_{r.name} {r.offset:#05x}u")
        if len(r.bits) > 1 or r.bits[0].width < 32:
            for b in r.bits:
                mask = ((1 << b.width) - 1) << b.lsb
                lines.append(f"#define SKIMP_{r.name}_{b.name.upper()} {mask:#010x}u")
    return "\n".join([*lines, "#endif"]) + "\n"


def markdown() -> str:
    """Return docs/registers.md, made from the table of this module."""
    lines = [
        "# Registers",
        "",
        "Made from `hw/skimp/regs.py` by `python -m skimp.docs`; do not edit.",
        "AXI4-Lite, 32 bits.",
        "",
        "| offset | register | bits | field | access | meaning |",
        "|---|---|---|---|---|---|",
    ]
    for r in REGISTERS:
        for b in r.bits:
            lines.append(
                f"| {r.offset:#05x} | {r.name} | {b.lsb + b.width - 1}:{b.lsb} | `{b.name}` "
                f"| {b.access.value} | {b.doc} |"
            )
    return "\n".join(lines) + "\n"
