"""A technology of round numbers."""

import pytest

_WHOLE = """
sources: {here: measured by hand}
multiply: [{bits: 8, value: 2, unit: pJ, source: here}]
add: [{bits: 8, value: 1, unit: pJ, source: here}]
register: {value: 0.5, unit: pJ/bit, source: here}
link: {value: 0.25, unit: pJ/bit, source: here}
memory:
  read: [{bytes: 1024, value: 64, unit: pJ/64b, source: here}]
  write: [{bytes: 1024, value: 128, unit: pJ/64b, source: here}]
clock: {value: 4, unit: pJ/lane, source: here}
static: {value: 8, unit: mW/lane, source: here}
"""


@pytest.fixture
def whole() -> str:
    """The YAML of a technology that says everything: 2 pJ a product, 1 an add, 0.5 a register bit,
    0.25 a hop, 1 and 2 a bit read and written, 4 pJ and 8 mW a lane.
    """
    return _WHOLE
