"""How a tile lies in the GLB, and the command fields that follow from it.

Output pixels of a tile are numbered row by row; the array takes `pixels` neighbours a clock. The
padded input tile is stored as one plane per stride phase, rows `pitch` words apart, with
pitch = tile_q + row_step * pixels, so that neighbours always lie in different banks
(docs/architecture.md, "Pixel groups without conflicts").
"""

from dataclasses import dataclass

from skimp.isa import glb_address

__all__ = ["DoesNotFit", "TileGeometry", "Window"]


class DoesNotFit(ValueError):
    """A layer that no tiling fits into the buffers; says which limit, and what to raise."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """Kernel window: size and stride.

    Parameters
    ----------
    r, s : int
        Kernel rows and columns.
    stride_h, stride_w : int
    """

    r: int = 1
    s: int = 1
    stride_h: int = 1
    stride_w: int = 1

    def in_rows(self, out_rows: int) -> int:
        return (out_rows - 1) * self.stride_h + self.r

    def in_cols(self, out_cols: int) -> int:
        return (out_cols - 1) * self.stride_w + self.s


@dataclass(frozen=True, kw_only=True)
class TileGeometry:
    """GLB layout of an input tile that serves `out_rows` x `out_cols` output pixels.

    Parameters
    ----------
    pixels : int
        Pixel lanes = banks.
    window : Window
    out_rows, out_cols : int
        Output pixels that the tile serves.
    tile_q : int
        Width of the psum tiles computed from it; out_cols, or less where out_rows is 1.
    """

    pixels: int
    window: Window
    out_rows: int
    out_cols: int
    tile_q: int

    @property
    def in_rows(self) -> int:
        return self.window.in_rows(self.out_rows)

    @property
    def in_cols(self) -> int:
        return self.window.in_cols(self.out_cols)

    @property
    def row_step(self) -> int:
        """Pitch beyond tile_q, in rows of banks."""
        plane_cols = -(-self.in_cols // self.window.stride_w)
        return -(-max(0, plane_cols - self.tile_q) // self.pixels)

    @property
    def pitch(self) -> int:
        return self.tile_q + self.row_step * self.pixels

    @property
    def plane_words(self) -> int:
        """Words of a phase plane.

        With two column phases, a load writes neighbours of both at once: their banks must be
        apart.
        """
        words = -(-self.in_rows // self.window.stride_h) * self.pitch
        if self.window.stride_w == 2:
            words += (self.pixels // 2 - words) % self.pixels
        return words

    @property
    def block_words(self) -> int:
        """Words of one channel block: all its phase planes."""
        return self.window.stride_h * self.window.stride_w * self.plane_words

    def tap_word(self, block: int, r: int, s: int) -> int:
        """Flat word that output pixel 0 reads for a tap, from the start of the tile."""
        w = self.window
        phase = (r % w.stride_h) * w.stride_w + s % w.stride_w
        return (
            block * self.block_words
            + phase * self.plane_words
            + r // w.stride_h * self.pitch
            + s // w.stride_w
        )

    def tap_fields(
        self,
        *,
        base: int,
        p0: int = 0,
        q0: int = 0,
        r0: int = 0,
        num_r=None,
        s0: int = 0,
        num_s=None,
    ) -> dict:
        """Fields of CONV or DEPTHWISE that walk the taps.

        The walk counts stride phases from its own start: several rows (columns) have to start at
        a multiple of the stride, a single one may start anywhere.

        Parameters
        ----------
        base : int
            Flat word where the tile (or its first channel block of interest) starts.
        p0, q0 : int
            First output pixel inside the tile.
        r0, s0 : int
            First kernel row and column.
        num_r, num_s : int or None
            Kernel rows and columns; None: all from r0, s0.
        """
        w, glb = self.window, self.glb
        start = base + self.tap_word(0, r0, s0) + p0 * self.pitch + q0
        return {
            "tile_q": self.tile_q,
            "row_step": self.row_step,
            "ifmap_base": glb(start),
            "inc_s": glb(self.plane_words),
            "inc_s_wrap": glb(1 - (w.stride_w - 1) * self.plane_words),
            "inc_r": glb(w.stride_w * self.plane_words),
            "inc_r_wrap": glb(self.pitch - (w.stride_h - 1) * w.stride_w * self.plane_words),
            "inc_c": glb(self.block_words),
            "num_r": w.r - r0 if num_r is None else num_r,
            "num_s": w.s - s0 if num_s is None else num_s,
            "stride_h": w.stride_h,
            "stride_w": w.stride_w,
        }

    def load_fields(self, *, base: int) -> dict:
        """Fields of LOAD_IFMAP that place the words of the tile at flat word `base`."""
        w, glb = self.window, self.glb
        return {
            "glb_base": glb(base),
            "inc_col": glb(self.plane_words),
            "inc_col_wrap": glb(1 - (w.stride_w - 1) * self.plane_words),
            "inc_row": glb(w.stride_w * self.plane_words),
            "inc_row_wrap": glb(self.pitch - (w.stride_h - 1) * w.stride_w * self.plane_words),
            "inc_block": glb(self.block_words),
            "stride_h": w.stride_h,
            "stride_w": w.stride_w,
        }

    def glb(self, words: int) -> int:
        """GLB address field of a flat word offset."""
        return glb_address(words, self.pixels)
