"""Layers of the depthwise unit: depthwise convolution, pools, means, copies."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from skimp.config import DW_LAG_TAPS, Config
from skimp.isa import LoadTarget, Opcode, Unit
from skimp_compiler.drain_store import DrainStore, Requant, SecondStage
from skimp_compiler.emitter import Emitter
from skimp_compiler.geometry import DoesNotFit, TileGeometry, Window
from skimp_compiler.plane import Planes, load_tile
from skimp_compiler.schedule import Task

__all__ = ["DepthwiseLayer", "DepthwiseSpec", "Region", "band_rows"]

TILE_PSUMS = 4
"""Words of an input tile, in psum tiles, at most (more where one window is larger): a layer begins
when the first tile of its input is stored, so short tiles start early; shorter ones load more rows
twice. Measured on MobileNetV1 and V2."""

SMALL_MAP = 64
"""Pixels of a map that is not cut, where layers go side by side."""

BAND_PIXELS = 256
"""Pixels of a map that is cut into shorter tiles than larger ones are."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """Rectangle of the output whose pixels share parameter words.

    Parameters
    ----------
    y0, x0, rows, cols : int
    param_block : int
        Parameter word of the first channels.
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
        Parameter word of out_channels channels: region's + their number, or the region's alone.
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


def band_rows(height: int, width: int) -> int:
    """Output rows of a tile, where layers go side by side.

    Enough that few rows are loaded twice, few enough that the layers behind begin early; a small
    map is one tile, and its channels one by one let the next layer begin.
    """
    if height * width <= SMALL_MAP:
        return height
    return 6 if height * width <= BAND_PIXELS else 8


