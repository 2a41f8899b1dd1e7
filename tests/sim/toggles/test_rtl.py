"""Toggles and accesses of whole networks: RTL beside the prediction from values, and SAIF."""

import pytest
from saif import read_saif, toggles_by_unit

from skimp.configs import PRESETS
from skimp_compiler.compiler import compile_graph
from skimp_sim.bench.rtl import top_verilog
from skimp_sim.energy.command import energy_model
from skimp_sim.energy.summary import by_level
from skimp_sim.executor import run_program
from skimp_sim.golden.network import run_graph
from skimp_sim.inputs import load_input
from skimp_sim.models import load_model
from skimp_sim.perf.command import perf_report
from skimp_sim.real_networks import input_of
from skimp_sim.rtl_engine import RtlEngine
from skimp_sim.run import run_model
from skimp_sim.toggles.predict import SLICE_UNITS, predict_toggles
from skimp_sim.toggles.probes import place_probes
from skimp_sim.toggles.totals import over_layers

pytestmark = [pytest.mark.verilog, pytest.mark.xdist_group("toggles")]

TINY = PRESETS["tiny"]
NETWORKS = ["kws_ref_model", "resnet8_cifar10_int8", "vww_96_int8"]


@pytest.mark.parametrize("name", NETWORKS)
def test_model_agrees_with_rtl(name, models):
    """Energy by level within 5 %, in all and of what toggles; every memory's accesses."""
    path = models / f"{name}.tflite"
    graph, _ = load_model(str(path))
    inputs = load_input(graph, input_of(path))
    costs = energy_model(True, "45nm", "ddr4")
    values = run_graph(graph, inputs)
    perf = perf_report(graph, TINY, activations=values, energy=costs)
    rtl = run_model(graph, path, inputs, TINY, engine="rtl", checked=False, energy=costs)
    ours, theirs = by_level(perf.energy.all), by_level(rtl.energy.all)
    for level, energy in theirs.items():
        assert ours[level] == pytest.approx(energy, rel=0.05), level
    # Activity was not left at 1 on either side, and RTL's is its own.
    for unit in ("multiply", "operands", "chain", "links"):
        both = [
            [use.activity[unit] for use in report.energy.uses.values() if unit in use.activity]
            for report in (perf, rtl)
        ]
        assert all(0 <= factor < 20 for factors in both for factor in factors), unit
        assert both[0] != both[1] and len(both[0]) == len(both[1]) > 5, unit
    counted = over_layers(rtl.energy.toggles)
    predicted = over_layers(predict_toggles(graph, compile_graph(graph, TINY), values))
    for unit in SLICE_UNITS:
        if "wgt" not in unit and predicted[unit]:
            assert predicted[unit] == pytest.approx(counted[unit, "register"], rel=0.15), unit


@pytest.mark.long
def test_saif(tmp_path, models):
    """A whole network's toggles in a SAIF file: those that were counted, unit by unit."""
    graph, path = load_model(str(models / "kws_ref_model.tflite"))
    inputs = load_input(graph, input_of(path))
    file = tmp_path / "kws.saif"
    engine = RtlEngine(compile_graph(graph, TINY), toggles=True, waves=file)
    run_program(graph, engine.program, inputs, engine=engine, more=True)
    counted = engine.sim.toggles
    engine.close()
    _, probes = place_probes(top_verilog(TINY), "skimp")
    registers = [probe for probe in probes if probe.kind == "register"]
    names = [(probe.path, probe.name.replace("\\", "").strip()) for probe in registers]
    signals = read_saif(file)
    assert all(f"{path} {name}" in signals for path, name in names)
    found = toggles_by_unit(signals, names)
    assert found["products"] == counted["products", "register"] > 1e6
    for unit, toggles in found.items():
        # SAIF counts the bits that are 1 when it begins.
        over = toggles - counted[unit, "register"]
        assert 0 <= over <= sum(probe.bits for probe in registers if probe.unit == unit), unit
        assert over <= 1000, unit
