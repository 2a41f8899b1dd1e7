"""Results are computed once for all tests."""

import pytest

from skimp_sim.reproduce.command import REPRODUCTIONS


class _Results(dict):
    def __missing__(self, name):
        self[name] = REPRODUCTIONS[name].compute()
        return self[name]


@pytest.fixture(scope="session")
def results() -> dict[str, dict]:
    """Result of every reproduction by name, computed when it is asked for."""
    return _Results()
