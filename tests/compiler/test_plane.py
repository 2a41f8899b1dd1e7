"""Tiles of planes in memory: the segments of a transfer are the rectangle, word for word."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skimp.configs import PRESETS
from skimp.isa import CHIP_BASE, Opcode
from skimp_compiler.geometry import TileGeometry, Window
from skimp_compiler.plane import Planes
from skimp_compiler.program import TensorPlace
from skimp_compiler.region import Region
from skimp_sim.perf.load import writer_runs

SETTINGS = settings(max_examples=300, deadline=None, derandomize=True)
SIZES = dict(
    height=st.integers(1, 8), width=st.integers(1, 8), bus_words=st.sampled_from([1, 2, 4])
)


def planes_of(height, width, num_blocks=4, *, address=640, word_bytes=8, bus_words=1) -> Planes:
    return Planes(
        address=address,
        height=height,
        width=width,
        row_words=width,
        num_blocks=num_blocks,
        word_bytes=word_bytes,
        plane_words=-(-height * width // bus_words) * bus_words,
        region=Region(num_blocks=num_blocks),
    )


def words(fields: dict, word_bytes: int) -> list[int]:
    """Addresses in the order in which the DMA takes them."""
    return [
        fields["dram_addr"]
        + block * fields.get("block_stride", 0)
        + segment * fields.get("seg_stride", 0)
        + word * word_bytes
        for block in range(fields["dma_blocks"])
        for segment in range(fields["seg_count"])
        for word in range(fields["seg_words"])
    ]


def rectangle(planes, blocks, ys, xs) -> list[int]:
    """Addresses of a rectangle in several planes, from the definition of a plane."""
    return [
        planes.address + (block * planes.plane_words + y * planes.row_words + x) * planes.word_bytes
        for block in blocks
        for y in ys
        for x in xs
    ]


def holds(part, planes, blocks, addresses) -> bool:
    """Whether a part of the region (as loads and stores name it) covers addresses."""
    region, block0, num_blocks, first, behind = part
    for address in addresses:
        block, pixel = divmod((address - planes.address) // planes.word_bytes, planes.plane_words)
        if not (block0 <= block < block0 + num_blocks and first <= pixel < behind):
            return False
    return region is planes.region and (block0, num_blocks) == (blocks[0], len(blocks))


@SETTINGS
@given(data=st.data(), **SIZES)
def test_load_is_the_padded_rectangle(data, height, width, bus_words):
    planes = planes_of(height, width, data.draw(st.integers(1, 4)), bus_words=bus_words)
    rows, cols = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12))
    geometry = TileGeometry(pixels=4, window=Window(), out_rows=rows, out_cols=cols, tile_q=cols)
    y0, x0 = data.draw(st.integers(-12, height)), data.draw(st.integers(-12, width))
    block0 = data.draw(st.integers(0, planes.num_blocks - 1))
    blocks = range(block0, block0 + data.draw(st.integers(1, planes.num_blocks - block0)))
    fields = planes.load(
        geometry, block0=block0, num_blocks=len(blocks), y0=y0, x0=x0, base=0, fill=-3
    )
    assert fields["pad_top"] + fields["num_rows"] + fields["pad_bottom"] == rows
    assert fields["pad_left"] + fields["num_cols"] + fields["pad_right"] == cols
    assert (fields["fill"], fields["halve"]) == (-3, 0)
    ys = range(max(0, y0), min(height, y0 + rows))
    xs = range(max(0, x0), min(width, x0 + cols))
    if not (ys and xs):
        assert fields["num_rows"] * fields["num_cols"] == 0
        assert "loads" not in fields
        return
    assert fields["pad_top"] == max(0, -y0)
    assert fields["pad_left"] == max(0, -x0)
    inside = rectangle(planes, blocks, ys, xs)
    assert words(fields, 8) == inside
    assert holds(fields["loads"], planes, blocks, inside)


@SETTINGS
@given(data=st.data(), **SIZES)
@pytest.mark.parametrize("config", PRESETS.values(), ids=lambda c: c.name)
def test_load_cycles_are_those_of_the_cycle_model(data, config, height, width, bus_words):
    """From the activation store, which is as fast as the writer; 3 clocks between commands."""
    planes = planes_of(height, 5 * width, 8, address=CHIP_BASE, bus_words=bus_words)
    window = Window(
        r=data.draw(st.integers(1, 3)), s=data.draw(st.integers(1, 4)),
        stride_h=data.draw(st.integers(1, 3)), stride_w=data.draw(st.integers(1, 4)),
    )  # fmt: skip
    rows, cols = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 30))
    geometry = TileGeometry(
        pixels=config.pixels, window=window, out_rows=rows, out_cols=cols, tile_q=cols
    )
    blocks = data.draw(st.integers(1, 8))
    fields = planes.load(
        geometry, block0=0, num_blocks=blocks, y0=data.draw(st.integers(-4, 1)),
        x0=data.draw(st.integers(-9, 9)), base=0, fill=0,
    )  # fmt: skip
    runs = writer_runs(config, SimpleNamespace(opcode=Opcode.LOAD_IFMAP, **fields))
    clocks = sum(padding + -(-words // most) for padding, words, most in runs)
    assert planes.load_cycles(geometry, config, blocks) == clocks + 3


@SETTINGS
@given(data=st.data(), **SIZES)
def test_store_is_the_rectangle(data, height, width, bus_words):
    planes = planes_of(height, width, address=64, word_bytes=16, bus_words=bus_words)
    y0, x0 = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    rows, cols = data.draw(st.integers(1, height - y0)), data.draw(st.integers(1, width - x0))
    block0 = data.draw(st.integers(0, 3))
    blocks = range(block0, block0 + data.draw(st.integers(1, 4 - block0)))
    where = dict(block0=block0, num_blocks=len(blocks), y0=y0, x0=x0, rows=rows, cols=cols)
    wanted = rectangle(planes, blocks, range(y0, y0 + rows), range(x0, x0 + cols))
    fields = planes.store(**where, ofmap_base=5)
    assert words(fields | {"dma_blocks": fields["num_blocks"]}, 16) == wanted
    assert fields["ofmap_base"] == 5
    assert holds(fields["stores"], planes, blocks, wanted)
    fields = planes.load_residual(**where, pixel_base=7)
    assert words(fields, 16) == wanted
    assert (fields["num_pixels"], fields["pixel_base"]) == (rows * cols, 7)
    assert fields["num_pixels"] == fields["seg_count"] * fields["seg_words"]
    assert holds(fields["loads"], planes, blocks, wanted)


@SETTINGS
@given(data=st.data(), **SIZES)
def test_store_of_every_second_row(data, height, width, bus_words):
    """What one of two rows side by side makes: y0, y0 + 2 and so on; half a row wide, too."""
    planes = planes_of(height, width, bus_words=bus_words)
    y0 = data.draw(st.integers(0, height - 1))
    rows = data.draw(st.integers(1, (height - y0 + 1) // 2))
    cols = data.draw(st.sampled_from(sorted({1, -(-width // 2), width})))
    x0 = data.draw(st.sampled_from(sorted({0, width - cols})))
    where = dict(block0=1, num_blocks=2, y0=y0, x0=x0, rows=rows, cols=cols, row_step=2)
    wanted = rectangle(planes, (1, 2), range(y0, y0 + 2 * rows, 2), range(x0, x0 + cols))
    fields = planes.store(**where, ofmap_base=0)
    assert words(fields | {"dma_blocks": 2}, 8) == wanted
    assert holds(fields["stores"], planes, (1, 2), wanted)
    # Loads find out when these pixels are there, and only these.
    planes.region.expect(planes.plane_words)
    planes.filled(70, **where)
    for block in range(4):
        for y in range(height):
            for x in range(width):
                pixel = y * planes.row_words + x
                there = planes.region.ready(block, 1, pixel, pixel + 1) == 70
                assert there == (planes.pixel_address(block, y, x) in wanted), (block, y, x)


@SETTINGS
@given(data=st.data(), step=st.integers(1, 4), **SIZES)
def test_every_row(data, step, height, width, bus_words):
    whole = planes_of(height, width, bus_words=bus_words)
    planes = whole.every_row(step)
    assert planes.height == len(range(0, height, step))
    rows = data.draw(st.integers(1, planes.height))
    cols = data.draw(st.integers(1, width))
    y0 = data.draw(st.integers(0, planes.height - rows))
    geometry = TileGeometry(pixels=4, window=Window(), out_rows=rows, out_cols=cols, tile_q=cols)
    fields = planes.load(geometry, block0=1, num_blocks=2, y0=y0, x0=0, base=0, fill=0)
    ys = range(y0 * step, (y0 + rows) * step, step)
    wanted = rectangle(whole, (1, 2), ys, range(cols))
    assert words(fields, 8) == wanted
    assert holds(fields["loads"], whole, (1, 2), wanted)


@SETTINGS
@given(data=st.data(), **SIZES)
def test_halve_takes_every_second_column(data, height, width, bus_words):
    """The load reads all columns that the kept ones span; columns 0, 2, 4 ... of it are kept."""
    planes = planes_of(height, width, bus_words=bus_words)
    out_width = -(-width // 2)
    cols = data.draw(st.integers(1, out_width))
    x0 = data.draw(st.integers(0, out_width - cols))
    rows = data.draw(st.integers(1, height))
    geometry = TileGeometry(pixels=4, window=Window(), out_rows=rows, out_cols=cols, tile_q=cols)
    fields = planes.load(geometry, block0=0, num_blocks=2, y0=0, x0=x0, base=0, fill=0, halve=True)
    assert (fields["halve"], fields["pad_left"], fields["pad_right"]) == (1, 0, 0)
    read = words(fields, 8)
    taken = fields["num_cols"]
    kept = [address for n, address in enumerate(read) if n % taken % 2 == 0]
    assert kept == rectangle(planes, (0, 1), range(rows), range(2 * x0, 2 * (x0 + cols), 2))
    assert set(read) <= set(rectangle(planes, (0, 1), range(rows), range(width)))
    assert holds(fields["loads"], planes, (0, 1), read)


def test_halve_has_no_padding():
    geometry = TileGeometry(pixels=4, window=Window(), out_rows=1, out_cols=4, tile_q=4)
    with pytest.raises(AssertionError):
        planes_of(3, 7).load(
            geometry, block0=0, num_blocks=1, y0=0, x0=-1, base=0, fill=0, halve=True
        )


def test_full_rows_are_one_segment():
    fields = planes_of(6, 5, 2).store(
        block0=0, num_blocks=2, y0=1, x0=0, rows=3, cols=5, ofmap_base=0
    )
    assert (fields["seg_words"], fields["seg_count"]) == (15, 1)


@pytest.mark.parametrize(("bus_words", "segments"), [(1, 1), (2, 1), (4, 4)])
def test_whole_planes_are_one_segment_where_nothing_lies_between(bus_words, segments):
    """6 x 5 words are whole beats of two, not of four."""
    planes = planes_of(6, 5, bus_words=bus_words)
    assert planes.plane_words == (32 if bus_words == 4 else 30)
    geometry = TileGeometry(pixels=4, window=Window(), out_rows=6, out_cols=5, tile_q=5)
    fields = planes.load(geometry, block0=0, num_blocks=4, y0=0, x0=0, base=0, fill=0)
    assert fields["seg_count"] * fields["dma_blocks"] == segments


def test_flat_is_the_same_words_in_one_row():
    planes = planes_of(3, 7, bus_words=4)
    flat = planes.flat()
    assert (flat.height, flat.width, flat.plane_words) == (1, 21, 24)
    assert [flat.pixel_address(b, 0, n) for b in range(4) for n in range(21)] == [
        planes.pixel_address(b, y, x) for b in range(4) for y in range(3) for x in range(7)
    ]
    with pytest.raises(AssertionError):
        planes.every_row(2).flat()


def test_planes_of_a_place():
    place = TensorPlace(
        index=3, address=128, height=3, width=5, channels=20, block=8, plane_words=16,
        shape=(1, 3, 5, 20), zero_point=0,
    )  # fmt: skip
    region = Region(num_blocks=3)
    wanted = planes_of(3, 5, 3, address=128, bus_words=4)
    assert Planes.of(place, region) == replace(wanted, region=region)
