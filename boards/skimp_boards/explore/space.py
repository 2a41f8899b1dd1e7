"""What the search may change, board by board."""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass

from skimp.config import Config, ConfigError
from skimp.configs import PRESETS
from skimp.rlc.format import CODEC_BYTES
from skimp_boards.area import estimate
from skimp_boards.devices import XCZU7EV

__all__ = ["SPACES", "Space"]


@dataclass(frozen=True, kw_only=True)
class Space:
    """Configurations for one board.

    Parameters
    ----------
    board : str
    preset : Config
        Where the search starts; its other fields stay.
    networks : tuple of str
        Built-in networks that count, all alike.
    geometries : tuple of (int, int, int)
        pixels, in_channels, out_channels.
    bus_bytes : int
        What the board's ports carry in a clock.
    budget : dict
        lut, ff, dsp, bram36, uram that a design may take.
    steps : dict
        Field -> values, for the search around the best geometry.
    least_macs : int
        MACs a clock that the choice's array must have.
    """

    board: str
    preset: Config
    networks: tuple[str, ...]
    geometries: tuple[tuple[int, int, int], ...]
    bus_bytes: int
    budget: dict[str, float]
    steps: dict[str, tuple[int, ...]]
    least_macs: int = 0

    def of_geometry(self, pixels: int, in_channels: int, out_channels: int) -> Config | None:
        """Return the preset with another geometry, its memories as large in bytes; None: none is.

        Words of the bus follow from the port, words of the activation store and the drain's pixels
        are the most that the rules of a configuration allow; lanes of requantisation have as many
        slices as the budget leaves.
        """
        p = self.preset
        scale = p.in_channels / in_channels
        block = p.in_channels * p.out_channels / (in_channels * out_channels)
        bank = scale * p.pixels / pixels
        pixel_bytes = p.out_channels / out_channels
        dw_bank = pixel_bytes * p.pixels / pixels
        fields = {
            "pixels": pixels,
            "in_channels": in_channels,
            "out_channels": out_channels,
            "ifmap_depth": _power(p.ifmap_depth * bank),
            "wgt_depth": _power(p.wgt_depth * block),
            "dw_wgt_depth": _power(p.dw_wgt_depth * pixel_bytes),
            "dw_ifmap_depth": _power(p.dw_ifmap_depth * dw_bank),
            "ofmap_depth": max(
                _power(p.ofmap_depth * pixel_bytes), -(-pixels * p.psum_depth // 8) * 8
            ),
        }
        for bus_words in (4, 2, 1):
            if bus_words * in_channels > self.bus_bytes:
                continue
            # As many words as there are lanes to fill.
            for act_words in (w for w in (8, 4, 2, 1) if w < 2 * pixels):
                for drain_pixels in range(p.drain_pixels, 0, -1):
                    widths = {
                        "bus_words": bus_words,
                        "act_words": act_words,
                        "drain_pixels": drain_pixels,
                        "burst_beats": min(p.burst_beats, 4096 // (bus_words * in_channels)),
                        "act_depth": _power(p.act_bytes / (act_words * in_channels)),
                        "tile_table_depth": p.tile_table_depth
                        if bus_words * in_channels >= CODEC_BYTES
                        else 0,
                    }
                    config = self._try(p, fields | widths)
                    if config is not None:
                        return config
        return None

    def neighbours(self, config: Config) -> Iterator[Config]:
        """Yield the configurations that differ in one field of `steps`, drain_slices aside."""
        for field, values in self.steps.items():
            for value in values:
                if value != getattr(config, field):
                    other = self._try(config, {field: value})
                    if other is not None:
                        yield other

    def _try(self, config: Config, fields: dict) -> Config | None:
        """Return it with other fields, two slices for each lane of requantisation or what is left."""
        try:
            found = dataclasses.replace(config, **fields, drain_slices=0)
            over = math.ceil(estimate(found)["total"]["dsp"] - self.budget["dsp"])
            if over <= 0:
                return found
            left = max(1, 2 * found.requant_lanes - over)
            return dataclasses.replace(found, drain_slices=left)
        except ConfigError:
            return None


def _power(value: float) -> int:
    """Nearest power of two."""
    power = 1
    while power * 1.5 < value:
        power *= 2
    return power


SPACES = {
    space.board: space
    for space in (
        Space(
            board="zcu104",
            preset=PRESETS["zcu104"],
            networks=("resnet50", "mobilenet_v1", "mobilenet_v2"),
            geometries=(
                (8, 16, 16), (12, 16, 16), (4, 16, 32), (5, 16, 32), (6, 16, 32), (3, 16, 64),
                (12, 8, 32), (16, 8, 24), (6, 8, 64), (14, 8, 24),
            ),
            bus_bytes=64,
            budget={key: there * share for key, (there, share) in XCZU7EV.have.items()},
            steps={
                "psum_depth": (32, 64, 128),
                "psum_slots": (2, 3, 4),
                "dw_slices": (False, True),
                "dw_rows": (1, 2),
                "dw_psum_slots": (2, 3, 4),
                "dw_ifmap_depth": (256, 512, 1024),
                "wgt_slices": (1, 2, 4),
                "drain_pixels": (1, 2, 3),
                "act_words": (4, 8),
                "act_depth": (8192, 16384, 32768),
                "wgt_depth": (512, 1024, 2048),
                "ifmap_depth": (1024, 2048, 4096),
                "ofmap_depth": (1024, 2048),  # two psum tiles and more
            },
            least_macs=3000,
        ),
        Space(
            board="ultra96",
            preset=PRESETS["small"],
            networks=("efficientnet_lite0", "mobilenet_v1", "squeezenet"),
            geometries=(
                (4, 8, 16), (2, 8, 32), (8, 8, 8), (6, 8, 8), (4, 8, 8), (3, 8, 16), (2, 16, 16),
                (5, 8, 8), (7, 8, 8),
            ),
            bus_bytes=16,
            budget={"lut": 49_392, "ff": 98_784, "dsp": 349, "bram36": 194, "uram": 0},
            steps={
                "psum_depth": (32, 64, 128),
                "psum_slots": (2, 3, 4),
                "dw_rows": (1, 2),
                "dw_psum_slots": (2, 3, 4),
                "dw_ifmap_depth": (512, 1024, 2048),
                "wgt_slices": (1, 2, 4),
                "drain_pixels": (1, 2),
                "act_words": (2, 4),
                "act_depth": (4096, 8192, 16384),
                "wgt_depth": (256, 512, 1024),
                "ifmap_depth": (1024, 2048, 4096),
            },
        ),
    )
}  # fmt: skip
"""By board; `ultra96` (XCZU3EG: 70,560 LUT, 141,120 FF, 360 DSP48E2, 216 BRAM36, the same shares of
them) is what `small` is sized for."""
