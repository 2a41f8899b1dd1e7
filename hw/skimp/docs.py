"""Reference pages and the C header, made from the command and register tables.

`python -m skimp.docs DIR` writes isa.md, registers.md and skimp_regs.h; a test holds the committed
ones against the tables.
"""

import sys
from pathlib import Path

from skimp import isa, regs

__all__ = ["pages", "write"]


def pages() -> dict[str, str]:
    """Return file name -> text of every generated page."""
    return {
        "isa.md": isa.markdown(),
        "registers.md": regs.markdown(),
        "skimp_regs.h": regs.c_header(),
    }


def write(folder: Path) -> None:
    """Write every generated page into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
