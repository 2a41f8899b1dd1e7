"""Any legal configuration, for tests of compiler and functional model."""

import numpy as np

from skimp.config import Config


def random_config(rng) -> Config:
    """Any legal configuration, small buffers more often than large ones.

    The activation store is missing, holds a part of a network, or all of it.
    """

    def between(low, high):
        return min(high, int(np.exp(rng.uniform(np.log(low), np.log(high + 1)))))

    in_channels = int(rng.choice([8, 16]))
    pixels, psum_depth, dw_psum_depth = int(rng.integers(1, 17)), between(8, 256), between(8, 64)
    out_channels = in_channels * int(rng.integers(1, 64 // in_channels + 1))
    widths = [
        n
        for n in (1, 2, 4)
        if n <= pixels
        and out_channels // 8 % n == 0
        and 12 * out_channels % (n * in_channels) == 0
        and (out_channels % (n * in_channels) == 0 or n * in_channels % out_channels == 0)
    ]
    bus_words = int(rng.choice(widths))
    act_words = int(rng.choice([0, *(n for n in (1, 2, 4, 8) if n >= bus_words)]))
    steps = [n for n in range(1, max(bus_words, act_words) + 1) if pixels % n == 0]
    return Config(
        name="random",
        pixels=pixels,
        in_channels=in_channels,
        out_channels=out_channels,
        psum_depth=psum_depth,
        psum_slots=int(rng.integers(2, 5)),
        wgt_depth=between(4, 600),
        wgt_slices=int(rng.choice([1, 2, 4])),
        dw_wgt_depth=between(64, 600),
        ifmap_depth=between(32, 2000),
        dw_ifmap_depth=between(32, 1000),
        dw_psum_depth=dw_psum_depth,
        dw_psum_slots=int(rng.integers(2, 5)),
        dw_rows=int(rng.integers(1, 3)),
        ofmap_depth=max(
            32, min(1 << 15, -(-pixels * max(psum_depth, dw_psum_depth) * between(1, 300) // 8) * 8)
        ),
        param_depth=between(4, 40),
        bus_words=bus_words,
        drain_pixels=int(rng.choice(steps)),
        act_words=act_words,
        act_depth=int(rng.choice([0, between(4, 200), between(200, 20_000)])),
        queue_depth=between(2, 16),
        tile_table_depth=int(rng.integers(0, 4097)) if bus_words * in_channels >= 16 else 0,
    )
