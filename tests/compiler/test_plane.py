"""Tiles of planes in DRAM: the segments of a transfer are the rectangle, beat for beat."""

from hypothesis import given, settings
from hypothesis import strategies as st

from skimp_compiler.geometry import TileGeometry, Window
from skimp_compiler.plane import Planes

SETTINGS = settings(max_examples=300, deadline=None, derandomize=True)


def beats(fields: dict, beat_bytes: int) -> list[int]:
    """Addresses in the order in which the DMA takes them."""
    return [
        fields["dram_addr"]
        + block * fields.get("block_stride", 0)
        + segment * fields.get("seg_stride", 0)
        + beat * beat_bytes
        for block in range(fields["dma_blocks"])
        for segment in range(fields["seg_count"])
        for beat in range(fields["seg_beats"])
    ]


@SETTINGS
@given(data=st.data(), height=st.integers(1, 8), width=st.integers(1, 8))
def test_load_is_the_padded_rectangle(data, height, width):
    planes = Planes(
        address=640, height=height, width=width, num_blocks=data.draw(st.integers(1, 4)),
        beat_bytes=8,
    )  # fmt: skip
    rows, cols = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12))
    geometry = TileGeometry(pixels=4, window=Window(), out_rows=rows, out_cols=cols, tile_q=cols)
    y0, x0 = data.draw(st.integers(-12, height)), data.draw(st.integers(-12, width))
    block0 = data.draw(st.integers(0, planes.num_blocks - 1))
    num_blocks = data.draw(st.integers(1, planes.num_blocks - block0))
    fields = planes.load(
        geometry, block0=block0, num_blocks=num_blocks, y0=y0, x0=x0, base=0, fill=-3
    )
    assert fields["pad_top"] + fields["num_rows"] + fields["pad_bottom"] == rows
    assert fields["pad_left"] + fields["num_cols"] + fields["pad_right"] == cols
    inside = [
        planes.pixel_address(block, y, x)
        for block in range(block0, block0 + num_blocks)
        for y in range(max(0, y0), min(height, y0 + rows))
        for x in range(max(0, x0), min(width, x0 + cols))
    ]
    if not inside:
        assert fields["num_rows"] * fields["num_cols"] == 0
        return
    assert fields["pad_top"] == max(0, -y0)
    assert fields["pad_left"] == max(0, -x0)
    assert beats(fields, 8) == inside


@SETTINGS
@given(data=st.data(), height=st.integers(1, 8), width=st.integers(1, 8))
def test_store_is_the_rectangle(data, height, width):
    planes = Planes(address=64, height=height, width=width, num_blocks=4, beat_bytes=16)
    y0, x0 = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    rows, cols = data.draw(st.integers(1, height - y0)), data.draw(st.integers(1, width - x0))
    block0 = data.draw(st.integers(0, 3))
    num_blocks = data.draw(st.integers(1, 4 - block0))
    fields = planes.store(
        block0=block0, num_blocks=num_blocks, y0=y0, x0=x0, rows=rows, cols=cols, ofmap_base=5
    )
    assert beats(fields | {"dma_blocks": fields["num_blocks"]}, 16) == [
        planes.pixel_address(block, y, x)
        for block in range(block0, block0 + num_blocks)
        for y in range(y0, y0 + rows)
        for x in range(x0, x0 + cols)
    ]


def test_full_rows_are_one_segment():
    planes = Planes(address=0, height=6, width=5, num_blocks=2, beat_bytes=8)
    fields = planes.store(block0=0, num_blocks=2, y0=1, x0=0, rows=3, cols=5, ofmap_base=0)
    assert (fields["seg_beats"], fields["seg_count"]) == (15, 1)
