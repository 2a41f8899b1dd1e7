"""What typical access patterns reach, beside what the data sheet's numbers say they can."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from skimp_sim.dram.ddr4 import Ddr4
from skimp_sim.dram.params import Ddr4Params
from skimp_sim.dram.replay import Request, replay

__all__ = ["PATTERNS", "Pattern", "Result", "measure"]


@dataclass(frozen=True)
class Pattern:
    """Bursts as fast as the memory takes them.

    Attributes
    ----------
    name : str
    request : Callable[[int, int], tuple[bool, int, int]]
        (number, bus width) to (is_write, address, bytes).
    limit : Callable[[Ddr4Params, int], float]
        DDR clocks per burst by arithmetic, refresh left out, of a bus of so many bytes; the bus
        itself is looked at elsewhere.
    arithmetic : str
        That formula in words.
    opens : bool
        Every burst closes a row and opens another.
    """

    name: str
    request: Callable[[int, int], tuple[bool, int, int]]
    limit: Callable[[Ddr4Params, int], float]
    arithmetic: str
    opens: bool = False


@dataclass(frozen=True)
class Result:
    """What a pattern reached.

    Attributes
    ----------
    bytes_per_clock : float
        Bytes asked for per fabric clock, all the run.
    limit : float
        The most by arithmetic: the slowest of DRAM (refresh included), bus, and a full read queue
        per latency of a burst.
    hit_rate : float
        Share of column accesses that found their row open.
    useful : float
        Bytes asked for over bytes moved by the DRAM.
    """

    bytes_per_clock: float
    limit: float
    hit_rate: float
    useful: float


def _stripe(p: Ddr4Params, beat_bytes: int) -> int:
    return p.burst_bytes * max(1, beat_bytes // p.port_bytes)


def _columns(size: int) -> Callable[[Ddr4Params, int], float]:
    """Column accesses of a burst of whole stripes, back to back."""

    def limit(p, beat_bytes):
        stripe = _stripe(p, beat_bytes)
        return -(-size // stripe) * stripe // p.burst_bytes * p.t_ccd_s

    return limit


def _copy(p, beat_bytes):
    # A round: `run` reads, `run` writes and two changes of direction.
    lost = p.read_to_write + p.write_to_read(same_group=False) - 2 * p.t_ccd_s
    return _columns(1024)(p, beat_bytes) + lost / (2 * p.run)


def _all_rows(p, beat_bytes):
    ports = max(1, beat_bytes // p.port_bytes)
    return ports * max(p.t_rrd_s, p.t_faw / 4)


_PAGE = 32 * 1024
_ROW = 4 * _PAGE
_FAR = 1 << 28


def _row(i, beat_bytes):
    """The i-th row, or set of rows that a beat opens: all groups, then all banks."""
    sets = 4 // max(1, beat_bytes // 16)
    return i % sets * (256 // sets) + i // sets % 4 * _PAGE + i // sets // 4 * _ROW


_RANDOM = random.Random(1)
_PLACES = [_RANDOM.randrange(1 << 20) * 256 for _ in range(1 << 14)]

PATTERNS = (
    Pattern(
        "read, 1 KB bursts", lambda i, b: (False, i * 1024, 1024), _columns(1024), "16 t_ccd_s"
    ),
    Pattern(
        "write, 1 KB bursts", lambda i, b: (True, i * 1024, 1024), _columns(1024), "16 t_ccd_s"
    ),
    Pattern("read, 256 B bursts", lambda i, b: (False, i * 256, 256), _columns(256), "4 t_ccd_s"),
    Pattern(
        "copy, 1 KB bursts",
        lambda i, b: (bool(i % 2), i // 2 * 1024 + i % 2 * _FAR, 1024),
        _copy,
        "16 t_ccd_s + turnarounds",
    ),
    Pattern(
        "read, 256 B of every 8 KB",
        lambda i, b: (False, i * 8192, 256),
        lambda p, b: max(_columns(256)(p, b), p.t_faw / 4),
        "4 t_ccd_s, t_faw / 4",
    ),
    Pattern(
        "read, 256 B anywhere",
        lambda i, b: (False, _PLACES[i % len(_PLACES)], 256),
        lambda p, b: max(_columns(256)(p, b), p.t_faw),
        "t_faw (four rows each)",
        opens=True,
    ),
    Pattern(
        "read, a beat of each row",
        lambda i, b: (False, _row(i, b), b),
        _all_rows,
        "t_faw / 4 a port",
        opens=True,
    ),
    Pattern(
        "read, a beat a row, one bank",
        lambda i, b: (False, i * _ROW, b),
        lambda p, b: p.t_rc,
        "t_rc",
        opens=True,
    ),
)


def measure(
    pattern: Pattern, beat_bytes: int, params: Ddr4Params | None = None, *, bursts: int = 4000
) -> Result:
    """Play so many bursts of a pattern; everything is asked for as early as the queues take it."""
    p = params or Ddr4Params()
    memory = Ddr4(beat_bytes, p)
    asked, trace = 0, []
    for i in range(bursts):
        is_write, address, size = pattern.request(i, beat_bytes)
        address -= address % beat_bytes
        asked += size
        trace.append(Request(0, is_write, address, max(1, size // beat_bytes)))
    last = max(b.last for b in replay(memory, trace))
    c = memory.counters
    reads = sum(r.beats for r in trace if not r.is_write)
    writes = sum(r.beats for r in trace if r.is_write)
    dram = pattern.limit(p, beat_bytes) * bursts * p.fabric_mhz / p.ddr_mhz / (1 - p.refresh_share)
    latency = p.cl + p.data_clocks + (p.t_rp + p.t_rcd if pattern.opens else 0)
    latency = p.read_latency + latency * p.fabric_mhz / p.ddr_mhz
    queue = sum(latency + r.beats - 1 for r in trace if not r.is_write) / p.read_queue
    return Result(
        bytes_per_clock=asked / (last + 1),
        limit=asked / max(dram, reads, writes, queue),
        hit_rate=c.hit_rate,
        useful=asked / ((c.reads + c.writes) * p.burst_bytes),
    )
