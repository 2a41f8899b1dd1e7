"""The command stream: one table from which decoder, assembler, disassembler and docs are made.

A command is 64 bytes: sixteen little-endian 32-bit words. Words 0 and 1 hold the opcode and the
semaphores that the command waits for and posts. Commands are layer tiles. The sequencer hands
each one to its unit's queue in program order; a unit works through its queue in order; units run
beside each other and are ordered only by semaphores.

Addresses from CHIP_BASE on are bytes of the on-chip activation store, all others bytes of DRAM.

No Amaranth in here: the compiler, the models and the drivers import this module too.
"""

import enum
from dataclasses import dataclass

__all__ = [
    "CHANNELS",
    "CHIP_BASE",
    "COMMANDS",
    "COMMAND_BYTES",
    "COMMAND_WORDS",
    "ERROR_HELP",
    "MASK_BITS",
    "MAX_COUNT",
    "MAX_SHIFT",
    "MAX_TABLE_UNITS",
    "MAX_UNIT_BEATS",
    "MIN_SHIFT",
    "RECORD_BYTES",
    "TABLE_ENTRIES",
    "Command",
    "CommandError",
    "Error",
    "Field",
    "LoadTarget",
    "Opcode",
    "Rounding",
    "Semaphore",
    "Unit",
    "assemble",
    "disassemble",
    "glb_address",
    "markdown",
    "parse",
]

COMMAND_WORDS = 16
COMMAND_BYTES = 4 * COMMAND_WORDS


CHIP_BASE = 1 << 31
"""First address of the activation store."""

RECORD_BYTES = 64
"""What LAYER writes: layer_id, then the counters in the order of the register table, 32 bits each."""

MAX_TABLE_UNITS = 4096
"""Most entries of the tile table: beats of each unit of coded activations."""

MAX_UNIT_BEATS = 511
"""Beats of DRAM that an entry can say."""

TABLE_ENTRIES = 256
"""Entries of each of the tables T1 and T2 of a second stage, by the byte value: 32 bits each."""


class Opcode(enum.IntEnum):
    """What a command does (bits 0-7 of word 0)."""

    CHECK = 1
    LAYER = 2
    END = 3
    LOAD_IFMAP = 4
    LOAD_LINEAR = 5
    CONV = 6
    DEPTHWISE = 7
    LOAD_RESIDUAL = 8
    DRAIN = 9
    STORE = 10


class Unit(enum.IntEnum):
    """Who executes a command; each but SEQUENCER has a queue of its own.

    MEMORY has none: it stands for what a store wrote being readable, some clocks after the store
    itself is done with the ofmap buffer.
    """

    SEQUENCER = 0
    LOAD = 1
    WGT = 2
    ARRAY = 3
    DEPTHWISE = 4
    DRAIN = 5
    STORE = 6
    MEMORY = 7


class Semaphore(enum.IntEnum):
    """Counters that order the units; all are 0 after start.

    A command starts when every semaphore that it waits for is above 0, and takes one from each;
    it gives one to each semaphore that it posts when it is complete (its data is visible). Each
    leads from one unit to one other (CHANNELS).
    """

    IFMAP_FULL = 0
    IFMAP_FREE = 1
    WGT_FULL = 2
    WGT_FREE = 3
    PSUM_FULL = 4
    PSUM_FREE = 5
    DW_IFMAP_FULL = 6
    DW_IFMAP_FREE = 7
    DW_WGT_FULL = 8
    DW_WGT_FREE = 9
    DW_PSUM_FULL = 10
    DW_PSUM_FREE = 11
    OFMAP_FULL = 12
    OFMAP_FREE = 13
    PARAM_FULL = 14
    PARAM_FREE = 15
    RESIDUAL_FULL = 16
    RESIDUAL_FREE = 17
    STORED = 18


MASK_BITS = 24
"""Bits of a mask of semaphores, as in commands."""

MAX_COUNT = 4095
"""Largest count of a semaphore."""

