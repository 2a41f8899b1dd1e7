"""Convolutions on the array: the commands of a tiling."""

from collections.abc import Iterator

from skimp.config import Config
from skimp.isa import CHIP_BASE, LoadTarget, Opcode, Unit
from skimp_compiler.conv_tiling import (
    ConvSpec,
    choose_tiling,
    tile_geometry,
)
from skimp_compiler.drain_store import DrainStore
from skimp_compiler.emitter import Emitter
from skimp_compiler.geometry import TileGeometry
from skimp_compiler.plane import load_tile
from skimp_compiler.schedule import Task

__all__ = ["ConvLayer", "ConvParts"]

PIECE_CYCLES = 64
"""Clocks of a load of some channels of a tile, at least: shorter ones cost more commands than they
save."""


def _ceil(a: int, b: int) -> int:
    return -(-a // b)


class ConvLayer:
    """A convolution with its tiling.

    Parameters
    ----------
    emitter : Emitter
    config : Config
    spec : ConvSpec
    band : int or None
        The layers around are under way at the same time: about as many output pixels are a tile,
        and it takes a part of the buffers.
    out : DrainStore or None
        Of the layer that this convolution is a part of.

    Raises
    ------
    DoesNotFit
        One window of one channel block is more than the ifmap buffer holds.
    """

    unit = Unit.ARRAY

    def __init__(self, emitter: Emitter, config: Config, spec: ConvSpec, *, band=None, out=None):
        self.emitter, self.config = emitter, config
        self.spec = spec = spec.reduced().flattened()
        self.tiling = choose_tiling(spec, config, band=band)
        self.c_blocks = _ceil(spec.num_channels, config.in_channels)
        self.k_blocks = _ceil(spec.num_outputs, config.out_channels)
        self.taps = spec.window.r * spec.window.s
        self.per_k = self.c_blocks * self.taps
        self.out = out or DrainStore(
            emitter, config, requant=spec.requant, output=spec.output, second=spec.second
        )
        self.wgt_words: dict[int, int] = {}
        self._wgt_base: int | None = None  # of the place in the ring that is kept

    def tasks(self) -> Iterator[Task]:
        """Emit tile by tile; each task is emitted when the next one is asked for."""
        tiling = self.tiling
        if tiling.kind == "streamed":
            for tile in self._tiles():
                room = self._streamed_room(tile)
                for k in range(self.k_blocks):
                    yield self._task(tile, k, needs=self._input_part(tile), room=room)
                    self._psum_tile(tile, None, k, tile)
        elif tiling.kind == "turn":
            for tile in self._tiles():
                yield from self._all_blocks(tile, range(self.k_blocks))
        else:
            for first in range(0, self.k_blocks, tiling.group_blocks):
                blocks = range(first, min(first + tiling.group_blocks, self.k_blocks))
                self.wgt_words.clear()
                for tile in self._tiles():
                    yield from self._all_blocks(tile, blocks)
        self.emitter.rings["wgt"].release(self._wgt_base)

    def _all_blocks(self, tile, blocks) -> Iterator[Task]:
        """An input tile for some output channel blocks."""
        *early, rest = self._pieces(tile)
        base = None  # of the tile, which takes its place with its first piece
        room = (("ifmap", self._tile_words(tile)),)
        for piece in early:
            yield Task(
                cycles=0,
                load_cycles=self._load_cycles(tile, piece[1]),
                needs=self._input_part(tile, *piece),
                room=room,
                early=True,
            )
            room, base = (), self._load_piece(tile, base, *piece)
        for k in blocks:
            if self.tiling.kind == "turn":
                self.wgt_words.clear()
            for psum_tile in self._psum_tiles(tile):
                weights = ()
                if not self._whole_chunks:
                    weights = (("wgt", self._chunk_blocks),)
                elif not self.wgt_words:
                    weights = (("wgt", self._kept_words(blocks), self._wgt_base),)
                yield self._task(
                    psum_tile,
                    k,
                    needs=self._input_part(tile) if rest else (),
                    room=room + weights,
                    load_cycles=self._load_cycles(tile, rest[1]) if rest else 0,
                )
                if rest:
                    room, base = (), self._load_piece(tile, base, *rest)
                if self._whole_chunks:
                    self._need_weights(k, blocks)
                self._psum_tile(psum_tile, base, k, tile, early if rest else ())
                rest = None
        self.emitter.rings["ifmap"].release(base)

    def _pieces(self, tile) -> list[tuple[int, int]]:
        """First channel block and number of blocks of the loads of a tile.

        What lies on the chip is loaded as the layer before makes its channels.
        """
        count = self.c_blocks
        if self.spec.input.address < CHIP_BASE:
            return [(0, count)]
        step = self.config.ofmap_blocks
        most = max(1, self._load_cycles(tile, count) // PIECE_CYCLES)
        size = _ceil(_ceil(count, most), step) * step
        return [(first, min(size, count - first)) for first in range(0, count, size)]

    def _load_cycles(self, tile, num_blocks: int) -> int:
        return self.spec.input.load_cycles(
            self._geometry(tile), self.config, num_blocks, halve=self.spec.halve
        )

    def _kept_words(self, blocks: range) -> int:
        """Words of the weight ring that stay in use at a time, for some output channel blocks."""
        return self.per_k * (len(blocks) if self.tiling.kind == "resident" else 1)

    def _need_weights(self, k: int, blocks: range) -> None:
        """Load the weights of an output channel block, if they are not there.

        A place is kept until the next one is taken, which may be the same: so a layer that has
        begun always finds room, whatever the layers beside it keep.
        """
        if not self.wgt_words:
            ring = self.emitter.rings["wgt"]
            ring.release(self._wgt_base)
            self._wgt_base = ring.place(self._kept_words(blocks), keep=True)
        if k not in self.wgt_words:
            first = blocks[0] if self.tiling.kind == "resident" else k
            self.wgt_words[k] = self._wgt_base + (k - first) * self.per_k
            self._load_weights(k * self.per_k, self.per_k, self.wgt_words[k])

    @property
    def tile_words(self) -> int:
        """Words of the ifmap buffer that the largest tile takes."""
        return max(self._tile_words(tile) for tile in self._tiles())

    def _tile_words(self, tile) -> int:
        return self.c_blocks * self._geometry(tile).block_words

    def _task(self, psum_tile, k: int, *, needs, room, load_cycles=0) -> Task:
        _, _, rows, cols = psum_tile
        groups = max(_ceil(rows * cols, self.config.pixels), self.config.min_pass_cycles)
        return Task(
            cycles=self.per_k * groups,
            load_cycles=load_cycles,
            needs=needs + self.out.needs(**self._output_part(psum_tile, k)),
            room=(*room, *self.out.room(self.spec.first_output + k, rows * cols)),
        )

    def _tiles(self):
        """Yield (y0, x0, rows, cols) of input tiles in output pixels."""
        out, tiling = self.spec.output, self.tiling
        for y0 in range(0, out.height, tiling.rows):
            for x0 in range(0, out.width, tiling.cols):
                rows = min(tiling.rows, out.height - y0)
                yield y0, x0, rows, min(tiling.cols, out.width - x0)

    def _psum_tiles(self, tile):
        """Yield the psum tiles of an input tile, as `_tiles` does."""
        y0, x0, rows, cols = tile
        tiling = self.tiling
        for dy in range(0, rows, tiling.psum_rows):
            for dx in range(0, cols, tiling.psum_cols):
                size = min(tiling.psum_rows, rows - dy), min(tiling.psum_cols, cols - dx)
                yield y0 + dy, x0 + dx, *size

    def _geometry(self, tile) -> TileGeometry:
        _, _, rows, cols = tile
        return tile_geometry(self.spec, self.config, rows, cols, min(cols, self.tiling.psum_cols))

    def _origin(self, tile) -> dict:
        """Row and column of the input where a tile begins."""
        spec = self.spec
        return {
            "y0": tile[0] * spec.window.stride_h - spec.pad_top,
            "x0": tile[1] * spec.window.stride_w - spec.pad_left,
            "halve": spec.halve,
        }

    def _input_part(self, tile, block0: int = 0, num_blocks: int | None = None) -> tuple:
        """What the loads of a tile read."""
        part = self.spec.input.part(
            self._geometry(tile),
            block0=self.spec.first_input + block0,
            num_blocks=self.c_blocks if num_blocks is None else num_blocks,
            **self._origin(tile),
        )
        return (part,)

    def _output_part(self, psum_tile, k: int) -> dict:
        """Rectangle and channel blocks of the output."""
        y0, x0, rows, cols = psum_tile
        per_word = self.config.ofmap_blocks
        block0 = (self.spec.first_output + k) * per_word
        return {
            "y0": y0,
            "x0": x0,
            "rows": rows,
            "cols": cols,
            "block0": block0,
            "num_blocks": min(per_word, self.spec.output.num_blocks - block0),
        }

    def _load_chunk_tile(self, tile, block0: int, num_blocks: int) -> int:
        """Load channel blocks of a tile and return the flat word where they lie."""
        words = self._geometry(tile).block_words
        base = self.emitter.rings["ifmap"].place(num_blocks * words)
        self._load_piece(tile, base - block0 * words, block0, num_blocks)
        return base

    def _load_piece(self, tile, base: int | None, block0: int, num_blocks: int) -> int:
        """Load channel blocks of a tile whose first block lies at `base`; return that.

        None: the tile takes a place that is kept.
        """
        if base is None:
            base = self.emitter.rings["ifmap"].place(self._tile_words(tile), keep=True)
        geometry = self._geometry(tile)
        load_tile(
            self.emitter,
            self.spec.input,
            geometry,
            base=base + block0 * geometry.block_words,
            block0=self.spec.first_input + block0,
            num_blocks=num_blocks,
            **self._origin(tile),
            fill=self.spec.in_zp,
        )
        return base

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

    @property
    def _whole_chunks(self) -> bool:
        """A chunk is all the weights of an output channel block."""
        tiling, window = self.tiling, self.spec.window
        chunk = tiling.chunk_blocks, tiling.chunk_r, tiling.chunk_s
        return tiling.kind != "streamed" and chunk == (self.c_blocks, window.r, window.s)

    @property
    def _chunk_blocks(self) -> int:
        """Weight blocks of the largest chunk."""
        tiling = self.tiling
        return tiling.chunk_blocks * tiling.chunk_r * tiling.chunk_s

    def _streamed_room(self, tile) -> tuple:
        words = self._geometry(tile).block_words * self.tiling.chunk_blocks
        return ("ifmap", words), ("wgt", self._chunk_blocks)

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

    def _psum_tile(self, psum_tile, ifmap_base, k: int, tile, early=()) -> None:
        """One psum tile for one output channel block: CONV commands, drain, store.

        early: channel blocks that were loaded before the others begin a command of their own each,
        for they may be there before.
        """
        spec, config, tiling = self.spec, self.config, self.tiling
        y0, x0, rows, cols = psum_tile
        geometry = self._geometry(tile)
        slot = self.out.begin_tile()
        num_k = min(config.out_channels, spec.num_outputs - k * config.out_channels)
        psums = self.out.psum_words(rows * cols)
        first, parts = True, list(self._kernel_parts())
        starts = sorted(
            {*range(0, self.c_blocks, tiling.chunk_blocks), *(c0 + n for c0, n in early)}
        )
        for c0, c_end in zip(starts, [*starts[1:], self.c_blocks]):
            num_c = c_end - c0
            tile_words = num_c * geometry.block_words
            if tiling.kind == "streamed":
                base = self._load_chunk_tile(tile, c0, num_c)
            else:
                base = ifmap_base + c0 * geometry.block_words
            for r0, num_r, s0, num_s in parts:
                if self._whole_chunks:
                    word = self.wgt_words[k] + c0 * self.taps
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
                        ("ifmap", base, base + tile_words),
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
        self.out.end_tile(param_block=spec.first_output + k, **self._output_part(psum_tile, k))


class ConvParts:
    """A layer of several convolutions, one after the other: each has output channels of its own.

    Parameters
    ----------
    emitter : Emitter
    config : Config
    specs : list of ConvSpec
        In the order of the output channels; all but channels and weights alike.

    Raises
    ------
    DoesNotFit
        As of ConvLayer.
    """

    unit = Unit.ARRAY

    def __init__(self, emitter: Emitter, config: Config, specs: list[ConvSpec]):
        first = ConvLayer(emitter, config, specs[0])
        self.out = first.out
        self._parts = [
            first,
            *(ConvLayer(emitter, config, spec, out=self.out) for spec in specs[1:]),
        ]

    @property
    def tile_words(self) -> int:
        """As of ConvLayer."""
        return max(part.tile_words for part in self._parts)

    def tasks(self) -> Iterator[Task]:
        """Emit part by part, each as a ConvLayer."""
        for part in self._parts:
            yield from part.tasks()
