"""Drain unit between memories: values, addresses, posts and clocks of commands in a row."""

import dataclasses
import random
from collections import Counter
from functools import cache

import numpy as np
import pytest
from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2
from queued import Queued
from testconfigs import ODD, QUAD

from skimp.config import DW_SUM_BITS
from skimp.configs import PRESETS
from skimp.ctrl.decode import COMMAND_BITS
from skimp.isa import MASK_BITS, Opcode, Rounding, Semaphore, assemble
from skimp.mem.ram import Ram1R1W
from skimp.post.drain import DrainUnit
from skimp_sim.bench.vectors import run_vectors
from skimp_sim.golden.arithmetic import multiply_double, multiply_single, wrap_int32

ONE = dataclasses.replace(
    PRESETS["tiny"], name="one", psum_depth=33, param_depth=8, bus_words=1, drain_pixels=1,
    psum_slots=2,
)  # fmt: skip
SINGLES = dataclasses.replace(
    ODD, name="singles", pixels=6, out_channels=8, param_depth=8, psum_depth=11, psum_slots=2,
    dw_rows=2, dw_psum_depth=20, ofmap_depth=120,
)  # fmt: skip
PAIRS = dataclasses.replace(
    SINGLES, name="pairs", out_channels=16, bus_words=2, drain_pixels=2, psum_depth=16,
    psum_slots=4, dw_rows=1, dw_psum_depth=9, dw_psum_slots=3,
)  # fmt: skip
TRIPLES = dataclasses.replace(
    QUAD, name="triples", pixels=6, out_channels=16, bus_words=2, drain_pixels=3, param_depth=8, psum_depth=16, psum_slots=3,
    ofmap_depth=120, dw_psum_depth=14, dw_psum_slots=4, drain_slices=70,
)  # fmt: skip
CASES = [
    pytest.param(ONE, 1, "pysim", id="one-pysim"),
    *(
        pytest.param(
            config, latency, "verilator", id=f"{config.name}-{latency}", marks=pytest.mark.verilog
        )
        for config, latency in ((SINGLES, 2), (PAIRS, 1), (TRIPLES, 1))
    ),
]
QUEUE = 64


