"""Tables of energies: every number with unit and source, the rules between them, bad files."""

from math import sqrt
from pathlib import Path

import pytest
import yaml

import skimp_sim.energy
from skimp_compiler.graph import ModelError
from skimp_sim.energy.reader import known
from skimp_sim.energy.technology import interpolate, load_technology
from skimp_sim.rows import ACCESS_PJ

TABLES = sorted((Path(skimp_sim.energy.__file__).parent / "tables").glob("*.yaml"))


def numbers(value, where=""):
    """Everything that has or should have a unit, with its place."""
    if isinstance(value, dict):
        if "value" in value:
            yield where, value
            return
        for key, item in value.items():
            yield from numbers(item, f"{where} {key}")
    elif isinstance(value, list):
        for item in value:
            yield from numbers(item, where)
    else:
        assert not isinstance(value, int | float), f"{where}: {value} has no unit"


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_units_and_sources(path):
    table = yaml.safe_load(path.read_text())
    found = list(numbers({key: item for key, item in table.items() if key != "sources"}))
    assert len(found) >= 3
    used = set()
    for where, number in found:
        assert isinstance(number["unit"], str) and number["unit"], where
        names = number["source"] if isinstance(number["source"], list) else [number["source"]]
        assert names and set(names) <= set(table["sources"]), where
        used |= set(names)
    assert used == set(table["sources"])
    assert all(len(text) > 20 for text in table["sources"].values())


def test_known():
    assert known() == ["16nm", "45nm", "65nm"]


def node_energy(a, b, c, volt):
    return a * volt**2 + b * volt + c


def test_scaling_rule():
    """Stillmaker and Baas: 65 nm at 1.0 V, 45 nm at 0.9 V, 16 nm at 0.8 V."""
    e65 = node_energy(3.755, -4.398, 1.975, 1.0)
    e45 = node_energy(1.018, -0.3107, 0.1539, 0.9)
    e16 = node_energy(0.2958, -0.1241, 0.03024, 0.8)
    t65, t45, t16 = map(load_technology, ("65nm", "45nm", "16nm"))
    factor = pytest.approx(e16 / e45, rel=1e-3)
    for bits in (8, 20, 32):
        assert t16.multiply(bits, bits) / t45.multiply(bits, bits) == factor
        assert t16.add(bits) / t45.add(bits) == factor
    for verb in ("read", "write"):
        assert t16.access(verb, 20000) / t45.access(verb, 20000) == factor
    for name in ("register_pj", "link_pj", "clock_pj", "static_mw"):
        assert getattr(t16, name) / getattr(t45, name) == factor
    # What 45 nm has from 65 nm, and the other way round.
    for name in ("register_pj", "link_pj", "clock_pj"):
        assert getattr(t45, name) / getattr(t65, name) == pytest.approx(e45 / e65, rel=5e-3)
    assert t45.access("read", 512) / t65.access("read", 512) == pytest.approx(e45 / e65, rel=5e-3)
    assert t65.multiply(8, 8) == pytest.approx(0.2 * e65 / e45, rel=5e-3)
    # Per 16-bit PE: 30 mW at 200 MHz.
    assert 2 * t65.clock_pj == pytest.approx(30e-3 / 200e6 / 168 * 1e12, rel=5e-3)
    assert t65.multiply(16, 16) + t65.add(16) == pytest.approx(2.0, rel=1e-3)


def test_between_points():
    t45 = load_technology("45nm")
    assert t45.access("read", 8192) == pytest.approx(6.14 / 64)
    assert t45.access("read", 16384) == pytest.approx(sqrt(6.14 * 17.04) / 64)
    assert t45.access("write", 1 << 20) == pytest.approx(76.18 / 64)
    # Beyond the last point along its line, below the first no cheaper.
    assert t45.access("read", 1 << 22) == pytest.approx(93.52**2 / 44.72 / 64)
    assert t45.access("read", 16) == t45.access("read", 512)
    # log 15.5 / log 4 is nearly 2: nine by eight bits are nine eighths of the partial products.
    assert t45.multiply(9, 8) == pytest.approx(0.2 * 9 / 8, rel=5e-3)
    assert t45.add(32) == pytest.approx(0.1) and 0.05 < t45.add(19) < 0.1
    assert interpolate(((8, 3.0),), 100) == 3.0


def test_near_the_published():
    """CACTI beside Horowitz at 45 nm; the buffer beside Eyeriss's at 65 nm, a word of 16 bits."""
    t45, t65 = load_technology("45nm"), load_technology("65nm")
    assert 64 * t45.access("read", 32768) == pytest.approx(20, rel=0.2)
    assert 64 * t45.access("read", 1 << 20) == pytest.approx(100, rel=0.1)
    assert 16 * t65.access("read", 108 * 1024) == pytest.approx(15, rel=0.1)


