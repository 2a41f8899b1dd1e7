"""Fit the area model to synthesised blocks: `python -m skimp_boards.fit_area`.

Writes area_fit.json: the coefficients, and the synthesised blocks that they come from.
"""

import json
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from skimp.config import Config, ConfigError
from skimp.configs import PRESETS
from skimp_boards.area import COEFFICIENTS, KEYS, fixed_area, terms
from skimp_boards.blocks import blocks
from skimp_boards.synth_blocks import CACHE, synthesise

__all__ = ["SAMPLES", "fit", "fit_terms", "kept_coefficients"]

_LANES = tuple("pe_array ifmap_glb ifmap_feed array_control array_unit dw_lanes dw_glb".split())
_LOADS = ("load_unit", "store_unit", "residual", "ofmap", "drain_unit", "psum_spad")
SAMPLES: dict[str, tuple[Config, tuple[str, ...]]] = {
    name: (config, only)
    for name, config, only in (
        ("tiny", PRESETS["tiny"], ()),
        ("small", PRESETS["small"], ()),
        ("zcu104", PRESETS["zcu104"], ()),
        (
            "narrow",
            replace(
                PRESETS["small"],
                name="narrow",
                pixels=2,
                drain_pixels=1,
                act_words=2,
                bus_words=1,
                tile_table_depth=0,
            ),
            _LANES + _LOADS,
        ),
        (
            "broad",
            replace(
                PRESETS["small"],
                name="broad",
                pixels=8,
                out_channels=32,
                drain_pixels=1,
                drain_slices=0,
            ),
            _LANES + _LOADS,
        ),
    )
}
"""Configurations that the coefficients come from, and which of their blocks (empty: all)."""


_PER_WAY = 0.35
"""LUTs that a bit of a multiplexer takes for each way beyond the first."""

_PRIORS = {
    "lut": {
        "add_tables": (64, 2),
        "array_control": (107, 567),
        "drain_unit": (1, 1, 38, 40, 330),
        "dw_control": (107, 12, 567),
        "dw_feed": (14, 2, 41),
        "dw_glb": (1, 1, 0, 12, 0),
        "dw_lanes": (0.5, 2.5, 1),
        "dw_wgt_spad": (1, 0, 0),
        "ifmap_feed": (14, 41),
        "ifmap_glb": (1, 1, 0, 12, 0),
        "load_unit": (_PER_WAY, _PER_WAY, 3, 0),
        "ofmap": (1, 1, 0, 0),
        "param_sets": (71, 0),
        "pe_array": (8.6, 18.5, 0),
        "psum_spad": (32, 3),
        "residual": (1, 1, 0, 0),
        "sequencer": (6 * 8 * 37, 0, 0),  # LUT RAM of six queues
        "store_unit": (1, _PER_WAY, 0),
        "wgt_spad": (8, 0),
    },
    "ff": {
        "add_tables": (32, 3),
        "array_control": (121, 1216),
        "dw_control": (121, 12, 1216),
        "dw_feed": (10.7, 1, 66),
        "dw_glb": (0, 0, 1, 0, 0),
        "dw_psums": (1, 0),
        "dw_wgt_spad": (0, 1, 0),
        "ifmap_feed": (10.7, 66),
        "ifmap_glb": (0, 0, 1, 0, 0),
        "linear_unit": (1, 0),
        "load_unit": (0, 0, 2, 0),
        "param_sets": (2 * 71, 0),
        "pe_array": (7.6, 19.7, 0),
        "psum_spad": (64, 21),
        "store_unit": (1, 0, 0),
    },
}
"""Coefficients to start from; they stay where the samples do not tell two terms apart."""


