"""The ZCU104's top level with its DRAM, simulated."""

from importlib.resources import files

import skimp
import skimp_boards
from skimp.config import Config
from skimp_boards.zcu104.top import Zcu104Top, num_ports
from skimp_sim.bench.harness import Harness, harness_headers
from skimp_sim.bench.kept import kept_verilog
from skimp_sim.bench.verilator import build_shared

__all__ = ["Zcu104Sim"]

_NAME = "zcu104_top"


class Zcu104Sim(Harness):
    """Verilated top level: registers through s_axi, DRAM behind the HP ports.

    Each port is an AXI4 slave of its own on one DRAM, with a latency to the first beat of a burst
    and then a beat a clock; what one port does, the others do not wait for.

    Parameters
    ----------
    config : Config
    dram_bytes : int
    latency_cycles : int
        Clocks from a burst's address to its first beat.
    quick : str or None
        For short runs: built sooner, with this level of g++ (`build_shared`).
    """

    def __init__(
        self, config: Config, *, dram_bytes: int, latency_cycles: int = 30, quick: str | None = None
    ):
        library = build_shared(
            kept_verilog(
                _NAME, config.to_json(), lambda: Zcu104Top(config), packages=(skimp, skimp_boards)
            ),
            top=_NAME,
            cpp=files("skimp_boards.zcu104").joinpath("harness.cpp").read_text(),
            headers=harness_headers(),
            name=f"zcu104-{config.name}",
            defines=(f"NUM_PORTS={num_ports(config)}",),
            quick=quick,
        )
        super().__init__(library, dram_bytes=dram_bytes, functions={"reset": []})
        self._lib.skimp_latency(self._handle, latency_cycles)

    def reset(self) -> None:
        """Reset by aresetn, for one clock: power-on. Ports forget; the DRAM stays as it is."""
        self._lib.skimp_reset(self._handle)