def test_ddr4_is_what_rows_are_counted_with():
    dram = load_technology("45nm").dram("ddr4")
    assert dram.read_pj - 6.9 == pytest.approx(ACCESS_PJ["read"] / 512, rel=1e-3)
    assert dram.write_pj - 4.9 == pytest.approx(ACCESS_PJ["write"] / 512, rel=1e-3)
    assert dram.activate_pj == pytest.approx(ACCESS_PJ["activate"], rel=1e-3)
    open_mw, refresh_mw = 8 * 1.2 * 43, 8 * 1.2 * (250 - 43) * 420 / 9360
    assert dram.background_mw == pytest.approx(open_mw + refresh_mw, rel=2e-3)


def test_users_file(tmp_path, whole):
    path = tmp_path / "mine.yaml"
    path.write_text(
        whole + "dram:\n  mine:\n"
        "    read: [{value: 3, unit: pJ/bit, source: here}, {value: 4, unit: pJ/bit, source: here}]\n"
        "    write: [{value: 5, unit: pJ/bit, source: here}]\n"
    )
    found = load_technology(str(path))
    assert (found.multiply(9, 8), found.add(32), found.register_pj) == (2, 1, 0.5)
    assert (found.access("read", 9999), found.access("write", 1)) == (1, 2)
    assert (found.clock_pj, found.static_mw, found.link_pj) == (4, 8, 0.25)
    mine = found.dram("mine")
    assert (mine.read_pj, mine.write_pj, mine.activate_pj, mine.background_mw) == (7, 5, 0, 0)
    assert found.dram("lpddr4").read_pj == 8
    scaled = tmp_path / "scaled.yaml"
    scaled.write_text(
        f"sources: {{here: x}}\nscaled_from: {path}\nfactor: {{value: 0.5, unit: '1', source: here}}\n"
        "link: {value: 7, unit: pJ/bit, source: here}\n"
    )
    found = load_technology(str(scaled))
    assert (found.multiply(8, 8), found.clock_pj, found.link_pj) == (1, 2, 7)


BAD = {
    "unit: pJ/bit, source: here}\nlink": ("source: here}\nlink", "register", "missing", "pJ/bit"),
    "value: 0.25": ("value: -0.25", "link", "-0.25", "negative"),
    "value: 4, unit: pJ/lane": ("value: 4, unit: nJ/lane", "clock", "nJ/lane", "pJ/lane"),
    "value: 8, unit: mW/lane": ("value: .nan, unit: mW/lane", "static", "nan"),
    "value: 0.5,": ("value: half,", "register", "half", "number"),
    "source: here}\nmemory": ("source: there}\nmemory", "link", "there", "sources"),
    "bits: 8, value: 2": ("value: 2", "multiply", "bits", "integer"),
    "bits: 8, value: 1": ("bits: 8, value: 0", "add", "0"),
    "static:": ("statics:", "statics", "one of"),
    "clock: {value: 4, unit: pJ/lane, source: here}": ("", "clock", "missing"),
    "  read: [{bytes: 1024, value: 64, unit: pJ/64b, source: here}]": ("", "memory read"),
    "sources: {here: measured by hand}": ("sources: here", "sources", "keys and values"),
    "WHOLE": ("- 1\n- 2\n", "the file", "keys and values"),
    "multiply: [": ("multiply: [[", "YAML"),
    "unit: pJ, source: here}]\nadd": (
        "unit: pJ, source: here}, {bits: 8, value: 9, unit: pJ, source: here}]\nadd",
        "multiply",
        "twice",
    ),
}


@pytest.mark.parametrize("old", BAD)
def test_bad_file(tmp_path, whole, old):
    new, *words = BAD[old]
    text = new if old == "WHOLE" else whole.replace(old, new)
    assert text != whole
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ModelError) as error:
        load_technology(str(path))
    for word in ("bad.yaml", *words):
        assert word in str(error.value)


def test_bad_names(tmp_path, whole):
    with pytest.raises(ModelError, match="7nm: not one of 16nm, 45nm, 65nm"):
        load_technology("7nm")
    with pytest.raises(ModelError, match="ddr9: not one of lpddr4, ddr4"):
        load_technology("45nm").dram("ddr9")
    path = tmp_path / "twice.yaml"
    path.write_text("scaled_from: 16nm\n")
    with pytest.raises(ModelError, match="scaled itself"):
        load_technology(str(path))
    path.write_text("dram: {x: {read: [], write: []}}\nscaled_from: 45nm\n")
    with pytest.raises(ModelError, match="factor"):
        load_technology(str(path))
    for dram in ("{x: 1}", "{x: {reed: []}}", "{x: {read: []}}", "{x: {}}"):
        path.write_text(whole + f"dram: {dram}\n")
        with pytest.raises(ModelError, match="dram x"):
            load_technology(str(path))
