"""Array unit and its control behind a queue of commands: issues clock by clock, and psums."""

import dataclasses
import random
from functools import cache

import numpy as np
import pytest
from queued import Queued
from testconfigs import ODD, QUAD, WIDE

from skimp.config import CHAIN
from skimp.configs import PRESETS
from skimp.ctrl.array_control import ArrayControl, ArrayIssue
from skimp.ctrl.array_unit import ArrayUnit
from skimp.isa import MASK_BITS, LoadTarget, Opcode, assemble, glb_address
from skimp_sim.bench.vectors import flat_ports, run_vectors
from skimp_sim.golden.arithmetic import wrap_int32

QUEUE = 128
PLENTY = dict(psum_depth=12, psum_slots=4, wgt_depth=40, ifmap_depth=200, ofmap_depth=96)
ONE = dataclasses.replace(PRESETS["tiny"], name="one", bus_words=1, drain_pixels=1, **PLENTY)
THREE = dataclasses.replace(ODD, name="three", out_channels=8, **PLENTY)
PAIRS = dataclasses.replace(WIDE, name="pairs", **PLENTY)
SIX = dataclasses.replace(ODD, name="six", pixels=6, **PLENTY)
TWO = dataclasses.replace(ONE, name="two", wgt_slices=2)
FOUR = dataclasses.replace(ONE, name="four", wgt_slices=4)
FIVE = dataclasses.replace(QUAD, name="five", out_channels=16, bus_words=2, **PLENTY)
VERILOG = pytest.mark.verilog
CONTROLS = [
    pytest.param(ONE, "pysim", id="one-pysim"),
    pytest.param(TWO, "pysim", id="two-pysim"),
    pytest.param(FOUR, "pysim", id="four-pysim"),
    *(
        pytest.param(config, "verilator", id=f"{config.name}-verilator", marks=VERILOG)
        for config in (THREE, SIX, PAIRS, FIVE)
    ),
]
UNITS = [
    pytest.param(ONE, "pysim", id="one-pysim"),
    pytest.param(TWO, "pysim", id="two-pysim"),
    pytest.param(FOUR, "pysim", id="four-pysim"),
    *(
        pytest.param(config, "verilator", id=f"{config.name}-verilator", marks=VERILOG)
        for config in (THREE, PAIRS, FIVE)
    ),
]


@cache
def queued(unit, config, **arguments):
    """A unit behind its queue, one for all runs."""
    return Queued(unit(config, **arguments), depth=QUEUE)


