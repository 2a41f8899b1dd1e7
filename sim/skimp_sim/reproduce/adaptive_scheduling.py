"""Adaptive scheduling: tiles and reuse chosen layer by layer, for least DRAM traffic.

Published: J. Li et al., "SmartShuttle", DATE 2018 (434.8 MACs per DRAM access for VGG-16 with three
images, 526.3 for AlexNet with four), and "Optimizing off-chip memory access for deep neural network
accelerator", IEEE TCAS-II (DRAM energy 34.46 to 93.42 % lower on UNet, VGG-16 and MobileNet).
"""

from dataclasses import dataclass

from matplotlib.figure import Figure

from skimp_sim.reproduce.layers import ConvLayer, conv_layers
from skimp_sim.reproduce.limit import compulsory_words, limit_words
from skimp_sim.reproduce.result import Reproduction, ResultTable, paragraphs
from skimp_sim.reproduce.tiles import SCHEMES, best_of, one_tile, search

__all__ = ["ADAPTIVE_SCHEDULING", "CASES", "Case", "measure"]


@dataclass(frozen=True)
class Case:
    """A network on a buffer.

    Attributes
    ----------
    network : str
    batch : int
        Images.
    buffer_kb : int
        Kilobytes (1024) for all tensors together.
    word_bytes : int
    """

    network: str
    batch: int
    buffer_kb: int
    word_bytes: int

    @property
    def buffer_words(self) -> int:
        return self.buffer_kb * 1024 // self.word_bytes


CASES = (
    Case("alexnet", 4, 64, 1),
    Case("alexnet", 4, 108, 2),
    Case("alexnet", 1, 64, 1),
    Case("vgg16", 3, 108, 2),
    Case("vgg16", 3, 64, 1),
    Case("vgg16", 1, 64, 1),
    Case("vgg16", 1, 108, 1),
    Case("mobilenet_v1", 1, 64, 1),
    Case("mobilenet_v1", 1, 108, 1),
    Case("resnet50", 1, 64, 1),
    Case("resnet50", 1, 108, 1),
)
"""108 KB and 16 bit are Eyeriss's; 64 KB is a usual size of one buffer."""

NN_DATAFLOW_MB = {
    Case("alexnet", 4, 108, 2): 21.38,
    Case("alexnet", 1, 64, 1): 3.70,
    Case("vgg16", 3, 108, 2): 374.81,
    Case("vgg16", 1, 64, 1): 58.67,
    Case("vgg16", 1, 108, 1): 50.45,
    Case("resnet50", 1, 64, 1): 45.81,
    Case("resnet50", 1, 108, 1): 45.04,
}
"""Convolutions' DRAM MB of nn-dataflow 2.1 (Stanford; PyPI), one node of 12 x 14 PEs with registers
of 520 bytes: `nn_dataflow_search NET --batch N --word BITS --nodes 1 1 --array 12 14 --regf 520
--gbuf BYTES`."""

SMARTSHUTTLE_MACS_PER_ACCESS = {
    Case("vgg16", 3, 108, 2): 434.8,
    Case("alexnet", 4, 108, 2): 526.3,
}
"""DATE 2018, abstract; 52.2 % and 52.6 % better than Eyeriss's measured figures."""

TCAS_LOWER_PERCENT = (34.46, 93.42)
"""TCAS-II, abstract: DRAM energy lower by, "compared to previous works"."""

TCAS_NETWORKS = ("vgg16", "mobilenet_v1")
"""Its networks that we have; the third is UNet."""


def measure(case: Case) -> dict:
    """Search all layers of a case; megabytes are 10^6 bytes."""
    layers = conv_layers(case.network)
    mb = case.word_bytes / 1e6
    options = {"batch": case.batch, "buffer_words": case.buffer_words}
    rows = [_measure_layer(layer, options) for layer in layers]
    words = {key: sum(row["words"][key] for row in rows) for key in rows[0]["words"]}
    single = {scheme: one_tile(layers, scheme, **options) for scheme in SCHEMES}
    macs = case.batch * sum(layer.macs for layer in layers)
    return {
        "network": case.network,
        "batch": case.batch,
        "buffer_kb": case.buffer_kb,
        "word_bits": 8 * case.word_bytes,
        "macs": macs,
        "adaptive_mb": words["adaptive"] * mb,
        "any_columns_mb": words["any_columns"] * mb,
        "fixed_scheme_mb": {scheme: words[scheme] * mb for scheme in SCHEMES},
        "one_tile_mb": {scheme: moved * mb for scheme, (_, moved) in single.items()},
        "one_tile": {scheme: tile._asdict() for scheme, (tile, _) in single.items()},
        "limit_mb": words["limit"] * mb,
        "compulsory_mb": words["compulsory"] * mb,
        "macs_per_access": macs / words["adaptive"],
        "possible_macs_per_access": macs / words["compulsory"],
        "layers": rows,
    }


