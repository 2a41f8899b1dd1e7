"""Slices gate by gate: they compute what slices compute, and what is still costs nothing."""

import numpy as np
import pytest
from gate_toggles import CHAIN, PARTS, gates_of, slice_toggles

pytest.importorskip("pyosys", reason="pip install 'skimp[synth]'")


@pytest.mark.parametrize("booth", [True, False])
def test_gates_compute(booth):
    rng = np.random.default_rng(0)
    a, b = rng.integers(-(1 << 26), 1 << 26, 500), rng.integers(-(1 << 17), 1 << 17, 500)
    a[:3], b[:3] = (-(1 << 26), -(1 << 26), (1 << 26) - 1), (-(1 << 17), (1 << 17) - 1, -(1 << 17))
    assert (gates_of("multiplier", booth).run(a=a, b=b)[0] == a * b).all()
    assert (gates_of("adder", booth).run(a=a, b=b)[0] == a + b).all()
    for part in PARTS:
        assert gates_of(part, booth).run(a=np.full(9, 5), b=np.full(9, -3))[1] == 0


def test_gating():
    rng = np.random.default_rng(1)
    wgts = np.broadcast_to(rng.integers(-127, 128, (1, CHAIN, 4, 2)), (200, CHAIN, 4, 2))
    acts = rng.integers(1, 256, (200, CHAIN, 4))
    both = lambda acts: [slice_toggles(acts, wgts, gating=g, booth=True)[0] for g in (True, False)]
    on, off = both(acts)
    assert on == off, "no zeros, nothing to gate"
    on, off = both(np.where(rng.random(acts.shape) < 0.6, 0, acts))
    assert on["multiplier"] < 0.8 * off["multiplier"]
    assert on["adder"] == off["adder"] and on["weights"] == off["weights"] == 0
    on, _ = both(np.where(np.arange(200)[:, None, None] > 0, 0, acts))
    assert on["multiplier"] < 1000 < off["multiplier"], "frozen from the first clock on"
