"""What commands access, counted from their fields alone: no data needed."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from skimp.config import Config
from skimp.isa import CHIP_BASE, COMMAND_BYTES, RECORD_BYTES, LoadTarget, Opcode, parse
from skimp.rlc.format import unit_pitch_bytes
from skimp_compiler.program import DeviceStep, Program

__all__ = [
    "Command",
    "LayerCounts",
    "commands_of",
    "count_command",
    "count_layers",
    "segment_beats",
    "segment_starts",
    "unit_starts",
]


class Command:
    """A command of a program: its opcode, and its fields as attributes."""

    def __init__(self, data: bytes):
        self.opcode, values = parse(data)
        self.__dict__.update(values)


@dataclass
class LayerCounts:
    """What one layer did.

    Parameters
    ----------
    dram_read_bytes : Counter
        By "ifmap", "wgt" (weights, parameters, tables), "program"; whole beats.
    dram_write_bytes : Counter
        By "ofmap"; whole beats.
    act_accesses : Counter
        Beats "read" from and "written" to the activation store.
    glb_accesses : Counter
        Words of in_channels bytes (out_channels bytes are several): "ifmap" read from and written
        to both ifmap buffers, "ofmap" written and read on the ofmap side.
    spad_accesses : Counter
        "wgt": bytes of weights read from and written to the weight scratchpads (a block is read
        once a pass, a depthwise word once a pixel group, for both rows); "psum": sums read and
        written.
    macs_gated : int
        MACs of real pixels and channels whose ifmap value equals the zero point; needs data.
    commands : Counter
        By opcode.
    """

    dram_read_bytes: Counter = field(default_factory=Counter)
    dram_write_bytes: Counter = field(default_factory=Counter)
    act_accesses: Counter = field(default_factory=Counter)
    glb_accesses: Counter = field(default_factory=Counter)
    spad_accesses: Counter = field(default_factory=Counter)
    macs_gated: int = 0
    commands: Counter = field(default_factory=Counter)


def commands_of(program: Program, step: DeviceStep) -> list[Command]:
    """Return the commands of a device step, to END."""
    image, address = program.image, step.address
    commands = []
    while not commands or commands[-1].opcode is not Opcode.END:
        commands.append(Command(image[address : address + COMMAND_BYTES]))
        address += COMMAND_BYTES
    return commands


def count_layers(config: Config, commands, unit_beats=None) -> dict[int, LayerCounts]:
    """Return what each layer accesses, by layer_id (all but macs_gated).

    Parameters
    ----------
    config : Config
    commands : iterable of Command
        Of all device steps: what is behind the last layer of one counts for the next.
    unit_beats : dict or None
        Beats of each unit of coded activations, by its address.
    """
    layers, counts = {}, LayerCounts()
    for command in commands:
        count_command(config, counts, command.opcode, command, unit_beats)
        if command.opcode is Opcode.LAYER:
            layers[command.layer_id] = counts
            counts = LayerCounts()
    return layers


def segment_starts(f, blocks: int) -> np.ndarray:
    """Return the addresses of a transfer's segments [block, segment].

    Parameters
    ----------
    f : object
        Fields of the command.
    blocks : int
        Its channel blocks.
    """
    return (
        f.dram_addr
        + np.arange(blocks)[:, None] * f.block_stride
        + np.arange(f.seg_count)[None, :] * f.seg_stride
    )


def unit_starts(config: Config, f, blocks: int) -> np.ndarray:
    """Return the addresses of the coded units that a transfer touches, segment by segment.

    Parameters
    ----------
    config : Config
    f : object
        Fields of a load or a store with a code.
    blocks : int
        Its channel blocks.
    """
    starts = segment_starts(f, blocks).reshape(-1, 1)
    if not hasattr(f, "unit_words"):
        return starts
    pitch = unit_pitch_bytes(f.unit_words * config.word_bytes, config.bus_bytes)
    return starts + np.arange(-(-(f.skip + f.seg_words) // f.unit_words)) * pitch


def segment_beats(config: Config, f, blocks: int, unit_beats=None) -> int:
    """Return the beats of all segments of a transfer: a beat that is touched counts whole.

    Parameters
    ----------
    config : Config
    f : object
        Fields of the command.
    blocks : int
        Its channel blocks.
    unit_beats : dict or None
        Beats of each unit of coded activations, by its address.
    """
    if f.code:
        return sum(unit_beats[address] for address in unit_starts(config, f, blocks).flat)
    words = config.chip_words if f.dram_addr >= CHIP_BASE else config.bus_words
    skip = segment_starts(f, blocks) % (words * config.word_bytes) // config.word_bytes
    return int((-(-(skip + f.seg_words) // words)).sum())


def count_command(config: Config, counts: LayerCounts, opcode: Opcode, f, unit_beats=None) -> None:
    """Add what a command does to the counts (all but macs_gated).

    Parameters
    ----------
    config : Config
    counts : LayerCounts
    opcode : Opcode
    f : object
        Fields of the command as attributes.
    unit_beats : dict or None
        Beats of each unit of coded activations, by its address.
    """
    counts.dram_read_bytes["program"] += COMMAND_BYTES
    counts.commands[opcode.name] += 1
    count = _COUNT.get(opcode)
    if count is not None:
        count(config, counts, f, unit_beats)


def _layer(config: Config, counts: LayerCounts, f, unit_beats) -> None:
    counts.dram_write_bytes["record"] += RECORD_BYTES


def _load(config: Config, counts: LayerCounts, f, unit_beats) -> None:
    """Beats that a load reads."""
    beats = segment_beats(config, f, f.dma_blocks, unit_beats)
    if f.dram_addr >= CHIP_BASE:
        counts.act_accesses["read"] += beats
    else:
        counts.dram_read_bytes["ifmap"] += beats * config.bus_bytes


def _load_ifmap(config: Config, counts: LayerCounts, f, unit_beats) -> None:
    rows = f.pad_top + f.num_rows + f.pad_bottom
    cols = f.pad_left + f.num_cols + f.pad_right
    if f.dma_blocks * f.seg_count * f.seg_words:
        _load(config, counts, f, unit_beats)
    counts.glb_accesses["ifmap"] += f.num_blocks * rows * (-(-cols // 2) if f.halve else cols)


def _load_residual(config: Config, counts: LayerCounts, f, unit_beats) -> None:
    _load(config, counts, f, unit_beats)
    counts.glb_accesses["ofmap"] += f.num_pixels * f.dma_blocks


def _load_linear(config: Config, counts: LayerCounts, f, unit_beats) -> None:
    size = f.num_beats * config.bus_bytes
    counts.dram_read_bytes["wgt"] += size
    if f.target in (LoadTarget.WGT, LoadTarget.DW_WGT):
        counts.spad_accesses["wgt"] += size


def _conv(config: Config, counts: LayerCounts, f, unit_beats) -> None:
    blocks = f.num_c * f.num_r * f.num_s
    counts.glb_accesses["ifmap"] += blocks * f.num_pixels
    counts.spad_accesses["wgt"] += blocks * config.wgt_block_bytes
    updates = blocks * f.num_pixels * config.out_channels
    reads = updates - (f.num_pixels * config.out_channels if f.first else 0)
    counts.spad_accesses["psum"] += updates + reads


def _depthwise(config: Config, counts: LayerCounts, f, unit_beats) -> None:
    # Two rows take the same words.
    counts.glb_accesses["ifmap"] += f.num_r * f.num_s * f.num_pixels * config.ofmap_blocks
    if not (f.max_mode or f.unit_wgt):
        taps = (f.num_r - f.lag) * f.num_s
        counts.spad_accesses["wgt"] += f.num_groups * taps * config.out_channels
    counts.spad_accesses["psum"] += (f.num_pixels + f.num_pixels2) * config.out_channels


def _drain(config: Config, counts: LayerCounts, f, unit_beats) -> None:
    words = f.num_pixels * config.ofmap_blocks
    counts.spad_accesses["psum"] += f.num_pixels * config.out_channels
    counts.glb_accesses["ofmap"] += 2 * words if f.add and f.residual else words


def _store(config: Config, counts: LayerCounts, f, unit_beats) -> None:
    beats = segment_beats(config, f, f.num_blocks, unit_beats)
    if f.dram_addr >= CHIP_BASE:
        counts.act_accesses["written"] += beats
    else:
        counts.dram_write_bytes["ofmap"] += beats * config.bus_bytes
    counts.glb_accesses["ofmap"] += f.seg_words * f.seg_count * f.num_blocks


_COUNT = {
    Opcode.LAYER: _layer,
    Opcode.LOAD_IFMAP: _load_ifmap,
    Opcode.LOAD_RESIDUAL: _load_residual,
    Opcode.LOAD_LINEAR: _load_linear,
    Opcode.CONV: _conv,
    Opcode.DEPTHWISE: _depthwise,
    Opcode.DRAIN: _drain,
    Opcode.STORE: _store,
}
