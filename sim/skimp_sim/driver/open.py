"""Where an accelerator is, as a text: what the command line takes."""

from pathlib import Path

from skimp_sim.driver.mapped import MappedTransport
from skimp_sim.driver.serial import SerialTransport
from skimp_sim.driver.transport import Transport, TransportError

__all__ = ["FORMS", "open_transport"]

FORMS = (
    "serial:PORT[@BAUD], uio:UIO,UDMABUF or mem:REGISTERS,MEMORY,BYTES "
    "(e.g. serial:/dev/ttyUSB0, uio:uio0,udmabuf0, mem:0xa0000000,0x70000000,0x8000000)"
)


def open_transport(where: str, *, clock_mhz: float, sys: Path = Path("/sys")) -> Transport:
    """Return the way to an accelerator.

    Parameters
    ----------
    where : str
        As FORMS says.
    clock_mhz : float
        The accelerator's clock.
    sys : Path
        Where sysfs is.

    Raises
    ------
    TransportError
        Not such a text, or nothing there.
    """
    kind, _, rest = where.partition(":")
    parts = rest.split(",")
    if kind == "serial" and rest:
        port, _, baud = rest.partition("@")
        return SerialTransport.open(port, _number(where, baud) if baud else None)
    if kind == "uio" and len(parts) == 2:
        return MappedTransport.from_uio(*parts, clock_mhz=clock_mhz, sys=sys)
    if kind == "mem" and len(parts) == 3:
        numbers = (_number(where, part) for part in parts)
        return MappedTransport.from_memory(*numbers, clock_mhz=clock_mhz)
    raise TransportError(f"device {where}: write {FORMS}")


def _number(where: str, text: str) -> int:
    try:
        return int(text, 0)
    except ValueError as error:
        raise TransportError(f"device {where}: {text} is no number; write {FORMS}") from error
