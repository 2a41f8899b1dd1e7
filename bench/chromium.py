"""Headless Chromium: what a page says and looks like once a browser has read it."""

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

__all__ = ["MISSING", "Rendered", "find_chromium", "render"]

MISSING = "no Chromium: install it, e.g. apt-get install chromium"

_NAMES = ("chromium", "chromium-browser", "google-chrome")

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--enable-logging=stderr",
)  # fmt: skip

_FRAME = 200  # at least what a window takes from the height; stays empty in pictures

_CONSOLE = re.compile(r'CONSOLE[^"]*"(.*)", source:')


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """What a browser made of a page.

    Parameters
    ----------
    dom : str
        The document, written out again.
    console : list of str
        What the console has: errors, refused requests.
    """

    dom: str
    console: list[str]


def find_chromium() -> str | None:
    """Return the program; None: there is none."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


def render(
    page: Path, *, picture: Path | None = None, size: tuple[int, int] = (1400, 3000)
) -> Rendered:
    """Open a page in a new profile.

    Parameters
    ----------
    page : Path
    picture : Path or None
        Where a PNG of its top goes.
    size : tuple of int
        Of the picture.

    Raises
    ------
    RuntimeError
        There is no Chromium, or it fails.
    """
    program = find_chromium()
    if program is None:
        raise RuntimeError(MISSING)
    width, height = size
    with tempfile.TemporaryDirectory() as scratch:
        shot = Path(scratch) / "shot.png"
        command = [
            program, *_FLAGS, f"--user-data-dir={scratch}/profile", "--dump-dom",
            f"--screenshot={shot}", f"--window-size={width},{height + _FRAME}",
            page.resolve().as_uri(),
        ]  # fmt: skip
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=100, check=False
        )
        if done.returncode or not shot.is_file():
            raise RuntimeError(f"{program} failed: {done.stderr[-500:]}")
        if picture is not None:
            with Image.open(shot) as whole:
                whole.convert("RGB").crop((0, 0, width, height)).save(picture)
    return Rendered(dom=done.stdout, console=_CONSOLE.findall(done.stderr))
