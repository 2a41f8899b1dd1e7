"""`make pnr`: a board through place and route by open tools, kept in docs/results.

Writes docs/results/pnr-BOARD.json, and what it says into docs/results.md, where a bitstream was made.
What has not changed is not made again (build/pnr). The exit status is that of `skimp pnr`; with 2
nothing is kept.
"""

import argparse
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from keeping import RESULTS
from run import SKIMP, write_page

EXIT_BAD = 2


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--board", default="ulx3s")
    board = parser.parse_args().board
    with tempfile.TemporaryDirectory() as scratch:
        found = Path(scratch) / "pnr.json"
        command = [SKIMP, "pnr", "--board", board, "--json", found]
        code = subprocess.run(command, check=False).returncode
        if code == EXIT_BAD or "clocks" not in json.loads(found.read_text()):
            return code
        shutil.copyfile(found, RESULTS / f"pnr-{board}.json")
    write_page()
    return code


if __name__ == "__main__":
    raise SystemExit(main())
