"""Slices in every mode that the presets use: twin, primitive and netlist, clock by clock.

The modes stand side by side in one component, so that a netlist and two simulations do for all of
them. `docs/verification.md` shows the same modes as a table.
"""

import json
import random
import re
import tempfile
from pathlib import Path

import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from skimp.configs import PRESETS
from skimp.gen import to_verilog
from skimp.prim.dsp48e2 import SIM_MODEL, NarrowProduct, PackedPair, PackedSlice, WideProduct
from skimp.top import Skimp
from skimp_boards.blocks import blocks
from skimp_boards.post_synth import post_synthesis
from skimp_boards.yosys import run_yosys
from skimp_sim.bench.vectors import flat_ports, run_vectors

pytest.importorskip("pyosys", reason="pip install 'skimp[synth]'")
pytestmark = pytest.mark.xdist_group("slice modes")

PAGE = Path(__file__).parents[2] / "docs" / "verification.md"
MODES = {
    "first": (lambda: PackedSlice(first=True), 1),
    "others": (lambda: PackedSlice(first=False), 1),
    "pair": (PackedPair, 1),
    "wide": (lambda: WideProduct(rnd=256), 2),
    "narrow": (lambda: NarrowProduct(rnd=2048), 1),
}
"""Component, and slices in it."""

NUM_SLICES = sum(slices for _, slices in MODES.values())
CLOCKS, SEEDS = 2000, range(2)

_MODULE = re.compile(r"^module .*?^endmodule", re.MULTILINE | re.DOTALL)
_MODE_PINS = {"OPMODE", "INMODE", "ALUMODE", "CARRYINSEL", "CARRYIN"}


class AllModes(wiring.Component):
    """A slice, or two, of each mode.

    Members
    -------
    Of each mode by its name: the ports of its component.
    """

    def __init__(self):
        self._parts = {name: make() for name, (make, _) in MODES.items()}
        super().__init__({name: Out(part.signature) for name, part in self._parts.items()})

    def elaborate(self, platform):
        m = Module()
        for name, part in self._parts.items():
            m.submodules[name] = part
            wiring.connect(m, wiring.flipped(getattr(self, name)), part)
        return m


@pytest.fixture(scope="module")
def dut():
    return AllModes()


# ---- The same vectors, three ways --------------------------------------------------------------


def corners(bits):
    """Ends of the range and what lies beside them: +-127 and -128, +-255 and -256, 0, +-1, ..."""
    top = (1 << bits - 1) - 1
    return (top, -top, -top - 1, 0, 0, 1, -1)


def any_vectors(ports, rng):
    """Return vectors with any bits at any time; how often gates and loads are set, changes."""
    vectors = []
    often = {}
    for clock in range(CLOCKS):
        if clock % 100 == 0:
            often = {name: rng.choice((0.02, 0.2, 0.5, 0.98)) for name in ports}
        vector = {}
        for name, bits in ports.items():
            if bits == 1:
                vector[name] = int(rng.random() < often[name])
            elif rng.random() < 0.4:
                vector[name] = rng.choice(corners(bits))
            else:
                vector[name] = rng.getrandbits(bits)
        vectors.append(vector)
    for name in ports:
        if name.endswith("__pcin"):  # as in a chain, where the neighbour's P starts at 0 too
            vectors[0][name] = 0
    return vectors


@pytest.fixture(scope="module")
def results(dut):
    """Return way -> what every output was, clock by clock, of all seeds."""
    ports = flat_ports(dut)
    inputs = {name: len(value) for name, (flow, value) in ports.items() if flow == "input"}
    outputs = [name for name, (flow, _) in ports.items() if flow == "output"]
    primitive = {"platform": "xilinx", "extra_sources": (SIM_MODEL,)}
    netlist = {"verilog": post_synthesis(dut, name="dut").verilog}
    found = {"twin": [], "primitive": [], "netlist": []}
    for seed in SEEDS:
        vectors = any_vectors(inputs, random.Random(seed))
        found["twin"] += run_vectors(dut, vectors, outputs)
        for way, options in (("primitive", primitive), ("netlist", netlist)):
            found[way] += run_vectors(dut, vectors, outputs, backend="verilator", **options)
    return found


@pytest.mark.verilog
@pytest.mark.parametrize("way", ["primitive", "netlist"])
@pytest.mark.parametrize("mode", MODES)
def test_same_as_the_twin(results, mode, way):
    names = [name for name in results["twin"][0] if name.startswith(f"{mode}__")]
    for clock, (twin, other) in enumerate(zip(results["twin"], results[way], strict=True)):
        seed, at = divmod(clock, CLOCKS)
        for name in names:
            assert other[name] == twin[name], f"seed {seed}, clock {at}: {name} of the {way}"
    # The outputs moved: most clocks bring another value.
    values = {tuple(sample[name] for name in names) for sample in results["twin"]}
    assert len(values) > CLOCKS / 2


