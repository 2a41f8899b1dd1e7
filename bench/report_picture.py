"""`make report-picture`: a real report as a browser shows it, kept as docs/results/report.png."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from chromium import MISSING, find_chromium, render
from keeping import RESULTS
from PIL import Image

PICTURE = RESULTS / "report.png"
SKIMP = Path(sys.executable).with_name("skimp")
COMMAND = "perf efficientnet_lite0 --config zcu104 --energy --report report.html"

SIZE = 1400, 2147
"""Down to the end of a chart."""


def main() -> None:
    if find_chromium() is None:
        raise SystemExit(f"report-picture: {MISSING}")
    with tempfile.TemporaryDirectory() as scratch:
        shot = Path(scratch) / "report.png"
        subprocess.run([SKIMP, *COMMAND.split()], cwd=scratch, check=True)
        render(Path(scratch) / "report.html", picture=shot, size=SIZE)
        partial = PICTURE.with_suffix(".partial")
        with Image.open(shot) as picture:
            picture.save(partial, "PNG", optimize=True)
    os.replace(partial, PICTURE)
    print(f"{PICTURE}  {PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
