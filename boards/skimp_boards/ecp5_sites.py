"""Where an ECP5 has its block RAMs and multipliers (Project Trellis' database of tiles)."""

from dataclasses import dataclass

__all__ = ["Site", "macro_sites"]

_GROUP_COLUMNS = {"85k": (*range(4, 59, 9), *range(69, 115, 9))}
"""Part -> first column of each group; the clock's spine is a gap in the middle."""

_ROWS = {"85k": {"DP16KD": (22, 46, 70, 82), "MULT18X18D": (10, 34, 58)}}

_IN_GROUP = {
    "DP16KD": ((0, "EBR0"), (2, "EBR1"), (4, "EBR2"), (6, "EBR3")),
    "MULT18X18D": ((0, "MULT18_0"), (1, "MULT18_1"), (4, "MULT18_4"), (5, "MULT18_5")),
}
"""Type -> columns from the group's first one on, and the names there."""


@dataclass(frozen=True)
class Site:
    """A place for a large cell: column, row, nextpnr's name."""

    x: int
    y: int
    bel: str


def macro_sites(size: str) -> dict[str, list[Site]]:
    """Return type of cell -> its sites; nothing for a part that is not in the tables."""
    return {
        kind: [
            Site(column + offset, row, f"X{column + offset}/Y{row}/{name}")
            for row in rows
            for column in _GROUP_COLUMNS[size]
            for offset, name in _IN_GROUP[kind]
        ]
        for kind, rows in _ROWS.get(size, {}).items()
    }
