"""How a convolution is cut into tiles, and what each way would cost."""

from dataclasses import dataclass, replace

from skimp.config import Config
from skimp.isa import CHIP_BASE
from skimp_compiler.drain_store import Requant, SecondStage
from skimp_compiler.geometry import DoesNotFit, TileGeometry, Window
from skimp_compiler.plane import Planes

__all__ = ["ConvSpec", "ConvTiling", "choose_tiling", "tile_geometry"]

COMMAND_CYCLES = 1
"""What a CONV command costs beside its passes."""

ROUND_CYCLES = 95
"""From a psum slot's last sum to its next first one, beside computing and draining: pipelines,
semaphores, parameters. The slots share it."""

BYTE_WEIGHT = 0.02
"""Clocks that a moved beat counts beside those it takes: fewer bytes win where time is equal."""


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
    second : SecondStage or None
    halve : bool
        Only every second column of the input counts.
    first_input, first_output : int
        Channel block of `input` and block of out_channels of `output` where it begins; others are
        other parts of the layer.
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
    second: SecondStage | None = None
    halve: bool = False
    first_input: int = 0
    first_output: int = 0

    def reduced(self) -> "ConvSpec":
        """The same convolution without rows and columns that no tap looks at (1x1 with stride)."""
        spec, w = self, self.window
        if w.r == 1 and w.stride_h > 1 and not self.pad_top:
            rows = spec.input.every_row(w.stride_h)
            spec = replace(spec, input=rows, window=replace(spec.window, stride_h=1))
        inside = not self.pad_left and 2 * self.output.width - 2 < self.input.width
        if w.s == 1 and w.stride_w == 2 and inside:
            spec = replace(spec, halve=True, window=replace(spec.window, stride_w=1))
        return spec

    def flattened(self) -> "ConvSpec":
        """The same convolution over one long row, where every pixel is alike (1x1, stride 1)."""
        plain = self.window == Window() and not (self.pad_top or self.pad_left or self.halve)
        maps = [self.input, self.output] + ([self.second.residual] if self._has_residual else [])
        same = all((m.height, m.width, m.width) == (
            self.output.height, self.output.width, m.row_words
        ) for m in maps)  # fmt: skip
        if not (plain and same) or self.output.height * self.output.width > 0xFFFF:
            return self
        second = self.second
        if self._has_residual:
            second = replace(second, residual=second.residual.flat())
        return replace(self, input=self.input.flat(), output=self.output.flat(), second=second)

    @property
    def _has_residual(self) -> bool:
        return self.second is not None and self.second.residual is not None


@dataclass(frozen=True, kw_only=True)
class ConvTiling:
    """How a convolution is cut.

    Parameters
    ----------
    kind : str
        "resident": the weights of a group of output channel blocks stay while all tiles pass;
        "turn": an input tile stays while the weights come in turn; "streamed": input and weights
        come in chunks for every psum tile and output channel block.
    rows, cols : int
        Output pixels of an input tile.
    psum_rows, psum_cols : int
        Output pixels of a psum tile.
    chunk_blocks : int
        Channel blocks of one CONV command.
    chunk_r, chunk_s : int
        Kernel rows and columns of one CONV command.
    group_blocks : int
        Output channel blocks whose weights stay together.
    """

    kind: str
    rows: int
    cols: int
    psum_rows: int
    psum_cols: int
    chunk_blocks: int
    chunk_r: int
    chunk_s: int
    group_blocks: int


