"""The Eyeriss chip, layer by layer: buffer and DRAM traffic, latency, energy."""

from skimp_sim.reproduce.costs import CHIP_65NM, LEVELS
from skimp_sim.reproduce.eyeriss_tables import Measured
from skimp_sim.reproduce.layers import ConvLayer
from skimp_sim.reproduce.row_stationary import Mapping, accesses
from skimp_sim.rlc.eyeriss import coded_size

__all__ = [
    "ALEXNET_MAPPINGS",
    "AS_PUBLISHED",
    "CLOCK_HZ",
    "CLOCK_MW",
    "IDLE_MW",
    "measure",
    "model_mj",
]

CLOCK_HZ = 200e6
CYCLES_PER_MAC = 1.15
"""Of a PE: the chip's overhead over one MAC a cycle, about the same for all layers."""

BUFFER_BYTES_PER_CYCLE = 15
"""What the buffer gives: the chip reaches 14.8 to 15.3 in VGG-16's layers that wait for it."""

IDLE_MW = 30
"""As in nn-dataflow's test of the chip."""

CLOCK_MW = 161
"""What has to stand in the place of `IDLE_MW` for the measured power: the mean over all layers of
AlexNet and VGG-16."""

AS_PUBLISHED = Mapping(m=64, n=4, e=13, f=13, p=16, q=4, r=1, t=4)
"""CONV3 in table III. The accesses of table V are those of CONV4's mapping."""

ALEXNET_MAPPINGS = {
    "conv1": Mapping(m=96, n=1, e=7, f=55, p=16, q=1, r=1, t=2),
    "conv2": Mapping(m=64, n=1, e=27, f=27, p=16, q=2, r=1, t=1),
    "conv3": Mapping(m=64, n=4, e=13, f=13, p=16, q=3, r=2, t=2),
    "conv4": Mapping(m=64, n=4, e=13, f=13, p=16, q=3, r=2, t=2),
    "conv5": Mapping(m=64, n=4, e=13, f=13, p=16, q=3, r=2, t=2),
}
"""JSSC paper, table III, but for CONV3."""


def active_pes(layer: ConvLayer, mapping: Mapping) -> int:
    return layer.kernel * mapping.e * mapping.r * mapping.t


def latency_ms(macs: int, pes: int, glb_bytes: float) -> float:
    """The slower of the PEs and the buffer."""
    cycles = max(CYCLES_PER_MAC * macs / pes, glb_bytes / BUFFER_BYTES_PER_CYCLE)
    return 1e3 * cycles / CLOCK_HZ


def dram_bytes(words: dict[str, int], zeros: dict[str, float]) -> tuple[float, float]:
    """Without and with the run-length code of the maps whose zeros are given."""
    coded = sum(
        count * (coded_size(zeros[tensor]) if tensor in zeros else 1)
        for tensor, count in words.items()
    )
    return 2 * sum(words.values()), 2 * coded


def model_mj(counts: dict, macs: int, ms: float, *, idle_mw: float, gated: float = 0) -> float:
    """Energy of the chip, without DRAM.

    Parameters
    ----------
    counts : dict
        Of `accesses`.
    macs : int
    ms : float
    idle_mw : float
        Drawn all the time.
    gated : float
        Fraction of MACs whose ifmap value is zero: only that value is read for them.
    """
    at_each_mac = CHIP_65NM.mac + CHIP_65NM.rf * 3
    picojoules = macs * (CHIP_65NM.rf + (1 - gated) * at_each_mac)
    for level in LEVELS:
        if level in ("glb", "array"):
            picojoules += CHIP_65NM.of(level) * sum(counts[level].values())
    return picojoules * 1e-9 + idle_mw * ms * 1e-3


def measure(
    layer: ConvLayer, batch: int, mapping: Mapping, published: Measured, zeros: dict[str, float]
) -> dict:
    """All of a layer; `zeros` of the maps that lie in DRAM coded."""
    counts, macs = accesses(layer, batch, mapping), batch * layer.macs
    pes = active_pes(layer, mapping)
    glb = 2 * sum(counts["glb"].values())
    plain, coded = dram_bytes(counts["dram"], zeros)
    ms = latency_ms(macs, pes, glb)
    return {
        "name": layer.name,
        "mapping": mapping._asdict(),
        "macs": macs,
        "active_pes": pes,
        "glb_mb": glb / 1e6,
        "processing_ms": ms,
        "processing_ms_by_measured_glb": latency_ms(
            macs, published.active_pes, 1e6 * published.glb_mb
        ),
        "measured_cycles_per_mac": (
            published.processing_ms * 1e-3 * CLOCK_HZ * published.active_pes / macs
        ),
        "dram_mb_without_code": plain / 1e6,
        "dram_mb": coded / 1e6,
        "mj": model_mj(counts, macs, ms, idle_mw=IDLE_MW),
        "mj_with_clock_and_gating": model_mj(
            counts, macs, ms, idle_mw=CLOCK_MW, gated=published.zeros
        ),
        "measured": {
            **published._asdict(),
            "mj": published.mw * published.processing_ms * 1e-3,
        },
    }