CHANNELS = {
    (Unit.LOAD, Unit.ARRAY): Semaphore.IFMAP_FULL,
    (Unit.ARRAY, Unit.LOAD): Semaphore.IFMAP_FREE,
    (Unit.WGT, Unit.ARRAY): Semaphore.WGT_FULL,
    (Unit.ARRAY, Unit.WGT): Semaphore.WGT_FREE,
    (Unit.ARRAY, Unit.DRAIN): Semaphore.PSUM_FULL,
    (Unit.DRAIN, Unit.ARRAY): Semaphore.PSUM_FREE,
    (Unit.LOAD, Unit.DEPTHWISE): Semaphore.DW_IFMAP_FULL,
    (Unit.DEPTHWISE, Unit.LOAD): Semaphore.DW_IFMAP_FREE,
    (Unit.WGT, Unit.DEPTHWISE): Semaphore.DW_WGT_FULL,
    (Unit.DEPTHWISE, Unit.WGT): Semaphore.DW_WGT_FREE,
    (Unit.DEPTHWISE, Unit.DRAIN): Semaphore.DW_PSUM_FULL,
    (Unit.DRAIN, Unit.DEPTHWISE): Semaphore.DW_PSUM_FREE,
    (Unit.DRAIN, Unit.STORE): Semaphore.OFMAP_FULL,
    (Unit.STORE, Unit.DRAIN): Semaphore.OFMAP_FREE,
    (Unit.WGT, Unit.DRAIN): Semaphore.PARAM_FULL,
    (Unit.DRAIN, Unit.WGT): Semaphore.PARAM_FREE,
    (Unit.LOAD, Unit.DRAIN): Semaphore.RESIDUAL_FULL,
    (Unit.DRAIN, Unit.LOAD): Semaphore.RESIDUAL_FREE,
    (Unit.MEMORY, Unit.LOAD): Semaphore.STORED,
}
"""Who posts and who waits: every order between two units has a semaphore of its own."""


class LoadTarget(enum.IntEnum):
    """Memory that LOAD_LINEAR fills."""

    WGT = 0
    PARAM = 1
    DW_WGT = 2
    TABLE = 3


class Rounding(enum.IntEnum):
    """How DRAIN rounds (docs/arithmetic.md): conv and most; fully connected; average pool."""

    DOUBLE = 0
    SINGLE = 1
    AWAY = 2


MIN_SHIFT, MAX_SHIFT = -31, 7
"""Shifts that requantisation takes (positive: left, before the multiplication)."""


class Error(enum.IntEnum):
    """Why the accelerator stopped (register ERROR)."""

    NONE = 0
    BAD_COMMAND = 1
    CONFIG_HASH = 2
    BUS_READ = 3
    BUS_WRITE = 4
    WATCHDOG = 5
    DAMAGED = 6


ERROR_HELP = {
    Error.BAD_COMMAND: "unknown opcode in the program: is PROGRAM_ADDR right?",
    Error.CONFIG_HASH: "the program was compiled for another configuration: compile it again",
    Error.BUS_READ: "AXI read error: an address outside the memory that the driver gave",
    Error.BUS_WRITE: "AXI write error: an address outside the memory that the driver gave",
    Error.WATCHDOG: "no progress for watchdog_cycles: a semaphore is never posted or the bus hangs",
    Error.DAMAGED: "coded activations in DRAM are damaged: who else writes there?",
}


@dataclass(frozen=True)
class Field:
    """Bits of a command: `width` bits from bit `lsb` of word `word`."""

    name: str
    word: int
    lsb: int
    width: int
    doc: str
    signed: bool = False

    @property
    def offset(self) -> int:
        """Bit number in the whole command."""
        return 32 * self.word + self.lsb


@dataclass(frozen=True)
class Command:
    """One opcode with its unit, its fields and its meaning."""

    opcode: Opcode
    unit: Unit
    doc: str
    fields: tuple[Field, ...] = ()

    @property
    def all_fields(self) -> tuple[Field, ...]:
        return HEADER + self.fields


HEADER = (
    Field("opcode", 0, 0, 8, "Opcode"),
    Field("wait", 0, 8, MASK_BITS, "semaphores to wait for, one bit each"),
    Field("post", 1, 0, MASK_BITS, "semaphores to post when complete, one bit each"),
)


