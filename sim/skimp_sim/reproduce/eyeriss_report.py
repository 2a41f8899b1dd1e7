"""Tables and plot of a network on Eyeriss: the model beside the chip and nn-dataflow."""

from matplotlib.figure import Figure

from skimp_sim.reproduce.costs import CHIP_65NM, LEVELS
from skimp_sim.reproduce.eyeriss import CLOCK_HZ, IDLE_MW
from skimp_sim.reproduce.nn_dataflow import nn_dataflow
from skimp_sim.reproduce.result import ResultTable

__all__ = ["add_nn_dataflow", "chip_notes", "chip_plot", "chip_tables", "error"]


def error(ours: float, theirs: float) -> str:
    """Percent that ours is more."""
    return f"{100 * (ours / theirs - 1):+z.1f}"


def add_nn_dataflow(rows: list[dict], case: str) -> None:
    """Put nn-dataflow's figures of the convolutions beside ours, in order."""
    for row, layer in zip(rows, nn_dataflow(case).values()):
        ms = 1e3 * layer["cycles"] / CLOCK_HZ
        words = {level: sum(layer["accesses"][level].values()) for level in LEVELS}
        picojoules = CHIP_65NM.mac * layer["macs"] + sum(
            CHIP_65NM.of(level) * words[level] for level in LEVELS if level != "dram"
        )
        row["nn_dataflow"] = {
            "active_pes": layer["macs"] / layer["cycles"],
            "processing_ms": ms,
            "glb_mb": 2e-6 * words["glb"],
            "dram_mb_without_code": 2e-6 * words["dram"],
            "mj": picojoules * 1e-9 + IDLE_MW * ms * 1e-3,
        }


def _total(rows: list[dict], key: str, part: str | None = None) -> float:
    return sum((row[part] if part else row)[key] for row in rows)


def chip_tables(result: dict) -> list[ResultTable]:
    rows, images = result["layers"], result["images"]
    return [
        _mapping_table(rows, images),
        _latency_table(rows, images),
        _dram_table(rows, images),
        _energy_table(rows, images),
    ]


def _mapping_table(rows: list[dict], images: int) -> ResultTable:
    found = [
        (
            row["name"],
            " ".join(f"{key}{value}" for key, value in row["mapping"].items() if key != "f"),
            f"{row['active_pes']}",
            f"{row['measured']['active_pes']}",
            f"{row['glb_mb']:.2f}",
            f"{row['measured']['glb_mb']:.1f}",
            error(row["glb_mb"], row["measured"]["glb_mb"]),
            f"{row['nn_dataflow']['glb_mb']:.1f}",
        )
        for row in rows
    ]
    ours, chip = _total(rows, "glb_mb"), _total(rows, "glb_mb", "measured")
    found.append(
        (
            "all", "", "", "", f"{ours:.2f}", f"{chip:.1f}", error(ours, chip),
            f"{_total(rows, 'glb_mb', 'nn_dataflow'):.1f}",
        )
    )  # fmt: skip
    columns = (
        "layer", "mapping", "PEs", "chip", "buffer MB", "chip", "error %", "nn-dataflow",
    )  # fmt: skip
    return ResultTable(f"Active PEs and buffer accesses, {images} images", columns, found)


def _latency_table(rows: list[dict], images: int) -> ResultTable:
    found = []
    for row in rows:
        chip = row["measured"]
        by_glb = row["processing_ms_by_measured_glb"]
        found.append(
            (
                row["name"],
                f"{row['processing_ms']:.1f}",
                f"{chip['processing_ms']:.1f}",
                error(row["processing_ms"], chip["processing_ms"]),
                f"{by_glb:.1f}",
                error(by_glb, chip["processing_ms"]),
                f"{chip['total_ms']:.1f}",
                f"{row['measured_cycles_per_mac']:.2f}",
                f"{row['nn_dataflow']['processing_ms']:.1f}",
                error(row["nn_dataflow"]["processing_ms"], chip["processing_ms"]),
            )
        )
    columns = (
        "layer", "ms", "chip", "error %", "ms, chip's buffer MB", "error %", "chip with loading",
        "chip, cycles/MAC of a PE", "nn-dataflow ms", "error %",
    )  # fmt: skip
    return ResultTable(f"Processing latency at 200 MHz, {images} images", columns, found)


