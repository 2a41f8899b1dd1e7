"""The page itself: what its template is told."""

import base64
import io
from dataclasses import asdict
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from skimp_sim.energy.model import DATA, LEVELS
from skimp_sim.html_report.blocks import blocks_of
from skimp_sim.html_report.charts import charts_of
from skimp_sim.html_report.figures import cards, engine_name, totals, verdicts, versions
from skimp_sim.report import Report

__all__ = ["html_page"]

_PICTURE_SIZE = 280


def html_page(report: Report, *, command: str = "", picture: Path | None = None) -> str:
    """Return the page.

    Parameters
    ----------
    report : Report
    command : str
        The command line that made it.
    picture : Path or None
        The input, where it was a picture.
    """
    found, blocks = report.to_json(), blocks_of(report.rows)
    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    return environment.get_template("page.html").render(
        blocks=blocks,
        cards=cards(report, found),
        charts=charts_of(report, blocks),
        command=command,
        config=report.config,
        data=DATA,
        engine=engine_name(report),
        fields=asdict(report.config),
        found=found,
        layers={row.layer.layer_id: layer for row, layer in zip(report.rows, found["layers"])},
        levels=LEVELS,
        picture=None if picture is None else _embedded(picture),
        report=report,
        totals=totals(report, found),
        units=_units(report),
        verdicts=verdicts(report),
        versions=versions(),
    )


def _units(report: Report) -> dict[str, tuple[int, int]]:
    """Return layers and MACs by where they run."""
    found = {}
    for row in report.rows:
        layers, macs = found.get(row.layer.unit, (0, 0))
        found[row.layer.unit] = layers + 1, macs + row.layer.macs
    return found


def _embedded(picture: Path) -> str:
    """Return a small copy of a picture as a URL that holds it."""
    small, file = Image.open(picture).convert("RGB"), io.BytesIO()
    small.thumbnail((_PICTURE_SIZE, _PICTURE_SIZE))
    small.save(file, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