def _glb(name: str, word: int, doc: str) -> Field:
    return Field(name, word, 0, 20, doc + " (GLB address: row in bits 0-15, bank in bits 16-19)")


_TAP_FIELDS = (
    Field("tile_q", 2, 0, 16, "width of the output tile in pixels"),
    Field("num_pixels", 2, 16, 16, "output pixels of the tile, row by row"),
    Field("num_groups", 3, 0, 16, "pixel groups: num_pixels / pixels, rounded up"),
    Field("row_step", 3, 16, 16, "(GLB row pitch - tile_q) / pixels; the pitch makes it whole"),
    _glb("ifmap_base", 4, "where tap (0, 0) of output pixel 0 in the first channel block lies"),
    _glb("inc_s", 5, "to the next kernel column, inside a stride phase"),
    _glb("inc_s_wrap", 6, "to the next kernel column, back to phase 0"),
    _glb("inc_r", 7, "to the next kernel row, inside a stride phase"),
    _glb("inc_r_wrap", 8, "to the next kernel row, back to phase 0"),
    _glb("inc_c", 9, "to the next channel block"),
    Field("num_r", 10, 0, 16, "kernel rows R"),
    Field("num_s", 10, 16, 16, "kernel columns S"),
    Field("num_c", 11, 0, 16, "channel blocks"),
    Field("stride_h", 11, 16, 4, "phases of rows = vertical stride"),
    Field("stride_w", 11, 20, 4, "phases of columns = horizontal stride"),
    Field("psum_slot", 11, 24, 2, "slot of the psum scratchpad to fill"),
    Field("in_zp", 12, 0, 8, "zero point subtracted from every ifmap value", signed=True),
)

_SEGMENT_FIELDS = (
    Field("dram_addr", 2, 0, 32, "bytes; a multiple of a word"),
    Field("block_stride", 6, 0, 32, "bytes from one dma block to the next"),
    Field("seg_stride", 7, 0, 32, "bytes from one segment to the next"),
    Field("seg_words", 14, 0, 24, "words of a segment"),
    Field("seg_count", 15, 0, 16, "segments of a dma block"),
    Field("dma_blocks", 15, 16, 16, "dma blocks"),
    Field("code", 8, 26, 2, "Code; but for RAW, segments are cut out of coded units"),
    Field("table_base", 9, 20, 12, "coded: entry of the first unit in the tile table"),
    Field("table_step", 10, 20, 12, "coded: entries from one segment to the next"),
    Field("table_block_step", 11, 20, 12, "coded: entries from one dma block to the next"),
    Field("skip", 12, 20, 12, "coded: words of the first unit in front of a segment"),
    Field("unit_words", 13, 20, 12, "coded: words of a unit"),
    Field("zero", 14, 24, 8, "coded: the zero point", signed=True),
)

