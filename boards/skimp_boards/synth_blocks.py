"""Synthesise the blocks of an accelerator one by one, and keep what was found.

A block's result is kept by the hash of its Verilog: where that is unchanged nothing runs again.
"""

import hashlib
import json
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from skimp.gen import to_verilog
from skimp_boards.blocks import Block
from skimp_boards.devices import ULTRASCALE_PLUS, Family
from skimp_boards.netlist import depths, latch_cells, shared_nets
from skimp_boards.slices import slice_use
from skimp_boards.synthlog import (
    conflicts,
    latches,
    memory_register_bits,
    memory_targets,
    multipliers_left,
)
from skimp_boards.yosys import read_netlist, run_yosys

__all__ = ["CACHE", "synthesise", "synthesise_block", "total"]

CACHE = Path("build/synth")
_SECONDS = 1800
_RECIPE = 2
"""Part of the cache's key: a new number where the script or the counting changes."""


def synthesise_block(
    block: Block,
    *,
    family: Family = ULTRASCALE_PLUS,
    cache: Path | None = CACHE,
    only_kept: bool = False,
) -> dict | None:
    """Return what one instance of a block takes and is made of, and what its synthesis took.

    Parameters
    ----------
    block : Block
    family : Family
    cache : Path or None
        Folder where results are kept, by the hash of the block's Verilog.
    only_kept : bool
        None for a block that is not in the cache, rather than a run of Yosys.

    Returns
    -------
    dict
        The keys of the family's `usage`; "memories", "memory_register_bits", "latches" and
        "conflicts" (`synthlog`); "verilog" (a hash); "seconds"; "peak_mb". Of a family that is
        timed: "levels" and "logic_levels" (`netlist.depths`), and "slices" (`slices.slice_use`).

    Raises
    ------
    ConfigError
        Yosys is not installed, failed, or ran out of time or memory.
    """
    text = to_verilog(block.make(), name=block.name, platform=family.platform)
    kept = None
    if cache is not None:
        recipe = _recipe(block, family, text)
        kept = Path(cache) / f"{hashlib.sha256(repr(recipe).encode()).hexdigest()[:24]}.json"
        if kept.is_file():
            return json.loads(kept.read_text())
    if only_kept:
        return None
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        verilog, after, script = (Path(folder) / name for name in ("top.v", "top.json", "top.ys"))
        verilog.write_text(text)
        boxes = "".join(f"blackbox {name}\n" for name in _boxes(block, text))
        mapping = family.commands(block.name, after, block.urams)
        script.write_text(f"read_verilog {verilog}\n{boxes}{mapping}")
        run = run_yosys(script, seconds=_SECONDS)
        module = read_netlist(after, block.name)
    result = family.usage(module) | {
        "memories": memory_targets(run.log),
        "memory_register_bits": memory_register_bits(run.log),
        "latches": latches(run.log) + latch_cells(module),
        "conflicts": conflicts(run.log) + shared_nets(module),
        "verilog": hashlib.sha256(text.encode()).hexdigest()[:16],
        "seconds": round(time.monotonic() - start, 1),
        "peak_mb": run.peak_mb,
    }
    if family.is_timed:
        strict, chains = depths(module)
        left = {"multipliers_left": multipliers_left(run.log)}
        result |= {"levels": strict, "logic_levels": chains, "slices": slice_use(module) | left}
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(result) + "\n")
    return result


def _recipe(block: Block, family: Family, text: str) -> tuple:
    """Return all that a result depends on."""
    if family is ULTRASCALE_PLUS:
        asked = "" if block.urams else ("no URAM", "")
    else:
        asked = family.name
    return (_RECIPE, version("pyosys"), block.without, asked, text)


def _boxes(block: Block, text: str) -> list[str]:
    """Return the modules of the text that are black boxes."""
    modules = re.findall(r"^module \\?([\w.$]+)", text, re.MULTILINE)
    anywhere = tuple(name[1:] for name in block.without if name.startswith("*."))
    lanes = tuple(name for name in block.without if "." not in name)

    def is_box(module: str) -> bool:
        # A number behind a $ tells a module from a signal of the same name.
        plain = re.sub(r"\$\d+$", "", module)
        return plain in block.without or plain.endswith(anywhere) or module.startswith(lanes)

    return [module for module in modules if is_box(module)]


def synthesise(
    chosen: Sequence[Block],
    *,
    family: Family = ULTRASCALE_PLUS,
    cache: Path | None = CACHE,
    progress: Callable[[str, int], None] | None = None,
    only_kept: bool = False,
) -> dict[str, dict]:
    """Return block name -> "count" and what one of it takes; arguments as `synthesise_block`.

    `progress` hears of every block before it starts: its name, and how many are done.
    """
    found = {}
    for done, block in enumerate(chosen):
        if progress is not None:
            progress(block.name, done)
        one = synthesise_block(block, family=family, cache=cache, only_kept=only_kept)
        if one is not None:
            found[block.name] = {"count": block.count} | one
    return found


def total(found: dict[str, dict], family: Family = ULTRASCALE_PLUS) -> dict[str, float]:
    """Return key -> sum over all blocks of what `synthesise` found."""
    return {key: sum(b["count"] * b[key] for b in found.values()) for key in family.columns}
