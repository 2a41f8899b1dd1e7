"""Latencies and set-up times of the hardware, taken from the modules themselves."""

import functools
import gc
import warnings
from dataclasses import dataclass

from amaranth.hdl import UnusedElaboratable

from skimp.config import Config
from skimp.ctrl.array_unit import ArrayUnit
from skimp.dw.unit import DepthwiseUnit
from skimp.feed.pixel_lanes import PixelLanes
from skimp.post.drain import DrainUnit
from skimp.post.params import ParamSets

__all__ = ["Timing", "timing_of"]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Clocks of one configuration.

    Parameters
    ----------
    array_flight_cycles, dw_flight_cycles : int
        From an issue to the moment its psum can be drained, of the array and the depthwise unit.
    setup_cycles : int
        From the set-up of the pixel lanes to their being ready.
    drain_latency, add_latency : int
        From a psum read to its ofmap word, without and with a second stage.
    param_cycles : int
        To read a block's parameters.
    load_words : int
        Words that the load unit's queue holds.
    """

    array_flight_cycles: int
    dw_flight_cycles: int
    setup_cycles: int
    drain_latency: int
    add_latency: int
    param_cycles: int
    load_words: int


@functools.lru_cache
def timing_of(config: Config) -> Timing:
    """Return the clocks of a configuration."""
    with warnings.catch_warnings():
        # The modules are asked, not built.
        warnings.simplefilter("ignore", UnusedElaboratable)
        array, depthwise = ArrayUnit(config), DepthwiseUnit(config)
        drain = DrainUnit(config, psum_read_latency=array.psum_read_latency)
        timing = Timing(
            array_flight_cycles=array.flight_cycles,
            dw_flight_cycles=depthwise.flight_cycles,
            setup_cycles=PixelLanes(config).setup_cycles,
            drain_latency=drain.latency,
            add_latency=drain.add_latency,
            param_cycles=ParamSets(config).load_cycles,
            load_words=config.load_queue_beats * config.chip_words,
        )
        del array, depthwise, drain
        gc.collect()  # so that the modules complain in here about not being built
    return timing
