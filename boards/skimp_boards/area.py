"""Area of an accelerator on UltraScale+ without synthesis: counting rules and fitted coefficients.

Memories and slices are counted; logic is a sum of terms (per lane, per bank, per bit of a rotator)
whose coefficients `python -m skimp_boards.fit_area` takes from synthesised blocks.
"""

import json
import math
from functools import cache
from pathlib import Path

from skimp.config import CHAIN, DW_LAG_TAPS, DW_SUM_BITS, Config
from skimp.isa import MAX_UNIT_BEATS, TABLE_ENTRIES
from skimp.mem.ram import MOST_LUT_RAM_WORDS
from skimp.pe.wgt_spad import DEEP_WORDS

__all__ = ["COEFFICIENTS", "KEYS", "block_counts", "estimate", "fixed_area", "memories", "terms"]

COEFFICIENTS = Path(__file__).with_name("area_fit.json")
KEYS = ("lut", "ff", "dsp", "bram36", "uram")

_BRAM36_SHAPES = ((72, 512), (36, 1024), (18, 2048), (9, 4096), (4, 8192), (2, 16384), (1, 32768))
_BRAM18_SHAPES = ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384))
"""Width and depth (UG573)."""

_URAM_BITS, _URAM_DEPTH = 72, 4096
_LUTRAM_SHAPES = ((14, 32), (7, 64))
_LUTRAM_LUTS = 8
_COSTS = {"uram": 1024, "bram36": 257, "bram18": 129, "lutram": 16}
"""What Yosys weighs memories with where nothing is said of where they go."""


def _least(shapes, width: int, depth: int) -> int:
    """Return how many primitives a memory takes, all of one shape."""
    return min(math.ceil(width / bits) * math.ceil(depth / words) for bits, words in shapes)