def _ceil(a: int, b: int) -> int:
    return -(-a // b)


def tile_geometry(spec: ConvSpec, config: Config, rows, cols, psum_cols) -> TileGeometry:
    """Return how the input of rows x cols output pixels lies in the ifmap buffer."""
    return TileGeometry(
        pixels=config.pixels, window=spec.window, out_rows=rows, out_cols=cols, tile_q=psum_cols
    )


def choose_tiling(spec: ConvSpec, config: Config, *, band: int | None = None) -> ConvTiling:
    """Return the tiling that should take the fewest clocks, among those tried.

    band: the layers around are under way at the same time, so a tile has about as many output
    pixels, and takes a part of the buffers, where that is possible.

    Raises
    ------
    DoesNotFit
        One window of one channel block is more than the ifmap buffer holds.
    """
    best = None
    candidates = list(_candidates(spec, config, band))
    if band is not None:
        candidates = [t for t in candidates if _leaves_room(spec, config, t, band)] or candidates
    for tiling in candidates:
        cost = _cost(spec, config, tiling)
        if best is None or cost < best[0]:
            best = (cost, tiling)
    if best is None:
        window = spec.window
        raise DoesNotFit(
            f"one {window.r}x{window.s} window does not fit the ifmap buffer of config "
            f"{config.name} ({config.pixels * config.ifmap_depth} words): raise ifmap_depth"
        )
    return best[1]


def _leaves_room(spec: ConvSpec, config: Config, tiling: ConvTiling, band: int) -> bool:
    """Whether layers beside this one find room in the buffers, and tiles of its output early."""
    output = spec.output
    geometry = tile_geometry(spec, config, tiling.rows, tiling.cols, tiling.psum_cols)
    c_blocks = _ceil(spec.num_channels, config.in_channels)
    weights = c_blocks * spec.window.r * spec.window.s
    weights *= tiling.group_blocks if tiling.kind == "resident" else 1
    # A tile of the input serves one of the output, but DRAM gives long runs better.
    one = (tiling.rows, tiling.cols) == (tiling.psum_rows, tiling.psum_cols)
    if output.height == 1 and output.width > config.pixels:
        whole = tiling.psum_cols == _band_cols(output.width, config, band)
    else:
        whole = tiling.cols == output.width
    return (
        tiling.kind != "streamed"
        and whole
        and (one or spec.input.address < CHIP_BASE)
        and 3 * c_blocks * geometry.block_words <= config.pixels * config.ifmap_depth
        and 2 * weights <= config.wgt_depth
    )


def _band_cols(width: int, config: Config, band: int) -> int:
    """Pixels of a tile of a single row of many."""
    band = min(band, width)
    return _ceil(band, _ceil(band, config.tile_pixels))


def _candidates(spec: ConvSpec, config: Config, band: int | None = None):
    """Yield the tilings to compare."""
    height, width = spec.output.height, spec.output.width
    c_blocks = _ceil(spec.num_channels, config.in_channels)
    k_blocks = _ceil(spec.num_outputs, config.out_channels)
    widths = _psum_cols(width, height, config)
    if band is not None and height == 1:
        widths = sorted({*widths, _band_cols(width, config, band)}, reverse=True)
    for psum_cols in widths:
        most = min(height, max(1, config.tile_pixels // psum_cols))
        for psum_rows in sorted({most, _ceil(height, _ceil(height, most))}):
            for rows, cols, streamed in _input_tiles(spec, config, psum_rows, psum_cols, c_blocks):
                geometry = tile_geometry(spec, config, rows, cols, min(cols, psum_cols))
                kinds = ("streamed",) if streamed else ("resident", "turn")
                if (rows, cols) == (height, width):
                    # Nothing asks twice for weights: each block's place is free behind its use.
                    kinds = kinds[-1:]
                for plan in _weight_plans(spec, config, c_blocks, k_blocks, kinds, geometry):
                    yield ConvTiling(
                        rows=rows, cols=cols, psum_rows=min(rows, psum_rows),
                        psum_cols=min(cols, psum_cols), **plan,
                    )  # fmt: skip


def _psum_cols(width: int, height: int, config: Config) -> list[int]:
    """Widths of psum tiles: the whole row, or equal parts of it."""
    parts = _ceil(width, config.tile_pixels)
    widths = {
        _ceil(width, n)
        for n in (
            parts,
            parts + 1,
            parts + 2,
            parts + 3,
            parts + 4,
            parts + 5,
            2 * parts,
            4 * parts,
            16 * parts,
        )
    }
    widths.add(1)
    if height == 1:
        widths |= {min(width, _ceil(w, config.pixels) * config.pixels) for w in widths}
        widths.add(min(width, config.tile_pixels))
    return sorted((w for w in widths if w <= config.tile_pixels), reverse=True)


def _input_tiles(spec, config, psum_rows, psum_cols, c_blocks):
    """Yield (rows, cols, streamed) of input tiles that serve whole psum tiles."""
    height, width = spec.output.height, spec.output.width
    capacity = config.pixels * config.ifmap_depth

    def words(rows, cols):
        return tile_geometry(spec, config, rows, cols, min(cols, psum_cols)).block_words * c_blocks

    one_row = height == 1 and spec.window == Window()
    seen = set()
    for room in (capacity // 2, capacity):
        if one_row:
            most = room // c_blocks // psum_cols
            for count in {1, 2, 4, most}:
                if 0 < count <= most:
                    seen.add((1, min(width, count * psum_cols)))
        else:
            most = 0
            while words(min(height, (most + 1) * psum_rows), psum_cols) <= room:
                most += 1
                if most * psum_rows >= height:
                    break
            for count in {1, 2, most}:
                if 0 < count <= most:
                    seen.add((min(height, count * psum_rows), psum_cols))
            if not most and psum_rows > 1 and words(1, psum_cols) <= room:
                rows = 1
                while words(rows + 1, psum_cols) <= room:
                    rows += 1
                seen.add((rows, psum_cols))
    for rows, cols in sorted(seen):
        yield rows, cols, False
    yield psum_rows, psum_cols, True
    if psum_rows > 1:
        yield 1, psum_cols, True


def _weight_plans(spec, config, c_blocks, k_blocks, kinds, geometry):
    """Yield kind, chunk and group of the plans of some kinds whose weights fit."""
    window = spec.window
    taps = window.r * window.s
    per_k = c_blocks * taps
    whole = {"chunk_blocks": c_blocks, "chunk_r": window.r, "chunk_s": window.s}
    capacity = config.pixels * config.ifmap_depth
    all_stay = False
    if "resident" in kinds:
        # Beside a group of half of the memory, the next one comes.
        rooms = config.wgt_depth, config.wgt_depth // 2
        groups = {min(k_blocks, room // per_k) for room in rooms} - {0}
        all_stay = k_blocks in groups
        for group in sorted(groups, reverse=True):
            yield {"kind": "resident", "group_blocks": group, **whole}
    kind = kinds[-1]
    streamed = kind == "streamed"
    if not (streamed or all_stay) and 2 * per_k <= config.wgt_depth:
        yield {"kind": kind, "group_blocks": 1, **whole}
    for slots in (2, 1):
        room = config.wgt_depth // slots
        chunk = min(c_blocks, room // taps)
        if streamed:
            chunk = min(chunk, capacity // slots // geometry.block_words)
            if geometry.block_words > capacity // slots:
                continue
        if chunk:
            chunk = _ceil(c_blocks, _ceil(c_blocks, chunk))  # equal ones follow each other best
            yield {"kind": kind, "group_blocks": 1, **whole, "chunk_blocks": chunk}
            continue
        # Not even one channel block: rows of the kernel, else a part of one row. Phases are
        # counted from the start of a command: several rows start at multiples of the stride.
        part = {"kind": kind, "group_blocks": 1, "chunk_blocks": 1}
        chunk_r = room // (window.s * window.stride_h) * window.stride_h
        if chunk_r:
            yield part | {"chunk_r": min(chunk_r, window.r), "chunk_s": window.s}
        elif room >= window.s:
            yield part | {"chunk_r": 1, "chunk_s": window.s}
        else:
            chunk_s = max(1, room // window.stride_w * window.stride_w)
            yield part | {"chunk_r": 1, "chunk_s": min(chunk_s, window.s)}


def _parts(size: int, part: int) -> dict[int, int]:
    """Return how many pieces of which length a size is cut into."""
    counts = {part: size // part}
    if size % part:
        counts[size % part] = 1
    return counts


def _cost(spec: ConvSpec, config: Config, tiling: ConvTiling) -> float:
    """Clocks of the slowest of array, drain, buses, and what cannot overlap."""
    window, output = spec.window, spec.output
    c_blocks = _ceil(spec.num_channels, config.in_channels)
    k_blocks = _ceil(spec.num_outputs, config.out_channels)
    per_k = c_blocks * window.r * window.s
    commands = _ceil(c_blocks, tiling.chunk_blocks)
    commands *= _ceil(window.r, tiling.chunk_r) * _ceil(window.s, tiling.chunk_s)
    step = 1 if spec.second is not None else config.drain_pixels

    compute = drain = turns = tiles = psum_tiles = load = 0
    for rows, many in _parts(output.height, tiling.rows).items():
        for cols, times in _parts(output.width, tiling.cols).items():
            count = many * times
            tiles += count
            geometry = tile_geometry(spec, config, rows, cols, min(cols, tiling.psum_cols))
            load += count * spec.input.load_cycles(geometry, config, c_blocks, halve=spec.halve)
            for psum_rows, n in _parts(rows, tiling.psum_rows).items():
                for psum_cols, k in _parts(cols, tiling.psum_cols).items():
                    pixels = psum_rows * psum_cols
                    groups = max(_ceil(pixels, config.pixels), config.min_pass_cycles)
                    one = per_k * groups + commands * COMMAND_CYCLES
                    out = _ceil(pixels, step) + 1
                    compute += count * n * k * one
                    drain += count * n * k * out
                    turns += count * n * k * (one + out + ROUND_CYCLES) / config.psum_slots
                    psum_tiles += count * n * k
    compute *= k_blocks
    drain *= k_blocks
    turns *= k_blocks
    wgt = k_blocks * per_k * config.wgt_block_beats
    if tiling.kind == "resident":
        load *= _ceil(k_blocks, tiling.group_blocks)
    elif tiling.kind == "turn":
        whole = commands == 1
        wgt *= tiles if whole else psum_tiles
    else:
        load *= k_blocks
        wgt *= tiles
    out_words = config.chip_words if output.address >= CHIP_BASE else config.bus_words
    store = _ceil(spec.num_outputs, config.in_channels) * (
        output.height * output.width // out_words
        + psum_tiles * (2 if tiling.psum_cols == output.row_words else tiling.psum_rows * 2)
    )
    dram = wgt
    dram += load if spec.input.address < CHIP_BASE else 0
    dram += store if output.address < CHIP_BASE else 0
    busy = max(compute, drain, turns, load, store, dram)
    # What fills more than half of its memory cannot come while its predecessor is in use.
    chunk = tiling.chunk_blocks * tiling.chunk_r * tiling.chunk_s
    if tiling.kind != "resident" and 2 * chunk > config.wgt_depth:
        busy = max(busy, compute + wgt)
    if tiling.kind == "resident" and 2 * tiling.group_blocks * per_k > config.wgt_depth:
        # Those of the next layer (or group) come beside the last tile at the earliest.
        busy = max(busy, compute * (1 - 1 / tiles) + wgt)
    widest = tile_geometry(
        spec, config, tiling.rows, tiling.cols, min(tiling.cols, tiling.psum_cols)
    ).block_words
    resident = tiling.chunk_blocks if tiling.kind == "streamed" else c_blocks
    loads = tiles * (k_blocks if tiling.kind == "streamed" else 1)
    if loads > 1 and 2 * widest * resident > config.pixels * config.ifmap_depth:
        busy = max(busy, compute + load)
    # The first tile in, the last one out.
    ends = load // tiles // (k_blocks if tiling.kind == "streamed" else 1)
    ends += min(tiling.psum_rows * tiling.psum_cols, output.height * output.width)
    return busy + ends + BYTE_WEIGHT * (load + wgt)
