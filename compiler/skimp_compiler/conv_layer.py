"""Convolution on the array: tiles, loop order, commands.

The psums of a tile stay on chip until they are complete, whatever the layer's size: channels that
do not fit at once come in chunks. Loop orders:

- ifmap outside: for every input tile all output channel blocks; weights come once if they fit the
  scratchpad, else once per input tile;
- weights outside: for every group of output channel blocks whose weights fit, all input tiles;
- streamed: where the input of one psum tile does not fit, input and weights come in chunks of
  channels for every psum tile and output channel block.

Weights of kernels that do not fit by themselves come in chunks of kernel rows or columns.
"""

from dataclasses import dataclass, replace

from skimp.config import CHAIN, Config
from skimp.isa import LoadTarget, Opcode
from skimp_compiler.drain_store import DrainStore, Requant
from skimp_compiler.emitter import Emitter
from skimp_compiler.geometry import DoesNotFit, TileGeometry, Window
from skimp_compiler.plane import Planes

__all__ = ["ConvSpec", "ConvTiling", "choose_tiling", "emit_conv"]

COMMAND_CYCLES = 30
"""What a CONV command costs beside its passes, for choosing tiles."""


@dataclass(frozen=True, kw_only=True)
class ConvSpec:
    """A convolution as the hardware sees it.

    Parameters
    ----------
    window : Window
    pad_top, pad_left : int
        Padding before the first row and column; what lies behind follows from the output size.
    num_channels, num_outputs : int
        C and K.
    input, output : Planes
    wgt_addr : int
        DRAM address of the packed weight blocks.
    in_zp : int
    requant : Requant
    """

    window: Window
    pad_top: int
    pad_left: int
    num_channels: int
    num_outputs: int
    input: Planes
    output: Planes
    wgt_addr: int
    in_zp: int
    requant: Requant

    def flattened(self) -> "ConvSpec":
        """The same convolution over one long row, where every pixel is alike (1x1, stride 1)."""
        plain = self.window == Window() and not (self.pad_top or self.pad_left)
        same = (self.input.height, self.input.width) == (self.output.height, self.output.width)
        if not (plain and same) or self.output.height * self.output.width > 0xFFFF:
            return self
        return replace(self, input=self.input.flat(), output=self.output.flat())


@dataclass(frozen=True, kw_only=True)
class ConvTiling:
    """How a convolution is cut.

    Parameters
    ----------
    rows, cols : int
        Output pixels of an input tile.
    psum_rows, psum_cols : int
        Output pixels of a psum tile; one of the two equals the input tile's.
    chunk_blocks : int
        Channel blocks of one CONV command.
    chunk_r, chunk_s : int
        Kernel rows and columns of one CONV command.
    ifmap_slots : int
        1 or 2 (double buffering).
    streamed : bool
        Input comes in chunks for every psum tile and output channel block.
    wgt_slots : int
        0: the weights of a group stay; 1 or 2: chunks come in turn.
    group_blocks : int
        Output channel blocks whose weights stay together (all: kernels come once).
    """

    rows: int
    cols: int
    psum_rows: int
    psum_cols: int
    chunk_blocks: int
    chunk_r: int
    chunk_s: int
    ifmap_slots: int
    streamed: bool
    wgt_slots: int
    group_blocks: int


