"""Layers of the depthwise unit: depthwise convolution, pools, means, copies."""

from dataclasses import dataclass

from skimp.config import Config
from skimp.isa import LoadTarget, Opcode
from skimp_compiler.drain_store import DrainStore, Requant, SecondStage
from skimp_compiler.emitter import Emitter
from skimp_compiler.geometry import DoesNotFit, TileGeometry, Window
from skimp_compiler.plane import Planes, load_tile

__all__ = ["DepthwiseSpec", "Region", "emit_depthwise"]


TILE_PSUMS = 4
"""Words of an input tile, in psum tiles, at most (more where one window is larger): a layer begins
when the first tile of its input is stored, so short tiles start early; shorter ones load more rows
twice. Measured on MobileNetV1 and V2."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """Rectangle of the output whose pixels share parameter words.

    Parameters
    ----------
    y0, x0, rows, cols : int
    param_block : int
        Parameter word of channel block 0.
    """

    y0: int
    x0: int
    rows: int
    cols: int
    param_block: int = 0


@dataclass(frozen=True, kw_only=True)
class DepthwiseSpec:
    """A layer that treats every channel by itself.

    Parameters
    ----------
    window : Window
    pad_top, pad_left : int
    num_channels : int
    inputs : tuple of Planes
        Parts of the input, equal but for their channels: channel blocks follow each other.
    output : Planes
        Output blocks follow the input's.
    wgt_addr : int or None
        DRAM address of the packed weights; None: all weights are 1.
    max_mode : bool
    in_zp, fill : int
        Zero point taken off; value of padding.
    requant : Requant
    params_per_block : bool
        Parameter word of a block: region's + block, or the region's alone.
    regions : tuple of Region
        Rectangles that cover the output.
    second : SecondStage or None
    """

    window: Window
    pad_top: int = 0
    pad_left: int = 0
    num_channels: int
    inputs: tuple[Planes, ...]
    output: Planes
    wgt_addr: int | None
    max_mode: bool = False
    in_zp: int
    fill: int
    requant: Requant
    params_per_block: bool
    regions: tuple[Region, ...]
    second: SecondStage | None = None


def _ceil(a: int, b: int) -> int:
    return -(-a // b)


def emit_depthwise(emitter: Emitter, config: Config, spec: DepthwiseSpec) -> None:
    """Append the commands of a depthwise layer (without the fence behind it).

    Raises
    ------
    DoesNotFit
        One window is more than a buffer holds; nothing was emitted.
    """
    _DepthwiseEmitter(emitter, config, spec).run()


class _DepthwiseEmitter:
    """State of one layer's emission."""

    def __init__(self, emitter: Emitter, config: Config, spec: DepthwiseSpec):
        self.emitter, self.config, self.spec = emitter, config, spec
        self.taps = spec.window.r * spec.window.s
        # A block's weights begin at a beat.
        self.tap_words = _ceil(self.taps, config.bus_words) * config.bus_words
        self.num_blocks = _ceil(spec.num_channels, config.in_channels)
        self.capacity = config.pixels * config.ifmap_depth
        if spec.wgt_addr is not None and self.tap_words > config.dw_wgt_depth:
            raise DoesNotFit(
                f"a {spec.window.r}x{spec.window.s} depthwise kernel does not fit the "
                f"{config.dw_wgt_depth} words of config {config.name}: raise dw_wgt_depth"
            )
        self.out = DrainStore(
            emitter, config, requant=spec.requant, output=spec.output, second=spec.second
        )
        # Two tiles in turn where a tile of one pixel fits half of the buffer, else one.
        ifmap_slots = 2 if self._geometry(1, 1).block_words <= self.capacity // 2 else 1
        # No more than keeps loads, compute and stores of neighbouring layers beside each other.
        one = self._geometry(1, 1).block_words
        self.slot_words = min(
            self.capacity // ifmap_slots, max(one, TILE_PSUMS * config.tile_pixels)
        )
        # Weights of half the scratchpad at a time, so that the next ones come meanwhile.
        fits = config.dw_wgt_depth // 2 // self.tap_words
        self.wgt_blocks = min(self.num_blocks, max(1, fits))
        self.wgt_chunk: int | None = None

    def run(self) -> None:
        for region in self.spec.regions:
            rows, cols, blocks = self._tile_size(region)
            # Blocks outside: a block's weights are loaded once.
            part_start = 0
            for part in self.spec.inputs:
                for b0 in range(0, part.num_blocks, blocks):
                    num_b = min(blocks, part.num_blocks - b0)
                    for tile in self._tiles(region, rows, cols):
                        self._input_tile(region, *tile, part, part_start, b0, num_b)
                part_start += part.num_blocks

    def _tiles(self, region: Region, rows: int, cols: int):
        """Yield (y0, x0, rows, cols) of the tiles of a region."""
        y_end, x_end = region.y0 + region.rows, region.x0 + region.cols
        for y0 in range(region.y0, y_end, rows):
            for x0 in range(region.x0, x_end, cols):
                yield y0, x0, min(rows, y_end - y0), min(cols, x_end - x0)

    def _geometry(self, rows: int, cols: int) -> TileGeometry:
        return TileGeometry(
            pixels=self.config.pixels,
            window=self.spec.window,
            out_rows=rows,
            out_cols=cols,
            tile_q=cols,
        )

    def _tile_size(self, region: Region) -> tuple[int, int, int]:
        """Return rows, cols and channel blocks of an input tile that fits a slot."""
        room = self.slot_words
        limit = self.config.tile_pixels
        cols = _ceil(region.cols, _ceil(region.cols, limit))
        while cols > 1 and self._geometry(1, cols).block_words > room:
            cols = _ceil(cols, 2)
        if self._geometry(1, cols).block_words > room:
            raise DoesNotFit(
                f"one {self.spec.window.r}x{self.spec.window.s} window does not fit the ifmap "
                f"buffer of config {self.config.name} ({room} words): raise ifmap_depth"
            )
        rows = 1
        while rows < region.rows and self._geometry(rows + 1, cols).block_words <= room:
            rows += 1
        psum_rows = max(1, limit // cols)
        if psum_rows < rows < region.rows:
            rows -= rows % psum_rows
        blocks = max(1, min(self.num_blocks, room // self._geometry(rows, cols).block_words))
        return rows, cols, blocks

    def _input_tile(self, region, y0, x0, rows, cols, part, part_start, b0, num_b) -> None:
        """Load blocks of a part and compute them; the part's blocks start at `part_start`."""
        spec, config = self.spec, self.config
        geometry = self._geometry(rows, cols)
        base = load_tile(
            self.emitter,
            part,
            geometry,
            block0=b0,
            num_blocks=num_b,
            p0=y0,
            q0=x0,
            pad_top=spec.pad_top,
            pad_left=spec.pad_left,
            fill=spec.fill,
        )
        psum_rows = max(1, config.tile_pixels // cols)
        for b in range(num_b):
            block = part_start + b0 + b
            wgt_word = self._need_weights(block)
            for dy in range(0, rows, psum_rows):
                num_rows = min(psum_rows, rows - dy)
                slot = self.out.begin_tile()
                block_base = base + b * geometry.block_words
                reads = [("ifmap", block_base, block_base + geometry.block_words)]
                if spec.wgt_addr is not None:
                    reads.append(("dw_wgt", wgt_word, wgt_word + self.taps))
                self.emitter.add(
                    Opcode.DEPTHWISE,
                    reads=reads,
                    writes=[self.out.psum_words(num_rows * cols)],
                    **geometry.tap_fields(base=block_base, p0=dy),
                    num_pixels=num_rows * cols,
                    num_groups=_ceil(num_rows * cols, config.pixels),
                    num_c=1,
                    psum_slot=slot,
                    in_zp=spec.in_zp,
                    max_mode=int(spec.max_mode),
                    unit_wgt=int(spec.wgt_addr is None),
                    wgt_base=wgt_word,
                    ci_last=min(config.in_channels, spec.num_channels - block * config.in_channels),
                )
                self.out.end_tile(
                    param_block=region.param_block + (block if spec.params_per_block else 0),
                    num_pixels=num_rows * cols,
                    y0=y0 + dy,
                    x0=x0,
                    rows=num_rows,
                    cols=cols,
                    block0=block,
                    num_blocks=1,
                )

    def _need_weights(self, block: int) -> int:
        """Load the chunk of weights that holds a block; return the word of its first tap."""
        if self.spec.wgt_addr is None:
            return 0
        chunk, inside = divmod(block, self.wgt_blocks)
        if chunk != self.wgt_chunk:
            self.wgt_chunk = chunk
            first = chunk * self.wgt_blocks
            words = min(self.wgt_blocks, self.num_blocks - first) * self.tap_words
            self.wgt_word = self.emitter.rings["dw_wgt"].place(words)
            word_bytes = self.config.word_bytes
            self.emitter.load_linear(
                LoadTarget.DW_WGT,
                dram_addr=self.spec.wgt_addr + first * self.tap_words * word_bytes,
                word=self.wgt_word,
                num_words=words,
                word_bytes=word_bytes,
            )
        return self.wgt_word + inside * self.tap_words