class Surroundings(wiring.Component):
    """The unit with a queue of commands, psums and a residual buffer that vectors can fill.

    What was not asked for in the clock in which it is due is not there: the memories' words come
    out inverted then.
    """

    def __init__(self, config, psum_read_latency):
        self._config, self._latency = config, psum_read_latency
        channels = config.out_channels
        self.unit = DrainUnit(config, psum_read_latency=psum_read_latency)
        copied = ("post", "idle", "ofmap_w_count", "ofmap_w_pixel", "ofmap_w_data", "inc_drain")
        filled = "param_w_en param_w_addr param_w_data table_w_en table_w_addr table_w_data".split()
        members = self.unit.signature.members
        super().__init__(
            {name: members[name] for name in (*copied, *filled)}
            | {
                "command": In(stream.Signature(COMMAND_BITS)),
                "offered": Out(1),
                "reads": Out(config.pixels),
                "psum_w_en": In(config.pixels),
                "psum_w_dw": In(1),
                "psum_w_row": In(1),
                "psum_w_slot": In(2),
                "psum_w_addr": In(8),
                "psum_w_data": In(32 * channels),
                "residual_w_en": In(1),
                "residual_w_pixel": In(16),
                "residual_w_data": In(8 * channels),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg, channels = self._config, self._config.out_channels
        m.submodules.unit = unit = Queued(self.unit, depth=QUEUE)
        wiring.connect(m, wiring.flipped(self.command), unit.command)
        m.d.comb += self.reads.eq(unit.psum_rd_en)
        for name, member in self.signature.members.items():
            if name in unit.signature.members and name != "command":
                pairs = [(getattr(self, name), getattr(unit, name))]
                if member.dimensions:
                    pairs = list(zip(*pairs[0]))
                for ours, theirs in pairs:
                    m.d.comb += ours.eq(theirs) if member.flow == Out else theirs.eq(ours)

        def read(name, ram, en, addr, latency, unread=None):
            """Return the word asked for `latency` clocks before; a wrong one, or `unread`."""
            m.submodules[name] = ram
            asked = Signal(name=f"{name}_asked")
            m.d.sync += asked.eq(en)
            m.d.comb += [ram.r_en.eq(en), ram.r_addr.eq(addr)]
            word = Signal.like(ram.r_data, name=f"{name}_word")
            m.d.comb += word.eq(Mux(asked, ram.r_data, ~ram.r_data if unread is None else unread))
            for k in range(1, latency):
                later = Signal.like(word, name=f"{name}_word_d{k}")
                m.d.sync += later.eq(word)
                word = later
            return word

        bits = ceil_log2(max(cfg.psum_depth, cfg.dw_psum_depth))
        # Of the array, words that were not read are wrong ones; of the depthwise unit, they are 0.
        sources = [(0, 0, unit.psum, 32)]
        sources += [(1, row, psum, DW_SUM_BITS) for row, psum in enumerate(unit.dw_psum)]
        for dw, row, psum, width in sources:
            here = (self.psum_w_dw == dw) & (self.psum_w_row == row)
            asked = (unit.psum_rd_dw == dw) & ((unit.psum_rd_row == row) | (not dw))
            for i in range(cfg.pixels):
                ram = Ram1R1W(width=width * channels, depth=4 << bits)
                at = Cat(unit.psum_rd_addr, unit.psum_rd_slot)
                en = unit.psum_rd_en[i] & asked
                name = f"psum_{dw}_{row}_{i}"
                word = read(name, ram, en, at, self._latency, unread=0 if dw else None)
                m.d.comb += [
                    psum[i].as_value().eq(word),
                    ram.w_en.eq(self.psum_w_en[i] & here),
                    ram.w_addr.eq(Cat(self.psum_w_addr[:bits], self.psum_w_slot)),
                    ram.w_data.eq(self.psum_w_data),
                ]
        ram = Ram1R1W(width=8 * cfg.out_channels, depth=cfg.ofmap_depth)
        word = read("residual", ram, unit.residual_r_en, unit.residual_r_pixel, 1)
        m.d.comb += [
            unit.residual_r_data.eq(word),
            ram.w_en.eq(self.residual_w_en),
            ram.w_addr.eq(self.residual_w_pixel),
            ram.w_data.eq(self.residual_w_data),
        ]
        return m


@cache
def surroundings(config, psum_read_latency):
    """One for all runs."""
    return Surroundings(config, psum_read_latency)


def pack(values, bits):
    return sum((int(v) & (1 << bits) - 1) << bits * k for k, v in enumerate(values))


class Bench:
    """Memories full of noise, and the commands of a test."""

    def __init__(self, config, psum_read_latency, seed):
        self.config, self.rng = config, np.random.default_rng(seed)
        self.choice = random.Random(seed)
        self.where = f"seed {seed}"
        rng, channels = self.rng, config.out_channels
        self.dut = surroundings(config, psum_read_latency)
        self.psum = rng.integers(
            -(1 << 22), 1 << 22, (config.psum_slots, config.tile_pixels, channels)
        )
        self.psum[:, ::5] = rng.integers(-(1 << 31), 1 << 31, self.psum[:, ::5].shape)
        most = 1 << DW_SUM_BITS - 1
        shape = (config.dw_rows, config.dw_psum_slots, config.dw_tile_pixels, channels)
        self.dw_psum = rng.integers(-(1 << 22), 1 << 22, shape)
        self.dw_psum[:, :, ::5] = rng.integers(-most, most, self.dw_psum[:, :, ::5].shape)
        self.dw_psum[:, :, 3::7] = rng.choice([-most, most - 1], self.dw_psum[:, :, 3::7].shape)
        self.residual = rng.integers(-128, 128, (config.ofmap_depth, channels))
        self.params = np.stack(
            (
                rng.integers(0, 1 << 20, (config.param_depth, channels)),
                rng.integers(1 << 30, 1 << 31, (config.param_depth, channels)),
                rng.integers(-17, -11, (config.param_depth, channels)),
            ),
            axis=1,
        )
        self.tables = rng.integers(-(1 << 26), 1 << 26, (2, 256))
        self.vectors = []
        self._fill()
        self.first_clock = len(self.vectors)
        self.commands = []

    def clock(self, **inputs):
        idle = dict.fromkeys(
            ["param_w_en", "table_w_en", "psum_w_en", "residual_w_en", "command__valid"], 0
        )
        self.vectors.append(idle | inputs)

    def _fill(self):
        cfg = self.config
        mask = (1 << cfg.bus_bits) - 1
        for block in range(cfg.param_depth):
            bits = pack(self.params[block].ravel(), 32)
            for n in range(cfg.param_block_beats):
                self.clock(
                    param_w_en=1, param_w_addr=block * cfg.param_block_beats + n,
                    param_w_data=bits >> cfg.bus_bits * n & mask,
                )  # fmt: skip
        for n, value in enumerate(self.tables.ravel()):
            self.clock(table_w_en=1, table_w_addr=n, table_w_data=int(value))
        memories = [(0, 0, self.psum, 32)]
        memories += [(1, row, values, DW_SUM_BITS) for row, values in enumerate(self.dw_psum)]
        for dw, row, values, bits in memories:
            for slot, f in np.ndindex(values.shape[:2]):
                self.clock(
                    psum_w_en=1 << f % cfg.pixels, psum_w_dw=dw, psum_w_row=row, psum_w_slot=slot,
                    psum_w_addr=f // cfg.pixels, psum_w_data=pack(values[slot, f], bits),
                )  # fmt: skip
        for f in range(cfg.ofmap_depth):
            self.clock(
                residual_w_en=1, residual_w_pixel=f, residual_w_data=pack(self.residual[f], 8)
            )

    def stage(self, *, residual):
        """Fields of a second stage."""
        pick = self.choice
        return dict(
            add=1, residual=residual, mult2=pick.randrange(1 << 30, 1 << 31),
            shift2=pick.randint(-21, -18), out_zp2=pick.randint(-20, 20),
            act_min2=pick.randint(-128, -60), act_max2=pick.randint(60, 127),
        )  # fmt: skip

    def add(self, num_pixels, second=None, *, gap=0, **fields):
        """Queue a command, some clocks behind the one before; all else about it is random."""
        cfg, pick = self.config, self.choice
        second = second or self.stage(residual=pick.randrange(2)) | dict(add=0)
        fits = [num_pixels <= most for most in (cfg.tile_pixels, cfg.dw_tile_pixels)]
        dw = pick.choice([dw for dw in range(2) if fits[dw]])
        values = dict(
            num_pixels=num_pixels, ofmap_base=pick.randint(0, cfg.ofmap_depth - num_pixels),
            residual_base=pick.randint(0, cfg.ofmap_depth - num_pixels),
            param_block=pick.randrange(cfg.param_depth), dw=dw,
            dw_row=pick.randrange(cfg.dw_rows) if dw else pick.randrange(2),
            psum_slot=pick.randrange(cfg.dw_psum_slots if dw else cfg.psum_slots),
            rounding=pick.choice(list(Rounding)), out_zp=pick.randint(-20, 20),
            act_min=pick.randint(-128, -60), act_max=pick.randint(60, 127),
            post=pick.getrandbits(MASK_BITS) | 1,
        ) | second | fields  # fmt: skip
        for _ in range(gap):
            self.clock()
        payload = int.from_bytes(assemble(Opcode.DRAIN, **values), "little")
        self.clock(command__valid=1, command__payload=payload)
        self.commands.append(values)

    def steps(self, c):
        """Clocks that a command drains."""
        return -(-c["num_pixels"] // (1 if c["add"] else self.config.drain_pixels))

    def result(self, c):
        """Pixels [num_pixels, out_channels] of a command."""
        source = self.dw_psum[c["dw_row"]] if c["dw"] else self.psum
        acc = source[c["psum_slot"], : c["num_pixels"]]
        bias, mult, shift = self.params[c["param_block"]]
        match c["rounding"]:
            case Rounding.DOUBLE:
                out = multiply_double(wrap_int32(acc + bias), mult, shift)
            case Rounding.SINGLE:
                out = multiply_single(wrap_int32(acc + bias), mult, shift)
            case _:
                # 32 bits hold the magnitude with its bias.
                out = np.sign(acc) * ((wrap_int32(np.abs(acc) + bias) * mult) >> (31 - shift))
        out = np.clip(out + c["out_zp"], c["act_min"], c["act_max"])
        if c["add"]:
            sums = self.tables[0][out & 0xFF]
            if c["residual"]:
                where = slice(c["residual_base"], c["residual_base"] + c["num_pixels"])
                sums = sums + self.tables[1][self.residual[where] & 0xFF]
            out = multiply_double(wrap_int32(sums), c["mult2"], c["shift2"]) + c["out_zp2"]
            out = np.clip(out, c["act_min2"], c["act_max2"])
        return out

    def run(self, backend):
        """Check all that was written and posted; return clocks of each command: first and last
        psum read, first and last pixel written."""
        cfg, unit = self.config, self.dut.unit
        drains = sum(map(self.steps, self.commands))
        for _ in range(drains + (unit.add_latency + 60) * (len(self.commands) + 1)):
            self.clock()
        written = [f"ofmap_w_data__{k}" for k in range(cfg.drain_pixels)]
        outputs = ["ofmap_w_count", "ofmap_w_pixel", "post", "idle", "inc_drain", "reads"]
        outputs += ["offered", *written]
        results = run_vectors(self.dut, self.vectors, outputs, backend=backend)
        for n, r in enumerate(results):
            assert n >= self.first_clock or not (r["ofmap_w_count"] or r["post"]), self.where
            assert bool(r["reads"]) == r["inc_drain"], f"{self.where} clock {n}"
        reads = [n for n, r in enumerate(results) if r["inc_drain"]]
        writes = [n for n, r in enumerate(results) if r["ofmap_w_count"]]
        posts = [(n, r["post"]) for n, r in enumerate(results) if r["post"]]
        assert len(reads) == drains, self.where
        spans, wanted_posts = [], Counter()
        early = 1 << Semaphore.PSUM_FREE | 1 << Semaphore.DW_PSUM_FREE
        read, write = iter(reads), iter(writes)
        for number, c in enumerate(self.commands):
            where = f"{self.where} command {number}"
            steps = self.steps(c)
            rows = [pack(row, 8) for row in self.result(c)]
            asked = [next(read) for _ in range(steps)]
            assert asked == list(range(asked[0], asked[0] + steps)), f"{where}: gaps"
            latency = unit.add_latency if c["add"] else unit.latency
            done = 0
            for at in asked:
                clock = next(write)
                assert clock == at + latency, f"{where}: written in clock {clock}, read in {at}"
                r = results[clock]
                count = min(1 if c["add"] else cfg.drain_pixels, len(rows) - done)
                assert (r["ofmap_w_count"], r["ofmap_w_pixel"]) == (count, c["ofmap_base"] + done)
                got = [r[name] for name in written[:count]]
                assert got == rows[done : done + count], f"{where} pixel {done}"
                done += count
            spans.append((asked[0], asked[-1], asked[0] + latency, clock))
            wanted_posts[asked[-1]] += c["post"] & early
            wanted_posts[clock] += c["post"] & ~early
        assert next(write, None) is None, f"{self.where}: more than was asked for"
        assert posts == sorted((+wanted_posts).items()), self.where
        # Busy from the clock in which a command is offered until its last pixel is written.
        offered = next(n for n, r in enumerate(results) if r["offered"])
        left = {n for n in range(offered, writes[-1] + 1) if results[n]["offered"]}
        for first, _, _, end in spans:
            left |= set(range(first - 1, end + 1))
        assert not [n for n in sorted(left) if results[n]["idle"]], f"{self.where}: idle"
        assert results[-1]["idle"], self.where
        return spans


def prepare_cycles(config):
    """Steps that a command needs for the next one to follow without a gap (DrainUnit)."""
    settle, load = 8, config.param_block_beats + 2
    return settle + load + 2


@pytest.mark.parametrize(("config", "latency", "backend"), CASES)
def test_any_commands(config, latency, backend):
    """Any sizes in a row, with and without a second stage, equal ones and others."""
    for seed in range(2 if backend == "verilator" else 1):
        bench = Bench(config, latency, 100 + seed)
        stages = [None, None, *(bench.stage(residual=r) for r in (0, 1, 1))]
        # Those that differ in one field only: the pipeline has to be empty in between.
        for name, value in dict(
            mult2=1 << 30, shift2=-19, out_zp2=21, act_min2=-50, act_max2=50, residual=0
        ).items():
            stages.append(stages[4] | {name: value})
        second = None
        for _ in range(50 if backend == "verilator" else 12):
            if bench.choice.random() < 0.5:
                second = bench.choice.choice(stages)
            sizes = [1, 1, 2, 3, config.tile_pixels, config.dw_tile_pixels]
            sizes.append(bench.choice.randint(1, config.tile_pixels))
            gap = bench.choice.choice([0, 0, 0, 30, 150])
            bench.add(bench.choice.choice(sizes), second, gap=gap)
        spans = bench.run(backend)
        seconds = "add residual mult2 shift2 out_zp2 act_min2 act_max2".split()
        for n, (before, c) in enumerate(zip(bench.commands, bench.commands[1:])):
            differ = any(before[name] != c[name] for name in seconds)
            if differ and (before["add"] or c["add"]):
                assert spans[n + 1][0] > spans[n][3], f"{bench.where}: command {n + 1} too soon"


@pytest.mark.parametrize("add", [0, 1])
@pytest.mark.parametrize(("config", "latency", "backend"), CASES)
def test_no_gap_between_commands(config, latency, backend, add):
    """Commands of the least length that hides the next one's preparation, and of longer ones."""
    bench = Bench(config, latency, 200)
    second = bench.stage(residual=1) if add else None
    step = 1 if add else config.drain_pixels
    least = prepare_cycles(config)
    bench.add(1, second)
    for extra in (0, 1, 0, 0, 7, 0, 0):
        steps = least + extra
        assert steps * step <= config.tile_pixels
        bench.add(steps * step - bench.choice.randrange(step), second, act_min=-128, act_max=127)
    spans = bench.run(backend)[1:]
    for (_, end, *_), (start, *_) in zip(spans, spans[1:]):
        assert start == end + 1, f"{bench.where}: {start - end - 1} clocks lost"


@pytest.mark.parametrize(("config", "latency", "backend"), CASES)
def test_short_commands(config, latency, backend):
    """One pixel each: the next command's parameters come no sooner than the sums have left."""
    bench = Bench(config, latency, 300)
    for n in range(24 if backend == "verilator" else 14):
        bench.add(1, param_block=n % config.param_depth, post=1 << n % 13 if n % 5 else 0)
    spans = bench.run(backend)
    starts = [start for start, *_ in spans]
    assert max(b - a for a, b in zip(starts, starts[1:])) <= prepare_cycles(config)
