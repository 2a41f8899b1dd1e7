"""Vector runner: both backends give the same on a component with ports of every kind."""

import random

import pytest
from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from skimp_sim.bench.vectors import run_vectors

BACKENDS = ["pysim", pytest.param("verilator", marks=pytest.mark.verilog)]


class Pair(data.Struct):
    low: signed(9)
    high: unsigned(40)


class Toy(wiring.Component):
    """Adds two lanes, keeps a wide struct for a clock, has nested and unused ports."""

    a: In(signed(8)).array(2)
    pair: In(Pair)
    unused: In(3)
    sum: Out(signed(9))
    wide: Out(data.ArrayLayout(signed(20), 5))
    late: Out(Pair)
    bus: Out(wiring.Signature({"valid": Out(1), "ready": In(1)}))

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.sum.eq(self.a[0] + self.a[1])
        m.d.comb += [self.wide[i].eq(self.pair.low * (i + 1)) for i in range(5)]
        m.d.sync += self.late.eq(self.pair)
        m.d.sync += self.bus.valid.eq(self.bus.ready ^ self.bus.valid)
        return m


class Wire(wiring.Component):
    """Combinational only."""

    i: In(8)
    o: Out(8)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(~self.i)
        return m


class Black(wiring.Component):
    """An instance on one platform only."""

    i: In(8)
    o: Out(8)

    def elaborate(self, platform):
        m = Module()
        if platform == "xilinx":
            m.submodules.box = Instance("BOX", i_I=self.i, o_O=self.o)  # conventions: allow
        else:
            m.d.comb += self.o.eq(self.i + 1)
        return m


def signed_value(bits: int, width: int) -> int:
    return bits - (1 << width) if bits >> width - 1 else bits


@pytest.mark.parametrize("backend", BACKENDS)
def test_toy(backend):
    seed = 7
    rng = random.Random(seed)
    vectors, want = [], []
    late, valid = 0, 0
    for _ in range(60):
        a = [rng.randint(-128, 127) for _ in range(2)]
        low, high = rng.randint(-256, 255), rng.getrandbits(40)
        pair = (low & 0x1FF) | high << 9
        ready = rng.getrandbits(1)
        vectors.append({"a__0": a[0], "a__1": a[1] & 0xFF, "pair": pair, "bus__ready": ready})
        wide = sum((low * (i + 1) & 0xFFFFF) << 20 * i for i in range(5))
        want.append({"sum": sum(a) & 0x1FF, "wide": wide, "late": late, "bus__valid": valid})
        late, valid = pair, valid ^ ready
    assert run_vectors(Toy(), vectors, list(want[0]), backend=backend) == want, f"seed {seed}"


@pytest.mark.parametrize("backend", BACKENDS)
def test_inputs_keep_their_value(backend):
    got = run_vectors(Toy(), [{"a__0": 5}, {}, {"a__1": 2}, {}], ["sum", "a__0"], backend=backend)
    assert [v["sum"] for v in got] == [5, 5, 7, 7]
    assert [v["a__0"] for v in got] == [5, 5, 5, 5]


@pytest.mark.parametrize("backend", BACKENDS)
def test_combinational(backend):
    got = run_vectors(Wire(), [{"i": i} for i in (0, 1, 255)], ["o"], backend=backend)
    assert got == [{"o": 255}, {"o": 254}, {"o": 0}]


@pytest.mark.verilog
def test_instance_with_a_model(tmp_path):
    model = tmp_path / "box.v"
    model.write_text("module BOX(input [7:0] I, output [7:0] O); assign O = I + 8'd1; endmodule\n")
    vectors = [{"i": i} for i in (0, 7, 255)]
    twin = run_vectors(Black(), vectors, ["o"])
    assert twin == [{"o": 1}, {"o": 8}, {"o": 0}]
    args = dict(backend="verilator", platform="xilinx", extra_sources=[model])
    assert run_vectors(Black(), vectors, ["o"], **args) == twin


def test_pysim_refuses_an_instance():
    with pytest.raises(ValueError, match="Instance BOX has no model"):
        run_vectors(Black(), [{"i": 1}], ["o"], platform="xilinx")


@pytest.mark.parametrize(
    ("vectors", "outputs", "backend", "message"),
    [
        ([{"x": 1}], ["o"], "pysim", "x: no such port; the ports are i, o"),
        ([{"i": 1}], ["y"], "verilator", "y: no such port"),
        ([{"o": 1}], ["o"], "pysim", "o: an output port cannot be driven"),
        ([{"i": 1}], ["o"], "spice", "backend must be 'pysim' or 'verilator', not 'spice'"),
    ],
)
def test_bad_arguments(vectors, outputs, backend, message):
    with pytest.raises(ValueError, match=message):
        run_vectors(Wire(), vectors, outputs, backend=backend)


def test_pysim_refuses_verilog():
    with pytest.raises(ValueError, match="pysim runs no Verilog"):
        run_vectors(Wire(), [{}], ["o"], verilog="module dut(); endmodule")
