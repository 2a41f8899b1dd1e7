"""`make synth`: area of a board's accelerator, block by block, kept with its history.

Writes docs/results/synth-BOARD-CONFIG.json and its treemap, an entry of synth-history.json where
the figures are others than before, docs/results/synth.md, and the area in docs/results.md. Blocks
whose Verilog has not changed are not synthesised again (build/synth). The exit status is that of
`skimp synth`; with 2 nothing is kept.
"""

import argparse
import json
import shutil
import subprocess

from keeping import RESULTS, keep, kept
from run import SKIMP, write_page
from synth_results import HISTORY, with_entry, write_synth

from skimp.config import ConfigError
from skimp.configs import load_config
from skimp_boards.board import load_board

ROOT = RESULTS.parents[1]


def commit() -> str | None:
    """Return the commit that is checked out, with a + where files differ; None without git."""
    if shutil.which("git") is None:
        return None
    command = ["git", "-C", ROOT, "describe", "--always", "--dirty=+", "--exclude=*"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--board", default="zcu104")
    parser.add_argument("--config", help="preset or file; default: the board's own")
    options = parser.parse_args()
    arguments = ["--board", options.board]
    arguments += ["--config", options.config] if options.config else []
    try:
        board = load_board(options.board)
        name = (load_config(options.config) if options.config else board.config).name
    except ConfigError as error:
        parser.error(str(error))
    at = commit()  # before files of results differ
    path = RESULTS / f"synth-{options.board}-{name}.json"
    outputs = ["--json", path, "--treemap", path.with_suffix(".svg")]
    code = subprocess.run([SKIMP, "synth", *arguments, *outputs], check=False).returncode
    if code in (0, 1):
        result = json.loads(path.read_text())
        entries = kept(HISTORY).get("entries", [])
        keep(HISTORY, entries=with_entry(entries, result, commit=at))
        write_synth(RESULTS)
        write_page()
    return code


if __name__ == "__main__":
    raise SystemExit(main())
