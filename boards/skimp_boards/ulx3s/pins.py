"""Pins of the ULX3S, versions 2 and 3, that we use (its schematic and constraint file)."""

from dataclasses import dataclass

__all__ = ["CLOCK_MHZ", "CLOCK_PIN", "PINS", "Pin", "constraints"]

CLOCK_MHZ = 25
CLOCK_PIN = "clk_25mhz"

_CONFIGURATION = (
    "SYSCONFIG CONFIG_IOVOLTAGE=3.3 COMPRESS_CONFIG=ON MCCLK_FREQ=62 "
    "SLAVE_SPI_PORT=DISABLE MASTER_SPI_PORT=ENABLE SLAVE_PARALLEL_PORT=DISABLE;"
)


@dataclass(frozen=True)
class Pin:
    """A ball of the package and what is soldered to it.

    Parameters
    ----------
    site : str
    pull : str
        "NONE", "UP" or "DOWN".
    drive_ma : int or None
        None: an input.
    """

    site: str
    pull: str
    drive_ma: int | None = None


PINS = {
    CLOCK_PIN: Pin("G2", "NONE"),
    "ftdi_txd": Pin("M1", "UP"),  # from the USB bridge to us
    "ftdi_rxd": Pin("L4", "UP", 4),  # from us to the USB bridge
    "btn_fire1": Pin("R1", "DOWN"),
    "wifi_gpio0": Pin("L2", "NONE", 4),  # low starts another firmware in the ESP32
    **{
        f"led[{n}]": Pin(site, "NONE", 4)
        for n, site in enumerate(("B2", "C2", "C1", "D2", "D1", "E2", "E1", "H3"))
    },
}
"""Port of the top level -> pin."""


def constraints() -> str:
    """Return the LPF file of the pins and the clock."""
    lines = [
        "BLOCK RESETPATHS;",
        "BLOCK ASYNCPATHS;",
        _CONFIGURATION,
    ]
    for port, pin in PINS.items():
        drive = "" if pin.drive_ma is None else f" DRIVE={pin.drive_ma}"
        lines += [
            f'LOCATE COMP "{port}" SITE "{pin.site}";',
            f'IOBUF PORT "{port}" PULLMODE={pin.pull} IO_TYPE=LVCMOS33{drive};',
        ]
    lines.append(f'FREQUENCY PORT "{CLOCK_PIN}" {CLOCK_MHZ} MHZ;')
    return "\n".join(lines) + "\n"