def _measure_layer(layer: ConvLayer, options: dict) -> dict:
    choices = search(layer, **options)
    best = best_of(choices)
    free = best_of(search(layer, any_columns=True, **options))
    return {
        "name": layer.name,
        "order": best.order,
        "tile": best.tile._asdict(),
        "words": {
            "adaptive": best.words,
            "any_columns": free.words,
            **{scheme: best_of(choices, scheme).words for scheme in SCHEMES},
            "limit": limit_words(layer, **options),
            "compulsory": compulsory_words(layer, batch=options["batch"]),
        },
    }


def compute() -> dict:
    """All cases, with what others have for the same one."""
    rows = []
    for case in CASES:
        row = measure(case)
        beside = {
            "nn_dataflow_mb": NN_DATAFLOW_MB.get(case),
            "smartshuttle_macs_per_access": SMARTSHUTTLE_MACS_PER_ACCESS.get(case),
        }
        rows.append({**row, "beside": beside})
    return {"cases": rows, "tcas_dram_energy_lower_percent": list(TCAS_LOWER_PERCENT)}


def _name(row: dict) -> str:
    return f"{row['network']} N={row['batch']} {row['buffer_kb']} KB {row['word_bits']} bit"


def _less(ours: float, baseline: float) -> float:
    """Percent that ours is lower."""
    return 100 * (1 - ours / baseline)


def tables(result: dict) -> list[ResultTable]:
    cases = result["cases"]
    return [_traffic_table(cases), _savings_table(cases), _beside_table(result)]


def _traffic_table(cases: list[dict]) -> ResultTable:
    rows = [
        (
            _name(row),
            f"{row['adaptive_mb']:.2f}",
            *(f"{row['fixed_scheme_mb'][scheme]:.2f}" for scheme in SCHEMES),
            f"{min(row['one_tile_mb'].values()):.2f}",
            f"{row['any_columns_mb']:.2f}",
            f"{row['limit_mb']:.2f}",
            f"{row['compulsory_mb']:.2f}",
            f"{row['adaptive_mb'] / row['limit_mb']:.3f}",
            f"{row['macs_per_access']:.1f}",
        )
        for row in cases
    ]
    columns = (
        "MB of DRAM", "adaptive", *SCHEMES, "one tile", "any columns", "limit", "compulsory",
        "adaptive / limit", "MAC/access",
    )  # fmt: skip
    return ResultTable("DRAM traffic of the convolutions", columns, rows)


def _savings_table(cases: list[dict]) -> ResultTable:
    rows = []
    for row in cases:
        ours, fixed = row["adaptive_mb"], row["fixed_scheme_mb"].values()
        single = row["one_tile_mb"].values()
        orders = [layer["order"].split(",")[0] for layer in row["layers"]]
        rows.append(
            (
                _name(row),
                *(f"{_less(ours, mb):.1f}" for mb in (min(fixed), max(fixed))),
                *(f"{_less(ours, mb):.1f}" for mb in (min(single), max(single))),
                *(f"{orders.count(scheme)}" for scheme in SCHEMES),
            )
        )
    columns = (
        "% less than", "best scheme", "worst scheme", "one tile, best scheme",
        "one tile, worst scheme", *(f"layers {scheme}" for scheme in SCHEMES),
    )  # fmt: skip
    return ResultTable("What choosing per layer saves, by baseline", columns, rows)


def _savings(result: dict, network: str) -> list[float]:
    """Percent that adaptive is below every baseline of every case of a network."""
    return [
        _less(row["adaptive_mb"], mb)
        for row in result["cases"]
        if row["network"] == network
        for mb in (*row["fixed_scheme_mb"].values(), *row["one_tile_mb"].values())
    ]


def _beside_table(result: dict) -> ResultTable:
    cases, rows = result["cases"], []
    for row in cases:
        mb = row["beside"]["nn_dataflow_mb"]
        if mb:
            rows.append(
                (
                    f"{_name(row)}, nn-dataflow, MB", f"{mb:.2f}", f"{row['adaptive_mb']:.2f}",
                    f"{100 * (row['adaptive_mb'] / mb - 1):+z.1f}", f"{row['compulsory_mb']:.2f}",
                )
            )  # fmt: skip
    for row in cases:
        reached = row["beside"]["smartshuttle_macs_per_access"]
        if reached:
            rows.append(
                (
                    f"{_name(row)}, SmartShuttle, MAC/access", f"{reached:.1f}",
                    f"{row['macs_per_access']:.1f}",
                    f"{100 * (row['macs_per_access'] / reached - 1):+z.1f}",
                    f"{row['possible_macs_per_access']:.1f}",
                )
            )  # fmt: skip
    low, high = result["tcas_dram_energy_lower_percent"]
    for network in TCAS_NETWORKS:
        ours = _savings(result, network)
        rows.append(
            (
                f"{network}, TCAS-II, % less DRAM energy; ours: traffic", f"{low} to {high}",
                f"{min(ours):z.1f} to {max(ours):.1f}", "", "",
            )
        )  # fmt: skip
    columns = ("case", "theirs", "ours", "ours - theirs %", "every word once")
    return ResultTable("Beside published figures and tools", columns, rows)


