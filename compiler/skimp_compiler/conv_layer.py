"""Convolutions on the array: the commands of a tiling."""

from skimp.config import Config
from skimp.isa import LoadTarget, Opcode
from skimp_compiler.conv_tiling import ConvSpec, ConvTiling, choose_tiling, tile_geometry
from skimp_compiler.drain_store import DrainStore
from skimp_compiler.emitter import Emitter
from skimp_compiler.geometry import TileGeometry
from skimp_compiler.plane import load_tile

__all__ = ["emit_conv"]


def _ceil(a: int, b: int) -> int:
    return -(-a // b)


def emit_conv(emitter: Emitter, config: Config, spec: ConvSpec) -> ConvTiling:
    """Append the commands of a convolution and return its tiling.

    Raises
    ------
    DoesNotFit
        One window of one channel block is more than the ifmap buffer holds.
    """
    spec = spec.reduced().flattened()
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
        self.per_k = self.c_blocks * self.taps
        self.out = DrainStore(
            emitter, config, requant=spec.requant, output=spec.output, second=spec.second
        )
        self.wgt_words: dict[int, int] = {}

    def run(self) -> None:
        tiling = self.tiling
        if tiling.kind == "streamed":
            for tile in self._tiles():
                for k in range(self.k_blocks):
                    self._psum_tile(tile, None, k, tile)
        elif tiling.kind == "turn":
            for tile in self._tiles():
                base = self._load_tile(tile)
                for k in range(self.k_blocks):
                    self._all_psum_tiles(tile, base, k)
        else:
            for first in range(0, self.k_blocks, tiling.group_blocks):
                blocks = range(first, min(first + tiling.group_blocks, self.k_blocks))
                word = self.emitter.rings["wgt"].place(len(blocks) * self.per_k)
                self.wgt_words.clear()
                for tile in self._tiles():
                    base = self._load_tile(tile)
                    for k in blocks:
                        if k not in self.wgt_words:
                            self.wgt_words[k] = word + (k - first) * self.per_k
                            self._load_weights(k * self.per_k, self.per_k, self.wgt_words[k])
                        self._all_psum_tiles(tile, base, k)

    def _tiles(self):
        """Yield (y0, x0, rows, cols) of input tiles in output pixels."""
        out, tiling = self.spec.output, self.tiling
        for y0 in range(0, out.height, tiling.rows):
            for x0 in range(0, out.width, tiling.cols):
                rows = min(tiling.rows, out.height - y0)
                yield y0, x0, rows, min(tiling.cols, out.width - x0)

    def _geometry(self, tile) -> TileGeometry:
        _, _, rows, cols = tile
        return tile_geometry(self.spec, self.config, rows, cols, min(cols, self.tiling.psum_cols))

    def _load_tile(self, tile, block0: int = 0, num_blocks: int | None = None) -> int:
        """Load the input of a tile and return the flat word where it lies."""
        spec = self.spec
        y0, x0, _, _ = tile
        return load_tile(
            self.emitter,
            spec.input,
            self._geometry(tile),
            block0=block0,
            num_blocks=self.c_blocks if num_blocks is None else num_blocks,
            p0=y0,
            q0=x0,
            pad_top=spec.pad_top,
            pad_left=spec.pad_left,
            fill=spec.in_zp,
            halve=spec.halve,
        )

    def _load_weights(self, first_block: int, num_blocks: int, word: int) -> None:
        word_bytes = self.config.wgt_block_bytes
        self.emitter.load_linear(
            LoadTarget.WGT,
            dram_addr=self.spec.wgt_addr + first_block * word_bytes,
            word=word,
            num_words=num_blocks,
            word_bytes=word_bytes,
        )

    def _load_chunk(self, k: int, c0: int, num_c: int, r0: int, s0: int, taps: int) -> int:
        """Load the weights of one chunk and return their first word."""
        first = (k * self.c_blocks + c0) * self.taps + r0 * self.spec.window.s + s0
        word = self.emitter.rings["wgt"].place(num_c * taps)
        self._load_weights(first, num_c * taps, word)
        return word

    def _all_psum_tiles(self, tile, ifmap_base: int, k: int) -> None:
        """All psum tiles of an input tile for one output channel block."""
        y0, x0, rows, cols = tile
        tiling = self.tiling
        if tiling.kind == "turn" and self._whole_chunks:
            self.wgt_words = {k: self._load_chunk(k, 0, self.c_blocks, 0, 0, self.taps)}
        for dy in range(0, rows, tiling.psum_rows):
            for dx in range(0, cols, tiling.psum_cols):
                size = min(tiling.psum_rows, rows - dy), min(tiling.psum_cols, cols - dx)
                self._psum_tile((y0 + dy, x0 + dx, *size), ifmap_base, k, tile)

    @property
    def _whole_chunks(self) -> bool:
        """A chunk is all the weights of an output channel block."""
        tiling, window = self.tiling, self.spec.window
        chunk = tiling.chunk_blocks, tiling.chunk_r, tiling.chunk_s
        return tiling.kind != "streamed" and chunk == (self.c_blocks, window.r, window.s)

    def _kernel_parts(self):
        """Yield (r0, num_r, s0, num_s): the kernel, or the parts that come by themselves."""
        window, tiling = self.spec.window, self.tiling
        for r0 in range(0, window.r, tiling.chunk_r):
            for s0 in range(0, window.s, tiling.chunk_s):
                yield (
                    r0,
                    min(tiling.chunk_r, window.r - r0),
                    s0,
                    min(tiling.chunk_s, window.s - s0),
                )

    def _psum_tile(self, psum_tile, ifmap_base, k: int, tile) -> None:
        """One psum tile for one output channel block: CONV commands, drain, store."""
        spec, config, tiling = self.spec, self.config, self.tiling
        y0, x0, rows, cols = psum_tile
        geometry = self._geometry(tile)
        slot = self.out.begin_tile()
        num_k = min(config.out_channels, spec.num_outputs - k * config.out_channels)
        psums = self.out.psum_words(rows * cols)
        first, parts = True, list(self._kernel_parts())
        for c0 in range(0, self.c_blocks, tiling.chunk_blocks):
            num_c = min(tiling.chunk_blocks, self.c_blocks - c0)
            if tiling.kind == "streamed":
                tile_base = base = self._load_tile(tile, c0, num_c)
                tile_words = num_c * geometry.block_words
            else:
                tile_base = ifmap_base
                base = ifmap_base + c0 * geometry.block_words
                tile_words = self.c_blocks * geometry.block_words
            for r0, num_r, s0, num_s in parts:
                if tiling.kind == "resident" or self._whole_chunks:
                    word = self.wgt_words[k]
                else:
                    word = self._load_chunk(k, c0, num_c, r0, s0, num_r * num_s)
                last_c = c0 + num_c == self.c_blocks
                last = last_c and (r0 + num_r, s0 + num_s) == (spec.window.r, spec.window.s)
                rest = spec.num_channels - (self.c_blocks - 1) * config.in_channels
                fields = geometry.tap_fields(
                    base=base, p0=y0 - tile[0], q0=x0 - tile[1],
                    r0=r0, num_r=num_r, s0=s0, num_s=num_s,
                )  # fmt: skip
                fields["tile_q"] = cols
                self.emitter.add(
                    Opcode.CONV,
                    reads=[
                        ("ifmap", tile_base, tile_base + tile_words),
                        ("wgt", word, word + num_c * num_r * num_s),
                    ],
                    writes=[psums] if last else [],
                    **fields,
                    num_pixels=rows * cols,
                    num_groups=_ceil(rows * cols, config.pixels),
                    num_c=num_c,
                    psum_slot=slot,
                    in_zp=spec.in_zp,
                    first=int(first),
                    last=int(last),
                    wgt_base=word,
                    ci_last=rest if last_c else config.in_channels,
                    co_valid=num_k,
                )
                first = False
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
