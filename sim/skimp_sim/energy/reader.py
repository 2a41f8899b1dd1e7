"""Reads tables of energies: YAML in which every number has a unit and a source beside it."""

import math
from collections.abc import Iterable
from pathlib import Path

import yaml

from skimp_compiler.graph import ModelError

__all__ = ["Table", "known", "read_table"]

_FOLDER = Path(__file__).parent / "tables"


def known() -> list[str]:
    """Names of the technologies that come with skimp."""
    return sorted(path.stem for path in _FOLDER.glob("*nm.yaml"))


def read_table(name: str) -> "Table":
    """Return a table by its name, or a user's by its path.

    Raises
    ------
    ModelError
        No such table, or no YAML.
    """
    path = _FOLDER / f"{name}.yaml"
    if not path.is_file():
        path = Path(name)
    if not path.is_file():
        names = ", ".join(known())
        raise ModelError(f"technology {name}: not one of {names}, and no such file")
    try:
        values = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ModelError(f"{name}: cannot be read as YAML: {error}") from error
    return Table(name, values)


class Table:
    """A mapping of a YAML file and what its numbers' sources are.

    Parameters
    ----------
    name : str
        What messages call it.
    values : object
        As it was read.
    """

    def __init__(self, name: str, values):
        self.name = name
        self.values = self._mapping("the file", values)
        sources = self._mapping("sources", self.values.get("sources", {}))
        self.sources = {str(key): str(text) for key, text in sources.items()}

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def _fail(self, where: str, why: str):
        raise ModelError(f"{self.name}: {where}: {why}")

    def _mapping(self, where: str, value) -> dict:
        if not isinstance(value, dict):
            self._fail(where, f"should have keys and values, not {value!r}")
        return value

    def section(self, key: str) -> dict:
        """Return a mapping; {} where there is none."""
        return self._mapping(key, self.values.get(key, {}))

    def keys(self, where: str, found: Iterable, allowed: Iterable[str]) -> None:
        """Refuse keys that mean nothing: they are misspelt."""
        allowed = tuple(allowed)
        for key in found:
            if key not in allowed:
                self._fail(where, f"{key!r} is not one of {', '.join(allowed)}")

    def number(self, where: str, value, unit: str, *, extra: tuple[str, ...] = ()) -> float:
        """Return the number of {value, unit, source}.

        Parameters
        ----------
        where : str
            For messages.
        value : object
        unit : str
            The one that it must have.
        extra : tuple of str
            Other keys that may be beside it.
        """
        entry = self._mapping(where, value)
        self.keys(where, entry, ("value", "unit", "source", *extra))
        if entry.get("unit") != unit:
            given = repr(entry["unit"]) if "unit" in entry else "missing"
            self._fail(where, f"unit is {given}; {unit} is needed")
        number = entry.get("value")
        if isinstance(number, bool) or not isinstance(number, int | float):
            self._fail(where, f"value is {number!r}; a number is needed")
        if not math.isfinite(number) or number < 0:
            self._fail(where, f"value is {number}; it must not be negative")
        source = entry.get("source")
        names = source if isinstance(source, list) else [source]
        for name in names or [None]:
            if name not in self.sources:
                self._fail(where, f"source {name!r} is not one of the file's sources")
        return float(number)

    def numbers(self, where: str, value, unit: str) -> float:
        """Return the sum of a list of numbers."""
        return sum(
            self.number(f"{where} {k}", item, unit)
            for k, item in enumerate(self._list(where, value))
        )

    def points(self, where: str, value, unit: str, key: str) -> tuple[tuple[int, float], ...]:
        """Return (key, number) of a list, ascending; `key` is a positive integer of each."""
        found = []
        for k, item in enumerate(self._list(where, value)):
            at = self._mapping(f"{where} {k}", item).get(key)
            if isinstance(at, bool) or not isinstance(at, int) or at <= 0:
                self._fail(f"{where} {k}", f"{key} is {at!r}; a positive integer is needed")
            number = self.number(f"{where} {at} {key}", item, unit, extra=(key,))
            if not number:
                self._fail(f"{where} {at} {key}", "value is 0; points are joined by logarithms")
            found.append((at, number))
        if len({at for at, _ in found}) < len(found):
            self._fail(where, f"the same {key} twice")
        return tuple(sorted(found))

    def _list(self, where: str, value) -> list:
        if not isinstance(value, list) or not value:
            self._fail(where, f"should be a list of numbers, not {value!r}")
        return value
