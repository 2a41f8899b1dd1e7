"""Adaptive scheduling: against an independent calculation, tools and its own baselines."""

import pytest

from skimp_sim.reproduce.adaptive_scheduling import CASES, NN_DATAFLOW_MB
from skimp_sim.reproduce.tiles import SCHEMES

# By another program of the same definition: limit, adaptive, MAC/access, psum, weight, ifmap.
EXPECTED = {
    ("alexnet", 4, 64, 8): (8.73, 12.19, 218.5, 13.56, 12.44, 13.84),
    ("alexnet", 4, 108, 16): (18.49, 25.32, 210.4, 27.50, 26.96, 29.00),
    ("alexnet", 1, 64, 8): (3.52, 3.42, 194.9, 3.42, 4.86, 3.46),
    ("vgg16", 3, 108, 16): (343.4, 374.72, 245.7, 374.72, 523.55, 476.79),
    ("vgg16", 3, 64, 8): (161.6, 181.16, 254.1, 181.16, 241.28, 217.64),
    ("vgg16", 1, 64, 8): (57.65, 60.41, 254.0, 60.41, 90.23, 72.55),
    ("vgg16", 1, 108, 8): (49.78, 50.14, 306.1, 50.14, 71.89, 60.28),
    ("mobilenet_v1", 1, 64, 8): (14.02, 14.07, 40.3, 14.07, 16.33, 14.74),
    ("mobilenet_v1", 1, 108, 8): (13.53, 13.37, 42.5, 13.37, 14.83, 13.50),
    ("resnet50", 1, 64, 8): (45.86, 46.12, 83.6, 46.12, 58.12, 53.08),
    ("resnet50", 1, 108, 8): (43.85, 44.04, 87.6, 44.12, 51.43, 48.49),
}


@pytest.fixture
def result(results) -> dict:
    return results["adaptive-scheduling"]


def key(row: dict) -> tuple:
    return row["network"], row["batch"], row["buffer_kb"], row["word_bits"]


def test_every_case_within_a_percent(result):
    assert [key(row) for row in result["cases"]] == list(EXPECTED)
    for row in result["cases"]:
        ours = (
            row["limit_mb"], row["adaptive_mb"], row["macs_per_access"],
            *(row["fixed_scheme_mb"][scheme] for scheme in SCHEMES),
        )  # fmt: skip
        assert ours == pytest.approx(EXPECTED[key(row)], rel=0.01), key(row)


def test_adaptive_is_never_worse_than_a_fixed_scheme_on_any_layer(result):
    for row in result["cases"]:
        for layer in row["layers"]:
            words = layer["words"]
            for scheme in SCHEMES:
                assert words["adaptive"] <= words[scheme], (key(row), layer["name"])
            assert words["any_columns"] <= words["adaptive"]
            assert words["compulsory"] <= min(words["any_columns"], words["limit"])
        assert row["adaptive_mb"] <= min(row["one_tile_mb"].values())


def test_close_to_nn_dataflow_where_registers_do_not_count(result):
    cases = dict(zip(CASES, result["cases"]))
    for case, theirs in NN_DATAFLOW_MB.items():
        if case.network in ("vgg16", "resnet50"):
            assert cases[case]["adaptive_mb"] == pytest.approx(theirs, rel=0.04), case


def test_smartshuttle_is_beyond_what_moves_without_compression(result):
    beyond = {
        row["network"]: row["beside"]["smartshuttle_macs_per_access"]
        for row in result["cases"]
        if row["beside"]["smartshuttle_macs_per_access"]
    }
    for row in result["cases"]:
        if row["network"] in beyond and row["word_bits"] == 16:
            limit = row["macs"] * 2 / row["limit_mb"] / 1e6
            assert beyond[row["network"]] > min(limit, row["possible_macs_per_access"])
