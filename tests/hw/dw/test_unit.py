"""Depthwise unit behind a queue of commands, against the definition: one row at a time, and two."""

import dataclasses
import random
from functools import cache

import numpy as np
import pytest
from queued import Queued
from testconfigs import ODD, QUAD, WIDE

from skimp.config import DW_LAG_TAPS, DW_SUM_BITS
from skimp.configs import PRESETS
from skimp.dw.unit import DepthwiseUnit
from skimp.isa import LoadTarget, Opcode, assemble
from skimp_compiler.geometry import TileGeometry, Window
from skimp_sim.bench.vectors import run_vectors

QUEUE = 128
DEEP = dict(dw_psum_depth=12, dw_psum_slots=4, dw_wgt_depth=64, dw_ifmap_depth=400, ofmap_depth=96)
ONE = dataclasses.replace(PRESETS["tiny"], name="one", **DEEP)
TWO = dataclasses.replace(ONE, name="two", pixels=2, dw_rows=2)
LONG = dataclasses.replace(TWO, name="long", dw_psum_depth=16, dw_wgt_depth=256, dw_ifmap_depth=800)
THREE = dataclasses.replace(ODD, name="three", dw_rows=2, **DEEP)
PAIRS = dataclasses.replace(WIDE, name="pairs", **DEEP)
FIVE = dataclasses.replace(QUAD, name="five", out_channels=16, bus_words=2, **DEEP)
VERILOG = pytest.mark.verilog
UNITS = [
    pytest.param(TWO, "pysim", id="two-pysim"),
    *(
        pytest.param(config, "verilator", id=f"{config.name}-verilator", marks=VERILOG)
        for config in (ONE, THREE, PAIRS, FIVE)
    ),
]


@cache
def queued(config):
    """The unit behind its queue, one for all runs."""
    return Queued(DepthwiseUnit(config), depth=QUEUE)


def pack(values, bits):
    return sum((int(v) & (1 << bits) - 1) << bits * k for k, v in enumerate(values))


def unpack(word, bits, count):
    fields = [word >> bits * k & (1 << bits) - 1 for k in range(count)]
    return [field - (field >> bits - 1 << bits) for field in fields]


