"""Any legal configuration, for tests of compiler and functional model."""

import numpy as np

from skimp.config import Config


def random_config(rng) -> Config:
    """Any legal configuration, small buffers more often than large ones."""

    def between(low, high):
        return min(high, int(np.exp(rng.uniform(np.log(low), np.log(high + 1)))))

    in_channels = int(rng.choice([8, 16]))
    pixels, psum_depth = int(rng.integers(1, 17)), between(8, 256)
    return Config(
        name="random",
        pixels=pixels,
        in_channels=in_channels,
        out_channels=in_channels * int(rng.integers(1, 64 // in_channels + 1)),
        psum_depth=psum_depth,
        wgt_depth=between(4, 600),
        dw_wgt_depth=between(64, 600),
        ifmap_depth=between(32, 2000),
        ofmap_depth=max(32, min(1 << 15, pixels * psum_depth * between(1, 300))),
        param_depth=between(4, 40),
        queue_depth=between(2, 16),
    )