COMMANDS = {
    command.opcode: command
    for command in (
        Command(
            Opcode.CHECK,
            Unit.SEQUENCER,
            "Stop with CONFIG_HASH unless the hardware has this configuration hash.",
            (Field("hash", 2, 0, 32, "hash of the configuration that the program is for"),),
        ),
        Command(
            Opcode.LAYER,
            Unit.STORE,
            "Behind the stores of a layer: set LAYER_ID and write a record of the counters to DRAM.",
            (
                Field("layer_id", 2, 0, 16, "number of the layer that ends here"),
                Field("dram_addr", 3, 0, 32, "where the record goes; a multiple of 64"),
            ),
        ),
        Command(
            Opcode.END,
            Unit.SEQUENCER,
            "Wait until every queue and unit is idle and every write acknowledged, then stop with "
            "STATUS.done.",
        ),
        Command(
            Opcode.LOAD_IFMAP,
            Unit.LOAD,
            "Read channel blocks of a tile into the ifmap buffer of the array or, with dw, of the "
            "depthwise unit: words in order of "
            "block, row, column, with padding written around them. The source is dma_blocks x "
            "seg_count segments of seg_words contiguous words; the GLB side is num_blocks x "
            "(pad_top + num_rows + pad_bottom) rows of pad_left + num_cols + pad_right words. Both "
            "sides count the same data words. Starting at glb_base, the address moves by inc_col "
            "or, after each stride_w-th column, by inc_col_wrap; rows and blocks likewise, each "
            "from the start of the previous one. With stride_w = 1, columns follow each other; with "
            "stride_w = 2, the two phases lie half of the banks apart (inc_col). "
            "halve: only every second word of a row is kept (no padding beside it). dw: a word of "
            "that buffer holds out_channels bytes; the blocks fill its parts in turn, and inc_block "
            "is added behind the last part.",
            _SEGMENT_FIELDS
            + (
                Field("num_blocks", 3, 0, 16, "channel blocks"),
                Field("num_rows", 3, 16, 16, "rows with data (may be 0)"),
                Field("num_cols", 4, 0, 16, "words with data per row (may be 0)"),
                Field("pad_top", 4, 16, 8, "rows of padding above"),
                Field("pad_bottom", 4, 24, 8, "rows of padding below"),
                Field("pad_left", 5, 0, 8, "words of padding before each row"),
                Field("pad_right", 5, 8, 8, "words of padding behind each row"),
                Field("fill", 5, 16, 8, "value of padding: the zero point", signed=True),
                Field("stride_h", 5, 24, 4, "row phases"),
                Field("stride_w", 5, 28, 4, "column phases"),
                _glb("glb_base", 8, "first word written, padding included"),
                Field("halve", 8, 24, 1, "keep columns 0, 2, 4 ... only"),
                Field("dw", 8, 25, 1, "1: into the ifmap buffer of the depthwise unit"),
                _glb("inc_col", 9, "next column, inside a phase"),
                _glb("inc_col_wrap", 10, "next column, back to phase 0"),
                _glb("inc_row", 11, "next row, inside a phase"),
                _glb("inc_row_wrap", 12, "next row, back to phase 0"),
                _glb("inc_block", 13, "next channel block"),
            ),
        ),
        Command(
            Opcode.LOAD_RESIDUAL,
            Unit.LOAD,
            "Read the second operand of an add into the residual buffer: for each of dma_blocks "
            "channel blocks, seg_count segments of seg_words words go to its bytes of the pixels "
            "from pixel_base on.",
            _SEGMENT_FIELDS
            + (
                Field("num_pixels", 3, 0, 16, "seg_count * seg_words"),
                Field("pixel_base", 3, 16, 16, "first pixel of the residual buffer"),
            ),
        ),
        Command(
            Opcode.LOAD_LINEAR,
            Unit.WGT,
            "Read contiguous beats of DRAM into a memory.",
            (
                Field("dram_addr", 2, 0, 32, "bytes from DRAM_BASE; a multiple of the beat"),
                Field("num_beats", 3, 0, 24, "beats; whole blocks of the target"),
                Field("target", 3, 24, 8, "LoadTarget"),
                Field("beat_addr", 4, 0, 24, "first beat of the target memory"),
            ),
        ),
        Command(
            Opcode.CONV,
            Unit.ARRAY,
            "Array: for channel block, kernel row, kernel column: take the next weight block and "
            "add its products to the psums of every pixel group. The psums of one tile are under "
            "way at a time: from a command with first to the next one with last.",
            _TAP_FIELDS
            + (
                Field("first", 11, 26, 1, "1: start the psums at 0; 0: go on with those under way"),
                Field("last", 11, 27, 1, "1: the psums are finished and go to their slot"),
                Field("wgt_base", 13, 0, 16, "first block in the weight scratchpad"),
                Field("ci_last", 12, 8, 8, "channels that are real in the last channel block"),
                Field("co_valid", 12, 16, 8, "output channels that are real in this block"),
            ),
        ),
        Command(
            Opcode.DEPTHWISE,
            Unit.DEPTHWISE,
            "Depthwise unit, out_channels channels (num_c = 1): for every pixel group run over the "
            "kernel and write the sums (or maxima) as psums. With num_pixels2, two output rows are "
            "computed side by side: pixels and groups are those of the upper rows, the lower row's "
            "window lies lag input rows further, num_r is kernel rows + lag, and stride_h twice the "
            "stride; the upper row leaves out the last lag rows, the lower one the first. max_mode: "
            "largest value instead of the sum; unit_wgt: all weights 1, none are read.",
            _TAP_FIELDS
            + (
                Field("max_mode", 11, 27, 1, "maximum of in - in_zp (never below 0); one row"),
                Field("unit_wgt", 11, 28, 1, "weights are 1"),
                Field("wgt_base", 13, 0, 16, "first word in the depthwise weight scratchpad"),
                Field("lag", 13, 16, 4, "vertical stride with num_pixels2, else 0; x num_s <= 32"),
                Field("ci_last", 12, 8, 8, "channels that are real"),
                Field("num_pixels2", 14, 0, 16, "pixels of the lower rows; 0: one row by one"),
            ),
        ),
        Command(
            Opcode.DRAIN,
            Unit.DRAIN,
            "Requantise the psums of a tile and write them, a pixel (out_channels bytes) a word, "
            "to the ofmap side of the GLB. add: the result q goes on as T1[q] + T2[residual] "
            "(residual = 0: T1[q] alone) into a second requantisation (mult2, shift2, out_zp2, "
            "act_min2, act_max2; double rounding).",
            (
                Field("num_pixels", 2, 0, 16, "pixels of the tile"),
                Field("ofmap_base", 2, 16, 16, "first pixel on the ofmap side"),
                Field("param_block", 3, 0, 16, "block of the parameter memory"),
                Field("psum_slot", 3, 16, 2, "slot of the psum scratchpad to drain"),
                Field("dw", 3, 22, 1, "1: psums of the depthwise unit"),
                Field("dw_row", 3, 23, 1, "with dw: of the lower rows"),
                Field("rounding", 3, 18, 2, "Rounding"),
                Field("add", 3, 20, 1, "second stage by tables"),
                Field("residual", 3, 21, 1, "the second stage has a second operand"),
                Field("out_zp", 4, 0, 8, "zero point added", signed=True),
                Field("act_min", 4, 8, 8, "smallest result", signed=True),
                Field("act_max", 4, 16, 8, "largest result", signed=True),
                Field("mult2", 5, 0, 32, "multiplier of the second stage"),
                Field("out_zp2", 6, 0, 8, "zero point of the second stage", signed=True),
                Field("act_min2", 6, 8, 8, "smallest result of the second stage", signed=True),
                Field("act_max2", 6, 16, 8, "largest result of the second stage", signed=True),
                Field("shift2", 6, 24, 7, "shift of the second stage", signed=True),
                Field("residual_base", 7, 0, 16, "first pixel of the residual buffer"),
            ),
        ),
        Command(
            Opcode.STORE,
            Unit.STORE,
            "Write channel blocks of drained pixels: for each of num_blocks blocks (bytes block * "
            "in_channels of a pixel), seg_count segments of seg_words words; the pixels are taken "
            "in order from ofmap_base, again for each block.",
            (
                Field("dram_addr", 2, 0, 32, "bytes; a multiple of a word"),
                Field("seg_words", 3, 0, 16, "words of a segment"),
                Field("seg_count", 3, 16, 16, "segments"),
                Field("seg_stride", 4, 0, 32, "bytes from one segment to the next"),
                Field("block_stride", 5, 0, 32, "bytes from one block to the next"),
                Field("ofmap_base", 6, 0, 16, "first pixel on the ofmap side"),
                Field("num_blocks", 6, 16, 8, "channel blocks, from block 0 of the pixel"),
                Field("code", 6, 24, 2, "Code; but for RAW, segments are units"),
                Field("table_base", 7, 0, 12, "coded: entry of the first unit in the tile table"),
                Field("table_step", 7, 12, 12, "coded: entries from one segment to the next"),
                Field("zero", 7, 24, 8, "coded: the zero point", signed=True),
                Field("table_block_step", 8, 0, 12, "coded: entries from one block to the next"),
            ),
        ),
    )
}
"""Every command by its opcode."""


