"""What a run says on the terminal: a line for each layer, the answer, the totals."""

from rich.console import Console
from rich.table import Table

from skimp_sim.report import Report

__all__ = ["BOARD", "print_report"]

BOARD = "board"
"""Engine of runs on hardware: nothing is simulated, and only what leaves it can be compared."""


def _mark(value) -> str:
    return {True: "[green]=[/]", False: "[red]differs[/]", None: ""}[value]


def print_report(console: Console, report: Report) -> None:
    """Print the table of a run's layers, its answer and its totals."""
    peak = report.config.macs_per_cycle
    # What one layer of a network is worth a line for.
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, justify in (
        ("layer", "left"), ("unit", "left"), ("K x P x Q", "left"), ("MACs", "right"),
        ("clocks", "right"), ("util", "right"), ("read", "right"), ("write", "right"),
        ("drain", "right"), ("other", "right"), ("gated", "right"), ("DRAM kB", "right"),
        ("bound", "right"), ("golden", "center"), ("LiteRT", "center"),
    ):  # fmt: skip
        table.add_column(name, justify=justify, no_wrap=True)
    for row in report.rows:
        layer, counters, counts = row.layer, row.counters, row.counts
        shape = layer.shape
        traffic = row.traffic if counts is not None else None
        table.add_row(
            layer.name,
            layer.unit,
            "x".join(str(shape[k]) for k in "KPQ" if k in shape),
            f"{layer.macs:,}" if layer.macs else "",
            f"{row.cycles:,}" if row.cycles else "",
            f"{layer.macs / peak / row.cycles:.2f}" if row.cycles and layer.macs else "",
            *(
                f"{counters[f'stall_{cause}']:,}" if counters else ""
                for cause in ("dram_read", "dram_write", "drain", "other")
            ),
            f"{row.macs_gated / layer.macs:.2f}" if layer.macs and row.macs_gated else "",
            f"{traffic.moved_bytes / 1000:.1f}" if traffic else "",
            f"{traffic.bound_bytes / 1000:.1f}" if traffic else "",
            _mark(row.golden),
            _mark(row.litert),
        )
    console.print(table)
    console.print(
        "read, write, drain, other: clocks in which nothing is computed, by cause; gated: share of "
        "MACs with a zero; DRAM kB: what its own commands move; bound: the least of the layer by "
        "itself; =: every value equal"
    )
    if report.output:
        console.print("\nanswer:")
        for index, score, name in report.output:
            console.print(f"  {score:6.3f}  {name} ({index})")
    if report.cycles:
        fps = report.config.clock_mhz * 1e6 / report.cycles
        console.print(
            f"\n{report.macs:,} MACs in {report.cycles:,} clocks: utilisation "
            f"{report.utilisation:.3f}, {fps:.1f} runs/s at {report.config.clock_mhz} MHz; "
            f"{_wall(report)}"
        )
    moved = report.dram_bytes
    if moved:
        console.print(
            f"DRAM: {moved / 1e6:.3f} MB; weights, parameters, input and output once are "
            f"{report.crossing_bytes / 1e6:.3f} MB (ratio {moved / report.crossing_bytes:.2f})"
        )
    for name, label in (("golden", "golden model"), ("litert", "LiteRT reference kernels")):
        if report.bit_exact[name] is not None:
            where = "in all that left it" if report.engine == BOARD else "at every layer"
            verdict = f"bit-exact {where}" if report.bit_exact[name] else "DIFFERENT"
            console.print(f"against {label}: {verdict}")
    if report.energy is not None:
        # Asks the hardware for its clocks; a board's own processor has no Amaranth.
        from skimp_sim.energy.summary import print_energy

        print_energy(console, report.energy)


def _wall(report: Report) -> str:
    if report.engine == BOARD:
        return f"with all transfers {report.wall_seconds:.1f} s"
    speed = report.cycles / report.wall_seconds
    return f"simulated in {report.wall_seconds:.1f} s ({speed:,.0f} clocks/s)"