class DepthwiseLayer:
    """A layer of the depthwise unit with its tiles.

    Where the unit has two rows of lanes, output rows are computed in pairs: a pair is a row of
    `TileGeometry` with a window of R + stride rows and twice the stride.

    Parameters
    ----------
    emitter : Emitter
    config : Config
    spec : DepthwiseSpec
    beside : bool
        The layers around are under way at the same time: short tiles.

    Raises
    ------
    DoesNotFit
        One window is more than a buffer holds.
    """

    unit = Unit.DEPTHWISE
    tile_words = 0  # of the array's ifmap buffer

    def __init__(
        self, emitter: Emitter, config: Config, spec: DepthwiseSpec, *, beside: bool = False
    ):
        self.emitter, self.config, self.spec = emitter, config, spec
        self.beside = beside
        window = spec.window
        self.taps = window.r * window.s
        words = max(1, config.dw_wgt_beat_words)
        # The weights of a word's channels begin at a beat.
        self.tap_words = _ceil(self.taps, words) * words
        self.num_words = _ceil(spec.num_channels, config.out_channels)
        self.capacity = config.pixels * config.dw_ifmap_depth
        if spec.wgt_addr is not None and self.tap_words > config.dw_wgt_depth:
            raise DoesNotFit(
                f"a {window.r}x{window.s} depthwise kernel does not fit the "
                f"{config.dw_wgt_depth} words of config {config.name}: raise dw_wgt_depth"
            )
        self.pairs = self._side_by_side()
        one = self._geometry(1, 1).block_words
        # Two tiles in turn where a tile of one pixel fits half of the buffer, else one.
        ifmap_slots = 2 if one <= self.capacity // 2 else 1
        self.slot_words = self.capacity // ifmap_slots
        if not beside:
            # No more than keeps loads, compute and stores of neighbouring layers beside each other.
            most = max(one, TILE_PSUMS * config.dw_tile_pixels * self.step)
            self.slot_words = min(self.slot_words, most)
        self.sizes = [self._tile_size(region) for region in spec.regions]
        # All weights where they fit, else half of the scratchpad at a time, so that the next ones
        # come meanwhile.
        self.has_wgt = spec.wgt_addr is not None
        fits = config.dw_wgt_depth // self.tap_words
        self.wgt_words = self.num_words if fits >= self.num_words else max(1, fits // 2)
        self.wgt_chunk: int | None = None
        self.wgt_base: int | None = None
        self.out = DrainStore(
            emitter,
            config,
            requant=spec.requant,
            output=spec.output,
            second=spec.second,
            unit=Unit.DEPTHWISE,
        )

    @property
    def step(self) -> int:
        """Output rows of a row of the geometry."""
        return 2 if self.pairs else 1

    def _side_by_side(self) -> bool:
        """Whether two rows at a time take fewer clocks."""
        spec, window = self.spec, self.spec.window
        rows = max(region.rows for region in spec.regions)
        walk = window.r + window.stride_h
        return (
            self.config.dw_rows == 2
            and not spec.max_mode
            and spec.second is None
            and 2 * window.stride_h <= 15
            and window.stride_h * window.s <= DW_LAG_TAPS
            and walk * _ceil(rows, 2) < window.r * rows
        )

    def tasks(self) -> Iterator[Task]:
        """Emit tile by tile; each task is emitted when the next one is asked for."""
        for region, (rows, cols) in zip(self.spec.regions, self.sizes):
            tiles = list(self._tiles(region, rows, cols))
            words = list(self._words())
            # Tiles outside, so that other layers can begin with whole pixels; words outside where
            # not all weights are there.
            if not self.has_wgt or self.wgt_words == self.num_words:
                order = ((tile, word) for tile in tiles for word in words)
            else:
                order = ((tile, word) for word in words for tile in tiles)
            for tile, word in order:
                yield from self._input_tile(region, tile, *word)
        self.emitter.rings["dw_wgt"].release(self.wgt_base)

    def _words(self):
        """Yield (input, its channel block, blocks, channel block of the output) word by word."""
        start = 0
        for part in self.spec.inputs:
            for block0 in range(0, part.num_blocks, self.config.ofmap_blocks):
                num_blocks = min(self.config.ofmap_blocks, part.num_blocks - block0)
                yield part, block0, num_blocks, start + block0
            start += part.num_blocks

    def _tiles(self, region: Region, rows: int, cols: int):
        """Yield (y0, x0, rows, cols) of the tiles of a region."""
        y_end, x_end = region.y0 + region.rows, region.x0 + region.cols
        for y0 in range(region.y0, y_end, rows):
            for x0 in range(region.x0, x_end, cols):
                yield y0, x0, min(rows, y_end - y0), min(cols, x_end - x0)

    def _geometry(self, rows: int, cols: int) -> TileGeometry:
        window = self.spec.window
        if self.pairs:
            stride = window.stride_h
            window = replace(window, r=window.r + stride, stride_h=2 * stride)
        return TileGeometry(
            pixels=self.config.pixels,
            window=window,
            out_rows=_ceil(rows, self.step),
            out_cols=cols,
            tile_q=cols,
        )

    def _tile_size(self, region: Region) -> tuple[int, int]:
        """Return rows and cols of an input tile that fits a slot."""
        room, limit = self.slot_words, self.config.dw_tile_pixels
        cols = _ceil(region.cols, _ceil(region.cols, limit))
        while cols > 1 and self._geometry(1, cols).block_words > room:
            cols = _ceil(cols, 2)
        if self._geometry(1, cols).block_words > room:
            raise DoesNotFit(
                f"one {self.spec.window.r}x{self.spec.window.s} window does not fit the depthwise "
                f"ifmap buffer of config {self.config.name} ({room} words): raise dw_ifmap_depth"
            )
        step = self.step
        most = band_rows(region.rows, region.cols) if self.beside else region.rows
        rows = step
        while (
            rows < region.rows
            and rows + step <= most
            and self._geometry(rows + step, cols).block_words <= room
        ):
            rows += step
        psum_rows = step * max(1, limit // cols)
        if psum_rows < rows < region.rows:
            rows -= rows % psum_rows
        return min(rows, region.rows), cols

    def _input_tile(self, region, tile, part, block0, num_blocks, out_block) -> Iterator[Task]:
        """Load one word's channel blocks of a tile and compute them."""
        spec, config, rings = self.spec, self.config, self.emitter.rings
        y0, x0, rows, cols = tile
        geometry = self._geometry(rows, cols)
        origin = {
            "y0": y0 * spec.window.stride_h - spec.pad_top,
            "x0": x0 * spec.window.stride_w - spec.pad_left,
        }
        blocks = {"block0": block0, "num_blocks": num_blocks}
        param_block = region.param_block
        word = out_block // config.ofmap_blocks
        if spec.params_per_block:
            param_block += word
        psum_rows = self.step * max(1, config.dw_tile_pixels // cols)
        base = None
        for dy in range(0, rows, psum_rows):
            psum_tile = y0 + dy, x0, min(psum_rows, rows - dy), cols
            room, needs, cycles = [], (), 0
            if base is None:
                cycles = part.load_cycles(geometry, config, num_blocks)
                room.append(("dw_ifmap", geometry.block_words))
                needs = (part.part(geometry, **blocks, **origin),)
                room += self._wgt_room(word)
            out = {"block0": out_block, "num_blocks": num_blocks, "x0": x0, "cols": cols}
            needs += self.out.needs(**out, y0=y0 + dy, rows=psum_tile[2])
            yield Task(
                cycles=self._clocks(*psum_tile[2:]),
                load_cycles=cycles,
                needs=needs,
                room=(*room, *self.out.room(param_block, psum_tile[2] * cols)),
            )
            if base is None:
                base = rings["dw_ifmap"].place(geometry.block_words, keep=True)
                load_tile(
                    self.emitter,
                    part,
                    geometry,
                    base=base,
                    **blocks,
                    **origin,
                    fill=spec.fill,
                    memory="dw_ifmap",
                    parts=config.ofmap_blocks,
                )
                self._need_weights(word)
            self._psum_tile(psum_tile, geometry, base, dy, word, part, block0, out_block)
            for row in range(self.step):
                lines = _ceil(psum_tile[2] - row, self.step)
                if lines:
                    self.out.end_tile(
                        param_block=param_block,
                        y0=y0 + dy + row,
                        rows=lines,
                        row=row,
                        row_step=self.step,
                        **out,
                    )
        rings["dw_ifmap"].release(base)

    def _clocks(self, rows: int, cols: int) -> int:
        window = self.spec.window
        walk = window.r + (window.stride_h if self.pairs and rows > 1 else 0)
        return walk * window.s * _ceil(_ceil(rows, self.step) * cols, self.config.pixels)

    def _psum_tile(self, psum_tile, geometry, base, dy, word, part, block0, out_block) -> None:
        """Emit DEPTHWISE for one psum tile."""
        spec, config = self.spec, self.config
        _, _, rows, cols = psum_tile
        upper = _ceil(rows, self.step) * cols
        lower = rows * cols - upper
        slot = self.out.begin_tile()
        writes = [self.out.psum_words(upper)]
        lag = 0
        if lower:
            lag = spec.window.stride_h
            writes.append(self.out.psum_words(lower, row=1))
        reads = [("dw_ifmap", base, base + geometry.block_words)]
        wgt_word = 0
        if self.has_wgt:
            wgt_word = self.wgt_base + word % self.wgt_words * self.tap_words
            reads.append(("dw_wgt", wgt_word, wgt_word + self.taps))
        channels = min(
            config.out_channels,
            (part.num_blocks - block0) * config.in_channels,
            spec.num_channels - out_block * config.in_channels,
        )
        self.emitter.add(
            Opcode.DEPTHWISE,
            reads=reads,
            writes=writes,
            **geometry.tap_fields(base=base, p0=dy // self.step, num_r=spec.window.r + lag),
            num_pixels=upper,
            num_pixels2=lower,
            num_groups=_ceil(upper, config.pixels),
            num_c=1,
            lag=lag,
            psum_slot=slot,
            in_zp=spec.in_zp,
            max_mode=int(spec.max_mode),
            unit_wgt=int(not self.has_wgt),
            wgt_base=wgt_word,
            ci_last=channels,
        )

    def _chunk_words(self, word: int) -> tuple[int, int]:
        """First word of the chunk of weights that a word is in, and its words."""
        first = word - word % self.wgt_words
        return first, min(self.wgt_words, self.num_words - first)

    def _wgt_room(self, word: int) -> list:
        first, words = self._chunk_words(word)
        if not self.has_wgt or first == self.wgt_chunk:
            return []
        return [("dw_wgt", words * self.tap_words, self.wgt_base)]

    def _need_weights(self, word: int) -> None:
        """Load the chunk of weights of a word."""
        first, words = self._chunk_words(word)
        if not self.has_wgt or first == self.wgt_chunk:
            return
        ring = self.emitter.rings["dw_wgt"]
        ring.release(self.wgt_base)
        self.wgt_chunk = first
        self.wgt_base = ring.place(words * self.tap_words, keep=True)
        word_bytes = self.config.out_channels
        self.emitter.load_linear(
            LoadTarget.DW_WGT,
            dram_addr=self.spec.wgt_addr + first * self.tap_words * word_bytes,
            word=self.wgt_base,
            num_words=words * self.tap_words,
            word_bytes=word_bytes,
        )
