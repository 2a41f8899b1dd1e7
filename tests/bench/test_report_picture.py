"""The picture of a report in README.md: made by the command that stands beside it."""

from pathlib import Path

from PIL import Image
from report_picture import COMMAND, PICTURE, SIZE


def test_picture_beside_its_command():
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    picture = readme.index(f"](docs/results/{PICTURE.name})")
    assert f"    skimp {COMMAND}\n" in readme[picture - 500 : picture]
    assert PICTURE.stat().st_size < 400_000
    with Image.open(PICTURE) as image:
        assert image.size == SIZE
