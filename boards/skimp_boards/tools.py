"""Programs that take minutes: in a process of their own, with a limit, a log, and kept results."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from skimp.config import ConfigError

__all__ = ["GivenUpError", "once", "python_tool", "run_tool"]

_LOOK_SECONDS = 2


def python_tool(package: str, function: str) -> list[str]:
    """Return the command that calls a function of a package with the arguments behind it.

    Raises
    ------
    ConfigError
        The package is not installed.
    """
    if find_spec(package) is None:
        name = package.replace("_", "-")
        raise ConfigError(f"{name} is missing: pip install 'skimp[synth]'")
    code = f"import sys; from {package} import {function} as f; sys.exit(f(sys.argv[1:]))"
    return [sys.executable, "-c", code]


class GivenUpError(ConfigError):
    """A program was stopped, because what it said showed that it would come to nothing."""


def run_tool(
    command: Sequence[str | Path],
    *,
    log: Path,
    seconds: int,
    is_hopeless: Callable[[str], bool] | None = None,
) -> None:
    """Run a program in the folder of its log, to which goes what it says.

    Programs in WebAssembly see another /tmp than we do: they want relative paths.

    Parameters
    ----------
    command : sequence
    log : Path
    seconds : int
    is_hopeless : callable or None
        Shown the log every few seconds; True ends the program.

    Raises
    ------
    GivenUpError
        `is_hopeless` said so.
    ConfigError
        It failed or took longer than `seconds`; the line names the file and its last error.
    """
    words = [str(word) for word in command]
    deadline = time.monotonic() + seconds
    with open(log, "w") as out:
        try:
            process = subprocess.Popen(words, cwd=log.parent, stdout=out, stderr=subprocess.STDOUT)
        except OSError as error:
            raise ConfigError(f"{words[0]} cannot be run ({error.strerror})") from error
        try:
            while (code := _wait(process)) is None:
                if is_hopeless is not None and is_hopeless(log.read_text(errors="replace")):
                    raise GivenUpError(f"{log.stem} comes to nothing; see {log}")
                if time.monotonic() > deadline:
                    raise ConfigError(f"{log.stem} took more than {seconds} seconds; see {log}")
        finally:
            process.kill()
            process.wait()
    if code != 0:
        lines = log.read_text(errors="replace").strip().splitlines()
        errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
        raise ConfigError(
            f"{log.stem} failed: {' '.join(errors[:1]) or f'status {code}'}; see {log}"
        )


def _wait(process: subprocess.Popen) -> int | None:
    """Return the exit status, or None where the program still runs after a while."""
    try:
        return process.wait(timeout=_LOOK_SECONDS)
    except subprocess.TimeoutExpired:
        return None


def once(outputs: Sequence[Path], key: str, make: Callable[[], None]) -> float:
    """Make files unless they are there already, made from the same; return the seconds it took.

    Parameters
    ----------
    outputs : sequence of Path
        The first one gets a companion, FILE.key, with the key and the seconds.
    key : str
        Changes with everything that goes in.
    make : callable
    """
    note = outputs[0].with_name(outputs[0].name + ".key")
    if note.is_file() and all(path.is_file() for path in outputs):
        was, _, seconds = note.read_text().partition(" ")
        if was == key:
            return float(seconds)
    note.unlink(missing_ok=True)
    start = time.monotonic()
    make()
    seconds = round(time.monotonic() - start, 1)
    note.write_text(f"{key} {seconds}")
    return seconds
