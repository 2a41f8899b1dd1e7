"""The search over configurations: its space, its front, and that it finds what is there."""

import dataclasses
import json

import numpy as np
import pytest
from click.testing import CliRunner

from skimp.configs import PRESETS
from skimp_boards.area import estimate
from skimp_boards.explore import search as search_module
from skimp_boards.explore.evaluate import Point, evaluate
from skimp_boards.explore.report import as_json, as_plot
from skimp_boards.explore.search import pareto, search
from skimp_boards.explore.space import SPACES
from skimp_sim.cli import main

AREA = {"lut": 1000.0, "ff": 1000.0, "dsp": 10.0, "bram36": 1.0, "uram": 0.0}


def point(rate: float, energy: float, share: float, **fields) -> Point:
    config = dataclasses.replace(PRESETS["zcu104"], **fields)
    cycles = {"net": round(config.clock_mhz * 1e6 / rate)}
    return Point(config=config, cycles=cycles, energy={"net": energy}, area=AREA, share=share)


@pytest.mark.parametrize("board", SPACES)
def test_presets_are_in_their_space(board):
    space = SPACES[board]
    p = space.preset
    geometry = (p.pixels, p.in_channels, p.out_channels)
    assert geometry in space.geometries
    found = space.of_geometry(*geometry)
    same = ("pixels", "in_channels", "out_channels", "bus_words", "act_words", "act_depth",
            "wgt_depth", "wgt_slices", "ifmap_depth", "ofmap_depth", "drain_pixels", "dw_rows",
            "dw_wgt_depth", "dw_ifmap_depth", "dw_psum_depth", "dw_psum_slots")  # fmt: skip
    assert {n: getattr(found, n) for n in same} == {n: getattr(p, n) for n in same}
    assert found.bus_bytes <= space.bus_bytes
    others = list(space.neighbours(p))
    assert len(others) > 5
    for other in others:
        changed = [
            f.name for f in dataclasses.fields(p) if getattr(p, f.name) != getattr(other, f.name)
        ]
        assert len(set(changed) - {"drain_slices"}) == 1
        assert set(changed) <= {*space.steps, "drain_slices"}


@pytest.mark.parametrize("board", SPACES)
def test_presets_fit_their_boards(board):
    space = SPACES[board]
    taken = estimate(space.preset)["total"]
    assert {key: taken[key] for key, there in space.budget.items() if taken[key] > there} == {}


@pytest.mark.parametrize("board", SPACES)
def test_lanes_have_the_slices_that_are_left(board):
    space = SPACES[board]
    there = space.budget["dsp"]
    found = [c for g in space.geometries if (c := space.of_geometry(*g)) is not None]
    assert found
    for config in (*found, *space.neighbours(space.preset)):
        taken = estimate(config)["total"]["dsp"]
        assert taken <= there
        assert not config.drain_slices or taken + 1 > there, "no more of them narrow than need be"


def test_front_is_what_nobody_beats():
    seed = 3
    print("seed", seed)
    rng = np.random.default_rng(seed)
    points = [point(*rng.integers(1, 8, 3)) for _ in range(60)]
    front = pareto(points)
    assert front

    def beats(a, b):
        left = (a.images_per_second, -a.mean_energy, -a.share)
        right = (b.images_per_second, -b.mean_energy, -b.share)
        return left != right and all(x >= y for x, y in zip(left, right))

    for p in points:
        assert (p in front) == (not any(beats(q, p) for q in points))


class _Pool:
    """Runs at once, in this process."""

    def __init__(self, jobs):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *args):
        pass

    def submit(self, function, *args):
        value = function(*args)

        class Done:
            def result(self):
                return value

        return Done()


def test_search_climbs_to_the_best_under_the_budget(monkeypatch):
    space = SPACES["zcu104"]

    def cost(config, networks):
        distance = abs(config.psum_depth - 128) + abs(config.ifmap_depth - 2048) / 64
        distance += 400 * abs(config.pixels - 6)
        return {"cycles": dict.fromkeys(networks, 100_000 + int(1000 * distance)),
                "energy": dict.fromkeys(networks, 1.0)}  # fmt: skip

    def area(config):
        dsp = config.macs_per_cycle / 2
        return {"total": AREA | {"dsp": dsp, "lut": 40_000.0 * config.psum_slots}}

    monkeypatch.setattr(search_module, "ProcessPoolExecutor", _Pool)
    monkeypatch.setattr(search_module, "evaluate", cost)
    monkeypatch.setattr(search_module, "estimate", area)
    seen = []
    points = search(space, on_point=lambda done, asked: seen.append((done, asked)))
    best = points[0].config
    assert (best.pixels, best.psum_depth, best.ifmap_depth) == (6, 128, 2048)
    assert best.psum_slots == 2, "the same speed for less area"
    assert all(p.share <= 1 for p in points)
    assert all(p.config.macs_per_cycle / 2 <= space.budget["dsp"] for p in points)
    assert seen[-1][0] == len(points)
    data = json.loads(json.dumps(as_json(points, space)))
    assert [p["chosen"] for p in data["points"]].count(True) == 1
    assert any(p["pareto"] for p in data["points"])
    assert as_plot(points, space).axes


def test_evaluation_is_kept_and_is_the_cycle_models(monkeypatch, tmp_path):
    monkeypatch.setenv("SKIMP_CACHE", str(tmp_path))
    from skimp_sim.models import load_model
    from skimp_sim.perf.command import perf_report

    name = "squeezenet"
    first = evaluate(PRESETS["small"], (name,))
    assert first["cycles"][name] == perf_report(load_model(name)[0], PRESETS["small"]).cycles
    assert first["energy"][name] > 0
    (kept,) = (tmp_path / "explore").glob("*.json")
    kept.write_text(json.dumps({"cycles": {name: 1}, "energy": {name: 1}}))
    assert evaluate(PRESETS["small"], (name,))["cycles"][name] == 1


def test_bad_board_is_one_line():
    result = CliRunner().invoke(main, ["explore", "--board", "de10"])
    assert result.exit_code == 2
    assert "de10: unknown; choose one of zcu104, ultra96" in result.output
    assert "Traceback" not in result.output
