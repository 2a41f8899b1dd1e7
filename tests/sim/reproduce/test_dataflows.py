"""Dataflows: counts by hand, areas, the published order; what is kept of others' counts."""

import json

import pytest
from nn_dataflow_counts import CASES, shortened

from skimp_sim.reproduce.dataflow_models import (
    ARRAYS,
    DATAFLOWS,
    REGISTER_AREA,
    buffer_words,
    count,
    on_chip,
)
from skimp_sim.reproduce.dataflows import NETWORKS, SKIMP_COUNTS
from skimp_sim.reproduce.layers import ConvLayer, conv_layers
from skimp_sim.reproduce.limit import compulsory_words
from skimp_sim.reproduce.nn_dataflow import KEPT, nn_dataflow

POINTWISE = ConvLayer(
    name="1x1", out_channels=2, in_channels=3, in_rows=4, in_columns=4, rows=4, columns=4,
    kernel=1, stride=1, padding=0,
)  # fmt: skip


@pytest.mark.parametrize(
    "dataflow, glb, array, rf",
    [
        # Six weights on six PEs: each pixel comes once, each output leaves once.
        ("weight-stationary", (48, 0, 32), (96, 6, 96), (0, 96, 0)),
        # Four pixels of one filter on the PEs: the map comes for both, six weights four times.
        ("output-stationary", (96, 24, 32), (96, 96, 32), (0, 0, 192)),
        # A pixel of all three channels: weights come for each, sums out and in.
        ("input-stationary", (48, 96, 64), (48, 96, 96), (96, 0, 0)),
        # As weight-stationary, but a weight for each MAC.
        ("no-local-reuse", (48, 96, 32), (96, 96, 96), (0, 0, 0)),
    ],
)
def test_by_hand(dataflow, glb, array, rf):
    counts = on_chip(POINTWISE, 1, dataflow, 6)
    assert [tuple(counts[level].values()) for level in ("glb", "array", "rf")] == [glb, array, rf]


@pytest.mark.parametrize("pes", ARRAYS)
def test_same_area(pes):
    """As much area in registers and buffer as row-stationary, to a word."""
    chip = ARRAYS[pes]
    spads = pes * (chip.ifmap_words + chip.wgt_words + chip.psum_words)
    for dataflow in DATAFLOWS[1:]:
        registers = 0 if dataflow == "no-local-reuse" else pes
        area = buffer_words(dataflow, pes) + REGISTER_AREA * registers
        assert area == pytest.approx(chip.buffer_words + REGISTER_AREA * spads, abs=1)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_a_mac_needs_its_three_values(dataflow):
    """Each comes over the array or out of a register; DRAM at least every tensor once."""
    for layer in conv_layers("alexnet"):
        counts = count(layer, 4, dataflow, 168)
        for tensor in ("ifmap", "wgt", "psum"):
            assert counts["array"][tensor] + counts["rf"][tensor] >= 4 * layer.macs
        assert sum(counts["dram"].values()) >= compulsory_words(layer, batch=4)


def factors(result: dict, network: str, pes: int) -> dict[str, float]:
    """By dataflow, over row-stationary."""
    rows = {
        row["dataflow"]: row["per_mac"]
        for row in result["rows"]
        if (row["network"], row["pes"]) == (network, pes)
    }
    return {name: value / rows["row-stationary"] for name, value in rows.items()}


def test_order_as_published(results):
    """Row-stationary least in every case; no-local-reuse most, near the published 2.5."""
    result = results["dataflows"]
    for network in NETWORKS:
        for pes in ARRAYS:
            ours = {name: factors(result, network, pes)[name] for name in DATAFLOWS}
            assert min(ours, key=ours.get) == "row-stationary"
            assert max(ours, key=ours.get) == "no-local-reuse"
    for pes in ARRAYS:
        ours = factors(result, "alexnet", pes)
        assert ours["no-local-reuse"] == pytest.approx(2.5, rel=0.05)
        assert 1.05 < ours["weight-stationary"] < 1.4


def test_sums(results):
    for row in results["dataflows"]["rows"]:
        levels = sum(sum(tensors.values()) for tensors in row["energy"].values())
        assert row["per_mac"] == pytest.approx(row["alu"] + levels)


def test_skimp_counts():
    """MACs of one image; every multiplication has its ifmap value and its weight."""
    kept = json.loads(SKIMP_COUNTS.read_text())
    assert list(kept) == list(NETWORKS)
    for network, one in kept.items():
        macs = sum(layer.macs for layer in conv_layers(network))
        assert one["macs"] == macs
        assert one["accesses"]["array"]["ifmap"] == macs
        assert one["accesses"]["rf"]["wgt"] > macs
        weights = sum(layer.weight_words for layer in conv_layers(network))
        assert one["accesses"]["dram"]["wgt"] >= weights


@pytest.mark.parametrize("case", CASES)
def test_kept_counts_of_nn_dataflow(case):
    """Else run bench/nn_dataflow_counts.py."""
    kept = json.loads(KEPT.read_text())[case]
    assert (kept["arguments"], kept["version"]) == (CASES[case], "2.1")
    for layer in nn_dataflow(case).values():
        registers = layer["accesses"]["rf"]
        assert registers["wgt"] == registers["ifmap"] == layer["macs"]


def test_halves_of_a_layer_are_joined():
    def schedule(ops: float) -> list:
        access = [[ops, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]]
        return [{"ops": ops, "time": 10, "access": access}, None]

    answer = {
        "version": "2.1+0123abc",
        "schedules": {"conv1_a": schedule(5.0), "pool1_a": schedule(1), "conv1_b": schedule(6.0)},
    }
    short = shortened(answer)
    assert short["version"] == "2.1"
    (layer,) = short["layers"].values()
    assert (layer["macs"], layer["cycles"]) == (11, 20)
    assert layer["accesses"]["dram"] == {"wgt": 11, "ifmap": 4, "psum": 6}
    assert layer["accesses"]["rf"] == {"wgt": 20, "ifmap": 22, "psum": 24}
