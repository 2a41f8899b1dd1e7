"""Parameters of one accelerator, checked, with everything that follows from them.

No Amaranth in here: compiler, models and drivers import this module too.
"""

import dataclasses
import json
import zlib
from dataclasses import dataclass

from skimp.isa import MAX_TABLE_UNITS
from skimp.rlc.format import CODEC_BYTES

__all__ = ["CHAIN", "DW_LAG_TAPS", "DW_SUM_BITS", "Config", "ConfigError"]

CHAIN = 8
"""Slices in a cascade: eight products of +-32,385 add up in the packed lower field (19 bits)."""

DW_SUM_BITS = 28
"""Bits of a sum of the depthwise unit: 4,095 products, or 500,000 values with weights of 1."""

DW_LAG_TAPS = 32
"""Taps by which the lower row of the depthwise unit lags at most: the weights kept for it."""

_MAY_BE_0 = ("act_depth", "act_words", "drain_slices", "tile_table_depth")


class ConfigError(ValueError):
    """A configuration that cannot be built; one line: which field, what it must be, what it is."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """One accelerator.

    Parameters
    ----------
    name : str
        Preset name, or what the user calls it.
    pixels : int
        Output pixels computed side by side (array lanes along P, Q); also banks of the GLB.
    in_channels : int
        Input channels per clock: 8 or 16 (chains of eight slices). Also the bytes of a GLB word
        and of a channel block of one pixel.
    out_channels : int
        Output channels per clock; a multiple of `in_channels`. Also requantisation lanes.
    psum_depth : int
        Pixel groups per slot of the psum scratchpad.
    psum_slots : int
        Slots of the psum scratchpad, 2 to 4: one fills, one drains, others are under way between
        the two.
    wgt_depth : int
        Weight blocks (in_channels x out_channels bytes each) in the weight scratchpad.
    wgt_slices : int
        Slice positions of all chains that take their next weights in a clock, 1, 2 or 4.
    dw_wgt_depth : int
        Words (out_channels bytes) of the depthwise weight scratchpad.
    dw_ifmap_depth : int
        Words (out_channels bytes) per bank of the depthwise unit's ifmap buffer (`pixels` banks).
    dw_psum_depth, dw_psum_slots : int
        Pixel groups per slot of the depthwise unit's psum memory, and its slots, 2 to 4.
    dw_rows : int
        Output rows that the depthwise unit computes side by side, 1 or 2: lanes are dw_rows x
        pixels x out_channels.
    ifmap_depth : int
        Words (in_channels bytes) per bank of the array's ifmap buffer (`pixels` banks).
    ofmap_depth : int
        Pixels (out_channels bytes each) of the ofmap side of the global buffer; the residual buffer
        has as many.
    param_depth : int
        Output channel blocks of requantisation parameters on chip.
    bus_words : int
        GLB words of one bus beat: 1, 2 or 4. DRAM moves a beat a clock.
    drain_pixels : int
        Pixels requantised a clock (each has out_channels lanes); at most chip_words.
    drain_slices : int
        DSP48E2 of all lanes of requantisation; 0: two for each. The first pixel's lanes have two,
        then others as long as they last, and the rest one.
    act_words : int
        GLB words of one beat of the activation store, a power of two from bus_words to 8; 0: as
        many as bus_words. Loads and stores on the chip move a beat a clock.
    act_depth : int
        Beats of the on-chip activation store; 0: there is none.
    tile_table_depth : int
        Units of coded activations in DRAM that the tile table can hold (docs/rlc.md); 0: encoder
        and decoder are left out.
    queue_depth : int
        Commands waiting per unit.
    burst_beats : int
        Longest AXI burst, 1 to 256 beats.
    reads_outstanding, writes_outstanding : int
        AXI bursts under way at once.
    watchdog_cycles : int
        Clocks without progress after which the accelerator stops with an error.
    packed : bool
        Two products per DSP48E2 (False: one plain product per multiplier, for other devices).
    dw_slices : bool
        The depthwise unit multiplies in DSP48E2, too (False: in LUTs).
    gating : bool
        Operands and products rest where an activation is 0 (False: to measure what that saves; the
        results are the same).
    urams : bool
        The device has URAM288 for deep memories (False: block RAM).
    clock_mhz : int
        Clock that reports assume.
    """

    name: str
    pixels: int
    in_channels: int
    out_channels: int
    psum_depth: int
    wgt_depth: int
    dw_wgt_depth: int
    ifmap_depth: int
    ofmap_depth: int
    param_depth: int
    bus_words: int = 1
    drain_pixels: int = 1
    drain_slices: int = 0
    psum_slots: int = 2
    wgt_slices: int = 1
    act_words: int = 0
    act_depth: int = 0
    tile_table_depth: int = 0
    dw_ifmap_depth: int = 512
    dw_psum_depth: int = 16
    dw_psum_slots: int = 2
    dw_rows: int = 1
    queue_depth: int = 8
    burst_beats: int = 64
    reads_outstanding: int = 4
    writes_outstanding: int = 4
    watchdog_cycles: int = 1 << 20
    packed: bool = True
    dw_slices: bool = True
    gating: bool = True
    urams: bool = True
    clock_mhz: int = 300

    def __post_init__(self):
        def need(condition, field, what):
            if not condition:
                value = getattr(self, field)
                raise ConfigError(f"config {self.name}: {field} must be {what}, not {value!r}")

        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type is int or field.type == "int":
                need(
                    isinstance(value, int) and not isinstance(value, bool), field.name, "an integer"
                )
                lowest = 0 if field.name in _MAY_BE_0 else 1
                need(value >= lowest, field.name, "positive")
        need(1 <= self.pixels <= 16, "pixels", "1 to 16")
        need(self.in_channels in (8, 16), "in_channels", "8 or 16")
        need(
            self.out_channels % self.in_channels == 0 and self.out_channels <= 64,
            "out_channels",
            f"a multiple of in_channels ({self.in_channels}) up to 64",
        )
        need(8 <= self.psum_depth <= 256, "psum_depth", "8 to 256")
        need(2 <= self.psum_slots <= 4, "psum_slots", "2 to 4")
        need(self.wgt_slices in (1, 2, 4), "wgt_slices", "1, 2 or 4")
        need(8 <= self.dw_psum_depth <= 256, "dw_psum_depth", "8 to 256")
        need(2 <= self.dw_psum_slots <= 4, "dw_psum_slots", "2 to 4")
        need(self.dw_rows <= 2, "dw_rows", "1 or 2")
        for field in ("wgt_depth", "dw_wgt_depth", "param_depth"):
            need(4 <= getattr(self, field) <= 1 << 14, field, "4 to 16384")
        for field in ("ifmap_depth", "dw_ifmap_depth", "ofmap_depth"):
            need(32 <= getattr(self, field) <= 1 << 15, field, "32 to 32768")
        need(
            self.ofmap_depth >= max(self.tile_pixels, self.dw_tile_pixels)
            and self.ofmap_depth % 8 == 0,
            "ofmap_depth",
            "a multiple of 8, at least pixels * psum_depth and pixels * dw_psum_depth "
            f"({self.tile_pixels} and {self.dw_tile_pixels})",
        )
        need(
            self.bus_words in (1, 2, 4) and self.bus_words <= self.pixels,
            "bus_words",
            f"1, 2 or 4 and at most pixels ({self.pixels})",
        )
        need(
            self.wgt_slice_bytes % self.bus_bytes == 0
            and 12 * self.out_channels % self.bus_bytes == 0,
            "bus_words",
            f"such that a beat divides {self.wgt_slice_bytes} and {12 * self.out_channels} bytes",
        )
        need(
            self.bus_bytes % self.out_channels == 0 or self.out_channels % self.bus_bytes == 0,
            "bus_words",
            f"such that a beat is a part or a multiple of out_channels ({self.out_channels}) bytes",
        )
        need(
            self.act_words in (0, 1, 2, 4, 8) and self.chip_words >= self.bus_words,
            "act_words",
            f"0, or a power of two from bus_words ({self.bus_words}) to 8",
        )
        need(
            self.drain_pixels <= self.chip_words and self.pixels % self.drain_pixels == 0,
            "drain_pixels",
            f"a divisor of pixels ({self.pixels}), at most act_words ({self.chip_words})",
        )
        least = self.requant_lanes + self.out_channels
        need(
            self.drain_slices == 0 or least <= self.drain_slices <= 2 * self.requant_lanes,
            "drain_slices",
            f"0, or {least} to {2 * self.requant_lanes}",
        )
        need(self.act_depth <= 1 << 20, "act_depth", "at most 1048576")
        need(
            self.tile_table_depth == 0
            or (self.tile_table_depth <= MAX_TABLE_UNITS and self.bus_bytes >= CODEC_BYTES),
            "tile_table_depth",
            f"0 or, with a bus of at least {CODEC_BYTES} bytes, up to {MAX_TABLE_UNITS}",
        )
        need(self.dw_wgt_depth >= 64, "dw_wgt_depth", "at least 64")
        need(2 <= self.queue_depth <= 64, "queue_depth", "2 to 64")
        need(
            self.burst_beats in (1, 2, 4, 8, 16, 32, 64, 128, 256),
            "burst_beats",
            "a power of two up to 256",
        )
        need(
            self.burst_beats * self.bus_bytes <= 4096,
            "burst_beats",
            "at most 4096 bytes long (AXI4 bursts stay inside 4 KB)",
        )
        need(1 <= self.reads_outstanding <= 32, "reads_outstanding", "1 to 32")
        need(1 <= self.writes_outstanding <= 32, "writes_outstanding", "1 to 32")
        need(self.watchdog_cycles >= 1024, "watchdog_cycles", "at least 1024")

    @property
    def macs_per_cycle(self) -> int:
        """Peak of the array; the depthwise unit comes on top."""
        return self.pixels * self.in_channels * self.out_channels

    @property
    def dw_macs_per_cycle(self) -> int:
        return self.dw_rows * self.pixels * self.out_channels

    @property
    def word_bytes(self) -> int:
        """Bytes of a GLB word = of a channel block of one pixel."""
        return self.in_channels

    @property
    def word_bits(self) -> int:
        return 8 * self.in_channels

    @property
    def bus_bytes(self) -> int:
        """Bytes of a beat: of AXI, of the activation store, of the weight loads."""
        return self.bus_words * self.in_channels

    @property
    def bus_bits(self) -> int:
        return 8 * self.bus_bytes

    @property
    def chip_words(self) -> int:
        """Words of a beat of the activation store."""
        return self.act_words or self.bus_words

    @property
    def chip_bytes(self) -> int:
        """Bytes of a beat of the activation store."""
        return self.chip_words * self.in_channels

    @property
    def chip_bits(self) -> int:
        return 8 * self.chip_bytes

    @property
    def load_words(self) -> int:
        """Words that a load writes to the ifmap buffer in a clock."""
        return min(self.pixels, self.chip_words)

    @property
    def load_queue_beats(self) -> int:
        """Beats of the activation store that the queue of the load unit holds: two bursts of DRAM."""
        return max(16, 2 * self.burst_beats)

    @property
    def act_bytes(self) -> int:
        """Bytes of the activation store."""
        return self.act_depth * self.chip_bytes

    @property
    def deep_ram_style(self) -> str:
        """Attribute ram_style of memories of thousands of words."""
        return "ultra" if self.urams else "block"

    @property
    def ofmap_blocks(self) -> int:
        """Channel blocks (words) that one drained pixel holds."""
        return self.out_channels // self.in_channels

    @property
    def requant_lanes(self) -> int:
        """Lanes of requantisation: of the drained pixels; a second stage needs a second pixel's."""
        return max(2, self.drain_pixels) * self.out_channels

    @property
    def narrow_requant_lanes(self) -> int:
        """Lanes of requantisation, the last ones, that have one DSP48E2."""
        return 2 * self.requant_lanes - self.drain_slices if self.drain_slices else 0

    @property
    def tile_pixels(self) -> int:
        """Most output pixels of one psum tile."""
        return self.pixels * self.psum_depth

    @property
    def dw_tile_pixels(self) -> int:
        """Most output pixels, of each of dw_rows, of one tile of the depthwise unit."""
        return self.pixels * self.dw_psum_depth

    @property
    def dw_wgt_beat_words(self) -> int:
        """Words of the depthwise weight scratchpad that one beat holds; 0: a word is some beats."""
        return self.bus_bytes // self.out_channels

    @property
    def wgt_slice_bytes(self) -> int:
        """Weights that one slice position of all chains takes from a block."""
        return self.in_channels * self.out_channels // CHAIN

    @property
    def min_pass_cycles(self) -> int:
        """Clocks in which a weight block enters the chains: no pass of the array is shorter."""
        return CHAIN // self.wgt_slices

    @property
    def wgt_block_bytes(self) -> int:
        """Weights of in_channels x out_channels."""
        return self.in_channels * self.out_channels

    @property
    def wgt_block_beats(self) -> int:
        """Bus beats of one weight block."""
        return self.wgt_block_bytes // self.bus_bytes

    @property
    def param_block_beats(self) -> int:
        """Bus beats of one channel block's parameters (12 bytes per channel)."""
        return 12 * self.out_channels // self.bus_bytes

    def to_json(self) -> str:
        """Canonical JSON (sorted keys, no spaces); the hash is made from it, name left out."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Config":
        try:
            return cls(**json.loads(text))
        except (TypeError, json.JSONDecodeError) as error:
            raise ConfigError(f"not a configuration: {error}") from error

    @property
    def hash(self) -> int:
        """32 bits that hardware and program must agree on (CRC-32 of the JSON without the name)."""
        values = {
            k: v for k, v in dataclasses.asdict(self).items() if k not in ("name", "clock_mhz")
        }
        return zlib.crc32(json.dumps(values, sort_keys=True, separators=(",", ":")).encode())
