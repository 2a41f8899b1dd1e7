"""The DRAM model: C++ against Python, every command against the data sheet, rates by arithmetic."""

import dataclasses
import itertools
import subprocess
import time
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from skimp_sim.dram import Ddr4, Ddr4Params, Request, replay
from skimp_sim.dram.__main__ import main
from skimp_sim.dram.patterns import PATTERNS, measure

P = Ddr4Params()
FAST = dataclasses.replace(P, read_latency=0, read_queue=64)  # the DRAM limits, not the path
WIDTHS = (8, 16, 32, 64)
SEEDS = range(12)
LOGICAL_PAGE = P.bank_groups * P.page_bytes
NEXT_ROW = LOGICAL_PAGE * P.banks_per_group  # same bank, next row


def random_params(rng: np.random.Generator) -> Ddr4Params:
    """The data sheet, with another clock, controller or grade now and then."""
    changes = {}
    if rng.random() < 0.5:
        changes["fabric_mhz"] = int(rng.choice([150, 187, 250, 333, 400]))
    if rng.random() < 0.5:
        high = int(rng.integers(1, 9))
        changes.update(
            read_queue=int(rng.integers(1, 20)),
            write_queue=high + int(rng.integers(0, 8)),
            write_high=high,
            write_low=int(rng.integers(0, high)),
            run=int(rng.integers(1, 20)),
            lookahead=int(rng.integers(0, 12)),
            read_latency=int(rng.integers(0, 60)),
            write_latency=int(rng.integers(1, 60)),
        )
    if rng.random() < 0.3:
        changes.update(cl=16, t_rcd=16, t_rp=16, cwl=16, t_refi=int(rng.choice([0, 2000, 4680])))
    base = Ddr4Params.zcu104() if rng.random() < 0.3 else P
    return dataclasses.replace(base, **changes)


