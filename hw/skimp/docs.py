"""Reference pages and the C header, made from the command and register tables.

`python -m skimp.docs DIR` writes isa.md, registers.md and skimp_regs.h; a test holds the committed
ones against the tables.
"""

from pathlib import Path

import click

from skimp import isa, regs

__all__ = ["main", "pages", "write"]


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


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("folder", metavar="[DIR]", default="docs", type=click.Path(path_type=Path))
def main(folder):
    """Write isa.md, registers.md and skimp_regs.h into DIR (default: docs)."""
    try:
        write(folder)
    except OSError as error:
        raise click.ClickException(f"{folder}: cannot be written ({error.strerror})") from error


if __name__ == "__main__":
    main()