@pytest.mark.verilog
def test_netlist_keeps_the_slices(dut):
    assert post_synthesis(dut, name="dut").cells["DSP48E2"] == NUM_SLICES


# ---- No mode beside these ----------------------------------------------------------------------


def modes_of(verilog: str) -> set[tuple]:
    """Return the modes of all DSP48E2 in a text: parameters, and what never changes at the pins.

    Of a pin that selects something every bit counts: 0, 1, or which other bits it is equal to. Of
    other pins, whether they are constant.
    """
    texts = {text for text in _MODULE.findall(verilog) if re.search(r"^  DSP48E2 #", text, re.M)}
    with tempfile.TemporaryDirectory() as folder:
        source, netlist, script = (Path(folder) / name for name in ("a.v", "a.json", "a.ys"))
        named = [re.sub(r"^module .*?\(", f"module m{n}(", t) for n, t in enumerate(sorted(texts))]
        source.write_text("\n".join(named) + "\n")
        script.write_text(
            f"read_verilog {source}\nread_verilog -lib +/xilinx/cells_xtra.v\nproc\nopt_clean\n"
            f"simplemap\nopt -mux_bool\nselect -clear\nwrite_json {netlist}\n"
        )
        run_yosys(script, seconds=120)
        modules = json.loads(netlist.read_text())["modules"]
    found = set()
    for module in modules.values():
        for cell in module["cells"].values():
            if cell["type"] == "DSP48E2":
                found.add(mode_of(cell))
    return found


def mode_of(cell) -> tuple:
    entries = [(name, value.strip()) for name, value in cell["parameters"].items()]
    for pin, bits in cell["connections"].items():
        if cell["port_directions"][pin] == "output" or pin == "CLK":
            continue
        if pin in _MODE_PINS:
            letters = {}
            for bit in bits:
                if not isinstance(bit, str):
                    letters.setdefault(bit, "abcdefghi"[len(letters)])
            entries.append((pin, "".join(letters.get(bit, str(bit)) for bit in reversed(bits))))
        elif {"0", "1", "x"}.issuperset(bits):
            entries.append((pin, "".join(reversed(bits))))
        else:
            entries.append((pin, "any"))
    return tuple(sorted(entries))


@pytest.fixture(scope="module")
def checked(dut):
    return modes_of(to_verilog(dut, name="dut", platform="xilinx"))


def difference(mode, checked):
    """Say what a mode has that the nearest checked one has not."""
    nearest = min(checked, key=lambda other: len(set(mode) - set(other)))
    return dict(set(mode) - set(nearest))


def test_blocks_of_the_presets_have_these_modes(checked):
    """The blocks that hold slices: chains, depthwise pairs, requantisation lanes."""
    of_slices = ("pe_chain", "dw_pair", "requant_lane", "narrow_requant_lane")
    found = set()
    for config in PRESETS.values():
        parts = [block for block in blocks(config) if block.name in of_slices]
        text = "".join(to_verilog(b.make(), name=b.name, platform="xilinx") for b in parts)
        found |= modes_of(text)
    for mode in found:
        assert mode in checked, difference(mode, checked)
    assert found == checked, "a mode that no preset has"


@pytest.mark.long
@pytest.mark.parametrize("name", PRESETS)
def test_presets_have_no_other_mode(name, checked):
    text = to_verilog(Skimp(PRESETS[name]), name="skimp", platform="xilinx")
    found = modes_of(text)
    assert len(found) >= 3
    for mode in found:
        assert mode in checked, f"{name}: {difference(mode, checked)}"


def test_another_mode_is_seen(checked):
    text = to_verilog(PackedSlice(first=True), name="slice", platform="xilinx")
    assert modes_of(text) <= checked
    for old, new in (('.PREADDINSEL("A")', '.PREADDINSEL("B")'), ("9'h100", "9'h180")):
        assert old in text
        assert not modes_of(text.replace(old, new)) <= checked, new


def test_every_mode_is_checked_once(checked):
    assert len(checked) == NUM_SLICES


def row_of(mode) -> str:
    """Return the line of a mode in the table, from OPMODE on."""
    value = dict(mode)
    areg, breg, creg, rnd = (int(value[name], 2) for name in ("AREG", "BREG", "CREG", "RND"))
    rnd -= rnd >> 47 << 48
    cells = [value["OPMODE"], value["INMODE"], value["ALUMODE"], areg, breg, creg]
    return "".join(f" {cell} |" for cell in (*cells, value["PREADDINSEL"], rnd))


def test_page_shows_every_mode(checked):
    lines = [line for line in PAGE.read_text().splitlines() if "OPMODE" not in line]
    for mode in checked:
        shown = [line for line in lines if line.endswith(row_of(mode))]
        assert len(shown) == 1, f"{PAGE.name} needs a line that ends with{row_of(mode)}"