def random_trace(rng: np.random.Generator, beat_bytes: int, count: int) -> list[Request]:
    """Streams, strides and scattered bursts, in rushes and with pauses over refreshes."""
    requests = []
    clock = 0
    while len(requests) < count:
        kind = rng.integers(4)
        n = int(rng.integers(1, 40))
        write_share = rng.choice([0.0, 0.2, 0.5, 1.0])
        address = int(rng.integers(0, 1 << 16)) * beat_bytes
        stride = int(rng.choice([0, 64, 1024, LOGICAL_PAGE, NEXT_ROW]))
        for i in range(n):
            if kind == 0:  # anywhere
                a = int(rng.integers(0, 1 << 22)) // beat_bytes * beat_bytes
            else:
                a = address + i * stride
            most = min(256, (4096 - a % 4096) // beat_bytes)
            beats = most if kind == 2 else int(rng.integers(1, min(most, 20) + 1))
            requests.append(Request(clock, bool(rng.random() < write_share), a, beats))
            clock += int(rng.integers(0, 5)) * int(rng.integers(0, 20))
        if rng.random() < 0.3:
            clock += int(rng.integers(0, 6000))
    return requests[:count]


def changed(params: Ddr4Params) -> dict[str, int]:
    """What is not the default, for messages."""
    pairs = ((f.name, getattr(params, f.name)) for f in dataclasses.fields(params))
    return {name: value for name, value in pairs if value != getattr(P, name)}


@pytest.fixture(scope="module")
def cpp(tmp_path_factory):
    """Runs traces through the C++ model: cpp([(beat_bytes, params, trace, stall)]) -> results."""
    folder = tmp_path_factory.mktemp("ddr4")
    (folder / "ddr4_params.h").write_text(P.header())
    include = str(files("skimp_sim").joinpath("cpp"))
    source = Path(__file__).with_name("replay.cpp")
    flags = "-std=c++17 -O1 -Wall -Wextra -Wconversion -Wno-sign-conversion -Werror".split()
    subprocess.run(
        ["g++", *flags, f"-I{folder}", f"-I{include}", str(source), "-o", str(folder / "replay")],
        check=True,
    )

    def run(jobs):
        lines = []
        for beat_bytes, params, trace, stall in jobs:
            lines += [f"set {name} {value}" for name, value in changed(params).items()]
            lines += [f"stall {stall}", f"trace {beat_bytes} {len(trace)}"]
            lines += [f"{r.clock} {int(r.is_write)} {r.address} {r.beats}" for r in trace]
        out = subprocess.run(
            [str(folder / "replay")], input="\n".join(lines), text=True, capture_output=True
        )
        assert out.returncode == 0, out.stderr
        rows = iter(out.stdout.splitlines())
        results = []
        for _, _, trace, _ in jobs:
            clocks = [np.array([int(v) for v in next(rows).split()[1:]]) for _ in trace]
            results.append((clocks, [int(v) for v in next(rows).split()]))
        return results

    return run


def python_results(memory, trace):
    bursts = replay(memory, trace)
    memory.drain()
    return [np.array([b.last]) if b.is_write else memory.beat_clocks(b) for b in bursts], bursts


class TestCpp:
    """Driven per clock, C++ gives what Python gives driven per event."""

    def test_random(self, cpp):
        jobs, names = [], []
        for seed in SEEDS:
            for beat_bytes in WIDTHS:
                rng = np.random.default_rng([seed, beat_bytes])
                params = P if seed < 4 else random_params(rng)
                jobs.append((beat_bytes, params, random_trace(rng, beat_bytes, 400), 0))
                names.append(f"seed {seed}, {beat_bytes} bytes, {changed(params)}")
        refreshes = turnarounds = 0
        for name, job, (clocks, counters) in zip(names, jobs, cpp(jobs)):
            print(name)
            memory = Ddr4(job[0], job[1])
            mine, bursts = python_results(memory, job[2])
            for i, (a, b) in enumerate(zip(mine, clocks)):
                assert np.array_equal(a, b), f"{name}: request {i} {job[2][i]}: {a} != {b}"
            for burst, a in zip(bursts, mine):
                assert (burst.first, burst.last) == (a[0], a[-1])
            # C++ ran on after the end: the same but for refreshes of the idle DRAM.
            here = memory.counters.as_dict()
            memory.advance(1 << 40)
            assert list(here.values()) == counters
            refreshes += here["refreshes"]
            turnarounds += here["turnarounds"]
        assert refreshes > 500 and turnarounds > 1000

    def test_a_slow_master_delays_only_itself(self, cpp):
        """With RREADY low now and then the beats come later, in order, and all of them."""
        rng = np.random.default_rng(7)
        trace = random_trace(rng, 64, 300)
        (free, _), (stalled, _) = cpp([(64, P, trace, 0), (64, P, trace, 400)])
        reads = [i for i, r in enumerate(trace) if not r.is_write]
        before = -1
        for i in reads:
            assert len(stalled[i]) == trace[i].beats
            assert stalled[i][0] > before and (np.diff(stalled[i]) > 0).all()
            before = stalled[i][-1]
        assert sum(stalled[i][-1] - free[i][-1] for i in reads) > 0

    def test_header_names_every_field(self):
        text = P.header()
        for field in dataclasses.fields(P):
            assert f"int64_t {field.name} = {getattr(P, field.name)};" in text


def check_commands(memory: Ddr4) -> None:
    """Hold every recorded command against the data sheet; nothing of the model is used."""
    p = memory.params
    order = {"PRE": 0, "PREA": 0, "REF": 1, "ACT": 2, "RD": 3, "WR": 3}
    commands = sorted(memory.commands, key=lambda c: (c[0], order[c[1]]))
    row, opened, closed = {}, {}, {}
    last = {}  # (RD or WR, group or None) -> clock
    bank_columns = {}  # bank -> [(name, clock)] since its activate
    activates = []
    refreshed = -(10**9)
    never = -(10**9)

    def may_close(t, bank):
        assert t >= opened[bank] + p.t_ras
        for name, at in bank_columns[bank]:
            assert t >= at + (p.t_rtp if name == "RD" else p.cwl + p.data_clocks + p.t_wr)

    for t, name, bank, what in commands:
        group = bank % p.bank_groups
        assert t >= refreshed + p.t_rfc, (t, name)
        if name == "PRE":
            may_close(t, bank)
            assert row.pop(bank) == what
            closed[bank] = t
        elif name == "PREA":
            for b in list(row):
                may_close(t, b)
                closed[b] = t
            row.clear()
        elif name == "REF":
            assert not row
            assert all(t >= c + p.t_rp for c in closed.values())
            refreshed = t
        elif name == "ACT":
            assert bank not in row
            assert t >= closed.get(bank, never) + p.t_rp
            assert t >= opened.get(bank, never) + p.t_rc
            if activates:
                assert t >= activates[-1][0] + p.t_rrd_s
            same = [at for at, g in activates if g == group]
            assert not same or t >= same[-1] + p.t_rrd_l
            assert len(activates) < 4 or t >= activates[-4][0] + p.t_faw
            activates = activates[-15:] + [(t, group)]
            row[bank] = what
            opened[bank] = t
            bank_columns[bank] = []
        else:
            page_units = p.bank_groups * p.page_bytes // p.burst_bytes
            assert row[bank] == what // page_units // p.banks_per_group
            assert bank // p.bank_groups == what // page_units % p.banks_per_group
            assert group == what % p.bank_groups
            assert t >= opened[bank] + p.t_rcd
            assert t >= last.get((name, None), never) + p.t_ccd_s
            assert t >= last.get((name, group), never) + p.t_ccd_l
            if name == "RD":
                data = p.cwl + p.data_clocks
                assert t >= last.get(("WR", None), never) + data + p.t_wtr_s
                assert t >= last.get(("WR", group), never) + data + p.t_wtr_l
            else:
                # Write data (t + cwl) behind the end of read data and a bubble.
                end = last.get(("RD", None), never) + p.cl + p.data_clocks
                assert t + p.cwl >= end + p.t_bubble
            last[name, None] = last[name, group] = t
            bank_columns[bank] = bank_columns[bank][-3:] + [(name, t)]


class TestDataSheet:
    @pytest.mark.parametrize("beat_bytes", WIDTHS)
    @pytest.mark.parametrize("seed", range(6))
    def test_no_command_comes_too_early(self, seed, beat_bytes):
        rng = np.random.default_rng([99, seed, beat_bytes])
        params = P if seed == 0 else random_params(rng)
        print(f"seed {seed}: {changed(params)}")
        memory = Ddr4(beat_bytes, params, record=True)
        trace = random_trace(rng, beat_bytes, 500)
        bursts = replay(memory, trace)
        memory.drain()
        check_commands(memory)
        counters = memory.counters
        names = [c[1] for c in memory.commands]
        assert names.count("ACT") == counters.activates
        assert names.count("ACT") == counters.row_misses + counters.row_conflicts
        assert names.count("PRE") == counters.row_conflicts
        assert names.count("REF") == counters.refreshes
        assert names.count("RD") == counters.reads
        assert names.count("WR") == counters.writes
        assert counters.row_hits + names.count("ACT") == counters.reads + counters.writes
        assert counters.busy_clocks == (counters.reads + counters.writes) * params.data_clocks
        since = open_clocks = 0
        for t, name, _, _ in sorted(memory.commands, key=lambda c: c[0]):
            if name == "ACT":
                since = since or t + 1  # a row may be opened in clock 0
            elif name == "PREA":
                open_clocks += t + 1 - since
                since = 0
        assert counters.open_clocks == open_clocks
        assert counters.refresh_clocks == counters.refreshes * params.t_rfc
        # At most one read beat a clock, in the order of submission.
        beats = np.concatenate([memory.beat_clocks(b) for b in bursts if not b.is_write] or [[0]])
        assert (np.diff(beats) > 0).all()

    @pytest.mark.parametrize(
        "name",
        "cl cwl t_rcd t_rp t_ras t_rfc t_ccd_s t_ccd_l t_rrd_s t_rrd_l t_wtr_s t_wtr_l t_faw t_wr "
        "t_rtp t_bubble".split(),
    )
    def test_every_time_matters(self, name):
        """A model whose number is too small by a clock is found out."""
        wrong = {name: getattr(P, name) - 1}
        if name == "cwl":  # the larger it is, the earlier may a write follow a read
            wrong = {"cwl": P.cwl + 1}
        if name == "t_ccd_s":
            wrong["data_clocks"] = 3
        rng = np.random.default_rng(5)
        found = False
        for beat_bytes in (16, 64):
            params = dataclasses.replace(P, run=2, write_high=2, write_low=0, **wrong)
            memory = Ddr4(beat_bytes, params, record=True)
            replay(memory, random_trace(rng, beat_bytes, 1500))
            memory.drain()
            memory.params = P
            try:
                check_commands(memory)
            except AssertionError:
                found = True
        assert found

    def test_refresh_keeps_its_rate(self):
        """One per period on average, however busy or idle the DRAM is."""
        for gap in (0, 3, 500, 20_000):
            memory = Ddr4(64, record=True)
            replay(memory, [Request(i * gap, False, i * 1024, 16) for i in range(400)])
            end = memory.drain()
            refreshes = [c[0] for c in memory.commands if c[1] == "REF"]
            late = [t - (i + 1) * P.t_refi for i, t in enumerate(refreshes)]
            assert min(late) >= 0 and max(late) < 400
            assert abs(len(refreshes) - end * 4 / P.t_refi) <= gap * 4 / P.t_refi + 1


def mapping(beat_bytes, address):
    """(group, bank, row) of the columns that one beat touches."""
    memory = Ddr4(beat_bytes, record=True)
    memory.read(0, address, 1)
    acts = [c for c in memory.commands if c[1] == "ACT"]
    return [(b % P.bank_groups, b // P.bank_groups, row) for _, _, b, row in acts]


class TestMapping:
    def test_one_port(self):
        for beat_bytes in (8, 16):
            assert [mapping(beat_bytes, 64 * i)[0][0] for i in range(6)] == [0, 1, 2, 3, 0, 1]
            assert mapping(beat_bytes, LOGICAL_PAGE - 16) == [(3, 0, 0)]
            assert mapping(beat_bytes, LOGICAL_PAGE) == [(0, 1, 0)]
            assert mapping(beat_bytes, NEXT_ROW) == [(0, 0, 1)]

    def test_ports_lie_in_different_groups(self):
        for address, bank, row in ((0, 0, 0), (3 * LOGICAL_PAGE + 64, 3, 0), (5 * NEXT_ROW, 0, 5)):
            assert mapping(64, address) == [(g, bank, row) for g in range(4)]
        assert mapping(32, 0) == [(0, 0, 0), (1, 0, 0)]
        assert mapping(32, 128) == [(2, 0, 0), (3, 0, 0)]

    def test_what_is_refused(self):
        memory = Ddr4(64)
        with pytest.raises(ValueError, match="multiple"):
            memory.submit(0, False, 32, 1)
        with pytest.raises(ValueError, match="page"):
            memory.submit(0, False, LOGICAL_PAGE - 64, 2)
        with pytest.raises(ValueError, match="power of two"):
            Ddr4(48)
        with pytest.raises(ValueError, match="power of two"):
            dataclasses.replace(P, bank_groups=3)
        memory.advance(10)
        with pytest.raises(ValueError, match="before"):
            memory.advance(9)
        with pytest.raises(ValueError, match="write_low"):
            dataclasses.replace(P, write_low=12)


def rate(memory, trace, unit=None):
    """Clocks per request over the second half of the trace."""
    bursts = replay(memory, trace)
    memory.drain()
    half = len(bursts) // 2
    return (bursts[-1].last - bursts[half].last) / (len(bursts) - 1 - half)


class TestRates:
    def test_long_stream(self):
        """Peak, less refresh: 64 bytes per clock x (1 - 437 / 9360)."""
        n = 20_000
        for is_write in (False, True):
            memory = Ddr4(64)
            clocks = rate(memory, [Request(0, is_write, i * 1024, 16) for i in range(n)])
            assert 1024 / clocks == pytest.approx(
                P.peak_bytes_per_clock * (1 - P.refresh_share), rel=0.01
            )
            assert memory.counters.hit_rate > 0.99

    @pytest.mark.parametrize("beat_bytes", [64, 128])
    def test_long_stream_over_two_groups(self, beat_bytes):
        """x16 devices: two groups in turn are enough for t_ccd_s."""
        p = Ddr4Params.zcu104()
        beats = 1024 // beat_bytes
        trace = [Request(0, False, i * 1024, beats) for i in range(5000)]
        assert 1024 / rate(Ddr4(beat_bytes, p), trace) == pytest.approx(
            p.peak_bytes_per_clock * (1 - p.refresh_share), rel=0.01
        )

    @pytest.mark.parametrize("beat_bytes", [8, 16, 32])
    def test_narrow_stream_is_limited_by_the_bus(self, beat_bytes):
        """The DRAM is faster: refresh hides behind the queue, or costs at most its share."""
        n = 4000
        beats = 512 // beat_bytes
        memory = Ddr4(beat_bytes)
        clocks = rate(memory, [Request(0, False, i * 512, beats) for i in range(n)])
        assert beats <= clocks <= beats / (1 - P.refresh_share)

    @pytest.mark.parametrize("beat_bytes", [8, 16, 32, 64])
    def test_a_row_each_in_one_bank(self, beat_bytes):
        """One access per row cycle."""
        no_refresh = dataclasses.replace(FAST, t_refi=0)
        n = 2000
        trace = [Request(0, False, i * NEXT_ROW, 1) for i in range(n)]
        assert 4 * rate(Ddr4(beat_bytes, no_refresh), trace) == pytest.approx(P.t_rc, rel=0.02)
        share = 1 - P.refresh_share
        assert 4 * rate(Ddr4(beat_bytes, FAST), trace) == pytest.approx(P.t_rc / share, rel=0.02)

    def test_a_row_each_over_all_banks(self):
        """Four activates per t_faw; with t_faw out of the way, t_rrd_s; in one group, t_rrd_l."""
        n = 3000
        base = dataclasses.replace(FAST, t_refi=0, lookahead=16)
        loose = dataclasses.replace(base, t_faw=0)
        # Group by group, then bank by bank, then the next row.
        everywhere = [
            Request(0, False, i % 4 * 64 + i // 4 % 4 * LOGICAL_PAGE + i // 16 * NEXT_ROW, 1)
            for i in range(n)
        ]
        assert 4 * rate(Ddr4(16, base), everywhere) == pytest.approx(P.t_faw / 4, rel=0.02)
        assert 4 * rate(Ddr4(16, loose), everywhere) == pytest.approx(P.t_rrd_s, rel=0.02)
        # One group: four banks, each once per row cycle.
        one = [Request(0, False, i % 4 * LOGICAL_PAGE + i // 4 * NEXT_ROW, 1) for i in range(n)]
        expected = max(P.t_rrd_l, P.t_faw / 4, P.t_rc / 4)
        assert 4 * rate(Ddr4(16, base), one) == pytest.approx(expected, rel=0.02)
        # The wide bus opens four rows per access.
        assert 4 * rate(Ddr4(64, base), one) == pytest.approx(P.t_faw, rel=0.02)

    def test_same_group_columns(self):
        """Hits that stay in a group come t_ccd_l apart; the bus of 8 bytes is no limit here."""
        params = dataclasses.replace(FAST, t_refi=0)
        memory = Ddr4(16, params)
        bursts = replay(memory, [Request(0, False, i * 256, 1) for i in range(100)])
        memory.drain()
        times = [b.columns[0] for b in bursts]
        assert set(np.diff(times[4:])) == {P.t_ccd_l}

    def test_turnaround(self):
        """Column commands across each change of direction, and the rate of alternating bursts."""
        params = dataclasses.replace(FAST, t_refi=0, run=1, write_high=1, write_low=0)
        memory = Ddr4(64, params)
        # Submitted a burst at a time, so that they alternate; all in open rows.
        for i in range(4):
            memory.read(0, i * LOGICAL_PAGE, 4)
        start = memory.drain()
        bursts = []
        for i in range(60):
            address = i % 4 * LOGICAL_PAGE + i // 4 * 256
            bursts.append(memory.submit(start, bool(i % 2), address, 4))
            memory.advance(memory.next_decision())
            start = memory.now
            assert bursts[-1].columns
        ccd = P.t_ccd_s
        w2r = P.cwl + P.data_clocks + P.t_wtr_l - 3 * ccd  # the same group as the first write
        w2r = max(w2r, P.cwl + P.data_clocks + P.t_wtr_s)
        for a, b in itertools.pairwise(bursts):
            gap = b.columns[0] - a.columns[-1]
            least = w2r if a.is_write else P.cl + P.data_clocks + P.t_bubble - P.cwl
            assert least <= gap < least + 4  # a fabric clock of the test's own
        assert memory.counters.turnarounds == 59

    @pytest.mark.parametrize("run", [1, 4, 16])
    def test_mixed_streams(self, run):
        """Reads and writes of 1 KB: a round is `run` bursts each, and two changes."""
        params = dataclasses.replace(FAST, t_refi=0, run=run, write_high=8, write_low=1)
        n = 2000
        far = 1 << 24
        trace = [Request(0, False, LOGICAL_PAGE * 2 + i * 1024, 16) for i in range(n)]
        trace += [Request(0, True, far + i * 1024, 16) for i in range(n)]
        memory = Ddr4(64, params)
        bursts = replay(memory, trace)
        memory.drain()
        columns = 16 * P.t_ccd_s
        # From last column command to first one, in place of one t_ccd_s each.
        lost = P.read_to_write + P.write_to_read(same_group=False) - 2 * P.t_ccd_s
        reads = bursts[:n]
        half = n // 2
        clocks = 4 * (reads[-1].last - reads[half].last) / (n - 1 - half)
        assert clocks == pytest.approx(2 * columns + lost / run, rel=0.02)
        assert memory.counters.turnarounds == pytest.approx(2 * n / run, rel=0.05)


class TestLatency:
    @pytest.mark.parametrize("beat_bytes", WIDTHS)
    def test_one_read(self, beat_bytes):
        data = P.cl + P.data_clocks
        # The ports' rows are opened one after the other, their accesses follow each other.
        ports = max(1, beat_bytes // 16)
        acts, reads = (ports - 1) * P.t_rrd_s, (ports - 1) * P.t_ccd_s
        memory = Ddr4(beat_bytes)
        latency = P.read_latency
        # Far apart, but before the first refresh.
        for clock, address, expected in (
            (100, 0, P.t_rcd + acts + data),
            (300, 0, reads + data),
            (500, NEXT_ROW, P.t_rp + P.t_rcd + acts + data),
            (700, LOGICAL_PAGE, P.t_rcd + acts + data),
        ):
            first, last = memory.read(clock, address, 1)
            assert first == last == clock + latency - (-expected // 4)
        c = memory.counters
        assert (c.row_hits, c.row_misses, c.row_conflicts) == (ports, 2 * ports, ports)

    def test_beats_follow_each_other(self):
        """A stripe every four clocks; a burst from its middle pauses at the second one."""
        memory = Ddr4(64)
        burst = memory.submit(0, False, 128, 14)
        memory.drain()
        beats = memory.beat_clocks(burst)
        assert list(beats - beats[0]) == [0, 1, *range(4, 16)]
        assert (beats[0], beats[-1]) == (burst.first, burst.last)
        assert burst.units == 16

    def test_write_response_does_not_wait_for_the_dram(self):
        memory = Ddr4(64)
        assert memory.write(7, 0, 4) == 7 + P.write_latency
        assert memory.write(7, NEXT_ROW, 4) == 8 + P.write_latency  # one response a clock

    def test_read_behind_a_write_of_the_same_stripe(self):
        """Queued writes to what is read go first; others wait."""
        for address, first in ((256 * 5, True), (256 * 6, False)):
            memory = Ddr4(64)
            write = memory.submit(0, True, 256 * 5, 1)
            read = memory.submit(0, False, address, 1)
            memory.drain()
            assert (write.columns[0] < read.columns[0]) == first

    def test_refresh_delays(self):
        """A read that comes with the refresh waits for all of it."""
        clock = P.t_refi // 4
        memory = Ddr4(16)
        memory.read(10, 0, 1)
        first, _ = memory.read(clock, 0, 1)
        expected = P.t_rp + P.t_rfc + P.t_rcd + P.cl + P.data_clocks
        assert first == clock + P.read_latency - (-expected // 4)
        # Nothing was open before: no precharge.
        memory = Ddr4(16)
        first, _ = memory.read(clock, 0, 1)
        assert first == clock + P.read_latency - (-(expected - P.t_rp) // 4)


class TestQueues:
    @pytest.mark.parametrize("is_write", [False, True])
    def test_full(self, is_write):
        memory = Ddr4(64)
        depth = P.write_queue if is_write else P.read_queue
        bursts = [memory.submit(0, is_write, i * 1024, 16) for i in range(depth)]
        assert all(bursts)
        assert memory.submit(0, is_write, 0, 1) is None
        assert not memory.can_submit(1, is_write)
        assert memory.can_submit(1, not is_write)
        while bursts[0].done is None:
            memory.advance(memory.next_decision())
        done = bursts[0].done
        assert not memory.can_submit(done - 1, is_write)
        assert memory.room(is_write) == done
        assert memory.submit(done, is_write, 0, 1) is not None
        assert memory.submit(done, is_write, 0, 1) is None

    def test_reads_first_until_writes_are_many(self):
        params = dataclasses.replace(P, read_queue=64)
        order = []
        for writes in (P.write_high - 1, P.write_high):
            memory = Ddr4(64, params)
            bursts = [memory.submit(0, True, (1 << 20) + i * 1024, 16) for i in range(writes)]
            bursts += [memory.submit(0, False, i * 1024, 16) for i in range(30)]
            memory.drain()
            bursts.sort(key=lambda b: b.columns[0])
            runs = itertools.groupby(bursts, key=lambda b: "w" if b.is_write else "r")
            order.append([(kind, len(list(run))) for kind, run in runs])
        drained = P.write_high - P.write_low
        assert order[0] == [("r", 30), ("w", P.write_high - 1)]
        assert order[1] == [("r", P.run), ("w", drained), ("r", 30 - P.run), ("w", P.write_low)]


class TestPatterns:
    @pytest.mark.parametrize("pattern", PATTERNS, ids=lambda p: p.name)
    @pytest.mark.parametrize("beat_bytes", [16, 64])
    def test_reaches_what_arithmetic_allows(self, pattern, beat_bytes):
        """Never more, and little less unless banks collide by chance."""
        result = measure(pattern, beat_bytes, bursts=2000)
        assert result.bytes_per_clock <= result.limit * 1.01
        least = 0.7 if "anywhere" in pattern.name else 0.92
        assert result.bytes_per_clock >= result.limit * least

    def test_table(self, capsys):
        main()
        out = capsys.readouterr().out
        assert out.count("\n| ") == 1 + 2 * len(PATTERNS)


def test_speed_and_length():
    """400,000 column accesses, driven by events, in seconds."""
    start = time.perf_counter()
    memory = Ddr4(64)
    replay(memory, [Request(0, bool(i % 3 == 0), i * 1024, 16) for i in range(25_000)])
    memory.drain()
    spent = time.perf_counter() - start
    assert memory.counters.reads + memory.counters.writes == 400_000
    print(f"{spent:.1f} s")
    assert spent < 15