class CommandError(ValueError):
    """A field that does not exist, does not fit, or an opcode that is unknown."""


def glb_address(pixel_offset: int, pixels: int) -> int:
    """Return the GLB address field of a flat word offset (negative ones wrap in the row).

    The ifmap side has `pixels` banks; flat word i lies in bank i mod pixels, row i div pixels.
    """
    row, bank = divmod(pixel_offset, pixels)
    return (row & 0xFFFF) | bank << 16


def assemble(opcode: Opcode, **values: int) -> bytes:
    """Return the 64 bytes of a command; fields not named are 0."""
    command = COMMANDS[opcode]
    fields = {field.name: field for field in command.all_fields}
    bits = 0
    for name, value in {"opcode": opcode, **values}.items():
        field = fields.get(name)
        if field is None:
            raise CommandError(f"{opcode.name} has no field {name}")
        value = int(value)
        low = -(1 << field.width - 1) if field.signed else 0
        high = (1 << field.width - field.signed) - 1
        if not low <= value <= high:
            raise CommandError(f"{opcode.name}.{name} must be {low} to {high}, not {value}")
        bits |= (value & (1 << field.width) - 1) << field.offset
    return bits.to_bytes(COMMAND_BYTES, "little")


def parse(data: bytes) -> tuple[Opcode, dict[str, int]]:
    """Return opcode and field values (opcode left out) of 64 bytes."""
    bits = int.from_bytes(data[:COMMAND_BYTES], "little")
    try:
        opcode = Opcode(bits & 0xFF)
    except ValueError as error:
        raise CommandError(f"unknown opcode {bits & 0xFF}") from error
    values = {}
    for field in COMMANDS[opcode].all_fields[1:]:
        value = bits >> field.offset & (1 << field.width) - 1
        if field.signed and value >> field.width - 1:
            value -= 1 << field.width
        values[field.name] = value
    return opcode, values