def fit_terms(rows: np.ndarray, values: np.ndarray, prior=None) -> list[float]:
    """Return coefficients, none negative, with the least relative error.

    Coordinate descent from the prior, the last term (the constant) first: the terms are few, and
    a solver would be a dependency. A term that is 0 in all rows keeps its prior.
    """
    scale = 1 / np.maximum(values, 20.0)
    a, b = rows * scale[:, None], values * scale
    reach = np.where(np.abs(a).max(axis=0) > 0, np.abs(a).max(axis=0), 1.0)
    a = a / reach
    start = np.zeros(a.shape[1]) if prior is None else np.array(prior, dtype=float)
    x = start * reach
    norm = (a * a).sum(axis=0)
    for _ in range(20_000):
        before = x.copy()
        for k in np.flatnonzero(norm)[::-1]:
            x[k] = max(0.0, x[k] + a[:, k] @ (b - a @ x) / norm[k])
        if np.abs(x - before).max() < 1e-9:
            break
    x = np.where(norm == 0, start, x / reach)
    return [float(f"{value:.5g}") for value in x]


def fit(samples: dict[str, dict], configs: dict[str, Config]) -> dict:
    """Return block -> {"lut", "ff"} -> coefficients.

    Parameters
    ----------
    samples : dict
        Configuration's name -> block -> what one instance of it takes.
    configs : dict
        Configuration's name -> Config.
    """
    found = {}
    for block in sorted({block for sample in samples.values() for block in sample}):
        having = [name for name, sample in samples.items() if block in sample]
        rows = np.array([terms(configs[name])[block] for name in having], dtype=float)
        found[block] = {}
        for key in ("lut", "ff"):
            counted = [fixed_area(configs[name], block)[key] for name in having]
            values = np.array([samples[name][block][key] for name in having], dtype=float)
            prior = _PRIORS[key].get(block)
            found[block][key] = fit_terms(rows, np.maximum(values - counted, 0), prior)
    return found


def kept_coefficients(path: Path) -> dict:
    """Return the coefficients of a file that still belong to the terms of a block."""
    if not path.is_file():
        return {}
    numbers = {block: len(grows) for block, grows in terms(PRESETS["tiny"]).items()}
    return {
        block: weights
        for block, weights in json.loads(path.read_text())["blocks"].items()
        if {len(values) for values in weights.values()} == {numbers.get(block)}
    }


@click.command()
@click.option("--cache", default=str(CACHE), show_default=True, help="Folder of kept results.")
@click.option("--output", default=str(COEFFICIENTS), show_default=True, help="File to write.")
@click.option("--sample", "chosen", multiple=True, help="Only this configuration; repeatable.")
@click.option("--kept", is_flag=True, help="Only blocks that the cache has; no new synthesis.")
def main(cache, output, chosen, kept):
    """Synthesise the sample configurations and fit the coefficients of the area model.

    A block that no sample has keeps the coefficients that the file had.
    """
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description:>24}"), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(), console=console,
    )  # fmt: skip
    samples, configs = {}, {}
    try:
        with bar:
            for name, (config, only) in SAMPLES.items():
                if chosen and name not in chosen:
                    continue
                task = bar.add_task(name, total=None)

                asked = [block for block in blocks(config) if not only or block.name in only]
                bar.update(task, total=len(asked))

                def progress(block, done, name=name, task=task):
                    bar.update(task, description=f"{name} {block}", completed=done)

                found = synthesise(asked, cache=Path(cache), progress=progress, only_kept=kept)
                bar.update(task, description=name, completed=len(found), total=len(found))
                configs[name] = config
                samples[name] = {
                    block: {key: one[key] for key in KEYS} for block, one in found.items()
                }
    except ConfigError as error:
        click.echo(f"error: {error}", err=True)
        raise SystemExit(2) from error
    written = {
        "versions": {"pyosys": version("pyosys")},
        "blocks": kept_coefficients(Path(output)) | fit(samples, configs),
        "samples": {
            name: {"config": json.loads(configs[name].to_json()), "blocks": sample}
            for name, sample in samples.items()
        },
    }
    Path(output).write_text(json.dumps(written, indent=1, sort_keys=True) + "\n")
    click.echo(f"written: {output}")


if __name__ == "__main__":
    main()
