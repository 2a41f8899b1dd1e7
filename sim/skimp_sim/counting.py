"""What commands access, counted from their fields alone: no data needed."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from skimp.config import Config
from skimp.isa import CHIP_BASE, COMMAND_BYTES, RECORD_BYTES, LoadTarget, Opcode, parse
from skimp.rlc.format import unit_pitch_bytes
from skimp_compiler.program import DeviceStep, Program

__all__ = [
    "GLB",
    "SPAD",
    "Command",
    "LayerCounts",
    "commands_of",
    "count_command",
    "count_layers",
    "segment_beats",
    "segment_starts",
    "unit_starts",
]

GLB = {"ifmap": "ifmap", "dw_ifmap": "ifmap", "ofmap": "ofmap", "residual": "ofmap"}
"""Memories of the global buffer, by what lies in them."""

SPAD = {
    "wgt": "wgt", "dw_wgt": "wgt", "psum": "psum", "psum_done": "psum", "dw_psum": "psum",
}  # fmt: skip
"""Scratchpads, by what lies in them."""


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
        Beats "read" from and "written" to the activation store, and "written_words" of these.
    accesses : Counter
        By (memory of GLB or SPAD, "read" or "write"): words of in_channels bytes of the GLB, bytes
        of weights (a block is read once a pass, a depthwise word once a pixel group, for both
        rows), sums of the psum memories: "psum" under way, "psum_done" for the drain. Psums of all
        lanes of a pixel group are written, and those of all drained pixels read, whether or not
        there are so many pixels.
    arithmetic : Counter
        Of real channels, rows computed twice included: "macs" of the array and "psum_adds" of its
        sums to those under way, "dw_macs" and "dw_adds" of the depthwise unit; of all lanes:
        "requantised" values, "second" of these in the second stage.
    macs_gated : int
        MACs of real pixels and channels whose ifmap value equals the zero point; needs data.
    commands : Counter
        By opcode.
    """

    dram_read_bytes: Counter = field(default_factory=Counter)
    dram_write_bytes: Counter = field(default_factory=Counter)
    act_accesses: Counter = field(default_factory=Counter)
    accesses: Counter = field(default_factory=Counter)
    arithmetic: Counter = field(default_factory=Counter)
    macs_gated: int = 0
    commands: Counter = field(default_factory=Counter)

    @property
    def glb_accesses(self) -> Counter:
        """Words read and written by type of data: both ifmap buffers, both on the ofmap side."""
        return self._by_type(GLB)

    @property
    def spad_accesses(self) -> Counter:
        """Bytes of "wgt" and sums of "psum" read and written."""
        return self._by_type(SPAD)

    def _by_type(self, types: dict[str, str]) -> Counter:
        found = Counter()
        for (memory, _), number in self.accesses.items():
            if memory in types:
                found[types[memory]] += number
        return found


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
    words = f.num_blocks * rows * (-(-cols // 2) if f.halve else cols)
    counts.accesses["dw_ifmap" if f.dw else "ifmap", "write"] += words


def _load_residual(config: Config, counts: LayerCounts, f, unit_beats) -> None:
    _load(config, counts, f, unit_beats)
    counts.accesses["residual", "write"] += f.num_pixels * f.dma_blocks


def _load_linear(config: Config, counts: LayerCounts, f, unit_beats) -> None:
    size = f.num_beats * config.bus_bytes
    counts.dram_read_bytes["wgt"] += size
    memory = {LoadTarget.WGT: "wgt", LoadTarget.DW_WGT: "dw_wgt"}.get(f.target)
    if memory is not None:
        counts.accesses[memory, "write"] += size


def _conv(config: Config, counts: LayerCounts, f, unit_beats) -> None:
    blocks = f.num_c * f.num_r * f.num_s
    counts.accesses["ifmap", "read"] += blocks * f.num_pixels
    counts.accesses["wgt", "read"] += blocks * config.wgt_block_bytes
    sums = -(-f.num_pixels // config.pixels) * config.pixels * config.out_channels
    counts.accesses["psum", "read"] += (blocks - bool(f.first)) * sums
    counts.accesses["psum", "write"] += (blocks - bool(f.last)) * sums
    counts.accesses["psum_done", "write"] += bool(f.last) * sums
    taps = f.num_r * f.num_s * f.num_pixels * f.co_valid
    counts.arithmetic["macs"] += ((f.num_c - 1) * config.in_channels + f.ci_last) * taps
    counts.arithmetic["psum_adds"] += f.num_c * taps


def _depthwise(config: Config, counts: LayerCounts, f, unit_beats) -> None:
    # Two rows take the same words.
    words = f.num_r * f.num_s * f.num_pixels * config.ofmap_blocks
    counts.accesses["dw_ifmap", "read"] += words
    taps = (f.num_r - f.lag) * f.num_s
    pixels = f.num_pixels + f.num_pixels2
    rows = 2 if f.num_pixels2 else 1
    counts.accesses["dw_psum", "write"] += f.num_groups * config.pixels * rows * config.out_channels
    counts.arithmetic["dw_adds"] += taps * pixels * f.ci_last
    if not (f.max_mode or f.unit_wgt):
        counts.accesses["dw_wgt", "read"] += f.num_groups * taps * config.out_channels
        counts.arithmetic["dw_macs"] += taps * pixels * f.ci_last


def _drain(config: Config, counts: LayerCounts, f, unit_beats) -> None:
    words, sums = f.num_pixels * config.ofmap_blocks, f.num_pixels * config.out_channels
    lanes = -(-f.num_pixels // config.drain_pixels) * config.drain_pixels
    counts.accesses["dw_psum" if f.dw else "psum_done", "read"] += lanes * config.out_channels
    counts.accesses["ofmap", "write"] += words
    counts.arithmetic["requantised"] += sums
    if f.add:
        counts.arithmetic["second"] += sums
        counts.accesses["residual", "read"] += words if f.residual else 0


def _store(config: Config, counts: LayerCounts, f, unit_beats) -> None:
    beats = segment_beats(config, f, f.num_blocks, unit_beats)
    if f.dram_addr >= CHIP_BASE:
        counts.act_accesses["written"] += beats
        counts.act_accesses["written_words"] += f.seg_words * f.seg_count * f.num_blocks
    else:
        counts.dram_write_bytes["ofmap"] += beats * config.bus_bytes
    counts.accesses["ofmap", "read"] += f.seg_words * f.seg_count * f.num_blocks


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