def notes(result: dict) -> list[str]:
    low, high = result["tcas_dram_energy_lower_percent"]
    ours = {
        row["network"]: row
        for row in result["cases"]
        if row["beside"]["smartshuttle_macs_per_access"]
    }
    alexnet, vgg16 = ours["alexnet"], ours["vgg16"]
    mobilenet = max(
        row["adaptive_mb"] / row["compulsory_mb"]
        for row in result["cases"]
        if row["network"] == "mobilenet_v1"
    )
    alexnet_words_once = alexnet["possible_macs_per_access"]
    vgg16_limit = vgg16["macs"] / (vgg16["limit_mb"] * 1e6 / (vgg16["word_bits"] / 8))
    return paragraphs(f"""
        Convolutions only, MB are 10^6 bytes, no compression. Maps of up to 28 columns are cut into
        rows only; 'any columns' is adaptive with those cut into columns, too.

        'psum', 'weight', 'ifmap': one reuse scheme for all layers, each layer with its best tiles.
        'one tile': one tile for all layers, the best there is for each scheme, and of the three
        schemes the best.

        'limit': HPCA 2020 (arXiv 1911.05662), blocks cut to the layer, at least every tensor once.
        It is asymptotic: where a whole operand fits on the chip a schedule may lie up to 4 % below
        it.

        SmartShuttle's figures cannot be had without compression: with every word moved just once
        AlexNet has {alexnet_words_once:.0f} MAC/access, and the limit of VGG-16 at 108 KB is
        {vgg16_limit:.0f}. Its abstract names sparsity, and its baseline, Eyeriss, was measured with
        run-length-coded maps.

        TCAS-II has DRAM energy {low} to {high} % lower on UNet, VGG-16 and MobileNet, by its
        abstract, which names neither buffers nor baseline; ours depends on the baseline as the
        tables say. Theirs also keeps maps on the chip between layers, which ours does not: layer by
        layer MobileNet moves at most {100 * (mobilenet - 1):.1f} % more than every tensor once, so
        a schedule can gain no more there than what its baseline wastes.

        nn-dataflow also keeps words in the PEs' registers and takes images of a batch together, so
        it moves less for AlexNet with four images.
    """)


def plot(result: dict) -> Figure:
    """Traffic of every case over its limit, by baseline."""
    figure = Figure(figsize=(12, 5))
    axes = figure.subplots()
    bars = (
        ("adaptive", "#3b6ea8", lambda row: row["adaptive_mb"]),
        *(
            (f"{scheme} reuse in all layers", colour,
             lambda row, scheme=scheme: row["fixed_scheme_mb"][scheme])
            for scheme, colour in zip(SCHEMES, ("#6aa84f", "#e06666", "#f6b26b"))
        ),
        ("one tile for all layers", "#cccccc", lambda row: min(row["one_tile_mb"].values())),
    )  # fmt: skip
    cases, width = result["cases"], 0.8 / len(bars)
    for number, (label, colour, value) in enumerate(bars):
        at = [k + (number - (len(bars) - 1) / 2) * width for k in range(len(cases))]
        heights = [value(row) / row["limit_mb"] for row in cases]
        drawn = axes.bar(at, heights, width=0.95 * width, label=label, color=colour)
        axes.bar_label(drawn, fmt="{:.2f}", fontsize=6, rotation=90, padding=2)
    axes.axhline(1, color="black", linewidth=1, label="limit")
    names = [_name(row).replace(" N", "\nN").replace(" KB", " KB\n") for row in cases]
    axes.set_xticks(range(len(cases)), names, fontsize=7)
    axes.set_ylabel("DRAM traffic / limit")
    axes.margins(y=0.3)
    axes.set_title("DRAM traffic of the convolutions, by schedule")
    axes.legend(fontsize=8, ncols=3, loc="upper center")
    figure.tight_layout()
    return figure


ADAPTIVE_SCHEDULING = Reproduction(
    name="adaptive-scheduling",
    title="DRAM traffic with tiles and reuse chosen per layer (SmartShuttle, TCAS-II)",
    sources=(
        "J. Li et al., SmartShuttle, DATE 2018",
        "Optimizing off-chip memory access for deep neural network accelerator, IEEE TCAS-II",
        "X. Chen et al., Communication lower bound in convolution accelerators, HPCA 2020",
        "nn-dataflow 2.1, https://github.com/stanford-mast/nn_dataflow",
    ),
    compute=compute,
    tables=tables,
    notes=notes,
    plot=plot,
)