def _dram_table(rows: list[dict], images: int) -> ResultTable:
    found = [
        (
            row["name"],
            f"{row['dram_mb_without_code']:.2f}",
            f"{row['nn_dataflow']['dram_mb_without_code']:.2f}",
            f"{row['dram_mb']:.2f}",
            f"{row['measured']['dram_mb']:.1f}",
            error(row["dram_mb"], row["measured"]["dram_mb"]),
        )
        for row in rows
    ]
    ours, chip = _total(rows, "dram_mb"), _total(rows, "dram_mb", "measured")
    plain = _total(rows, "dram_mb_without_code")
    theirs = _total(rows, "dram_mb_without_code", "nn_dataflow")
    found.append(
        ("all", f"{plain:.2f}", f"{theirs:.2f}", f"{ours:.2f}", f"{chip:.1f}", error(ours, chip))
    )
    columns = "layer", "MB without code", "nn-dataflow", "MB with code", "chip", "error %"
    return ResultTable(f"DRAM, {images} images", columns, found)


def _energy_table(rows: list[dict], images: int) -> ResultTable:
    keys = "mj", "mj_with_clock_and_gating"
    sums = {key: _total(rows, key) for key in keys}
    sums["measured"] = {"mj": _total(rows, "mj", "measured")}
    sums["nn_dataflow"] = {"mj": _total(rows, "mj", "nn_dataflow")}
    found = []
    for row in (*rows, {"name": "all", **sums}):
        chip = row["measured"]["mj"]
        found.append(
            (
                row["name"],
                *(text for key in keys for text in (f"{row[key] / images:.3f}", error(row[key], chip))),
                f"{chip / images:.3f}",
                f"{row['nn_dataflow']['mj'] / images:.3f}",
                error(row["nn_dataflow"]["mj"], chip),
            )
        )  # fmt: skip
    columns = (
        "layer", "mJ, 30 mW idle", "error %", "mJ, clock and gating", "error %", "chip, mW x ms",
        "nn-dataflow", "error %",
    )  # fmt: skip
    return ResultTable("Energy of the chip for one image, without DRAM", columns, found)


def chip_notes() -> str:
    """What all networks on the chip have in common."""
    return """
        Buffer: the closed form of the mapping (psums read and written in every pass over
        channels, the ifmap read for every p t filters), within 0.2 % of AlexNet's table.

        Latency: the slower of 1.15 cycles per MAC of a PE and 15 bytes of the buffer a cycle. The
        chip's own factor stands beside. 'Chip with loading' is the published total, which waits for
        DRAM too; the model is of the processing.

        DRAM: MB are 10^6 bytes of 16-bit words; the input picture and the weights are never coded;
        zeros are spread at random, as many as the paper has for each ifmap. An ofmap has as many as
        the next layer's ifmap, too few where a pool lies between.

        nn-dataflow 2.1 has a schedule of its own for each layer, without the limit of the buffer's
        ports. AlexNet's goes through the buffer; VGG-16's may go past it, which the chip cannot, so
        it moves less.

        Energy, '30 mW idle': the set with which nn-dataflow computes this chip (2, 1, 4, 15 pJ a MAC,
        a register, an array and a buffer access of 16 bits, four register accesses a MAC). 'Clock
        and gating': a MAC whose ifmap value is zero only reads that value, and 161 mW instead of 30
        mW are drawn all the time, the mean over the 18 layers of AlexNet and VGG-16 of what is
        missing, so this column is a fit with one number, no prediction. That one number is enough
        for all of them says what the set lacks: power that does not depend on the work, as that of
        a clock net. Layers whose PEs wait for the buffer lack most of their energy without it.
    """


def chip_plot(result: dict) -> Figure:
    """Ours over the chip's, by layer."""
    figure = Figure(figsize=(12, 5))
    axes = figure.subplots()
    rows = result["layers"]
    bars = (
        ("buffer accesses", "#3b6ea8", "glb_mb"),
        ("latency", "#6aa84f", "processing_ms"),
        ("DRAM with code", "#f6b26b", "dram_mb"),
        ("energy, 30 mW idle", "#cccccc", "mj"),
        ("energy, clock and gating", "#e06666", "mj_with_clock_and_gating"),
    )
    width = 0.8 / len(bars)
    for number, (label, colour, key) in enumerate(bars):
        at = [k + (number - (len(bars) - 1) / 2) * width for k in range(len(rows))]
        measured = "mj" if key.startswith("mj") else key
        heights = [row[key] / row["measured"][measured] for row in rows]
        axes.bar(at, heights, width=0.95 * width, label=label, color=colour)
    axes.axhline(1, color="black", linewidth=1)
    axes.set_xticks(range(len(rows)), [row["name"] for row in rows], fontsize=8)
    axes.set_ylim(0, 1.5)
    axes.set_ylabel("model / chip")
    axes.set_title(f"{result['network']} on Eyeriss, {result['images']} images")
    axes.legend(fontsize=8, ncols=3, loc="upper center")
    figure.tight_layout()
    return figure