class Layer:
    """A command on noise, the words that it finds in the buffer, and its psums.

    Parameters
    ----------
    out_rows, out_cols : int
        Output pixels; with `paired`, the even rows are the upper lanes' and the odd ones the
        lower lanes'.
    ifmap : array [in_rows, in_cols, channels]
    """

    def __init__(self, config, rng, window, out_rows, out_cols, *, paired, kind, **fields):
        cfg, w = config, window
        self.config, self.paired = config, paired
        lag = w.stride_h if paired else 0
        self.rows = -(-out_rows // 2) if paired else out_rows
        walked = dataclasses.replace(w, r=w.r + lag, stride_h=w.stride_h * (2 if paired else 1))
        self.geometry = TileGeometry(
            pixels=cfg.pixels, window=walked, out_rows=self.rows, out_cols=out_cols, tile_q=out_cols
        )
        co = cfg.out_channels
        self.in_zp = int(rng.choice([-128, 127, 0, rng.integers(-128, 128)]))
        shape = (self.geometry.in_rows, self.geometry.in_cols, co)
        self.ifmap = rng.integers(-128, 128, shape)
        self.ifmap[rng.random(shape) < 0.3] = self.in_zp
        self.wgt = rng.integers(-127, 128, (w.r * w.s, co))
        if kind == "extreme":
            self.in_zp = int(rng.choice([-128, 127]))
            self.ifmap[:] = -1 - self.in_zp
            self.wgt[:] = rng.choice([-127, 127], co)
        elif kind == "zero":
            self.ifmap[rng.random(shape[0]) < 0.7] = self.in_zp
            self.wgt[:, rng.random(co) < 0.5] = 0
        self.num_pixels = self.rows * out_cols
        self.num_pixels2 = out_rows // 2 * out_cols if paired else 0
        self.fields = dict(
            num_pixels=self.num_pixels, num_groups=-(-self.num_pixels // cfg.pixels), num_c=1,
            num_pixels2=self.num_pixels2, lag=lag, in_zp=self.in_zp, max_mode=kind == "max",
            unit_wgt=kind == "unit", ci_last=int(rng.integers(1, co + 1)),
            post=int(rng.integers(1, 1 << 24)),
        ) | fields  # fmt: skip
        self.walk = self.fields["num_groups"] * walked.r * w.s

        # [row of lanes, pixel, tap, channel]
        acts = np.zeros((2, self.num_pixels, w.r * w.s, co), int)
        for half in range(1 + paired):
            for f in range((self.num_pixels, self.num_pixels2)[half]):
                p, q = divmod(f, out_cols)
                top = (2 * p + half if paired else p) * w.stride_h
                left = q * w.stride_w
                found = self.ifmap[top : top + w.r, left : left + w.s]
                acts[half, f] = found.reshape(-1, co) - self.in_zp
        if kind == "max":
            self.sums = np.maximum(acts.max(axis=2), 0)
        else:
            self.sums = (acts * (1 if kind == "unit" else self.wgt)).sum(axis=2)
        self.gated = 0
        if kind not in ("max", "unit"):
            real = [acts[0], acts[1][: self.num_pixels2]]
            self.gated = sum(int((a[..., : self.fields["ci_last"]] == 0).sum()) for a in real)

    def place(self, *, base, wgt_base, slot):
        """Say where words, weights and psums lie; the command follows."""
        self.base, self.wgt_base, self.slot = base, wgt_base, slot
        fields = self.geometry.tap_fields(base=base)
        fields |= self.fields | dict(wgt_base=wgt_base, psum_slot=slot)
        self.payload = int.from_bytes(assemble(Opcode.DEPTHWISE, **fields), "little")

    def words(self):
        """Yield (flat word, channels) of the tile, as a load places them."""
        for r in range(self.geometry.in_rows):
            for s in range(self.geometry.in_cols):
                yield self.base + self.geometry.tap_word(0, r, s), self.ifmap[r, s]


def random_layer(config, pick, rng, **fixed):
    """Return a layer that fits into an empty buffer."""
    while True:
        kernel = pick.choice([(1, 1), (3, 3), (3, 3), (5, 5), (7, 7), (2, 3), (4, 1)])
        stride = pick.randint(1, 2)
        window = Window(r=kernel[0], s=kernel[1], stride_h=stride, stride_w=stride)
        most = config.dw_tile_pixels
        cols = pick.choice([1, 2, 3, 5, 7, 11])
        paired = config.dw_rows == 2 and pick.random() < 0.6
        rows = pick.randint(1 + paired, max(1 + paired, most * (1 + paired) // cols))
        kinds = ["noise", "noise", "extreme", "zero", "unit"] + ["max"] * (not paired)
        shape = dict(window=window, out_rows=rows, out_cols=cols, paired=paired)
        layer = Layer(config, rng, **(shape | dict(kind=pick.choice(kinds)) | fixed))
        fits = layer.geometry.block_words <= config.pixels * config.dw_ifmap_depth
        if layer.num_pixels <= most and fits:
            return layer


def fill(layers, rng):
    """Return the clocks that write words and weights of layers, garbage wherever nothing is."""
    config = layers[0].config
    ci, blocks, px = config.in_channels, config.ofmap_blocks, config.pixels
    ifmap = rng.integers(-128, 128, (px * config.dw_ifmap_depth, config.out_channels))
    wgt = rng.integers(-127, 128, (config.dw_wgt_depth, config.out_channels))
    for layer in layers:
        for word, channels in layer.words():
            ifmap[word] = channels
        wgt[layer.wgt_base : layer.wgt_base + len(layer.wgt)] = layer.wgt
    idle = dict(glb_w_count=0, glb_w2_count=0, lin_w_en=0, command__valid=0)
    vectors = []
    # A part at a time, and the other parts' bytes stay; two words a clock where there are ports.
    many = 2 if config.load_words > 1 else 1
    for part in range(blocks):
        for n in range(0, len(ifmap), many):
            here = ifmap[n : n + many, part * ci : (part + 1) * ci]
            data = {f"glb_w_data__{k}": pack(values, 8) for k, values in enumerate(here)}
            row, bank = divmod(n, px)
            place = dict(glb_w_count=len(here), glb_w_row=row, glb_w_bank=bank)
            vectors.append(idle | place | dict(glb_w_blocks=1 << part) | data)
    size = config.bus_bytes
    data = wgt.astype(np.int8).tobytes()
    for n in range(len(data) // size):
        beat = int.from_bytes(data[n * size : (n + 1) * size], "little")
        target = dict(lin_w_en=1, lin_w_target=int(LoadTarget.DW_WGT), lin_w_addr=n)
        vectors.append(idle | target | dict(lin_w_data=beat))
        noise = dict(lin_w_target=int(LoadTarget.WGT), lin_w_data=int(rng.integers(1 << 60)))
        vectors.append(idle | target | noise)
    vectors.append(idle)
    return vectors


def place_all(layers, pick):
    """Give every layer a place of its own in buffer, weights and slots; those that fit."""
    config = layers[0].config
    free, wgt_free = config.pixels * config.dw_ifmap_depth, config.dw_wgt_depth
    placed = []
    for layer in layers:
        free -= layer.geometry.block_words
        wgt_free -= len(layer.wgt)
        if free < 0 or wgt_free < 0:
            break
        slot = len(placed) % config.dw_psum_slots
        layer.place(base=free, wgt_base=wgt_free, slot=slot)
        placed.append(layer)
    return placed


def run(layers, vectors, *, backend, gaps, where):
    """Queue layers, read the psums of each from the clock of its post on, and compare."""
    config = layers[0].config
    px = config.pixels
    start = len(vectors)
    vectors = [dict(vector) for vector in vectors]
    for layer, gap in zip(layers, gaps):
        vectors += [dict(command__valid=0)] * gap
        vectors.append(dict(command__valid=1, command__payload=layer.payload))
    vectors.append(dict(command__valid=0))
    clocks = sum(layer.walk + px + 40 for layer in layers) + 100
    vectors += [{} for _ in range(clocks)]
    dut = queued(config)
    flight = dut.unit.flight_cycles
    outputs = ["post", "idle", "waiting", "inc_depthwise", "inc_macs_gated"]
    first = run_vectors(dut, vectors, outputs, backend=backend)
    posts = [n for n, r in enumerate(first) if r["post"]]
    assert [first[n]["post"] for n in posts] == [layer.fields["post"] for layer in layers], where
    active = [n for n, r in enumerate(first) if r["inc_depthwise"]]
    assert len(active) == sum(layer.walk for layer in layers), where
    ends = np.cumsum([layer.walk for layer in layers]) - 1
    for post, end in zip(posts, ends):  # inc_depthwise is one clock behind the walk
        assert post == active[end] + flight - 1, where
    assert sum(r["inc_macs_gated"] for r in first) == sum(x.gated for x in layers), where
    assert not any(first[n - 1]["waiting"] for n in active), where
    last = posts[-1]
    assert not first[last - 1]["idle"] and first[-1]["idle"] and first[-1]["waiting"], where

    # Reads of all rows, groups and pixels, in random order; a slot is read before its next turn.
    reads = {}
    for post, layer in zip(posts, layers):
        n = post
        groups = [(r, g) for g in range(layer.fields["num_groups"]) for r in range(config.dw_rows)]
        for r, group in reversed(groups):
            while n in reads:
                n += 1
            reads[n] = (layer, r, group)
    for n in range(start, len(vectors)):
        vectors[n] = vectors[n] | dict(psum_rd_en=0)
    for n, (layer, r, group) in reads.items():
        place = dict(psum_rd_slot=layer.slot, psum_rd_addr=group, psum_rd_row=r)
        enabled = (1 << px) - 1 & ~(n % 3)
        vectors[n] |= place | dict(psum_rd_en=enabled)
    psums = [f"psum__{r}__{i}" for r in range(config.dw_rows) for i in range(px)]
    results = run_vectors(dut, vectors, psums, backend=backend)
    checked = 0
    for n, (layer, r, group) in reads.items():
        for i in range(px):
            f = group * px + i
            result = results[n + dut.unit.psum_read_latency]
            got = result[f"psum__{r}__{i}"]
            here = f"{where} command {layers.index(layer)} row {r} pixel {f}"
            others = [result[f"psum__{row}__{i}"] for row in range(config.dw_rows) if row != r]
            assert not any(others), here
            if not vectors[n]["psum_rd_en"] >> i & 1:
                assert got == 0, here
            elif f < (layer.num_pixels, layer.num_pixels2)[r]:
                want = layer.sums[r, f].tolist()
                assert unpack(got, DW_SUM_BITS, config.out_channels) == want, here
                checked += 1
    assert checked > len(layers), where
    return active, ends


@pytest.mark.parametrize(("config", "backend"), UNITS)
def test_psums(config, backend):
    """Shapes, strides, rows and modes in any order, with and without gaps between commands."""
    for seed in range(600, 604 if backend == "verilator" else 601):
        pick, rng = random.Random(seed), np.random.default_rng(seed)
        layers = [random_layer(config, pick, rng) for _ in range(12)]
        layers = place_all(layers, pick)
        assert len(layers) >= 1
        gaps = [pick.choice([0, 0, 5, 60, 300]) if seed % 2 else 0 for _ in layers]
        vectors = fill(layers, rng)
        run(layers, vectors, backend=backend, gaps=gaps, where=f"seed {seed}")


@pytest.mark.verilog
@pytest.mark.xdist_group("dw long")
@pytest.mark.parametrize("stride", [1, 2])
def test_two_rows_of_an_odd_map(stride):
    """7 rows of 7 pixels: the last upper row has no lower one; 1 x 1 with gaps between the rows."""
    seed = 700 + stride
    config = LONG
    pick, rng = random.Random(seed), np.random.default_rng(seed)
    kinds = {1: "noise", 3: "extreme", 5: "zero", 7: "unit"}
    layers = [
        Layer(
            config, rng, Window(r=k, s=k, stride_h=stride, stride_w=stride), 7, 7,
            paired=True, kind=kind,
        )
        for k, kind in kinds.items()
    ]  # fmt: skip
    assert all(layer.num_pixels2 < layer.num_pixels for layer in layers)
    placed = place_all(layers, pick)
    assert len(placed) == len(layers)
    gaps = [0] * len(layers)
    run(layers, fill(layers, rng), backend="verilator", gaps=gaps, where=f"seed {seed}")


@pytest.mark.verilog
@pytest.mark.xdist_group("dw long")
def test_lags_of_any_length():
    """From one tap to DW_LAG_TAPS, with fewer taps in a window and with more."""
    seed = 705
    config = LONG
    pick, rng = random.Random(seed), np.random.default_rng(seed)
    shapes = [(3, 1, 1), (1, 1, 1), (40, 1, 1), (3, 16, 2), (3, 32, 1), (1, 16, 2), (2, 15, 2)]
    layers = [
        Layer(
            config, rng, Window(r=r, s=s, stride_h=stride, stride_w=1), 4, 3,
            paired=True, kind="unit" if n == 5 else "noise",
        )
        for n, (r, s, stride) in enumerate(shapes)
    ]  # fmt: skip
    lags = {stride * s for _, s, stride in shapes}
    assert min(lags) == 1 and max(lags) == DW_LAG_TAPS
    for some in (layers[:4], layers[4:]):
        placed = place_all(some, pick)
        assert len(placed) == len(some)
        gaps = [0] * len(some)
        run(some, fill(some, rng), backend="verilator", gaps=gaps, where=f"seed {seed}")


def test_clocks_between_commands():
    """One clock, if the second command came prepare_cycles before the first one ended."""
    seed = 710
    pick, rng = random.Random(seed), np.random.default_rng(seed)
    enough = TWO.pixels + 3
    shapes = [(5, 1, 1, 0), (5, 1, 1, 0), (3, 1, 4, 1), (1, 2, 5, 1), (1, 1, 1, 0), (1, 1, 1, 0)]
    layers = [
        Layer(config=TWO, rng=rng, window=Window(r=r, s=s), out_rows=1 + paired, out_cols=cols,
              paired=bool(paired), kind="noise")
        for r, s, cols, paired in shapes
    ]  # fmt: skip
    layers = place_all(layers, pick)
    gaps = [0] * len(layers)
    active, ends = run(layers, fill(layers, rng), backend="pysim", gaps=gaps, where=f"seed {seed}")
    for layer, end in zip(layers, ends[:-1]):
        lost = active[end + 1] - active[end] - 1
        if layer.walk >= enough:
            assert lost == 1
        else:
            assert layer.walk + lost <= enough + 2