def _ceil(a: int, b: int) -> int:
    return -(-a // b)


def _geometry(spec: ConvSpec, config: Config, rows: int, cols: int, psum_cols: int) -> TileGeometry:
    return TileGeometry(
        pixels=config.pixels, window=spec.window, out_rows=rows, out_cols=cols, tile_q=psum_cols
    )


def choose_tiling(spec: ConvSpec, config: Config) -> ConvTiling:
    """Return the tiling with the least DRAM traffic, then the fewest clocks, among those tried.

    Raises
    ------
    DoesNotFit
        One window of one channel block is more than the ifmap buffer holds.
    """
    window = spec.window
    height, width = spec.output.height, spec.output.width
    c_blocks = _ceil(spec.num_channels, config.in_channels)
    k_blocks = _ceil(spec.num_outputs, config.out_channels)
    capacity = config.pixels * config.ifmap_depth
    k_blocks_wgts = c_blocks * window.r * window.s
    best = None

    for psum_cols in _candidate_cols(width, height, config):
        psum_rows = min(height, max(1, config.tile_pixels // psum_cols))
        options = _input_tiles(spec, config, psum_rows, psum_cols, capacity, c_blocks)
        for rows, cols, slots, streamed in options:
            tiles = _ceil(height, rows) * _ceil(width, cols)
            tile_words = _geometry(spec, config, rows, cols, psum_cols)
            tile_beats = tile_words.in_rows * tile_words.in_cols * c_blocks
            wgt_beats = k_blocks * k_blocks_wgts * config.wgt_block_beats
            for kind, chunk_blocks, chunk_r, chunk_s, wgt_slots, group in _weight_plans(
                spec, config, c_blocks, k_blocks, streamed, tile_words, capacity // slots
            ):
                if kind == "streamed":
                    beats = tiles * k_blocks * tile_beats + tiles * wgt_beats
                elif kind == "resident":
                    beats = _ceil(k_blocks, group) * tiles * tile_beats + wgt_beats
                else:
                    subtiles = _ceil(rows, psum_rows) * _ceil(cols, psum_cols)
                    whole = (chunk_blocks, chunk_r, chunk_s) == (c_blocks, window.r, window.s)
                    again = 1 if whole else subtiles
                    beats = tiles * tile_beats + tiles * again * wgt_beats
                groups = _ceil(min(rows, psum_rows) * psum_cols, config.pixels)
                num_tiles = _ceil(height, psum_rows) * _ceil(width, psum_cols)
                commands = _ceil(c_blocks, chunk_blocks)
                commands *= _ceil(window.r, chunk_r) * _ceil(window.s, chunk_s)
                passes = k_blocks_wgts * max(groups, CHAIN)
                cycles = num_tiles * k_blocks * (passes + commands * COMMAND_CYCLES)
                # Compute cannot start before the first tile and the first weights are there.
                first = tile_beats + min(wgt_beats, config.wgt_depth * config.wgt_block_beats)
                if kind != "resident":
                    first = tile_beats + wgt_beats // k_blocks
                cost = (max(beats, cycles) + first, beats)
                if best is None or cost < best[0]:
                    best = (
                        cost,
                        ConvTiling(
                            rows=rows,
                            cols=cols,
                            psum_rows=psum_rows,
                            psum_cols=psum_cols,
                            chunk_blocks=chunk_blocks,
                            chunk_r=chunk_r,
                            chunk_s=chunk_s,
                            ifmap_slots=slots,
                            streamed=kind == "streamed",
                            wgt_slots=wgt_slots,
                            group_blocks=group,
                        ),
                    )
    if best is None:
        raise DoesNotFit(
            f"one {window.r}x{window.s} window does not fit the ifmap buffer of config "
            f"{config.name} ({capacity} words): raise ifmap_depth"
        )
    return best[1]


def _candidate_cols(width: int, height: int, config: Config) -> list[int]:
    """Widths of psum tiles: the whole row, or equal parts of it."""
    parts = _ceil(width, config.tile_pixels)
    widths = {_ceil(width, n) for n in (parts, parts + 1, 2 * parts, 4 * parts, 16 * parts)}
    widths.add(1)
    if height == 1:
        widths.add(min(width, config.tile_pixels))
    return sorted(widths, reverse=True)


def _input_tiles(spec, config, psum_rows, psum_cols, capacity, c_blocks):
    """Yield (rows, cols, ifmap slots, streamed) of input tiles that serve whole psum tiles."""
    height, width = spec.output.height, spec.output.width

    def words(rows, cols):
        return _geometry(spec, config, rows, cols, psum_cols).block_words * c_blocks

    one_row = height == 1 and spec.window == Window()
    full_cols = width if one_row else psum_cols
    if words(height, full_cols) <= capacity and full_cols == width:
        yield height, width, 1, False
    for slots in (2, 1):
        if one_row:
            count = capacity // slots // c_blocks // psum_cols
            if count:
                yield 1, min(width, count * psum_cols), slots, False
            continue
        count = 0
        while words(min(height, (count + 1) * psum_rows), psum_cols) <= capacity // slots:
            count += 1
            if count * psum_rows >= height:
                break
        if count:
            yield min(height, count * psum_rows), psum_cols, slots, False
        elif psum_rows > 1 and words(1, psum_cols) <= capacity // slots:
            rows = 1
            while words(rows + 1, psum_cols) <= capacity // slots:
                rows += 1
            yield rows, psum_cols, slots, False
    for slots in (2, 1):
        yield psum_rows, psum_cols, slots, True
        if psum_rows > 1:
            yield 1, psum_cols, slots, True


def _weight_plans(spec, config, c_blocks, k_blocks, streamed, geometry, ifmap_words):
    """Yield (kind, chunk blocks, chunk rows, columns, weight slots, group) of plans that fit.

    `ifmap_words` is the room for the input of one tile.
    """
    window = spec.window
    taps = window.r * window.s
    per_k = c_blocks * taps
    if not streamed:
        if per_k <= config.wgt_depth:
            group = min(k_blocks, config.wgt_depth // per_k)
            yield "resident", c_blocks, window.r, window.s, 0, group
        if k_blocks * per_k > config.wgt_depth and 2 * per_k <= config.wgt_depth:
            yield "turn", c_blocks, window.r, window.s, 2, 1
    for slots in (2, 1):
        room = config.wgt_depth // slots
        chunk = min(c_blocks, room // taps)
        kind = "turn"
        if streamed:
            kind = "streamed"
            if geometry.block_words > ifmap_words:
                continue
            chunk = min(chunk, ifmap_words // geometry.block_words)
        if chunk:
            yield kind, chunk, window.r, window.s, slots, 1
            continue
        # Not even one channel block: rows of the kernel, else a part of one row. Phases are
        # counted from the start of a command: several rows start at multiples of the stride.
        chunk_r = room // (window.s * window.stride_h) * window.stride_h
        if chunk_r:
            yield kind, 1, min(chunk_r, window.r), window.s, slots, 1
        elif room >= window.s:
            yield kind, 1, 1, window.s, slots, 1
        else:
            chunk_s = max(1, room // window.stride_w * window.stride_w)
            yield kind, 1, 1, min(chunk_s, window.s), slots, 1


def emit_conv(emitter: Emitter, config: Config, spec: ConvSpec) -> ConvTiling:
    """Append the commands of a convolution (without the fence behind it) and return its tiling."""
    spec = spec.flattened()
    tiling = choose_tiling(spec, config)
    _ConvEmitter(emitter, config, spec, tiling).run()
    return tiling


class _ConvEmitter:
    """State of one convolution's emission."""

    def __init__(self, emitter: Emitter, config: Config, spec: ConvSpec, tiling: ConvTiling):
        self.emitter, self.config, self.spec, self.tiling = emitter, config, spec, tiling
        self.c_blocks = _ceil(spec.num_channels, config.in_channels)
        self.k_blocks = _ceil(spec.num_outputs, config.out_channels)
        self.taps = spec.window.r * spec.window.s
        self.capacity = config.pixels * config.ifmap_depth
        self.out = DrainStore(emitter, config, requant=spec.requant, output=spec.output)
        self.ifmap = emitter.buffer("ifmap", num_slots=tiling.ifmap_slots)
        self.wgt = emitter.buffer("wgt", num_slots=max(1, tiling.wgt_slots))
        self.resident: set[int] = set()

    def run(self) -> None:
        tiling = self.tiling
        if tiling.streamed:
            for tile in self._tiles():
                for k in range(self.k_blocks):
                    self._psum_tile(tile, None, k, tile)
            return
        if tiling.wgt_slots:
            for tile in self._tiles():
                slot = self._load_tile(tile)
                for k in range(self.k_blocks):
                    self._all_psum_tiles(tile, slot, k)
                self.ifmap.release()
            return
        groups = _ceil(self.k_blocks, tiling.group_blocks)
        for g in range(groups):
            first = g * tiling.group_blocks
            blocks = range(first, min(first + tiling.group_blocks, self.k_blocks))
            if g:
                self.wgt.release()
            self.resident.clear()
            for tile in self._tiles():
                slot = self._load_tile(tile)
                if not self.resident:
                    self._load_group(blocks)
                for k in blocks:
                    self._all_psum_tiles(tile, slot, k)
                self.ifmap.release()

    def _tiles(self):
        """Yield (y0, x0, rows, cols) of input tiles in output pixels."""
        out, tiling = self.spec.output, self.tiling
        for y0 in range(0, out.height, tiling.rows):
            for x0 in range(0, out.width, tiling.cols):
                rows = min(tiling.rows, out.height - y0)
                yield y0, x0, rows, min(tiling.cols, out.width - x0)

    def _geometry(self, tile) -> TileGeometry:
        _, _, rows, cols = tile
        return _geometry(self.spec, self.config, rows, cols, min(cols, self.tiling.psum_cols))

    def _load_tile(self, tile, block0: int = 0, num_blocks: int | None = None) -> int:
        """Load the input of a tile and return the flat word where it lies."""
        spec = self.spec
        y0, x0, _, _ = tile
        slot = self.ifmap.begin_fill()
        base = slot * (self.capacity // self.tiling.ifmap_slots)
        load = self.emitter.add(
            Opcode.LOAD_IFMAP,
            **spec.input.load(
                self._geometry(tile),
                block0=block0,
                num_blocks=self.c_blocks if num_blocks is None else num_blocks,
                y0=y0 * spec.window.stride_h - spec.pad_top,
                x0=x0 * spec.window.stride_w - spec.pad_left,
                base=base,
                fill=spec.in_zp,
            ),
        )
        self.ifmap.fill(load)
        self.ifmap.end_fill()
        return base

    def _load_weights(self, *, first_block: int, num_blocks: int, word: int) -> None:
        beats = self.config.wgt_block_beats
        load = self.emitter.add(
            Opcode.LOAD_LINEAR,
            dram_addr=self.spec.wgt_addr + first_block * beats * self.config.word_bytes,
            num_beats=num_blocks * beats,
            target=LoadTarget.WGT,
            word_addr=word,
        )
        self.wgt.fill(load)

    def _load_group(self, blocks: range) -> None:
        """Load the weights of output channel blocks that stay together."""
        per_k = self.c_blocks * self.taps
        self.wgt.begin_fill()
        self._load_weights(first_block=blocks.start * per_k, num_blocks=len(blocks) * per_k, word=0)
        self.wgt.end_fill()
        self.resident = set(blocks)
        self.group_start = blocks.start

    def _all_psum_tiles(self, tile, ifmap_base: int, k: int) -> None:
        """All psum tiles of an input tile for one output channel block."""
        y0, x0, rows, cols = tile
        tiling = self.tiling
        window = self.spec.window
        chunk = tiling.chunk_blocks, tiling.chunk_r, tiling.chunk_s
        whole = chunk == (self.c_blocks, window.r, window.s)
        if tiling.wgt_slots and whole:
            self._load_chunk(k, 0, self.c_blocks, 0, 0, self.taps)
        for dy in range(0, rows, tiling.psum_rows):
            for dx in range(0, cols, tiling.psum_cols):
                size = min(tiling.psum_rows, rows - dy), min(tiling.psum_cols, cols - dx)
                psum_tile = (y0 + dy, x0 + dx, *size)
                self._psum_tile(psum_tile, ifmap_base, k, tile, chunks=not whole)
        if tiling.wgt_slots and whole:
            self.wgt.release()

    def _load_chunk(self, k: int, c0: int, num_c: int, r0: int, s0: int, taps: int) -> None:
        """Load the weights of one chunk into the next slot; the slot's word is kept."""
        slot = self.wgt.begin_fill()
        self.chunk_word = slot * (self.config.wgt_depth // self.tiling.wgt_slots)
        first = (k * self.c_blocks + c0) * self.taps + r0 * self.spec.window.s + s0
        self._load_weights(first_block=first, num_blocks=num_c * taps, word=self.chunk_word)
        self.wgt.end_fill()

    def _kernel_parts(self):
        """Yield (r0, num_r, s0, num_s): the kernel, or the parts that come by themselves."""
        window, tiling = self.spec.window, self.tiling
        for r0 in range(0, window.r, tiling.chunk_r):
            for s0 in range(0, window.s, tiling.chunk_s):
                num_r, num_s = (
                    min(tiling.chunk_r, window.r - r0),
                    min(tiling.chunk_s, window.s - s0),
                )
                yield r0, num_r, s0, num_s

    def _psum_tile(self, psum_tile, ifmap_base, k: int, tile, chunks: bool = True) -> None:
        """One psum tile for one output channel block: CONV commands, drain, store."""
        spec, config, tiling = self.spec, self.config, self.tiling
        y0, x0, rows, cols = psum_tile
        geometry = self._geometry(tile)
        half = self.out.begin_tile()
        num_k = min(config.out_channels, spec.num_outputs - k * config.out_channels)
        first = True
        for c0 in range(0, self.c_blocks, tiling.chunk_blocks):
            num_c = min(tiling.chunk_blocks, self.c_blocks - c0)
            if tiling.streamed:
                base, first_block = self._load_tile(tile, c0, num_c), 0
            else:
                base, first_block = ifmap_base, c0
            for r0, num_r, s0, num_s in self._kernel_parts():
                if tiling.wgt_slots:
                    if chunks or tiling.streamed:
                        self._load_chunk(k, c0, num_c, r0, s0, num_r * num_s)
                    word = self.chunk_word
                else:
                    word = (k - self.group_start) * self.c_blocks * self.taps
                last_c = c0 + num_c == self.c_blocks
                rest = spec.num_channels - (self.c_blocks - 1) * config.in_channels
                fields = geometry.tap_fields(
                    base=base + first_block * geometry.block_words,
                    p0=y0 - tile[0],
                    q0=x0 - tile[1],
                    r0=r0,
                    num_r=num_r,
                    s0=s0,
                    num_s=num_s,
                )
                fields["tile_q"] = cols
                conv = self.emitter.add(
                    Opcode.CONV,
                    **fields,
                    num_pixels=rows * cols,
                    num_groups=_ceil(rows * cols, config.pixels),
                    num_c=num_c,
                    psum_half=half,
                    in_zp=spec.in_zp,
                    first=int(first),
                    wgt_base=word,
                    ci_last=rest if last_c else config.in_channels,
                    co_valid=num_k,
                )
                first = False
                self.out.psum.fill(conv)
                self.ifmap.use(conv)
                self.wgt.use(conv)
                if tiling.wgt_slots and (chunks or tiling.streamed):
                    self.wgt.release()
            if tiling.streamed:
                self.ifmap.release()
        blocks_per_word = config.ofmap_blocks
        self.out.end_tile(
            param_block=k,
            num_pixels=rows * cols,
            y0=y0,
            x0=x0,
            rows=rows,
            cols=cols,
            block0=k * blocks_per_word,
            num_blocks=min(blocks_per_word, spec.output.num_blocks - k * blocks_per_word),
        )
