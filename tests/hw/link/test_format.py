"""docs/link.md says what the format says."""

from pathlib import Path

from skimp.link.format import (
    LINK_ERRORS,
    MAX_BLOCK_BYTES,
    PAYLOAD_BIT,
    SYNC_ANSWER,
    SYNC_REQUEST,
    Opcode,
    Status,
)

PAGE = (Path(__file__).parents[3] / "docs" / "link.md").read_text()


def test_page():
    for opcode in Opcode:
        assert f"| {opcode.name} | `{opcode:#04x}` |" in PAGE
    rows = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| ")]
    found = {}
    for cells in rows:
        names, values = cells[0][2:].split(", "), cells[1].split(", ")
        found |= dict(zip(names, values))
    for status in Status:
        assert found[status.name] == str(status.value)
    assert f"sync `{SYNC_REQUEST:#x}`" in PAGE and f"sync `{SYNC_ANSWER:#x}`" in PAGE
    assert f"1 to {MAX_BLOCK_BYTES}" in PAGE
    assert {Status(value) for value in (16, 17, 18)} == LINK_ERRORS
    assert {o for o in Opcode if o & PAYLOAD_BIT} == {
        Opcode.WRITE_REGISTER, Opcode.WRITE_MEMORY, Opcode.RESET,
    }  # fmt: skip
