"""Every command of the functional model against its definition in nested loops; its errors."""

import dataclasses

import numpy as np
import pytest
from commandbench import CODE_BYTES, CommandBench
from testconfigs import ODD, QUAD, WIDE

from skimp.isa import (
    CHIP_BASE,
    COMMAND_BYTES,
    RECORD_BYTES,
    LoadTarget,
    Opcode,
    Rounding,
    Semaphore,
    assemble,
)
from skimp_compiler.geometry import TileGeometry, Window
from skimp_sim.functional import FunctionalError

SEEDS = range(8)
CONFIGS = [pytest.param(c, id=c.name) for c in (ODD, WIDE, QUAD)]


def bench(config, seed, **options) -> CommandBench:
    return CommandBench(config, np.random.default_rng(seed), **options)


def advance(config, address, step):
    """(row, bank) plus a flat step, carry by carry."""
    row, bank = address
    for _ in range(abs(step)):
        bank += 1 if step > 0 else -1
        if bank == config.pixels:
            row, bank = row + 1, 0
        elif bank < 0:
            row, bank = row - 1, config.pixels - 1
    return row, bank


def beats_of(config, address, words, *, chip=False):
    """Beats that a segment touches."""
    size = config.chip_bytes if chip else config.bus_bytes
    end = address + words * config.word_bytes
    return -(-end // size) - address // size


def wrapped(value: int) -> int:
    """An int as 32 bits of two's complement."""
    return (int(value) + (1 << 31)) % (1 << 32) - (1 << 31)


def random_taps(b: CommandBench, *, num_c=None, num_r=None, num_s=None):
    """Return fields of a random window, and the flat words of every tap [c][r][s][pixel]."""
    cfg, rng = b.config, b.rng
    num_c, num_r, num_s = (
        int(rng.integers(1, 4)) if n is None else n for n in (num_c, num_r, num_s)
    )
    stride_h, stride_w = (int(n) for n in rng.integers(1, 4, 2))
    tile_q = int(rng.integers(1, 9))
    num_pixels = int(rng.integers(1, min(20, cfg.tile_pixels) + 1))
    # The lanes of a group continue into the next row; the pitch makes its offset whole groups.
    row_step = int(rng.integers(0, 3))
    groups = -(-num_pixels // cfg.pixels)
    steps = {
        name: int(rng.integers(-2, 6)) for name in ("inc_s", "inc_s_wrap", "inc_r", "inc_r_wrap")
    }
    steps["inc_c"] = int(rng.integers(0, 9))
    base = 40 + int(rng.integers(0, 8))
    words = []
    for c in range(num_c):
        row_start = base + c * steps["inc_c"]
        for r in range(num_r):
            tap = row_start
            for s in range(num_s):
                for f in range(num_pixels):
                    t, lane = divmod(f, cfg.pixels)
                    flat = tap + lane + cfg.pixels * (t + f // tile_q * row_step)
                    row, bank = advance(cfg, (0, 0), flat)
                    words.append(row * cfg.pixels + bank)
                tap += steps["inc_s_wrap" if (s + 1) % stride_w == 0 else "inc_s"]
            row_start += steps["inc_r_wrap" if (r + 1) % stride_h == 0 else "inc_r"]
    fields = dict(
        tile_q=tile_q, num_pixels=num_pixels, num_groups=groups, row_step=row_step, num_r=num_r,
        num_s=num_s, num_c=num_c, stride_h=stride_h, stride_w=stride_w, ifmap_base=b.glb(base),
        psum_slot=int(rng.integers(2)),
    ) | {name: b.glb(step) for name, step in steps.items()}  # fmt: skip
    return fields, np.array(words).reshape(num_c, num_r, num_s, num_pixels)


def roomy(config, **fields):
    """A configuration whose depthwise unit has a larger ifmap buffer, and what is asked for."""
    return dataclasses.replace(config, dw_ifmap_depth=256, **fields)


@pytest.mark.parametrize("dw", [False, True])
@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("seed", SEEDS)
def test_load_ifmap(config, seed, dw):
    config = roomy(config)
    b = bench(config, seed)
    rng = b.rng
    blocks, rows, cols = (int(n) for n in rng.integers(1, (6 if dw else 3, 4, 4)))
    parts = config.ofmap_blocks if dw else 1
    before = b.fill_dw_ifmap() if dw else np.zeros((config.pixels * config.ifmap_depth, 1), np.int8)
    top, bottom, left, right = (int(n) for n in rng.integers(0, 3, 4))
    stride_h, stride_w = (int(n) for n in rng.integers(1, 4, 2))
    fill = int(rng.integers(-128, 128))
    height, width = top + rows + bottom, left + cols + right
    plane_w = -(-width // stride_w)
    if stride_w == 2:  # neighbours of two column phases are written at once: banks apart
        plane_w += (config.pixels // 2 - plane_w) % config.pixels
    pitch = plane_w * stride_w
    plane_h = -(-height // stride_h) * pitch
    values = b.int8(blocks, rows, cols, config.in_channels)
    if seed % 2:
        # All of it in one piece ...
        address = b.place(values)
        dma = dict(dma_blocks=1, seg_count=1, seg_words=blocks * rows * cols)
    else:
        # ... or a segment a row, between other bytes.
        image = b.int8(blocks, rows + 1, cols + 2, config.in_channels)
        image[:, :rows, :cols] = values
        address = b.place(image)
        row_bytes = (cols + 2) * config.word_bytes
        dma = dict(
            dma_blocks=blocks, seg_count=rows, seg_words=cols, seg_stride=row_bytes,
            block_stride=row_bytes * (rows + 1),
        )  # fmt: skip
    base = int(rng.integers(0, 9))
    b.add(
        Opcode.LOAD_IFMAP, dram_addr=address, num_blocks=blocks, num_rows=rows, num_cols=cols,
        pad_top=top, pad_bottom=bottom, pad_left=left, pad_right=right, fill=fill,
        stride_h=stride_h, stride_w=stride_w, glb_base=b.glb(base), inc_col=b.glb(plane_w),
        inc_col_wrap=b.glb(1 - (stride_w - 1) * plane_w), inc_row=b.glb(plane_h),
        inc_row_wrap=b.glb(pitch - (stride_h - 1) * plane_h), inc_block=b.glb(plane_h * stride_h),
        dw=dw, **dma,
    )  # fmt: skip
    model = b.run()
    buffer = model.dw_ifmap if dw else model.ifmap
    wanted = np.broadcast_to(before, buffer.shape).copy()
    for block in range(blocks):
        for y in range(height):
            for x in range(width):
                flat = base + block // parts * plane_h * stride_h
                flat += y % stride_h * plane_h + y // stride_h * pitch
                flat += x % stride_w * plane_w + x // stride_w
                inside = top <= y < top + rows and left <= x < left + cols
                for ci in range(config.in_channels):
                    value = values[block, y - top, x - left, ci] if inside else fill
                    wanted[flat, block % parts * config.in_channels + ci] = value
    # What no block of the command fills keeps what it had.
    np.testing.assert_array_equal(buffer, wanted, err_msg=f"seed {seed}")
    (counts,) = model.layers.values()
    if seed % 2:
        starts = {address: blocks * rows * cols}
    else:
        starts = {
            address + block * dma["block_stride"] + row * dma["seg_stride"]: cols
            for block in range(blocks)
            for row in range(rows)
        }
    beats = sum(beats_of(config, at, words) for at, words in starts.items())
    assert counts.dram_read_bytes["ifmap"] == beats * config.bus_bytes
    assert counts.glb_accesses["ifmap"] == blocks * height * width


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("cols", [1, 2, 5, 6])
def test_load_ifmap_halved(config, cols):
    """Every second word of a row is kept; the rows lie as if there were no others."""
    b = bench(config, cols)
    values = b.int8(3, cols, config.in_channels)
    kept = -(-cols // 2)
    size = config.pixels * config.ifmap_depth
    base = size - 3 * kept  # up to the last word
    steps = dict(inc_col=b.glb(1), inc_col_wrap=b.glb(1), inc_row_wrap=b.glb(kept))
    halved = dict(
        num_blocks=1, num_rows=3, num_cols=cols, halve=1, stride_h=1, stride_w=1, dma_blocks=1,
        seg_count=3, seg_words=cols, seg_stride=cols * config.word_bytes, glb_base=b.glb(base),
        inc_row=b.glb(kept), **steps,
    )  # fmt: skip
    b.add(Opcode.LOAD_IFMAP, dram_addr=b.place(values), **halved)
    model = b.run()
    np.testing.assert_array_equal(model.ifmap[base:], values[:, ::2].reshape(3 * kept, -1))
    assert model.layers[0].glb_accesses["ifmap"] == 3 * kept
    b = bench(config, cols)
    b.add(Opcode.LOAD_IFMAP, **(halved | dict(pad_left=1)))
    refused(b, "halves rows with padding or a stride")


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("seed", SEEDS)
def test_load_residual(config, seed):
    b = bench(config, seed)
    blocks = int(b.rng.integers(1, config.ofmap_blocks + 1))
    seg_count, seg_words = (int(n) for n in b.rng.integers(1, 5, 2))
    base = int(b.rng.integers(0, 9))
    image = b.int8(blocks, seg_count + 1, seg_words + 1, config.in_channels)
    row = (seg_words + 1) * config.word_bytes
    b.add(
        Opcode.LOAD_RESIDUAL, dram_addr=b.place(image), num_pixels=seg_count * seg_words,
        pixel_base=base, seg_words=seg_words, seg_count=seg_count, seg_stride=row,
        dma_blocks=blocks, block_stride=row * (seg_count + 1),
    )  # fmt: skip
    model = b.run()
    for block in range(blocks):
        for n in range(seg_count * seg_words):
            for lane in range(config.in_channels):
                wanted = image[block, n // seg_words, n % seg_words, lane]
                assert model.residual[base + n, block * config.in_channels + lane] == wanted
    assert model.layers[0].glb_accesses["ofmap"] == blocks * seg_count * seg_words


@pytest.mark.parametrize("config", CONFIGS)
def test_load_linear(config):
    b = bench(config, 1)
    ci, co = config.in_channels, config.out_channels
    wgt = b.int8(3 * co * ci, low=-127)
    dw_wgt = b.int8(8 * co, low=-127)
    param = b.rng.integers(-(1 << 31), 1 << 31, 2 * 3 * co).astype(np.int32)
    tables = b.rng.integers(-(1 << 31), 1 << 31, 512).astype(np.int32)
    b.fill(LoadTarget.WGT, wgt, 2)
    b.fill(LoadTarget.DW_WGT, dw_wgt, 4)
    b.fill(LoadTarget.PARAM, param, 1)
    b.fill(LoadTarget.TABLE, tables)
    model = b.run()
    for n, value in enumerate(wgt):
        assert model.wgt[2 + n // (co * ci), n % (co * ci)] == value
    for n, value in enumerate(dw_wgt):
        assert model.dw_wgt[4 + n // co, n % co] == value
    for n, value in enumerate(param):
        assert model.param[1 + n // (3 * co), n // co % 3, n % co] == value
    for n, value in enumerate(tables):
        assert model.lut[n // 256, n % 256] == value
    assert model.layers[0].dram_read_bytes["wgt"] == 2048


def test_rows_of_the_depthwise_unit_share_the_weights():
    for config in (ODD, QUAD):
        b = bench(config, 1)
        b.fill(LoadTarget.DW_WGT, b.int8(8, config.out_channels))
        counts = b.run().layers[0]
        assert counts.dram_read_bytes["wgt"] == 8 * config.out_channels
        assert counts.spad_accesses["wgt"] == 8 * config.out_channels


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("seed", SEEDS)
def test_conv(config, seed):
    b = bench(config, seed)
    ifmap = b.fill_ifmap().astype(int)
    wgt = b.fill_wgt(34).astype(int)
    fields, words = random_taps(b)
    num_c, num_r, num_s, num_pixels = words.shape
    in_zp = int(b.rng.integers(-128, 128))
    wgt_base = int(b.rng.integers(0, 7))
    ci_last = int(b.rng.integers(1, config.in_channels + 1))
    co_valid = int(b.rng.integers(1, config.out_channels + 1))
    fields |= dict(in_zp=in_zp, wgt_base=wgt_base, ci_last=ci_last, co_valid=co_valid)
    b.add(Opcode.CONV, first=1, **fields)
    b.add(Opcode.CONV, first=0, last=1, **(fields | dict(in_zp=in_zp // 2)))
    model = b.run()
    gated = 0
    for f in range(num_pixels):
        sums = np.zeros(config.out_channels, np.int64)
        for zero_point in (in_zp, in_zp // 2):
            block = wgt_base
            for c in range(num_c):
                for r in range(num_r):
                    for s in range(num_s):
                        for ci in range(config.in_channels):
                            x = ifmap[words[c, r, s, f], ci] - zero_point
                            sums += x * wgt[block, :, ci]
                            if zero_point == in_zp and (c < num_c - 1 or ci < ci_last):
                                gated += co_valid * (x == 0)
                        block += 1
        got = model.psum[fields["psum_slot"], f]
        np.testing.assert_array_equal(got, sums, err_msg=f"seed {seed}, pixel {f}, {fields}")
    # Layer 0 is the last one of that number: the second CONV; the first is found by itself.
    b.code = b.code[:-2]
    (counts,) = b.run().layers.values()
    assert counts.macs_gated == gated
    taps = num_c * num_r * num_s
    assert counts.glb_accesses["ifmap"] == taps * num_pixels
    assert counts.spad_accesses["wgt"] == taps * config.out_channels * config.in_channels
    lanes = -(-num_pixels // config.pixels) * config.pixels
    assert counts.spad_accesses["psum"] == (2 * taps - 1) * lanes * config.out_channels


def test_conv_wraps_around():
    """Sums beyond 32 bits wrap as the adders do."""
    b = bench(ODD, 4)
    ifmap = b.fill_ifmap(9)
    wgt = b.fill_wgt(1).astype(int)
    b.conv(9, last=0)
    model = b.run()
    start = (1 << 31) - 2
    model.sums[:] = start
    b.code = []
    b.conv(9, first=0, in_zp=-128)
    b.run(model)
    total = start + (ifmap[:9].astype(int) + 128) @ wgt[0].T
    assert total.max() >= 1 << 31
    for f in range(9):
        for co in range(ODD.out_channels):
            assert model.psum[0, f, co] == wrapped(int(total[f, co]))


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("mode", ["wgt", "unit", "max"])
@pytest.mark.parametrize("seed", SEEDS)
def test_depthwise(config, mode, seed):
    config = roomy(config)
    b = bench(config, seed)
    co = config.out_channels
    ifmap = b.fill_dw_ifmap().astype(int)
    wgt = b.int8(16, co, low=-127)
    b.fill(LoadTarget.DW_WGT, wgt)
    fields, words = random_taps(b, num_c=1)
    _, num_r, num_s, num_pixels = words.shape
    in_zp = int(b.rng.choice([-128, -3, 0, 5, 127]))
    ci_last = int(b.rng.integers(1, co + 1))
    b.add(
        Opcode.DEPTHWISE, in_zp=in_zp, wgt_base=3, ci_last=ci_last, max_mode=mode == "max",
        unit_wgt=mode != "wgt", **fields,
    )  # fmt: skip
    model = b.run()
    gated = 0
    for f in range(num_pixels):
        for c in range(co):
            values = [
                ifmap[words[0, r, s, f], c] - in_zp for r in range(num_r) for s in range(num_s)
            ]
            if mode == "max":
                wanted = max(0, *values)
            else:
                weights = wgt[3:, c].astype(int) if mode == "wgt" else [1] * len(values)
                wanted = sum(x * w for x, w in zip(values, weights))
            assert model.dw_psum[0, fields["psum_slot"], f, c] == wanted, (seed, f, c)
            if mode == "wgt" and c < ci_last:
                gated += values.count(0)
    counts = model.layers[0]
    assert counts.macs_gated == gated
    taps = num_r * num_s
    assert counts.glb_accesses["ifmap"] == taps * num_pixels * config.ofmap_blocks
    assert counts.spad_accesses["psum"] == fields["num_groups"] * config.pixels * co
    assert counts.spad_accesses["wgt"] == (mode == "wgt") * taps * fields["num_groups"] * co


def convolve(x, wgt, *, rows, cols, stride, in_zp):
    """Depthwise convolution of [row, col, channel], padding included, with [r, s, channel]."""
    out = np.zeros((rows, cols, x.shape[2]), np.int64)
    for p in range(rows):
        for q in range(cols):
            for r in range(wgt.shape[0]):
                for s in range(wgt.shape[1]):
                    out[p, q] += (x[p * stride + r, q * stride + s].astype(int) - in_zp) * wgt[r, s]
    return out


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("two_rows", [False, True])
@pytest.mark.parametrize("unit_wgt", [False, True])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (3, 2), (5, 1), (5, 2)])
@pytest.mark.parametrize("seed", range(3))
def test_depthwise_convolution(config, two_rows, unit_wgt, kernel, stride, seed):
    """A layer from loads to drains, one output row by one and two side by side."""
    config = roomy(config, dw_rows=1 + two_rows)
    b = bench(config, seed)
    rng, ci, co = b.rng, config.in_channels, config.out_channels
    rows, cols = int(rng.integers(2, 6)), int(rng.integers(1, 6))
    channels = int(rng.integers(1, 2 * co + 1))
    in_zp, fill = (int(n) for n in rng.integers(-128, 128, 2))
    top, left = (int(n) for n in rng.integers(0, min(kernel, 2) + 1, 2))
    lag = stride if two_rows else 0
    window = Window(r=kernel + lag, s=kernel, stride_h=stride * (1 + two_rows), stride_w=stride)
    geometry = TileGeometry(
        pixels=config.pixels, window=window, out_rows=-(-rows // (1 + two_rows)), out_cols=cols,
        tile_q=cols,
    )  # fmt: skip
    # What of the tile is data; the rest of it, below an odd last row too, is padding.
    height = (rows - 1) * stride + kernel - top - int(rng.integers(0, 2))
    width = geometry.in_cols - left - int(rng.integers(0, 2))
    height, width = max(height, 1), max(width, 1)
    top, left = min(top, geometry.in_rows - height), min(left, geometry.in_cols - width)
    bottom, right = geometry.in_rows - top - height, geometry.in_cols - left - width
    blocks, groups = -(-channels // ci), -(-channels // co)
    values = b.int8(blocks, height, width, ci)
    b.fill_dw_ifmap()  # lanes that are not real hold something
    b.add(
        Opcode.LOAD_IFMAP, dw=1, dram_addr=b.place(values), num_blocks=blocks, num_rows=height,
        num_cols=width, pad_top=top, pad_bottom=bottom, pad_left=left, pad_right=right, fill=fill,
        seg_words=values.size // ci, seg_count=1, dma_blocks=1, **geometry.load_fields(base=2),
    )  # fmt: skip
    taps = kernel * kernel
    wgt = b.int8(groups, kernel, kernel, co, low=-127)
    beat_words = max(1, config.dw_wgt_beat_words)
    tap_words = -(-taps // beat_words) * beat_words  # a group's weights begin at a beat
    packed = np.zeros((groups, tap_words, co), np.int8)
    packed[:, :taps] = wgt.reshape(groups, taps, co)
    if unit_wgt:
        wgt[:] = 1
    else:
        b.fill(LoadTarget.DW_WGT, packed)
    b.fill_param(mult=1 << 30, shift=-12)
    padded = np.full((geometry.in_rows, geometry.in_cols, blocks * ci), fill, np.int8)
    padded[top : top + height, left : left + width] = values.transpose(1, 2, 0, 3).reshape(
        height, width, -1
    )
    wanted = convolve(
        padded[:, :, :channels],
        wgt.transpose(1, 2, 0, 3).reshape(kernel, kernel, -1)[:, :, :channels].astype(int),
        rows=rows, cols=cols, stride=stride, in_zp=in_zp,
    )  # fmt: skip
    steps = max(1, min(geometry.out_rows, config.dw_tile_pixels // cols) - int(rng.integers(0, 2)))
    model = None
    for group in range(groups):
        real = min(co, channels - group * co)
        for p0 in range(0, geometry.out_rows, steps):
            upper = min(steps, geometry.out_rows - p0)
            lower = min(upper, rows // 2 - p0) if two_rows else 0
            slot = int(rng.integers(config.dw_psum_slots))
            b.depthwise(
                upper * cols, psum_slot=slot, num_pixels2=lower * cols, lag=lag if lower else 0,
                in_zp=in_zp, unit_wgt=unit_wgt, wgt_base=group * tap_words, ci_last=real,
                **geometry.tap_fields(
                    base=2 + group * geometry.block_words, p0=p0,
                    num_r=kernel + lag if lower else kernel,
                ),
            )  # fmt: skip
            for row in range(1 + (lower > 0)):
                pixels = (lower if row else upper) * cols
                b.drain(pixels, dw=1, dw_row=row, psum_slot=slot, ofmap_base=row * upper * cols)
            # What is on the chip stays; the next commands are programs of their own.
            model = b.run(model)
            b.code = []
            for row in range(1 + (lower > 0)):
                size = lower if row else upper
                these = wanted[row :: 1 + two_rows][p0 : p0 + size, :, group * co :][:, :, :real]
                sums = these.reshape(size * cols, real)
                got = model.dw_psum[row, slot, : size * cols, :real]
                np.testing.assert_array_equal(got, sums, err_msg=f"seed {seed}")
                drained = model.ofmap[row * upper * cols :][: size * cols, :real]
                assert [int(v) for v in drained.reshape(-1)] == [
                    min(max(requantised(int(v), 0, 1 << 30, -12, Rounding.DOUBLE), -128), 127)
                    for v in sums.reshape(-1)
                ], f"seed {seed}"


def test_gated_macs_of_two_rows():
    """Each row counts what its own taps and pixels take."""
    config = roomy(QUAD)
    b = bench(config, 3)
    ifmap = b.fill_dw_ifmap()
    b.fill(LoadTarget.DW_WGT, b.int8(6, config.out_channels))
    b.depthwise(
        7, num_pixels2=4, lag=2, num_r=5, num_s=2, inc_r=b.glb(11), inc_r_wrap=b.glb(11),
        inc_s=b.glb(1), inc_s_wrap=b.glb(1), in_zp=5, ci_last=19,
    )  # fmt: skip
    counts = b.run().layers[0]
    gated = 0
    for pixels, first in ((7, 0), (4, 2)):
        for r in range(first, first + 3):
            for s in range(2):
                for f in range(pixels):
                    gated += np.count_nonzero(ifmap[11 * r + s + f, :19] == 5)
    assert counts.macs_gated == gated > 0
    co = config.out_channels
    # Ten words for each pixel of the upper row; six weight words for each of two groups, whose
    # lanes all write a psum of both rows.
    assert counts.glb_accesses["ifmap"] == 10 * 7 * config.ofmap_blocks
    assert counts.spad_accesses["wgt"] == 6 * 2 * co
    assert counts.spad_accesses["psum"] == 2 * config.pixels * 2 * co


@pytest.mark.parametrize("lower", [False, True])
def test_depthwise_wraps_around(lower):
    """Sums have 28 bits."""
    config = dataclasses.replace(QUAD, dw_wgt_depth=4224)
    b = bench(config, 1)
    values = np.full((1, config.in_channels), 127, np.int8)
    b.add(
        Opcode.LOAD_IFMAP, dw=1, dram_addr=b.place(values), num_blocks=1, num_rows=1, num_cols=1,
        seg_words=1, seg_count=1, dma_blocks=1, stride_h=1, stride_w=1,
    )  # fmt: skip
    b.fill(LoadTarget.DW_WGT, np.full((4224, config.out_channels), 127, np.int8))
    taps = {False: 4144, True: 4145}  # 255 * 127 each: the last sum below 2^27, the first above
    for over, count in taps.items():
        shape = dict(num_pixels2=1, lag=1, num_r=count + 1) if lower else dict(num_s=count)
        b.depthwise(1, psum_slot=over, ci_last=1, in_zp=-128, **shape)
    model = b.run()
    assert model.dw_psum[int(lower), 0, 0, 0] == 4144 * 255 * 127
    assert model.dw_psum[int(lower), 1, 0, 0] == 4145 * 255 * 127 - (1 << 28)


def requantised(acc, bias, mult, shift, rounding):
    """One value, from the definitions: exact integers of any size."""
    if rounding is Rounding.AWAY:
        scaled = ((abs(acc) + bias) * mult) >> (31 - shift)
        return scaled if acc >= 0 else -scaled
    total = wrapped(acc + bias)
    if rounding is Rounding.SINGLE:
        return (total * mult + (1 << (30 - shift))) >> (31 - shift)
    high = (wrapped(total << max(shift, 0)) * mult + (1 << 30)) >> 31
    right = max(-shift, 0)
    if not right:
        return high
    return (1 if high >= 0 else -1) * ((abs(high) + (1 << (right - 1))) >> right)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("rounding", Rounding, ids=lambda r: r.name)
@pytest.mark.parametrize("seed", SEEDS)
def test_drain(config, rounding, seed):
    b = bench(config, seed)
    rng, co = b.rng, config.out_channels
    num_pixels = int(rng.integers(1, min(20, config.tile_pixels) + 1))
    b.fill_ifmap(num_pixels)
    b.fill_wgt(1)
    away = rounding is Rounding.AWAY
    words = [
        rng.integers(0 if away else -(1 << 20), 1 << 20, co),
        rng.integers(1 << 30, 1 << 31, co),
        rng.integers(-14, 1 if away else 3, co),
    ]
    b.fill(LoadTarget.PARAM, np.array(words, np.int32), 2)
    b.conv(num_pixels, in_zp=-128, psum_slot=1)
    low, high = sorted(int(n) for n in rng.integers(-128, 128, 2))
    out_zp = int(rng.integers(-128, 128))
    b.drain(
        num_pixels, ofmap_base=5, param_block=2, psum_slot=1, rounding=rounding, out_zp=out_zp,
        act_min=low, act_max=high,
    )  # fmt: skip
    model = b.run()
    for f in range(num_pixels):
        for k in range(co):
            bias, mult, shift = (int(word[k]) for word in words)
            value = requantised(int(model.psum[1, f, k]), bias, mult, shift, rounding)
            wanted = min(max(value + out_zp, low), high)
            assert model.ofmap[5 + f, k] == wanted, (seed, f, k, bias, mult, shift)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_second_stage(config, residual, seed):
    """T1[q] + T2[residual], wrapped, requantised with double rounding."""
    b = bench(config, seed)
    rng, co = b.rng, config.out_channels
    num_pixels = int(rng.integers(1, 16))
    b.fill_ifmap(num_pixels)
    b.fill_wgt(1)
    b.fill_param(mult=1 << 30, shift=-6)
    tables = rng.integers(-(1 << 31), 1 << 31, (2, 256)).astype(np.int32)
    if seed % 2:
        tables >>= 8
    b.fill(LoadTarget.TABLE, tables)
    other = b.int8(config.ofmap_blocks, num_pixels, config.in_channels)
    b.add(
        Opcode.LOAD_RESIDUAL, dram_addr=b.place(other), num_pixels=num_pixels, pixel_base=3,
        seg_words=num_pixels, seg_count=1, dma_blocks=config.ofmap_blocks,
        block_stride=num_pixels * config.word_bytes,
    )  # fmt: skip
    b.conv(num_pixels)
    first = dict(out_zp=int(rng.integers(-20, 20)), act_min=-100, act_max=90)
    low, high = sorted(int(n) for n in rng.integers(-128, 128, 2))
    out_zp, mult, shift = (
        int(rng.integers(-128, 128)), int(rng.integers(1 << 30, 1 << 31)), int(rng.integers(-25, 3))
    )  # fmt: skip
    b.drain(num_pixels, **first)
    second = dict(mult2=mult, shift2=shift, out_zp2=out_zp, act_min2=low, act_max2=high)
    b.drain(num_pixels, ofmap_base=16, add=1, residual=residual, residual_base=3, **first, **second)
    model = b.run()
    for f in range(num_pixels):
        for k in range(co):
            total = int(tables[0, int(model.ofmap[f, k]) % 256])
            if residual:
                value = other[k // config.in_channels, f, k % config.in_channels]
                total += int(tables[1, int(value) % 256])
            value = requantised(wrapped(total), 0, mult, shift, Rounding.DOUBLE)
            wanted = min(max(value + out_zp, low), high)
            assert model.ofmap[16 + f, k] == wanted, (seed, f, k)
    words = num_pixels * config.ofmap_blocks
    assert model.layers[0].glb_accesses["ofmap"] == words * (2 if residual else 1)


def test_activation_store():
    """What is stored on the chip is loaded from it; DRAM keeps what it has."""
    config = WIDE
    b = bench(config, 1)
    b.fill_ifmap(7)
    b.fill_wgt(1)
    b.fill_param(mult=1 << 30, shift=-6)
    b.conv(7)
    b.drain(7)
    b.store(7, dram_addr=CHIP_BASE + 16, num_blocks=1)
    b.add(
        Opcode.LOAD_IFMAP, dram_addr=CHIP_BASE + 32, num_blocks=1, num_rows=1, num_cols=6,
        seg_words=6, seg_count=1, dma_blocks=1, inc_col=b.glb(1), inc_col_wrap=b.glb(1),
        stride_h=1, stride_w=1, glb_base=b.glb(50),
    )  # fmt: skip
    model = b.run()
    stored = model.ofmap[:7, : config.in_channels]
    np.testing.assert_array_equal(model.chip[16:128].view(np.int8).reshape(7, -1), stored)
    np.testing.assert_array_equal(model.ifmap[50:56], stored[1:])
    counts = model.layers[0]
    assert counts.act_accesses == {"read": beats_of(config, 32, 6, chip=True)}
    assert not counts.dram_read_bytes["ifmap"]


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("seed", SEEDS)
def test_store(config, seed):
    b = bench(config, seed)
    ci = config.in_channels
    seg_words, seg_count = (int(n) for n in b.rng.integers(1, 4, 2))
    words = min(seg_words * seg_count + 2, config.tile_pixels)
    b.fill_ifmap(words)
    b.fill_wgt(1)
    b.fill_param(mult=1 << 30, shift=-6)
    b.conv(words)
    b.drain(words)
    blocks = int(b.rng.integers(1, config.ofmap_blocks + 1))
    seg_stride = (seg_words + 1) * ci
    block_stride = seg_stride * seg_count + 2 * ci
    address = b.store(
        seg_words, seg_count=seg_count, seg_stride=seg_stride, block_stride=block_stride,
        num_blocks=blocks, ofmap_base=1, dram_addr=b.place(np.zeros(4 * block_stride, np.int8)),
    )  # fmt: skip
    model = b.run()
    wanted = np.zeros(blocks * block_stride, np.int8)
    for block in range(blocks):
        for seg in range(seg_count):
            for beat in range(seg_words):
                at = block * block_stride + seg * seg_stride + beat * ci
                for lane in range(ci):
                    word = model.ofmap[1 + seg * seg_words + beat]
                    wanted[at + lane] = word[block * ci + lane]
    got = model.dram[address : address + wanted.size].view(np.int8)
    np.testing.assert_array_equal(got, wanted, err_msg=f"seed {seed}")
    assert wanted.any()
    counts = model.layers[0]
    beats = sum(
        beats_of(config, address + block * block_stride + seg * seg_stride, seg_words)
        for block in range(blocks)
        for seg in range(seg_count)
    )
    assert counts.dram_write_bytes["ofmap"] == beats * config.bus_bytes
    assert counts.glb_accesses["ofmap"] == blocks * seg_count * seg_words


def test_layers_keep_their_counts():
    b = bench(ODD, 1, fenced=False)
    b.fill_ifmap(9)
    b.code.append(assemble(Opcode.LAYER, layer_id=4))
    b.fill_wgt(2)
    b.code.append(assemble(Opcode.LAYER, layer_id=7))
    model = b.run()
    assert list(model.layers) == [4, 7]
    first, second = model.layers.values()
    assert first.dram_read_bytes == {"program": 2 * COMMAND_BYTES, "ifmap": 9 * ODD.in_channels}
    block = ODD.in_channels * ODD.out_channels
    assert second.dram_read_bytes == {"program": 2 * COMMAND_BYTES, "wgt": 2 * block}
    assert second.dram_write_bytes == {"record": RECORD_BYTES}
    assert second.spad_accesses == {"wgt": 2 * block}


# What the hardware could not execute


def conv_ready(**options) -> CommandBench:
    """Ifmap and weights are there."""
    b = bench(ODD, 1, **options)
    b.fill_ifmap(30)
    b.fill_wgt(2)
    return b


def refused(b: CommandBench, match: str, **options):
    with pytest.raises(FunctionalError, match=match):
        b.run(**options)


def test_program_errors():
    b = bench(ODD, 1)
    b.add(Opcode.CHECK, hash=ODD.hash ^ 1)
    refused(b, "another configuration")
    b = bench(ODD, 1)
    b.add(Opcode.CHECK, hash=ODD.hash)
    b.run()
    refused(b, "unknown opcode 0", end=False)
    b = bench(ODD, 1, fenced=False)
    b.code = [assemble(Opcode.LAYER)] * (CODE_BYTES // COMMAND_BYTES)
    refused(b, "runs out of DRAM", end=False)


def test_wait_for_ever():
    b = conv_ready(fenced=False)
    b.conv(3, wait=1 << Semaphore.WGT_FULL)
    refused(b, "CONV at 0x80: waits for WGT_FULL for ever")
    b = bench(ODD, 1)
    b.fill_ifmap(3, post=1 << Semaphore.IFMAP_FULL)
    b.fill_wgt(1)
    b.conv(3, wait=1 << Semaphore.IFMAP_FULL)
    refused(b, "waits for IFMAP_FULL for ever")  # a program begins with all of them at 0


def test_sums_that_are_not_under_way():
    for before in ({}, dict(last=1), dict(last=0, num_pixels=2, num_groups=1)):
        b = conv_ready()
        if before:
            b.conv(3, **before)
        b.conv(3, first=0)
        refused(b, "adds to psums that are not under way")


def test_reads_of_what_was_never_written():
    b = bench(ODD, 1)
    b.fill_wgt(1)
    b.conv(3)
    refused(b, "ifmap words that were never written")
    b = bench(ODD, 1)
    b.fill_ifmap(3)
    b.conv(3)
    refused(b, "wgt words that were never written")
    b = conv_ready()
    b.fill_param()
    b.conv(3, last=0)
    b.drain(3)
    refused(b, "psum words that were never written")
    b = conv_ready()
    b.conv(3)
    b.drain(3)
    refused(b, "param words that were never written")
    b.code = b.code[:-2]
    b.fill_param()
    b.drain(4)
    refused(b, "psum words that were never written")
    b.code = b.code[:-2]
    b.drain(3, ofmap_base=2)
    b.store(4, ofmap_base=2)
    refused(b, "ofmap words that were never written")
    b = bench(ODD, 1)
    b.fill_ifmap(30)
    b.depthwise(3)
    refused(b, "dw_ifmap words that were never written")
    b = bench(ODD, 1)
    b.fill_dw_ifmap(30)
    b.depthwise(3)
    refused(b, "dw_wgt words that were never written")
    b = bench(ODD, 1)
    b.fill_dw_ifmap(30, num_blocks=1, seg_words=30)  # of two
    b.depthwise(3, unit_wgt=1, ci_last=ODD.in_channels)
    b.run()
    b.depthwise(3, unit_wgt=1, ci_last=ODD.in_channels + 1)
    refused(b, "dw_ifmap words that were never written")
    b = bench(QUAD, 1)
    b.fill_dw_ifmap(60)
    b.fill_param()
    b.depthwise(7, unit_wgt=1, num_r=2, lag=1, num_pixels2=5)
    b.drain(5, dw=1, dw_row=1)
    b.run()
    b.drain(6, dw=1, dw_row=1)
    refused(b, "dw_psum words that were never written")
    b.code[-2:] = []
    b.drain(5, dw=1, dw_row=1, psum_slot=1)
    refused(b, "dw_psum words that were never written")
    b.code[-2:] = []
    b.drain(5)
    refused(b, " psum words that were never written")
    b = conv_ready()
    b.fill_param()
    b.conv(3)
    b.drain(3, add=1)
    refused(b, "table words that were never written")
    b.code = b.code[:-2]
    b.fill(LoadTarget.TABLE, np.zeros(512, np.int32))
    b.drain(3, add=1, residual=1)
    refused(b, "residual words that were never written")


def test_lanes_beyond_the_last_pixel_read_nothing():
    """A group that is not full may reach words that hold nothing, even the end of the buffer."""
    b = bench(ODD, 1)
    last = ODD.pixels * ODD.ifmap_depth - 4
    b.fill_ifmap(4, glb_base=b.glb(last))
    b.fill_wgt(1)
    b.conv(4, ifmap_base=b.glb(last))
    b.run()


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        (dict(num_pixels=0), "num_pixels must be at least 1"),
        (dict(tile_q=0), "tile_q must be at least 1"),
        (dict(num_c=0), "num_c must be at least 1"),
        (dict(num_r=0), "num_r must be at least 1"),
        (dict(num_s=0), "num_s must be at least 1"),
        (dict(stride_h=0), "stride_h must be at least 1"),
        (dict(num_groups=2), "2 groups do not hold 3 pixels"),
        (dict(num_pixels=28, num_groups=10), "the psum scratchpad holds 9"),
        (dict(psum_slot=3), "takes psum slot 3 of 3"),
        (dict(wgt_base=39, num_c=2), "weight blocks to 41 of 40"),
        (dict(ifmap_base=99 | 1 << 16), "ifmap words 298 to 300 of 300"),
        (dict(num_s=2, inc_s_wrap=0xFFFF), "ifmap words -3 to"),
    ],
)
def test_conv_that_does_not_fit(fields, match):
    b = conv_ready()
    b.conv(3, **fields)
    refused(b, match)


def test_other_commands_that_do_not_fit():
    def load(match, **fields):
        b = bench(ODD, 1)
        whole = dict(num_blocks=1, num_rows=1, num_cols=2, seg_words=2, seg_count=1, dma_blocks=1)
        whole |= dict(stride_h=1, stride_w=1, inc_col=b.glb(1), inc_col_wrap=b.glb(1))
        b.add(Opcode.LOAD_IFMAP, **(whole | fields))
        refused(b, match)

    load("writes ifmap words 299 to 300 of 300", glb_base=99 | 2 << 16)
    load("moves 3 words, but writes 1x2 words", seg_words=3)
    load("reads dram bytes", dram_addr=1 << 20)
    load("reads dram bytes", dram_addr=4)
    load("num_blocks must be at least 1", num_blocks=0)
    load("writes blocks of 0x2 words", num_rows=0, seg_words=0)

    def linear(match, **fields):
        b = bench(ODD, 1)
        b.add(Opcode.LOAD_LINEAR, **(dict(num_beats=1, target=LoadTarget.DW_WGT) | fields))
        refused(b, match)

    linear("num_beats must be at least 1", num_beats=0)
    linear("has no target 9", target=9)
    linear("are not whole blocks", beat_addr=1, num_beats=2)  # a word is two beats
    linear("are not whole blocks")
    linear("dw_wgt words to 65 of 64", beat_addr=128, num_beats=2)
    linear("are not whole blocks", target=LoadTarget.WGT)
    linear("tables are loaded whole", target=LoadTarget.TABLE)
    linear("reads beats from 0x4", dram_addr=4)
    linear("reads beats from 0x80000000", dram_addr=CHIP_BASE)

    def residual(match, **fields):
        b = bench(ODD, 1)
        whole = dict(num_pixels=4, seg_words=2, seg_count=2, dma_blocks=1)
        b.add(Opcode.LOAD_RESIDUAL, **(whole | fields))
        refused(b, match)

    residual("5 pixels are not 2 segments of 2", num_pixels=5)
    residual("residual pixels to 65", pixel_base=61)
    residual("3 blocks", dma_blocks=3)
    residual("dma_blocks must be at least 1", dma_blocks=0)
    residual("reads chip bytes", dram_addr=CHIP_BASE)  # ODD has none

    def drain(match, num_pixels=3, **fields):
        b = bench(ODD, 1)
        b.drain(num_pixels, **fields)
        refused(b, match)

    drain("ofmap words to 65 of 64", ofmap_base=62)
    drain("parameter word 4 of 4", param_block=4)
    drain("has no rounding 3", rounding=3)
    drain("28 pixels; the psum scratchpad holds 27", num_pixels=28)
    drain("num_pixels must be at least 1", num_pixels=0)

    b = bench(ODD, 1)
    b.store(3, ofmap_base=62)
    refused(b, "ofmap words to 65")
    b = bench(ODD, 1)
    b.store(3, num_blocks=3)
    refused(b, "3 blocks")
    b = bench(ODD, 1)
    b.store(3, num_blocks=0)
    refused(b, "num_blocks must be at least 1")
    b = conv_ready()
    b.fill_param()
    b.conv(3)
    b.drain(3)
    b.store(3, dram_addr=1 << 20)
    refused(b, "writes dram bytes")

    drain("takes psums of lower rows that there are not", dw_row=1)
    drain("takes psums of lower rows that there are not", dw=1, dw_row=1)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        (dict(num_c=2), "takes one channel block"),
        (dict(ci_last=0), "has 0 channels of 32"),
        (dict(ci_last=33), "has 33 channels of 32"),
        (dict(psum_slot=3), "takes psum slot 3 of 3"),
        (dict(num_pixels=41, num_groups=9), "the psum scratchpad holds 8"),
        (dict(lag=1), "lags 1 rows without a lower row"),
        (dict(num_pixels2=2, num_r=2), "lags 0 rows in a walk over 2"),
        (dict(num_pixels2=2, num_r=2, lag=2), "lags 2 rows in a walk over 2"),
        (dict(num_pixels2=4, num_r=2, lag=1), "4 pixels in the lower rows, 3 in the upper"),
        (dict(num_pixels2=2, num_r=4, num_s=11, lag=3), "lags 33 taps; weights of 32 are kept"),
        (dict(num_pixels2=2, num_r=2, lag=1, max_mode=1), "maxima of two rows"),
        (dict(wgt_base=64, unit_wgt=0), "takes weights to word 65 of 64"),
        (dict(ifmap_base=49 | 3 << 16), "reads dw_ifmap words 248 to 250 of 250"),
    ],
)
def test_depthwise_that_does_not_fit(fields, match):
    b = bench(QUAD, 1)
    b.fill_dw_ifmap()
    b.depthwise(3, **(dict(unit_wgt=1) | fields))
    refused(b, match)


def test_two_rows_need_lanes():
    b = bench(ODD, 1)
    b.fill_dw_ifmap()
    b.depthwise(3, unit_wgt=1, num_pixels2=2, num_r=2, lag=1)
    refused(b, "the depthwise unit has lanes for one")


def test_commands_for_another_configuration():
    other = dataclasses.replace(ODD, psum_depth=10)
    b = bench(other, 1)
    b.add(Opcode.CHECK, hash=ODD.hash)
    refused(b, "CHECK at 0x0: compiled for another configuration")