def _semaphore_names(mask: int) -> str:
    return "+".join(s.name.lower() for s in Semaphore if mask >> s & 1)


def disassemble(data: bytes) -> str:
    """Return one line: opcode, the fields that are not 0, semaphores by name."""
    opcode, values = parse(data)
    parts = [opcode.name.lower()]
    glb = {f.name for f in COMMANDS[opcode].fields if "GLB address" in f.doc}
    for name, value in values.items():
        if not value:
            continue
        if name in ("wait", "post"):
            parts.append(f"{name}={_semaphore_names(value)}")
        elif name in glb:
            parts.append(f"{name}={value & 0xFFFF}.{value >> 16}")
        elif name == "target" and value in set(LoadTarget):
            parts.append(f"target={LoadTarget(value).name.lower()}")
        elif name.endswith(("_addr", "hash")):
            parts.append(f"{name}={value:#x}")
        else:
            parts.append(f"{name}={value}")
    return " ".join(parts)


def markdown() -> str:
    """Return docs/isa.md, made from the tables of this module."""
    lines = [
        "# Commands",
        "",
        "Made from `hw/skimp/isa.py` by `python -m skimp.docs`; do not edit.",
        "",
        f"A command is {COMMAND_BYTES} bytes ({COMMAND_WORDS} little-endian 32-bit words), each with:",
        "",
        *_field_table(HEADER),
        "",
        "## Semaphores",
        "",
        *(line.strip() for line in Semaphore.__doc__.strip().splitlines()),
        "",
        "| bit | name |",
        "|---|---|",
        *(f"| {s.value} | {s.name} |" for s in Semaphore),
    ]
    for command in COMMANDS.values():
        lines += ["", f"## {command.opcode.value} {command.opcode.name}", ""]
        lines += [f"Unit: {command.unit.name.lower()}. {command.doc}"]
        if command.fields:
            lines += ["", *_field_table(command.fields)]
    lines += ["", "## Errors", "", "| code | name | what to do |", "|---|---|---|"]
    lines += [f"| {e.value} | {e.name} | {ERROR_HELP[e]} |" for e in Error if e]
    return "\n".join(lines) + "\n"


def _field_table(fields: tuple[Field, ...]) -> list[str]:
    rows = ["| word | bits | field | meaning |", "|---|---|---|---|"]
    for f in sorted(fields, key=lambda f: f.offset):
        sign = ", signed" if f.signed else ""
        rows.append(f"| {f.word} | {f.lsb + f.width - 1}:{f.lsb} | `{f.name}` | {f.doc}{sign} |")
    return rows
