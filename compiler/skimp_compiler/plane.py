"""Activations in memory as planes of channel blocks, and the transfers that move tiles of them."""

from dataclasses import dataclass, replace

import numpy as np

from skimp.config import Config
from skimp.isa import CHIP_BASE, Opcode
from skimp_compiler.emitter import Emitter
from skimp_compiler.geometry import TileGeometry
from skimp_compiler.program import TensorPlace
from skimp_compiler.region import Region

__all__ = ["Planes", "load_tile"]

LOAD_COMMAND_CYCLES = 3
"""From the last word of a load to the first one of the next."""

DRAM_ROW_CYCLES = 14
"""What a part of a row costs at least that is read from DRAM by itself."""


@dataclass(frozen=True, kw_only=True)
class Planes:
    """Channel blocks of one tensor: plane after plane, row after row, a pixel is one word.

    Parameters
    ----------
    address : int
        Bytes; from CHIP_BASE on in the activation store.
    height, width : int
    row_words : int
        Words from a row to the next.
    num_blocks : int
    word_bytes : int
    plane_words : int
        Words from a plane to the next: whole beats.
    region : Region
        Who stores what, for the order of commands.
    """

    address: int
    height: int
    width: int
    row_words: int
    num_blocks: int
    word_bytes: int
    plane_words: int
    region: Region

    @classmethod
    def of(cls, place: TensorPlace, region: Region) -> "Planes":
        return cls(
            address=place.address,
            height=place.height,
            width=place.width,
            row_words=place.width,
            num_blocks=place.num_blocks,
            word_bytes=place.block,
            plane_words=place.plane_words,
            region=region,
        )

    def flat(self) -> "Planes":
        """The same bytes as planes of a single row."""
        assert self.row_words == self.width
        width = self.height * self.width
        return replace(self, height=1, width=width, row_words=width)

    def every_row(self, step: int) -> "Planes":
        """Rows 0, step, 2 * step ... only."""
        return replace(self, height=-(-self.height // step), row_words=self.row_words * step)

    @property
    def plane_bytes(self) -> int:
        return self.plane_words * self.word_bytes

    def pixel_address(self, block: int, y: int, x: int) -> int:
        words = block * self.plane_words + y * self.row_words + x
        return self.address + words * self.word_bytes

    def load_cycles(
        self, geometry: TileGeometry, config: Config, num_blocks: int, *, halve=False
    ) -> int:
        """Clocks to load channel blocks of a padded tile, if nothing else is read."""
        cols, stride = geometry.in_cols * (2 if halve else 1), geometry.window.stride_w
        words = config.load_words if stride <= 2 else 1
        if halve or stride == 2:
            words = max(1, words - words % 2)
        if self.address < CHIP_BASE:
            words = min(words, config.bus_words)
        row = -(-cols // words)
        if self.address < CHIP_BASE and cols < self.width and geometry.in_rows > 1:
            row = max(row, DRAM_ROW_CYCLES)
        return num_blocks * geometry.in_rows * row + LOAD_COMMAND_CYCLES

    def load(
        self, geometry: TileGeometry, *, block0, num_blocks, y0, x0, base, fill, halve=False
    ) -> dict:
        """Fields of LOAD_IFMAP, with `loads`, for the padded tile that starts at row y0, column x0.

        Rows and columns outside the plane are padding of value `fill`. `halve`: every second
        column of the plane counts.
        """
        step = 2 if halve else 1
        top, bottom, rows = _clip(y0, geometry.in_rows, self.height)
        left, right, cols = _clip(x0, geometry.in_cols, -(-self.width // step))
        if halve:
            assert not (left or right)
            cols = min(2 * cols, self.width - 2 * x0)
        fields = geometry.load_fields(base=base)
        fields |= {
            "num_blocks": num_blocks,
            "num_rows": rows,
            "num_cols": cols,
            "pad_top": top,
            "pad_bottom": bottom,
            "pad_left": left,
            "pad_right": right,
            "fill": fill,
            "halve": int(halve),
        }
        if rows and cols:
            y, x = y0 + top, step * (x0 + left)
            fields["dram_addr"] = self.pixel_address(block0, y, x)
            fields |= self._segments(num_blocks=num_blocks, rows=rows, cols=cols)
            fields["loads"] = self._part(block0, num_blocks, y, x, rows, cols)
        return fields

    def load_residual(self, *, block0, num_blocks, y0, x0, rows, cols, pixel_base) -> dict:
        """Fields of LOAD_RESIDUAL, with `loads`, for a rectangle of pixels."""
        whole_rows = cols == self.row_words or rows == 1
        return {
            "dram_addr": self.pixel_address(block0, y0, x0),
            "num_pixels": rows * cols,
            "pixel_base": pixel_base,
            "seg_words": rows * cols if whole_rows else cols,
            "seg_count": 1 if whole_rows else rows,
            "seg_stride": self.row_words * self.word_bytes,
            "dma_blocks": num_blocks,
            "block_stride": self.plane_bytes,
            "loads": self._part(block0, num_blocks, y0, x0, rows, cols),
        }

    def _part(self, block0, num_blocks, y, x, rows, cols) -> tuple:
        first = y * self.row_words + x
        behind = (y + rows - 1) * self.row_words + x + cols
        return self.region, block0, num_blocks, first, behind

    def _segments(self, *, num_blocks: int, rows: int, cols: int) -> dict:
        """Longest contiguous pieces of a rectangle in several planes."""
        if cols < self.row_words and rows > 1:
            return {
                "seg_words": cols,
                "seg_count": rows,
                "seg_stride": self.row_words * self.word_bytes,
                "dma_blocks": num_blocks,
                "block_stride": self.plane_bytes,
            }
        if rows * cols < self.plane_words:
            return {
                "seg_words": rows * cols,
                "seg_count": num_blocks,
                "seg_stride": self.plane_bytes,
                "dma_blocks": 1,
            }
        return {"seg_words": num_blocks * rows * cols, "seg_count": 1, "dma_blocks": 1}

    def store(self, *, block0, num_blocks, y0, x0, rows, cols, ofmap_base, row_step=1) -> dict:
        """Fields of STORE, with `stores`, for a rectangle of output pixels in some planes.

        row_step: the rows are y0, y0 + row_step and so on.
        """
        whole_rows = rows == 1 or (row_step == 1 and cols == self.row_words)
        return {
            "dram_addr": self.pixel_address(block0, y0, x0),
            "seg_words": rows * cols if whole_rows else cols,
            "seg_count": 1 if whole_rows else rows,
            "seg_stride": row_step * self.row_words * self.word_bytes,
            "block_stride": self.plane_bytes,
            "num_blocks": num_blocks,
            "ofmap_base": ofmap_base,
            "stores": self._part(block0, num_blocks, y0, x0, row_step * (rows - 1) + 1, cols),
        }

    def filled(self, clock, *, block0, num_blocks, y0, x0, rows, cols, row_step=1) -> None:
        """Note when a rectangle that was stored can be loaded."""
        lines = y0 + row_step * np.arange(rows)
        pixels = lines[:, None] * self.row_words + np.arange(x0, x0 + cols)
        self.region.filled(clock, block0, num_blocks, pixels.reshape(-1))

    def part(self, geometry: TileGeometry, *, block0, num_blocks, y0, x0, halve=False) -> tuple:
        """What `load` reads, as the emitter's `loads`; empty where all is padding."""
        step = 2 if halve else 1
        top, _, rows = _clip(y0, geometry.in_rows, self.height)
        left, _, cols = _clip(x0, geometry.in_cols, -(-self.width // step))
        if halve:
            cols = min(2 * cols, self.width - 2 * x0)
        if not (rows and cols):
            return ()
        return self._part(block0, num_blocks, y0 + top, step * (x0 + left), rows, cols)

    def residual_part(self, *, block0, num_blocks, y0, x0, rows, cols) -> tuple:
        """What `load_residual` reads."""
        return self._part(block0, num_blocks, y0, x0, rows, cols)


def load_tile(
    emitter: Emitter,
    planes: Planes,
    geometry: TileGeometry,
    *,
    base,
    block0,
    num_blocks,
    y0,
    x0,
    fill,
    halve=False,
    memory="ifmap",
    parts=1,
) -> None:
    """Load a padded tile of the input, from row y0, column x0 on.

    Parameters
    ----------
    base : int
        Flat word where it begins.
    memory : str
        "ifmap" or "dw_ifmap".
    parts : int
        Channel blocks of a word of that memory.
    """
    words = geometry.block_words * -(-num_blocks // parts)
    load = planes.load(
        geometry,
        block0=block0,
        num_blocks=num_blocks,
        y0=y0,
        x0=x0,
        base=base,
        fill=fill,
        halve=halve,
    )
    emitter.add(
        Opcode.LOAD_IFMAP,
        writes=[(memory, base, base + words)],
        dw=int(memory == "dw_ifmap"),
        **load,
    )


def _clip(start: int, length: int, size: int) -> tuple[int, int, int]:
    """Return padding before, padding behind and real elements of [start, start + length)."""
    before = min(max(0, -start), length)
    behind = min(max(0, start + length - size), length - before)
    return before, behind, length - before - behind
