"""Configurations that cannot be built are refused in one line."""

from dataclasses import replace

import pytest

from skimp.config import ConfigError
from skimp.configs import PRESETS

SMALL = replace(PRESETS["small"], drain_slices=0)


@pytest.mark.parametrize(
    ("out_channels", "bus_words", "fits"),
    [(16, 1, True), (16, 2, True), (32, 4, True), (48, 1, True), (48, 2, False), (64, 4, True)],
)
def test_a_beat_is_a_part_or_a_multiple_of_a_depthwise_weight_word(out_channels, bus_words, fits):
    options = dict(in_channels=16, out_channels=out_channels, bus_words=bus_words, drain_pixels=1)
    if fits:
        assert replace(SMALL, **options).bus_bytes == 16 * bus_words
        return
    with pytest.raises(ConfigError) as caught:
        replace(SMALL, **options)
    assert str(caught.value) == (
        f"config small: bus_words must be such that a beat is a part or a multiple of out_channels "
        f"({out_channels}) bytes, not {bus_words}"
    )


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("dw_rows", 3, "1 or 2"),
        ("dw_psum_slots", 1, "2 to 4"),
        ("dw_psum_depth", 7, "8 to 256"),
        ("dw_ifmap_depth", 31, "32 to 32768"),
        ("dw_wgt_depth", 63, "at least 64"),
        ("ofmap_depth", 4 * 63, "at least pixels"),
        ("pixels", True, "an integer"),
    ],
)
def test_a_field_out_of_range(field, value, what):
    with pytest.raises(ConfigError, match=f"config small: {field} must be .*{what}"):
        replace(SMALL, **{field: value})
