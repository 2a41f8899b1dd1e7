"""What runs of bytes cost a DRAM chip with open rows: bursts, row misses, energy, time.

Energy by the formulas of the manufacturers' power notes, as DRAMsim3 has them (configuration.cc),
but with the clock period that its printed energies leave out (DRAMsim3 issue 18)::

    activate and precharge = VDD (IDD0 tRC - (IDD3N tRAS + IDD2N tRP)) tCK
    read burst             = VDD (IDD4R - IDD3N) BL/2 tCK

and so with IDD4W for a write. Currents and DDR3 times: DRAMsim3's DDR3_4Gb_x8_1600.ini and
DDR4_8Gb_x8_2400.ini (Micron MT40A1G8PM-083E); DDR4 times, banks and pages: `Ddr4Params`, of whose
eight chips this is one. Dynamic energy of the DRAM core only: no refresh, background, interface.

Rows stay open. A *page* is what an open row holds. Pages in address order fill a bank and then the
next, or go round the banks in turn. Bursts of a page are in one bank, so DDR4 has them t_ccd_l
apart; bursts that alternate bank groups, as `skimp_sim.dram` has them, would follow at t_ccd_s.
"""

from dataclasses import dataclass

import numpy as np

from skimp_sim.dram import Ddr4Params
from skimp_sim.reproduce.layout import Runs

__all__ = ["DDR3_1600", "DDR4_2400", "Chip", "Use", "play"]

_DDR4 = Ddr4Params()
_CHIPS = 8
"""x8 chips beside one another in a rank of 64 bit."""


@dataclass(frozen=True, kw_only=True)
class Chip:
    """One x8 DRAM chip.

    Attributes
    ----------
    name : str
    clock_ns : float
        Period of its clock; times below are in these clocks.
    t_rcd, t_rp, t_ras, t_ccd : int
        Activate to column command, precharge to activate, activate to precharge, column to column
        within a bank.
    burst_bytes, page_bytes, banks, pages_per_bank : int
    lookahead : int
        Bursts ahead of which the controller opens rows.
    vdd_v, idd0_ma, idd2n_ma, idd3n_ma, idd4r_ma, idd4w_ma : float
    """

    name: str
    clock_ns: float
    t_rcd: int
    t_rp: int
    t_ras: int
    t_ccd: int
    burst_bytes: int = 8
    page_bytes: int = 1024
    banks: int
    pages_per_bank: int = 65536
    lookahead: int = _DDR4.lookahead
    vdd_v: float
    idd0_ma: float
    idd2n_ma: float
    idd3n_ma: float
    idd4r_ma: float
    idd4w_ma: float

    @property
    def activate_pj(self) -> float:
        """Open a row and close it again."""
        standby = self.idd3n_ma * self.t_ras + self.idd2n_ma * self.t_rp
        charge = self.idd0_ma * (self.t_ras + self.t_rp) - standby
        return self.vdd_v * charge * self.clock_ns

    @property
    def read_pj(self) -> float:
        """A burst of eight beats."""
        return self.vdd_v * (self.idd4r_ma - self.idd3n_ma) * 4 * self.clock_ns

    @property
    def write_pj(self) -> float:
        return self.vdd_v * (self.idd4w_ma - self.idd3n_ma) * 4 * self.clock_ns


DDR3_1600 = Chip(
    name="DDR3-1600 4 Gb x8", clock_ns=1.25, t_rcd=11, t_rp=11, t_ras=28, t_ccd=4, banks=8,
    vdd_v=1.35, idd0_ma=55, idd2n_ma=32, idd3n_ma=38, idd4r_ma=157, idd4w_ma=125,
)  # fmt: skip

DDR4_2400 = Chip(
    name="DDR4-2400 8 Gb x8", clock_ns=1000 / _DDR4.ddr_mhz, t_rcd=_DDR4.t_rcd, t_rp=_DDR4.t_rp,
    t_ras=_DDR4.t_ras, t_ccd=_DDR4.t_ccd_l, burst_bytes=_DDR4.burst_bytes // _CHIPS,
    page_bytes=_DDR4.page_bytes // _CHIPS, banks=_DDR4.bank_groups * _DDR4.banks_per_group,
    vdd_v=1.2, idd0_ma=48, idd2n_ma=34, idd3n_ma=43, idd4r_ma=135, idd4w_ma=123,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Use:
    """What runs cost; layers add up.

    Attributes
    ----------
    asked_bytes, moved_bytes : int
        Of the runs, and of the bursts that they touch.
    bursts, row_misses : int
    energy_mj, time_ms : float
    """

    asked_bytes: int
    moved_bytes: int
    bursts: int
    row_misses: int
    energy_mj: float
    time_ms: float

    @property
    def over_fetched_bytes(self) -> int:
        return self.moved_bytes - self.asked_bytes

    @property
    def row_hit_rate(self) -> float:
        """Share of bursts that find their row open."""
        return 1 - self.row_misses / self.bursts

    def __add__(self, other: "Use") -> "Use":
        return Use(**{name: value + vars(other)[name] for name, value in vars(self).items()})


def play(chip: Chip, runs: Runs, *, banks_in_turn: bool) -> Use:
    """Move the runs in order and count.

    A run costs whole bursts. A burst that finds another row open waits for precharge and activate,
    as far as they do not go on while other banks transfer; at most `lookahead` bursts ahead.
    """
    first, last = runs.start, runs.start + runs.length - 1
    # Pieces: what a run has of a page.
    pages = last // chip.page_bytes - first // chip.page_bytes + 1
    run = np.repeat(np.arange(first.size), pages)
    number = np.arange(run.size) - np.repeat(np.cumsum(pages) - pages, pages)
    page = first[run] // chip.page_bytes + number
    begin = np.maximum(first[run], page * chip.page_bytes) // chip.burst_bytes
    end = np.minimum(last[run], (page + 1) * chip.page_bytes - 1) // chip.burst_bytes
    bursts = end - begin + 1
    before = np.cumsum(bursts) - bursts

    bank = (page if banks_in_turn else page // chip.pages_per_bank) % chip.banks
    by_bank = np.argsort(bank, kind="stable")
    previous, piece = by_bank[:-1], by_bank[1:]
    missed = (bank[piece] != bank[previous]) | (page[piece] != page[previous])
    # Bursts of other banks since this one was used; a bank's first row is opened ahead.
    between = np.where(
        bank[piece] == bank[previous], before[piece] - before[previous] - bursts[previous], _AGES
    )
    hidden = chip.t_ccd * np.minimum(between, chip.lookahead)
    waited = np.maximum(chip.t_rp + chip.t_rcd - hidden, 0)[missed].sum()

    total, misses = int(bursts.sum()), int(missed.sum()) + 1
    written = int(bursts[runs.is_write[run]].sum())
    picojoules = (
        misses * chip.activate_pj + (total - written) * chip.read_pj + written * chip.write_pj
    )
    clocks = total * chip.t_ccd + int(waited) + chip.t_rcd
    return Use(
        asked_bytes=int(runs.length.sum()),
        moved_bytes=total * chip.burst_bytes,
        bursts=total,
        row_misses=misses,
        energy_mj=picojoules * 1e-9,
        time_ms=clocks * chip.clock_ns * 1e-6,
    )


_AGES = 1 << 30
