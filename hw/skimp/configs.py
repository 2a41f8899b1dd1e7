"""The presets that the command line knows by name, and configurations from a file."""

import json
from pathlib import Path

from skimp.config import Config, ConfigError

__all__ = ["PRESETS", "load_config"]

PRESETS = {
    config.name: config
    for config in (
        Config(
            name="tiny",
            pixels=1,
            in_channels=8,
            out_channels=8,
            psum_depth=32,
            wgt_depth=64,
            dw_wgt_depth=128,
            dw_ifmap_depth=512,
            ifmap_depth=1024,
            ofmap_depth=128,
            param_depth=16,
            queue_depth=4,
            burst_beats=16,
            clock_mhz=50,
        ),
        Config(
            name="small",
            pixels=4,
            in_channels=8,
            out_channels=16,
            bus_words=2,
            drain_pixels=2,
            drain_slices=61,
            psum_depth=64,
            psum_slots=4,
            act_words=4,
            act_depth=8192,
            tile_table_depth=4096,
            burst_beats=32,
            wgt_depth=256,
            dw_wgt_depth=512,
            dw_ifmap_depth=1024,
            dw_psum_slots=4,
            queue_depth=16,
            ifmap_depth=4096,
            ofmap_depth=1024,
            param_depth=64,
            urams=False,
        ),
        Config(
            name="zcu104",
            pixels=6,
            in_channels=16,
            out_channels=32,
            bus_words=4,
            drain_pixels=3,
            drain_slices=140,
            psum_depth=64,
            psum_slots=4,
            act_words=8,
            act_depth=16384,
            tile_table_depth=4096,
            burst_beats=16,
            reads_outstanding=8,
            wgt_depth=2048,
            wgt_slices=4,
            dw_wgt_depth=1024,
            dw_ifmap_depth=512,
            dw_psum_slots=4,
            dw_rows=2,
            queue_depth=32,
            ifmap_depth=2048,
            ofmap_depth=2048,
            param_depth=128,
            dw_slices=False,
        ),
    )
}
"""tiny: unit tests and a small board; small: `make sim`; zcu104: a XCZU7EV."""


def load_config(name_or_path: str) -> Config:
    """Return a preset by name, or the configuration that a JSON file holds.

    The file is a configuration by itself or the side-car of a Verilog file, under "config".

    Raises
    ------
    ConfigError
        Neither a preset nor a readable file with a valid configuration.
    """
    if name_or_path in PRESETS:
        return PRESETS[name_or_path]
    path = Path(name_or_path)
    if not path.is_file():
        known = ", ".join(PRESETS)
        raise ConfigError(f"config {name_or_path}: no such preset ({known}) and no such file")
    try:
        return _from_file(path.read_text())
    except (ConfigError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"config {name_or_path}: {error}") from error


def _from_file(text: str) -> Config:
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        found = None
    if isinstance(found, dict) and isinstance(found.get("config"), dict):
        text = json.dumps(found["config"])
    return Config.from_json(text)
