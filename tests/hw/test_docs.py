"""The generated reference pages are those of the tables, and the tables are sound."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from skimp import docs, isa, regs

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", sorted(docs.pages()))
def test_committed_page_is_current(name):
    assert (DOCS / name).read_text() == docs.pages()[name], "run `python -m skimp.docs docs`"


def test_command_line(tmp_path):
    """Help writes nothing; a folder gets every page; what cannot be a folder is refused."""
    told = CliRunner().invoke(docs.main, ["--help"])
    assert told.exit_code == 0 and "[DIR]" in told.output
    folder = tmp_path / "new" / "pages"
    assert CliRunner().invoke(docs.main, [str(folder)]).exit_code == 0
    assert {path.name: path.read_text() for path in folder.iterdir()} == docs.pages()
    (tmp_path / "file").write_text("")
    refused = CliRunner().invoke(docs.main, [str(tmp_path / "file")])
    assert refused.exit_code == 1 and "cannot be written" in refused.output


@pytest.mark.parametrize("opcode", list(isa.Opcode))
def test_fields_do_not_overlap(opcode):
    taken = {}
    for field in isa.COMMANDS[opcode].all_fields:
        assert field.lsb + field.width <= 32, field
        for bit in range(field.offset, field.offset + field.width):
            assert bit not in taken, (field.name, taken[bit])
            taken[bit] = field.name


@pytest.mark.parametrize("opcode", list(isa.Opcode))
def test_assemble_parse_round_trip(opcode):
    fields = isa.COMMANDS[opcode].all_fields[1:]
    for extreme in ("low", "high"):
        values = {}
        for f in fields:
            low = -(1 << f.width - 1) if f.signed else 0
            values[f.name] = low if extreme == "low" else (1 << f.width - f.signed) - 1
        data = isa.assemble(opcode, **values)
        assert len(data) == isa.COMMAND_BYTES
        assert isa.parse(data) == (opcode, values)
        assert isa.disassemble(data).startswith(opcode.name.lower())


def test_assemble_refuses_what_does_not_fit():
    with pytest.raises(isa.CommandError, match="num_pixels must be 0 to 65535, not 65536"):
        isa.assemble(isa.Opcode.DRAIN, num_pixels=65536)
    with pytest.raises(isa.CommandError, match="no field"):
        isa.assemble(isa.Opcode.DRAIN, tile_q=1)
    with pytest.raises(isa.CommandError, match="unknown opcode"):
        isa.parse(bytes(64))


def test_glb_address_wraps_negative_offsets_in_the_row():
    for pixels in (1, 3, 4, 6):
        for offset in range(-50, 50):
            address = isa.glb_address(offset, pixels)
            row, bank = address & 0xFFFF, address >> 16
            assert 0 <= bank < pixels
            assert (row - (row >> 15 << 16)) * pixels + bank == offset


def test_registers_are_aligned_and_distinct():
    offsets = [r.offset for r in regs.REGISTERS]
    assert len(set(offsets)) == len(offsets)
    assert all(offset % 4 == 0 and offset < 1 << 12 for offset in offsets)


def test_every_semaphore_leads_from_one_unit_to_one_other():
    assert sorted(isa.CHANNELS.values()) == sorted(isa.Semaphore)
    assert all(source != target for source, target in isa.CHANNELS)
    assert isa.Unit.SEQUENCER not in {unit for pair in isa.CHANNELS for unit in pair}


def test_fields_hold_every_shift_and_every_counter():
    drain = {field.name: field for field in isa.COMMANDS[isa.Opcode.DRAIN].fields}
    reach = 1 << drain["shift2"].width - 1
    assert -reach <= isa.MIN_SHIFT <= isa.MAX_SHIFT <= reach - 1
    assert max(isa.Rounding) < 1 << drain["rounding"].width
    assert 4 + 4 * len(regs.COUNTERS) <= isa.RECORD_BYTES
