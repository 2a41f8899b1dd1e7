"""What a board is: a part, its configuration, and the top level around the accelerator."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path

from amaranth.lib import wiring

from skimp.config import Config
from skimp.gen import write_verilog
from skimp_sim.boards import load_board

__all__ = ["Board", "load_board"]


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board that the accelerator runs on.

    Parameters
    ----------
    name : str
        As the command line knows it.
    title : str
        As people know it.
    part : str
        The FPGA, as its vendor writes it.
    config : Config
        What is built for it unless another configuration is asked for.
    make_top : callable
        Returns the top level of a configuration; raises ConfigError where the board cannot have it.
    platform : str or None
        Handed to `elaborate` (`skimp.gen.TARGETS`).
    beside : tuple of Traversable
        Files that go with the Verilog: constraints, scripts.
    """

    name: str
    title: str
    part: str
    config: Config
    make_top: Callable[[Config], wiring.Component]
    platform: str | None
    beside: tuple[Traversable, ...] = ()

    def write_verilog(self, folder: str | Path, config: Config | None = None) -> list[Path]:
        """Write BOARD_top.v, its side-car BOARD_top.json and the files beside them.

        Parameters
        ----------
        folder : str or Path
        config : Config or None
            None: the board's own.

        Raises
        ------
        ConfigError
            The board cannot have the configuration, or the folder cannot be written.
        """
        config = config or self.config
        name = f"{self.name}_top"
        return write_verilog(
            config,
            folder,
            target=self.platform or "generic",
            top=self.make_top(config),
            name=name,
            stem=name,
            about={"board": self.name, "part": self.part, "module": name},
            beside={file.name: file.read_text() for file in self.beside},
        )