class Job:
    """A command, and what follows from its fields.

    `taps` holds the flat word of each tap for pixel 0, `pixels` what every pixel adds to that.
    """

    def __init__(self, config, pick, *, groups=None, taps=None, **fields):
        self.config = config
        shortest = config.min_pass_cycles
        groups = groups or pick.choice([1, 1, 2, shortest - 1, shortest, shortest + 1, 12])
        num_pixels = groups * config.pixels - pick.randrange(config.pixels)
        num_c = pick.choice([1, 1, 2, 3])
        num_r, num_s = pick.randint(1, 3), pick.randint(1, 3)
        if taps:
            num_c, num_r, num_s = 1, 1, taps
        stride_h, stride_w = pick.randint(1, 2), pick.randint(1, 2)
        tile_q, row_step = pick.choice([1, 2, 5, 7, 30, num_pixels]), pick.randint(0, 2)
        words = config.pixels * config.ifmap_depth
        plane = pick.randint(1, words // 40 + 1)
        pitch = tile_q + row_step * config.pixels
        offsets = np.array(
            [
                (c * stride_h * stride_w + r % stride_h * stride_w + s % stride_w) * plane
                + r // stride_h * pitch
                + s // stride_w
                for c in range(num_c)
                for r in range(num_r)
                for s in range(num_s)
            ]
        )
        f = np.arange(num_pixels)
        px = config.pixels
        self.pixels = f % px + px * (f // px + f // tile_q * row_step)
        base = pick.randint(0, max(0, words - 1 - int(offsets.max() + self.pixels.max())))
        self.inside = base + offsets.max() + self.pixels.max() < words
        self.taps = base + offsets
        glb = lambda word: glb_address(int(word), px)
        self.fields = dict(
            tile_q=tile_q, num_pixels=num_pixels, num_groups=groups, row_step=row_step,
            ifmap_base=glb(base), inc_s=glb(plane), inc_s_wrap=glb(1 - (stride_w - 1) * plane),
            inc_r=glb(stride_w * plane),
            inc_r_wrap=glb(pitch - (stride_h - 1) * stride_w * plane),
            inc_c=glb(stride_h * stride_w * plane), num_r=num_r, num_s=num_s, num_c=num_c,
            stride_h=stride_h, stride_w=stride_w, psum_slot=pick.randrange(config.psum_slots),
            in_zp=pick.choice([-128, 127, 0, pick.randint(-128, 127)]),
            ci_last=pick.randint(1, config.in_channels),
            co_valid=pick.randint(1, config.out_channels),
            first=pick.randrange(2), last=pick.randrange(2),
            wgt_base=pick.randint(0, config.wgt_depth - len(offsets)),
            post=pick.getrandbits(MASK_BITS) | 1,
        ) | fields  # fmt: skip
        self.payload = int.from_bytes(assemble(Opcode.CONV, **self.fields), "little")
        self.per_block = num_r * num_s

    def __getattr__(self, name):
        try:
            return self.fields[name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def clocks(self):
        return len(self.taps) * max(self.num_groups, self.config.min_pass_cycles)

    def issues(self):
        """Return (tap, group or None) clock by clock; None: the rest of a short pass."""
        length = max(self.num_groups, self.config.min_pass_cycles)
        return [
            (tap, g if g < self.num_groups else None)
            for tap in range(len(self.taps))
            for g in range(length)
        ]

    def real(self, tap):
        """Channels that are real in the channel block of a tap."""
        last = tap // self.per_block == self.num_c - 1
        return self.ci_last if last else self.config.in_channels


def random_job(config, pick, **fields):
    while True:
        job = Job(config, pick, **fields)
        if job.inside:
            return job


def queue_up(jobs, gaps=()):
    """Vectors that queue jobs, one a clock but for the gaps in front of some."""
    vectors = []
    for n, job in enumerate(jobs):
        vectors += [dict(command__valid=0)] * (gaps[n] if n < len(gaps) else 0)
        vectors.append(dict(command__valid=1, command__payload=job.payload))
    vectors.append(dict(command__valid=0))
    return vectors


class Trace:
    """What a control issued, checked against the jobs it was given."""

    def __init__(self, config, jobs, *, flight, backend, gaps=(), where=""):
        self.config, self.jobs, self.flight, self.where = config, jobs, flight, where
        dut = queued(ArrayControl, config, flight_cycles=flight)
        self.control = dut.unit
        rows = [f"row__{i}" for i in range(config.pixels)]
        vectors = queue_up(jobs, gaps)
        clocks = sum(job.clocks + flight + 30 for job in jobs) + 200
        vectors += [{}] * clocks
        outputs = ["issue", "bank", "lane_en__0", "in_zp", "ci_en", "macs_per_act", "post", "idle"]
        outputs += ["waiting", "offered", *rows]
        self.results = run_vectors(dut, vectors, outputs, backend=backend)
        layout = ArrayIssue(config)
        for r in self.results:
            for name, field in layout:
                r[name] = r["issue"] >> field.offset & (1 << field.width) - 1
        self.check_issues()
        self.check_weights()
        self.check_ends()

    def check_issues(self):
        px = self.config.pixels
        active = [n for n, r in enumerate(self.results) if r["valid"]]
        self.spans = []
        clock = 0
        for number, job in enumerate(self.jobs):
            where = f"{self.where} command {number}"
            start = next((n for n in active if n >= clock), None)
            assert start is not None, f"{where} never starts"
            for n, (tap, group) in enumerate(job.issues(), start):
                r = self.results[n]
                here = f"{where} clock {n} tap {tap} group {group}"
                working = group is not None
                assert r["valid"] == working, here
                if not working:
                    assert r["lane_en__0"] == 0, here
                    continue
                first_pixel = group * px
                lanes = min(px, job.num_pixels - first_pixel)
                assert r["lane_en__0"] == (1 << lanes) - 1, here
                for i in range(lanes):
                    word = r[f"row__{i}"] * px + (r["bank"] + i) % px
                    assert word == job.taps[tap] + job.pixels[first_pixel + i], f"{here} lane {i}"
                assert r["in_zp"] == job.in_zp & 0xFF, here
                assert r["ci_en"] == (1 << job.real(tap)) - 1, here
                assert r["macs_per_act"] == job.co_valid, here
                assert (r["group"], r["slot"]) == (group, job.psum_slot), here
                last = len(job.taps) - 1
                assert r["swap"] == (group == 0), here
                assert r["first"] == (job.first and tap == 0), here
                assert r["last"] == (job.last and tap == last), here
            self.spans.append((start, n))
            clock = n + 1
        assert not [n for n in active if n >= clock], f"{self.where}: more than was asked for"

    def check_weights(self):
        """Reads are a shortest pass apart, each behind the swap of the one before; swaps get theirs."""
        blocks = iter(job.wgt_base + tap for job in self.jobs for tap in range(len(job.taps)))
        shortest = self.config.min_pass_cycles
        read_at, waiting = -shortest, None
        for n, r in enumerate(self.results):
            if r["swap"]:
                assert waiting == next(blocks), f"{self.where} clock {n}: wrong weights"
                assert n - read_at >= shortest, f"{self.where} clock {n}: weights come too late"
                waiting = None
            if r["wgt_read"]:
                assert n - read_at >= shortest, f"{self.where} clock {n}: read too soon"
                assert waiting is None, f"{self.where} clock {n}: weights are lost"
                read_at, waiting = n, r["wgt_addr"]
        assert next(blocks, None) is None and waiting is None, self.where

    def check_ends(self):
        # `issue` is one clock behind what counts flight_cycles.
        posts = [(n, r["post"]) for n, r in enumerate(self.results) if r["post"]]
        assert posts == [
            (end + self.flight - 1, job.post)
            for (_, end), job in zip(self.spans, self.jobs)
            if job.post
        ], self.where
        busy = {n for n, r in enumerate(self.results) if r["offered"]}
        working = set(busy)
        for start, end in self.spans:
            working |= set(range(start - 1, end))
            busy |= set(range(start - 1, end + self.flight))
        assert not [n for n in sorted(busy) if self.results[n]["idle"]], f"{self.where}: idle"
        assert not [n for n in sorted(working) if self.results[n]["waiting"]], self.where
        assert self.results[-1]["idle"] and self.results[-1]["waiting"], self.where

    def lost(self, n):
        """Clocks between command n and the one before it."""
        return self.spans[n][0] - self.spans[n - 1][1] - 1


@pytest.mark.parametrize("gappy", [False, True])
@pytest.mark.parametrize(("config", "backend"), CONTROLS)
def test_issues(config, backend, gappy):
    """Any commands in a row."""
    for seed in range(3 if backend == "verilator" else 1):
        pick = random.Random(400 + seed)
        where = f"seed {400 + seed}"
        jobs = [random_job(config, pick) for _ in range(40)]
        gaps = [pick.choice([0, 0, 3, 40, 120]) if gappy else 0 for _ in jobs]
        Trace(config, jobs, flight=17, backend=backend, gaps=gaps, where=where)


@pytest.mark.parametrize(("config", "backend"), CONTROLS)
def test_clocks_between_commands(config, backend):
    """One clock, if the second command came prepare_cycles before the first one ended."""
    pick = random.Random(9)
    enough = max(config.min_pass_cycles - 1, config.pixels + 3)
    few = max(2, -(-enough // config.min_pass_cycles))
    shapes = [
        (12, 1),
        (12, 1),
        (enough, 1),
        (9, 2),
        (9, 9),
        (1, few),
        (8, 2),
        (1, few + 1),
        (12, 1),
    ]
    jobs = []
    for groups, taps in shapes:
        job = Job(config, pick, groups=groups, taps=taps)
        while not job.inside:
            job = Job(config, pick, groups=groups, taps=taps)
        assert job.clocks >= enough
        jobs.append(job)
    trace = Trace(config, jobs, flight=17, backend=backend)
    assert trace.control.prepare_cycles == enough
    assert [trace.lost(n) for n in range(1, len(jobs))] == [1] * (len(jobs) - 1)


@pytest.mark.parametrize(("config", "backend"), CONTROLS)
def test_shortest_commands(config, backend):
    """One group and one tap each: prepared one behind the other."""
    pick = random.Random(12)
    jobs = [Job(config, pick, groups=1, taps=1) for _ in range(12)]
    trace = Trace(config, jobs, flight=17, backend=backend)
    for n in range(1, len(jobs)):
        start_to_start = trace.spans[n][0] - trace.spans[n - 1][0]
        assert start_to_start <= trace.control.prepare_cycles + 2, f"command {n}"


class Memories:
    """Noise for all memories of an array unit, and the vectors that write it."""

    def __init__(self, config, rng):
        self.config = cfg = config
        ci, co = cfg.in_channels, cfg.out_channels
        self.ifmap = rng.integers(-128, 128, (cfg.pixels * cfg.ifmap_depth, ci))
        for value in (-128, 0, 127):  # zero points of many commands
            self.ifmap[rng.random(self.ifmap.shape) < 0.1] = value
        self.wgt = rng.integers(-127, 128, (cfg.wgt_depth, co, ci))
        self.wgt[rng.random(cfg.wgt_depth) < 0.2] = 127
        self.vectors = []
        for n, word in enumerate(self.ifmap):
            row, bank = divmod(n, cfg.pixels)
            self._add(glb_w_count=1, glb_w_row=row, glb_w_bank=bank, glb_w_data__0=pack(word, 8))
        # [block, co, chain, slice]: a slice of all chains is read at once.
        slices = self.wgt.reshape(cfg.wgt_depth, co, ci // CHAIN, CHAIN).transpose(0, 3, 1, 2)
        self._linear(LoadTarget.WGT, slices)
        self._linear(LoadTarget.DW_WGT, -slices)  # not for this unit

    def _add(self, **inputs):
        self.vectors.append(dict(glb_w_count=0, lin_w_en=0, command__valid=0) | inputs)

    def _linear(self, target, values):
        data = values.astype(np.int8).tobytes()
        size = self.config.bus_bytes
        for n in range(len(data) // size):
            beat = int.from_bytes(data[n * size : (n + 1) * size], "little")
            self._add(lin_w_en=1, lin_w_target=int(target), lin_w_addr=n, lin_w_data=beat)

    def psums(self, job, before, taps=None):
        """Return sums [num_pixels, out_channels] behind a job, and the MACs it gates.

        `taps` ends the CONV early, as the end of a slice.
        """
        cfg = self.config
        acts = self.ifmap[job.taps[:, None] + job.pixels] - job.in_zp  # [tap, pixel, ci]
        weights = slice(job.wgt_base, job.wgt_base + len(job.taps))
        sums = np.einsum("tpi,tki->pk", acts[:taps], self.wgt[weights][:taps])
        if not job.first:
            sums = wrap_int32(sums + before[: job.num_pixels])
        real = np.array([job.real(tap) for tap in range(len(job.taps))])
        counted = np.arange(cfg.in_channels) < real[:, None, None]
        return sums, job.co_valid * int(((acts == 0) & counted).sum())


def pack(values, bits):
    return sum((int(v) & (1 << bits) - 1) << bits * k for k, v in enumerate(values))


def unpack(bits, count):
    words = [bits >> 32 * k & 0xFFFFFFFF for k in range(count)]
    return [word - (word >> 31 << 32) for word in words]


@pytest.mark.parametrize(("config", "backend"), UNITS)
def test_psums(config, backend):
    """Every command's psums are read from the clock of its post on, the last ones first.

    The slots take turns, so that nobody writes what is read; commands go on with the sums of those
    before.
    """
    num_jobs = 60 if backend == "verilator" else 16
    for seed in range(2 if backend == "verilator" else 1):
        where = f"seed {500 + seed}"
        pick, rng = random.Random(500 + seed), np.random.default_rng(500 + seed)
        memories = Memories(config, rng)
        dut = queued(ArrayUnit, config)
        jobs = []
        while len(jobs) < num_jobs:
            slot = len(jobs) % config.psum_slots
            if not jobs:  # there is something to add to
                job = Job(config, pick, groups=12, psum_slot=slot, first=1, last=0)
            else:
                job = random_job(config, pick, psum_slot=slot)
            if not job.inside or job.clocks < 12:
                continue  # a slot is read before its turn comes again
            jobs.append(job)
        start = len(memories.vectors)
        vectors = memories.vectors + queue_up(jobs)
        vectors[start]["lin_w_en"] = vectors[start]["glb_w_count"] = 0
        vectors += [{} for _ in range(sum(job.clocks + 60 for job in jobs) + 100)]
        psums = [f"psum__{i}" for i in range(config.pixels)]
        assert set(psums) <= set(flat_ports(dut))
        outputs = ["post", "idle", "inc_array", "inc_macs_gated"]
        first_run = run_vectors(dut, vectors, outputs, backend=backend)
        posts = [n for n, r in enumerate(first_run) if r["post"]]
        assert [first_run[n]["post"] for n in posts] == [job.post for job in jobs], where

        reads = {}
        for post, job in zip(posts, jobs):
            for n, group in enumerate(reversed(range(job.num_groups * job.last)), post):
                assert n not in reads
                reads[n] = (job, group)
        for n in range(start, len(vectors)):
            vectors[n]["psum_rd_en"] = 0
        for n, (job, group) in reads.items():
            vectors[n] |= dict(
                psum_rd_en=(1 << config.pixels) - 1, psum_rd_slot=job.psum_slot, psum_rd_addr=group
            )
        results = run_vectors(dut, vectors, [*outputs, *psums], backend=backend)
        want, gated = {}, 0
        state = np.zeros((config.tile_pixels, config.out_channels), int)  # sums under way
        for job in jobs:
            want[job], gates = memories.psums(job, state)
            gated += gates
            if len(job.taps) > 1 or not job.last:
                # The last product of a finished sum goes to the slot only.
                state[: job.num_pixels] = memories.psums(job, state, taps=-job.last or None)[0]
                if job.first:  # idle lanes of the last group start at 0 like the rest
                    state[job.num_pixels : job.num_groups * config.pixels] = 0
        for n, (job, group) in reads.items():
            got = results[n + dut.unit.psum_read_latency]
            for i in range(config.pixels):
                f = group * config.pixels + i
                if f < job.num_pixels:
                    here = f"{where} command {jobs.index(job)} pixel {f}"
                    assert unpack(got[f"psum__{i}"], config.out_channels) == list(want[job][f]), (
                        here
                    )
        total = sum(len(job.taps) * job.num_groups for job in jobs)
        assert sum(r["inc_array"] for r in results) == total, where
        assert sum(r["inc_macs_gated"] for r in results) == gated, where
        assert results[-1]["idle"] and not results[posts[-1] - 1]["idle"], where
