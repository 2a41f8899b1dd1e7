"""Fixtures for all tests: the folder of real networks, seeds."""

import gc
import warnings
from pathlib import Path

import pytest

from skimp_compiler.zoo import models_dir

# Elaboration makes millions of objects that live; looking for dead ones takes half of its time.
gc.set_threshold(200_000, 10, 10)

NETWORKS = (
    "ad01_int8",
    "kws_ref_model",
    "mcunet_vww",
    "mobilenet_v2_1.0_224_int8",
    "mobilenetv2_160_035_int8",
    "resnet8_cifar10_int8",
    "vww_96_int8",
)
"""Real networks in the folder of models."""


@pytest.fixture(scope="session")
def models() -> Path:
    """The folder of real networks; the test is skipped, loudly, where it is missing."""
    folder = models_dir()
    if not folder.is_dir():
        message = f"NO REAL NETWORKS: {folder} is missing; set SKIMP_MODELS to test with them"
        warnings.warn(message, stacklevel=1)
        pytest.skip(message)
    return folder


LONGEST = (
    "wide",
    "quad",
    "small",
    "tiny",
    "odd",
    "zcu104-dual",
    "ulx3s",
    "zoo",
    "toggles",
    "programs of mobilenet_v2_1.0_224_int8",
)
"""Groups of tests that start first, so that the workers end together."""


@pytest.hookimpl(tryfirst=True)  # before xdist looks for groups
def pytest_collection_modifyitems(config, items):
    """A worker for each group; a file is one, since its tests share what they build."""
    groups = {}
    for item in items:
        mark = item.get_closest_marker("xdist_group")
        if mark is None:
            mark = pytest.mark.xdist_group(str(item.path.relative_to(config.rootpath)))
            item.add_marker(mark)
        groups[item] = mark.args[0]
    items.sort(key=lambda item: LONGEST.index(groups[item]) if groups[item] in LONGEST else 99)
