"""An image classifier's arithmetic: operations a second times energy per operation.

Quoted without a source: 7.7 G operations an image and 1,000 images a second take 33.88 W in FP32,
1.771 W in INT8 and 1.2397 W with 30 % of it pruned, by the energies of M. Horowitz.
"""

from matplotlib.figure import Figure

from skimp_sim.reproduce.costs import HOROWITZ_PJ
from skimp_sim.reproduce.layers import conv_layers
from skimp_sim.reproduce.result import Reproduction, ResultTable, paragraphs

__all__ = ["CLASSIFIER_POWER"]

OPERATIONS = 7.7e9
IMAGES_PER_S = 1000
PRUNED = 0.3

FP32_WATTS, INT8_WATTS, PRUNED_WATTS = 33.88, 1.771, 1.2397

IMPLIED_FP32_PJ = 4.4
"""What 33.88 W are by operation: 33.88 / 7.7 exactly. The table's multiplication and addition are
3.7 + 0.9 = 4.6."""

DRAM_PJ_PER_BYTE = (1300 / 8, 2600 / 8)
"""Of the same table: 1.3 to 2.6 nJ for 64 bits."""


def _mac_pj(kind: str) -> float:
    """A multiplication and an addition."""
    return HOROWITZ_PJ[f"{kind} multiply"] + HOROWITZ_PJ[f"{kind} add"]


def compute() -> dict:
    tera = OPERATIONS * IMAGES_PER_S / 1e12
    cases = (
        ("FP32, energy implied", IMPLIED_FP32_PJ, 1, FP32_WATTS),
        ("FP32, energy of the table", _mac_pj("fp32"), 1, FP32_WATTS),
        ("INT8", _mac_pj("int8"), 1, INT8_WATTS),
        ("INT8, 30 % pruned", _mac_pj("int8"), 1 - PRUNED, PRUNED_WATTS),
    )
    weights = sum(layer.weight_words for layer in conv_layers("resnet50"))
    return {
        "operations_per_image": OPERATIONS,
        "images_per_s": IMAGES_PER_S,
        "cases": [
            {
                "name": name, "pj_per_operation": pj, "operations_done": done,
                "watts": tera * pj * done, "published_watts": published,
            }
            for name, pj, done, published in cases
        ],
        "dram_watts_of_resnet50_weights": [
            weights * IMAGES_PER_S * pj * 1e-12 for pj in DRAM_PJ_PER_BYTE
        ],
    }  # fmt: skip


def tables(result: dict) -> list[ResultTable]:
    rows = [
        (
            case["name"],
            f"{case['pj_per_operation']:.2f}",
            f"{case['watts']:.5g}",
            f"{case['published_watts']:.5g}",
            f"{100 * (case['watts'] / case['published_watts'] - 1):+z.1f}",
        )
        for case in result["cases"]
    ]
    columns = "arithmetic", "pJ per operation", "W", "published W", "error %"
    return [ResultTable("Power at 7.7 G operations an image, 1,000 images/s", columns, rows)]


def notes(result: dict) -> list[str]:
    low, high = result["dram_watts_of_resnet50_weights"]
    return paragraphs(f"""
        W = operations per image x images per second x energy per operation: 7.7e9 x 1000 = 7.7e12
        operations a second, so every pJ is 7.7 W.

        INT8: a multiplication of 0.2 pJ and an addition of 0.03 pJ, 7.7 x 0.23 = 1.771 W; pruned by
        30 %: 1.771 x 0.7 = 1.2397 W. Both to the last digit.

        FP32: 33.88 W are 4.4 pJ per operation. The same table has 3.7 + 0.9 = 4.6 pJ, which is
        35.42 W; which terms make 4.4 is not known to us (four FP16 multiplications of 1.1 pJ are
        as much). So that figure comes out only with 4.4 put in.

        Every one of the 7.7 G operations is taken as a multiplication and an addition. ResNet-50
        has 7.7 G operations when both are counted, 3.86 G MAC: then all figures halve.

        Arithmetic only. By the same table, ResNet-50's convolution weights of 8 bits, read from
        DRAM once an image, take {low:.1f} to {high:.1f} W: more than all the INT8 arithmetic.
    """)


def plot(result: dict) -> Figure:
    """Ours beside the published power."""
    figure = Figure(figsize=(8, 4))
    axes = figure.subplots()
    cases = result["cases"]
    for offset, key, label, colour in (
        (-0.2, "watts", "ours", "#3b6ea8"),
        (0.2, "published_watts", "published", "#cccccc"),
    ):
        bars = axes.bar(
            [k + offset for k in range(len(cases))], [case[key] for case in cases], width=0.38,
            label=label, color=colour,
        )  # fmt: skip
        axes.bar_label(bars, fmt="{:.5g}", fontsize=8)
    axes.set_yscale("log")
    axes.set_ylim(0.5, 100)
    axes.set_xticks(range(len(cases)), [case["name"].replace(", ", ",\n") for case in cases])
    axes.set_ylabel("W")
    axes.set_title("Arithmetic of an image classifier, 1,000 images/s")
    axes.legend()
    figure.tight_layout()
    return figure


CLASSIFIER_POWER = Reproduction(
    name="classifier-power",
    title="Power of an image classifier's arithmetic in FP32, INT8 and pruned",
    sources=("energies per operation: M. Horowitz, Computing's energy problem, ISSCC 2014, 45 nm",),
    compute=compute,
    tables=tables,
    notes=notes,
    plot=plot,
)
"""`skimp reproduce`."""
