"""The C header of the registers: a C compiler takes it, and its numbers are the table's."""

import subprocess
from pathlib import Path

from skimp.regs import MAGIC, REGISTERS, VERSION

HEADER = Path(__file__).parents[2] / "docs" / "skimp_regs.h"


def numbers() -> dict[str, int]:
    """Return what the header must say."""
    found = {"MAGIC_VALUE": MAGIC, "VERSION_VALUE": VERSION}
    for register in REGISTERS:
        found[register.name] = register.offset
        for bits in register.bits:
            if bits.width < 32:
                mask = (1 << bits.width) - 1 << bits.lsb
                found[f"{register.name}_{bits.name.upper()}"] = mask
    return found


def test_a_c_program_reads_the_same_numbers(tmp_path):
    """Included twice, with every warning an error: a driver may include it anywhere."""
    names = numbers()
    program = ["#include <stdio.h>", '#include "skimp_regs.h"', '#include "skimp_regs.h"']
    program += ["int main(void) {"]
    program += [f'    printf("{name} %u\\n", SKIMP_{name});' for name in names]
    program += ["    return 0;", "}", ""]
    source, binary = tmp_path / "main.c", tmp_path / "main"
    source.write_text("\n".join(program))
    subprocess.run(
        ["g++", "-x", "c", "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I", HEADER.parent,
         source, "-o", binary],
        check=True, timeout=60,
    )  # fmt: skip
    told = subprocess.run([binary], capture_output=True, text=True, check=True, timeout=60).stdout
    assert dict(line.split() for line in told.splitlines()) == {
        name: str(value) for name, value in names.items()
    }
