"""Activations in DRAM as planes of channel blocks, and the transfers that move tiles of them."""

from dataclasses import dataclass

from skimp_compiler.geometry import TileGeometry
from skimp_compiler.program import TensorPlace

__all__ = ["Planes"]


@dataclass(frozen=True, kw_only=True)
class Planes:
    """Channel blocks of one tensor: plane after plane, row after row, a pixel is one beat.

    Parameters
    ----------
    address : int
        Bytes.
    height, width : int
    num_blocks : int
    beat_bytes : int
    """

    address: int
    height: int
    width: int
    num_blocks: int
    beat_bytes: int

    @classmethod
    def of(cls, place: TensorPlace) -> "Planes":
        return cls(
            address=place.address,
            height=place.height,
            width=place.width,
            num_blocks=place.num_blocks,
            beat_bytes=place.block,
        )

    def flat(self) -> "Planes":
        """The same bytes as planes of a single row."""
        return Planes(
            address=self.address,
            height=1,
            width=self.height * self.width,
            num_blocks=self.num_blocks,
            beat_bytes=self.beat_bytes,
        )

    @property
    def plane_bytes(self) -> int:
        return self.height * self.width * self.beat_bytes

    def pixel_address(self, block: int, y: int, x: int) -> int:
        return self.address + block * self.plane_bytes + (y * self.width + x) * self.beat_bytes

    def load(self, geometry: TileGeometry, *, block0, num_blocks, y0, x0, base, fill) -> dict:
        """Fields of LOAD_IFMAP for the padded tile whose first row and column are y0 and x0.

        Rows and columns outside the plane are padding of value `fill`.
        """
        top, bottom, rows = _clip(y0, geometry.in_rows, self.height)
        left, right, cols = _clip(x0, geometry.in_cols, self.width)
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
        }
        if rows and cols:
            fields["dram_addr"] = self.pixel_address(block0, y0 + top, x0 + left)
            fields |= self._segments(num_blocks=num_blocks, rows=rows, cols=cols)
        return fields

    def _segments(self, *, num_blocks: int, rows: int, cols: int) -> dict:
        """Longest contiguous pieces of a rectangle in several planes."""
        if cols < self.width and rows > 1:
            return {
                "seg_beats": cols,
                "seg_count": rows,
                "seg_stride": self.width * self.beat_bytes,
                "dma_blocks": num_blocks,
                "block_stride": self.plane_bytes,
            }
        if rows * cols < self.height * self.width:
            return {
                "seg_beats": rows * cols,
                "seg_count": num_blocks,
                "seg_stride": self.plane_bytes,
                "dma_blocks": 1,
            }
        return {"seg_beats": num_blocks * rows * cols, "seg_count": 1, "dma_blocks": 1}

    def store(self, *, block0, num_blocks, y0, x0, rows, cols, ofmap_base) -> dict:
        """Fields of STORE for a rectangle of output pixels in `num_blocks` planes."""
        whole_rows = cols == self.width or rows == 1
        return {
            "dram_addr": self.pixel_address(block0, y0, x0),
            "seg_beats": rows * cols if whole_rows else cols,
            "seg_count": 1 if whole_rows else rows,
            "seg_stride": self.width * self.beat_bytes,
            "block_stride": self.plane_bytes,
            "num_blocks": num_blocks,
            "ofmap_base": ofmap_base,
        }


def _clip(start: int, length: int, size: int) -> tuple[int, int, int]:
    """Return padding before, padding behind and real elements of [start, start + length)."""
    before = min(max(0, -start), length)
    behind = min(max(0, start + length - size), length - before)
    return before, behind, length - before - behind
