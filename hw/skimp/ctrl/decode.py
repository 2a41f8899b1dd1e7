"""Fields of a command as slices of its 512 bits, made from the command table."""

from types import SimpleNamespace

from amaranth import *

from skimp.feed.glb_address import GlbAddress
from skimp.isa import COMMAND_BYTES, COMMANDS, Opcode

__all__ = ["COMMAND_BITS", "view"]

COMMAND_BITS = 8 * COMMAND_BYTES


def view(command, opcode: Opcode) -> SimpleNamespace:
    """Return a namespace with one value per field of `opcode`.

    Parameters
    ----------
    command : Value
        512 bits, word 0 lowest.
    opcode : Opcode
        Whose fields; that the command really has this opcode is the caller's to know.

    Returns
    -------
    SimpleNamespace
        Signed fields are signed; GLB addresses are views of `GlbAddress`.
    """
    command = Value.cast(command)
    fields = {}
    for field in COMMANDS[opcode].all_fields:
        value = command[field.offset : field.offset + field.width]
        if "GLB address" in field.doc:
            fields[field.name] = GlbAddress(value)
        else:
            fields[field.name] = value.as_signed() if field.signed else value
    return SimpleNamespace(**fields)