def _urams(width: int, depth: int) -> int:
    """Return the URAM288s: columns of 72 bits; a narrow last column holds several rows of words."""
    rows = math.ceil(depth / _URAM_DEPTH)
    columns, rest = divmod(width, _URAM_BITS)
    if rest == 0:
        return columns * rows
    folds = 2 ** int(math.log2(_URAM_BITS // rest))
    return columns * rows + math.ceil(rows / folds)


def _memory_area(urams: bool, kind: str, number: int, width: int, depth: int) -> dict[str, float]:
    """Return what memories take, by the shapes that the device has."""
    if kind == "ultra":
        return {"uram": number * _urams(width, depth)}
    lutrams = _least(_LUTRAM_SHAPES, width, depth)
    whole = _least(_BRAM36_SHAPES, width, depth)
    halves = _least(_BRAM18_SHAPES, width, depth)
    cheapest = min(_COSTS["bram36"] * whole, _COSTS["bram18"] * halves)
    auto = kind == "auto"
    if kind == "distributed" or (auto and _COSTS["lutram"] * lutrams < cheapest):
        return {"lut": number * _LUTRAM_LUTS * lutrams}
    if auto and urams and _COSTS["uram"] * _urams(width, depth) < cheapest:
        return {"uram": number * _urams(width, depth)}
    if cheapest == _COSTS["bram36"] * whole:
        return {"bram36": number * whole}
    return {"bram36": number * halves / 2}


def memories(config: Config) -> dict[str, tuple]:
    """Return memory -> (kind, number of them, bits of a word, words) of one instance of a block.

    A memory is named after its block, with another word behind it where the block has two kinds.
    The kind is "ultra", "block", "distributed", or "auto" where synthesis takes what is cheapest.
    """
    cfg = config
    beats = cfg.param_block_beats
    table_beats = 2 * TABLE_ENTRIES // (cfg.bus_bytes // 4)
    pixel_ram = ("auto", cfg.chip_words * cfg.ofmap_blocks, cfg.word_bits)
    found = {
        "wgt_spad": (
            cfg.deep_ram_style if cfg.wgt_depth * cfg.min_pass_cycles >= DEEP_WORDS else "auto",
            cfg.wgt_slices,
            8 * cfg.wgt_slice_bytes,
            cfg.min_pass_cycles * cfg.wgt_depth,
        ),
        "dw_wgt_spad": (
            "auto",
            1,
            max(cfg.bus_bits, 8 * cfg.out_channels),
            -(-cfg.dw_wgt_depth // max(1, cfg.dw_wgt_beat_words)),
        ),
        "dw_glb": ("auto", cfg.pixels * cfg.ofmap_blocks, cfg.word_bits, cfg.dw_ifmap_depth),
        "dw_psums": (
            "distributed",
            cfg.pixels,
            DW_SUM_BITS * cfg.out_channels,
            cfg.dw_psum_slots << (cfg.dw_psum_depth - 1).bit_length(),
        ),
        "ifmap_glb": ("auto", cfg.pixels, cfg.word_bits, cfg.ifmap_depth),
        "param_sets": ("auto", 1, cfg.bus_bits, cfg.param_depth * beats),
        "add_tables": ("auto", 2 * cfg.out_channels, 32, TABLE_ENTRIES),
        "ofmap": (*pixel_ram, cfg.ofmap_depth // cfg.chip_words),
        "residual": (*pixel_ram, cfg.ofmap_depth // cfg.chip_words),
        "psum_spad": ("distributed", 1, 32 * cfg.out_channels, cfg.psum_depth),
        "psum_spad finished": (
            "block",
            1,
            32 * cfg.out_channels,
            cfg.psum_slots << (cfg.psum_depth - 1).bit_length(),
        ),
        "load_unit": (
            "distributed",
            cfg.chip_words,
            cfg.word_bits,
            cfg.load_queue_beats,
        ),
        "linear_unit": (
            "distributed" if table_beats <= MOST_LUT_RAM_WORDS else "block",
            1,
            cfg.bus_bits,
            table_beats,
        ),
    }
    if cfg.dw_rows > 1:
        found["dw_wgt_spad kept"] = ("distributed", 1, 8 * cfg.out_channels, DW_LAG_TAPS)
    if cfg.tile_table_depth:
        found |= {
            "core tile_table": ("block", 1, MAX_UNIT_BEATS.bit_length(), cfg.tile_table_depth),
            "unit_reader": ("auto", 1, cfg.bus_bits, cfg.load_queue_beats),
            "unit_writer": ("auto", 1, cfg.bus_bits + 3, 2 * cfg.burst_beats),
        }
    if cfg.act_depth:
        # Block RAM is cut where the write enables are.
        cut = (1, cfg.chip_bits) if cfg.urams else (cfg.chip_words, cfg.word_bits)
        found["act_store"] = (cfg.deep_ram_style, *cut, cfg.act_depth)
    return found


def block_counts(config: Config) -> dict[str, int]:
    """Return how often the accelerator has each block."""
    cfg = config
    slots = max(2, cfg.drain_pixels)
    names = "pe_chain pe_array psum_spad wgt_spad ifmap_glb ifmap_feed array_control array_unit "
    names += "dw_pair dw_max dw_lanes dw_wgt_spad dw_psums dw_glb dw_feed dw_control dw_unit "
    names += "requant_lane requant param_sets add_tables drain_unit ofmap residual load_unit "
    names += "linear_unit store_unit axi_reader axi_writer sequencer csr core"
    counts = dict.fromkeys(names.split(), 1)
    counts["pe_chain"] = cfg.pixels * (cfg.in_channels // CHAIN) * cfg.out_channels // 2
    counts["psum_spad"] = cfg.pixels
    lanes = cfg.pixels * cfg.out_channels
    counts["dw_pair"] = cfg.dw_rows * -(-cfg.pixels // 2) * cfg.out_channels
    counts["dw_max"] = lanes
    if cfg.dw_rows > 1:
        counts["dw_sum"] = (cfg.dw_rows - 1) * lanes
    for name in ("dw_lanes", "dw_psums"):
        counts[name] = cfg.dw_rows
    counts["requant_lane"] = cfg.requant_lanes - cfg.narrow_requant_lanes
    if cfg.narrow_requant_lanes:
        counts["narrow_requant_lane"] = cfg.narrow_requant_lanes
    counts["requant"] = slots
    if cfg.tile_table_depth:
        counts |= dict.fromkeys(("unit_reader", "rlc_decoder", "unit_writer", "rlc_encoder"), 1)
    if cfg.act_depth:
        counts["act_store"] = 1
    return counts


@cache
def _table(changed: float) -> dict:
    return json.loads(COEFFICIENTS.read_text())


def _fitted() -> dict:
    """Return the table, read again where the file has changed; empty where there is none."""
    if not COEFFICIENTS.is_file():
        return {"blocks": {}}
    return _table(COEFFICIENTS.stat().st_mtime)


def _slices(config: Config) -> dict[str, int]:
    cfg = config
    pair = 1 if cfg.packed else 2
    return {
        "pe_chain": CHAIN * pair,
        "dw_pair": pair * cfg.dw_slices,
        "requant_lane": 2,
        "narrow_requant_lane": 1,
    }


def _mux(ways: int) -> float:
    """Return the LUTs of a bit of a multiplexer, about: a LUT has four ways."""
    return max(1.0, (ways - 1) / 3) if ways > 1 else 0.0


def _glb_terms(config: Config, read_bits: int) -> tuple[float, ...]:
    """Return the terms of an ifmap buffer; a lane reads `read_bits`."""
    pixels, load = config.pixels, config.load_words
    ways = _mux(load) + _mux(load // 2) + (load > 1)
    return (
        read_bits * pixels * _mux(pixels),
        config.word_bits * pixels * ways,
        read_bits * pixels,
        pixels * _mux(pixels),
        1,
    )


def _pixel_ram_terms(config: Config, *, write_ways: int, whole_reads: bool) -> tuple[float, ...]:
    """Return the terms of an ofmap or residual buffer, which turns what it takes and gives."""
    cfg = config
    banks, whole, word = cfg.chip_words, 8 * cfg.out_channels, cfg.word_bits
    turned = 1 << (write_ways - 1).bit_length()
    shift = banks.bit_length() - 1
    blocks = 1 if whole_reads else cfg.ofmap_blocks
    low = min(shift, max(0, (blocks - 1).bit_length() + shift - 2))
    first, second = _mux(blocks * (banks >> low)), _mux(1 << low)
    if whole_reads:
        written, read = turned * word, whole * (first * (1 << low) + second)
    else:
        written, read = turned * whole, word * banks * (first + second)
    return (read, written * _mux(write_ways), banks * (banks > 1), 1)


def terms(config: Config) -> dict[str, tuple[float, ...]]:
    """Return what the logic of each block grows with; a coefficient belongs to each number."""
    c = config
    pixels, ins, outs = c.pixels, c.in_channels, c.out_channels
    lanes = pixels * outs
    word, bus, chip = c.word_bits, c.bus_bits, c.chip_bits
    banks, load, steps = c.chip_words, c.load_words, c.drain_pixels
    rows = math.ceil(c.act_depth / _URAM_DEPTH) if c.act_depth else 0
    spad_rows = math.ceil(c.min_pass_cycles * c.wgt_depth / _URAM_DEPTH)
    spad_bytes = c.wgt_slices * c.wgt_slice_bytes
    two_rows = c.dw_rows - 1
    parts = pixels // steps
    drain_luts = max(1.0, (parts * (1 + c.dw_rows) + parts.bit_length() - 1) / 5)
    return {
        "pe_chain": (1,),
        "pe_array": (pixels * ins, lanes * (ins // CHAIN - 1), 1),
        "psum_spad": (outs, 1),
        "wgt_spad": (spad_bytes * (spad_rows - 1), c.wgt_slices),
        "ifmap_glb": _glb_terms(c, word),
        "ifmap_feed": (pixels * ins, 1),
        "array_control": (pixels, 1),
        "array_unit": (pixels, 1),
        "dw_pair": (c.dw_slices, not c.dw_slices),
        "dw_max": (1,),
        "dw_sum": (1,),
        "dw_lanes": (lanes, outs, 1),
        "dw_wgt_spad": (8 * outs * (c.dw_wgt_beat_words > 1), 8 * outs * c.dw_rows, 1),
        "dw_psums": (DW_SUM_BITS * lanes, 1),
        "dw_glb": _glb_terms(c, 8 * outs),
        "dw_feed": (lanes, pixels * two_rows, 1),
        "dw_control": (pixels, pixels * two_rows, 1),
        "dw_unit": (two_rows, 1),
        "requant_lane": (1,),
        "narrow_requant_lane": (1,),
        "requant": (1,),
        "param_sets": (outs, 1),
        "add_tables": (outs, 1),
        "drain_unit": (
            32 * outs * steps * drain_luts,
            32 * outs * _mux(steps),
            outs * (steps > 1),
            outs,
            1,
        ),
        "ofmap": _pixel_ram_terms(c, write_ways=steps, whole_reads=False),
        "residual": _pixel_ram_terms(c, write_ways=load, whole_reads=True),
        "load_unit": (chip * (banks - 1), load * word * (banks - 1), load * word, 1),
        "linear_unit": (bus, 1),
        "store_unit": (chip, chip * (c.ofmap_blocks - 1), 1),
        "axi_reader": (bus, 1),
        "axi_writer": (bus, 1),
        "sequencer": (math.ceil(c.queue_depth / 32), bus, 1),
        "csr": (1,),
        "core": (pixels, 1),
        "unit_reader": (bus, 1),
        "rlc_decoder": (bus, 1),
        "unit_writer": (bus, 1),
        "rlc_encoder": (bus, 1),
        "act_store": (chip, chip * max(0, rows - 1), 1),
    }


def fixed_area(config: Config, block: str) -> dict[str, float]:
    """Return the counted part of one instance of a block."""
    area = dict.fromkeys(KEYS, 0)
    area["dsp"] = _slices(config).get(block, 0)
    for name, held in memories(config).items():
        if name.split()[0] == block:
            for key, value in _memory_area(config.urams, *held).items():
                area[key] += value
    return area


def estimate(config: Config) -> dict:
    """Return LUT, FF, DSP48E2, BRAM36 and URAM288 of each block (all instances) and in total.

    Returns
    -------
    dict
        Block name -> {"count", "lut", "ff", "dsp", "bram36", "uram"}; "total" -> the sums.
    """
    fitted = _fitted()["blocks"]
    grows = terms(config)
    found = {}
    for name, count in block_counts(config).items():
        area = fixed_area(config, name)
        for key in ("lut", "ff"):
            weights = fitted.get(name, {}).get(key, [])
            area[key] += sum(w * t for w, t in zip(weights, grows[name]))
        found[name] = {"count": count} | {
            key: count * (round(value) if key in ("lut", "ff") else value)
            for key, value in area.items()
        }
    found["total"] = {key: sum(block[key] for block in found.values()) for key in KEYS}
    return found
