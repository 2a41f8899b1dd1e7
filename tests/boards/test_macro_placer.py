"""Sites of large cells: each has one of its own kind, and what is connected lies together."""

import random

import pytest

from skimp_boards.ecp5_sites import macro_sites
from skimp_boards.macro_placer import place_macros

SITES = macro_sites("85k")
WHERE = {site.bel: site for places in SITES.values() for site in places}
KINDS = ("DP16KD", "MULT18X18D")


def ring(rng, num_macros):
    """Large cells in a ring in any order of names, with a small cell between neighbours."""
    bits = iter(range(2, 10**6))
    wires = [next(bits) for _ in range(2 * num_macros)]
    cells = {}
    for n in range(num_macros):
        kind = KINDS[n // 10 % 2]
        cells[f"macro{n}"] = {
            "type": kind,
            "connections": {"I": [wires[2 * n - 1], "0"], "O": [wires[2 * n]]},
        }
        cells[f"lut{n}"] = {
            "type": "LUT4",
            "connections": {"A": [wires[2 * n]], "Z": [wires[2 * n + 1]]},
        }
    clock = next(bits)
    for cell in cells.values():
        cell["connections"]["CLK"] = [clock]
    names = list(cells)
    rng.shuffle(names)
    return {name: cells[name] for name in names}


def length(places, num_macros):
    sites = [WHERE[places[f"macro{n}"]] for n in range(num_macros)]
    return sum(
        abs(a.x - b.x) + abs(a.y - b.y) for a, b in zip(sites, sites[1:] + sites[:1], strict=True)
    )


def test_sites_of_the_part():
    """As many as Lattice says that an LFE5U-85 has, no name twice."""
    assert {kind: len(places) for kind, places in SITES.items()} == dict(
        zip(KINDS, (208, 156), strict=True)
    )
    assert len(WHERE) == 208 + 156
    assert macro_sites("25k") == {}


@pytest.mark.parametrize("num_macros", [1, 2, 40, 260])
def test_places(num_macros):
    seed = num_macros
    rng = random.Random(seed)
    cells = ring(rng, num_macros)
    places = place_macros(cells, SITES, seed=seed)
    assert set(places) == {name for name in cells if name.startswith("macro")}
    assert len(set(places.values())) == num_macros
    for name, bel in places.items():
        assert WHERE[bel] in SITES[cells[name]["type"]]
    assert places == place_macros(cells, SITES, seed=seed)
    by_chance = []
    for _ in range(5):
        chosen = {kind: rng.sample(SITES[kind], 140) for kind in KINDS}
        by_chance.append(
            length({n: chosen[cells[n]["type"]].pop().bel for n in places}, num_macros)
        )
    if num_macros > 2:
        assert length(places, num_macros) < 0.6 * min(by_chance), f"seed {seed}"


def test_nothing_to_place():
    lut = {"type": "LUT4", "connections": {"A": [2], "Z": [3]}}
    assert place_macros({"lut": lut}, SITES, seed=1) == {}
    assert place_macros({"ram": {"type": "DP16KD", "connections": {}}}, {}, seed=1) == {}
