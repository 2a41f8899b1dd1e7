"""GLB layout of a tile: every tap of every lane reads what the definition of a window says."""

from hypothesis import given, settings
from hypothesis import strategies as st

from skimp_compiler.geometry import TileGeometry, Window

WINDOWS = st.builds(
    Window,
    r=st.integers(1, 7),
    s=st.integers(1, 7),
    stride_h=st.integers(1, 4),
    stride_w=st.integers(1, 4),
)
SETTINGS = settings(max_examples=200, deadline=None, derandomize=True)


def flat(field: int, pixels: int) -> int:
    """Flat word offset of a GLB address field; rows are signed."""
    row, bank = field & 0xFFFF, field >> 16
    assert bank < pixels
    return (row - (row >> 15 << 16)) * pixels + bank


def walk(start, count, inc, wrap, stride):
    """Offsets along one axis as the hardware counts them: wrap behind each stride-th step."""
    at, result = start, []
    for n in range(1, count + 1):
        result.append(at)
        at += wrap if n % stride == 0 else inc
    return result


def loaded(geometry: TileGeometry, base: int, num_blocks: int) -> dict:
    """Return (block, row, column) of the padded tile by flat word, as LOAD_IFMAP writes it."""
    fields = {
        name: flat(value, geometry.pixels) if name.startswith(("inc", "glb")) else value
        for name, value in geometry.load_fields(base=base).items()
    }
    words = {}
    for b in range(num_blocks):
        start = fields["glb_base"] + b * fields["inc_block"]
        rows = walk(
            start, geometry.in_rows, fields["inc_row"], fields["inc_row_wrap"], fields["stride_h"]
        )
        for y, row in enumerate(rows):
            columns = walk(
                row, geometry.in_cols, fields["inc_col"], fields["inc_col_wrap"], fields["stride_w"]
            )
            for x, word in enumerate(columns):
                assert word not in words, "two pixels of the tile in one word"
                words[word] = b, y, x
    return words


def taps(fields: dict, pixels: int, num_c: int):
    """Yield (c, r, s, flat word of pixel 0) as the tap walk counts them."""
    inc = {name: flat(fields[name], pixels) for name in fields if name.startswith("inc")}
    for c in range(num_c):
        start = flat(fields["ifmap_base"], pixels) + c * inc["inc_c"]
        rows = walk(start, fields["num_r"], inc["inc_r"], inc["inc_r_wrap"], fields["stride_h"])
        for r, row in enumerate(rows):
            columns = walk(
                row, fields["num_s"], inc["inc_s"], inc["inc_s_wrap"], fields["stride_w"]
            )
            for s, word in enumerate(columns):
                yield c, r, s, word


@SETTINGS
@given(
    window=WINDOWS,
    pixels=st.integers(1, 16),
    rows=st.integers(1, 6),
    cols=st.integers(1, 9),
    num_c=st.integers(1, 2),
    base=st.integers(0, 40),
)
def test_every_lane_of_every_tap_reads_its_word(window, pixels, rows, cols, num_c, base):
    geometry = TileGeometry(pixels=pixels, window=window, out_rows=rows, out_cols=cols, tile_q=cols)
    words = loaded(geometry, base, num_c)
    assert min(words) == base
    assert max(words) < base + num_c * geometry.block_words
    fields = geometry.tap_fields(base=base)
    for c, r, s, start in taps(fields, pixels, num_c):
        for n in range(rows * cols):
            p, q = divmod(n, cols)
            group, lane = divmod(n, pixels)
            word = start + lane + pixels * (group + p * fields["row_step"])
            wanted = c, p * window.stride_h + r, q * window.stride_w + s
            assert words[word] == wanted


@SETTINGS
@given(window=WINDOWS, pixels=st.integers(1, 16), rows=st.integers(1, 6), cols=st.integers(1, 9))
def test_lanes_of_a_group_lie_in_different_banks(window, pixels, rows, cols):
    geometry = TileGeometry(pixels=pixels, window=window, out_rows=rows, out_cols=cols, tile_q=cols)
    for first in range(0, rows * cols, pixels):
        banks = [
            (n // cols * geometry.pitch + n % cols) % pixels
            for n in range(first, min(first + pixels, rows * cols))
        ]
        assert len(set(banks)) == len(banks)
    assert geometry.pitch % pixels == cols % pixels
    assert geometry.pitch * window.stride_w >= geometry.in_cols


@SETTINGS
@given(window=WINDOWS, pixels=st.integers(1, 16), data=st.data())
def test_part_of_a_kernel_and_of_a_tile(window, pixels, data):
    """A command may start inside a tile and take a part of the kernel."""
    rows, cols = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 7))
    geometry = TileGeometry(pixels=pixels, window=window, out_rows=rows, out_cols=cols, tile_q=cols)

    def part(size, stride):
        start = data.draw(st.integers(0, size - 1))
        if start % stride:
            return start, 1
        return start, data.draw(st.integers(1, size - start))

    (r0, num_r), (s0, num_s) = part(window.r, window.stride_h), part(window.s, window.stride_w)
    p0, q0 = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, cols - 1))
    words = loaded(geometry, 0, 1)
    fields = geometry.tap_fields(base=0, p0=p0, q0=q0, r0=r0, num_r=num_r, s0=s0, num_s=num_s)
    seen = 0
    for _, r, s, word in taps(fields, pixels, 1):
        wanted = 0, p0 * window.stride_h + r0 + r, q0 * window.stride_w + s0 + s
        assert words[word] == wanted
        seen += 1
    assert seen == num_r * num_s
