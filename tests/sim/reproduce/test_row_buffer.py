"""Row buffers: bursts, rows, time and energy of a chip that is told every burst."""

import numpy as np
import pytest

from skimp_sim.reproduce.layout import Runs
from skimp_sim.reproduce.row_buffer import DDR3_1600, DDR4_2400, play


def one_by_one(chip, runs, *, banks_in_turn):
    """Bursts and row misses of a chip that is told every burst."""
    open_rows, bursts, misses = {}, 0, 0
    for start, length in zip(runs.start, runs.length):
        for burst in range(start // chip.burst_bytes, (start + length - 1) // chip.burst_bytes + 1):
            page = burst * chip.burst_bytes // chip.page_bytes
            bank = (page if banks_in_turn else page // chip.pages_per_bank) % chip.banks
            bursts += 1
            misses += open_rows.get(bank) != page
            open_rows[bank] = page
    return bursts, misses


@pytest.mark.parametrize("chip", [DDR3_1600, DDR4_2400], ids=lambda chip: chip.name)
@pytest.mark.parametrize("seed", range(6))
def test_bursts_and_row_misses(chip, seed):
    rng = np.random.default_rng(seed)
    count = 300
    runs = Runs(
        rng.integers(0, rng.choice([5_000, 100_000, 1 << 29]), count),
        rng.integers(1, rng.choice([12, 300, 5_000]), count),
        rng.random(count) < 0.3,
    )
    for banks_in_turn in (False, True):
        use = play(chip, runs, banks_in_turn=banks_in_turn)
        expected = one_by_one(chip, runs, banks_in_turn=banks_in_turn)
        assert (use.bursts, use.row_misses) == expected, f"seed {seed}"
        assert use.asked_bytes == runs.length.sum()
        assert use.time_ms >= use.bursts * chip.t_ccd * chip.clock_ns * 1e-6


def test_rows_of_other_banks_open_meanwhile():
    """Long runs of alternating rows wait in one bank and do not in two."""
    chip = DDR4_2400
    pages = np.arange(100)
    runs = Runs(pages * chip.page_bytes, np.full(100, chip.page_bytes), np.zeros(100, bool))
    slow = play(chip, runs, banks_in_turn=False)
    fast = play(chip, runs, banks_in_turn=True)
    bursts = 100 * chip.page_bytes // chip.burst_bytes
    ideal = (bursts * chip.t_ccd + chip.t_rcd) * chip.clock_ns * 1e-6
    assert fast.time_ms == pytest.approx(ideal)
    waited = 99 * (chip.t_rp + chip.t_rcd) * chip.clock_ns * 1e-6
    assert slow.time_ms == pytest.approx(ideal + waited)
    assert slow.energy_mj == pytest.approx(fast.energy_mj)


def test_energies_of_the_data_sheets():
    """Rank of eight chips, pJ: DRAMsim3's configurations times the clock that it leaves out."""
    for chip, activate, read, write in (
        (DDR3_1600, 9842, 6426, 4698),
        (DDR4_2400, 3450, 2932, 2550),
    ):
        ours = [8 * x for x in (chip.activate_pj, chip.read_pj, chip.write_pj)]
        assert ours == pytest.approx([activate, read, write], rel=0.01)
