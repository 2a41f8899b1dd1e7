"""`skimp pnr` with programs that only look like the tools: files, kept steps, verdicts, refusals."""

import json
import stat
import sys
from dataclasses import replace

import pytest
from click.testing import CliRunner

from skimp.configs import load_config
from skimp_boards import nextpnr_ecp5, pnr
from skimp_boards.board import load_board
from skimp_boards.ecp5_sites import macro_sites
from skimp_boards.nextpnr_xilinx import CHIPDB
from skimp_boards.tools import once, python_tool, run_tool

REPORT = {
    "fmax": {"$glbnet$clk": {"achieved": 41.234, "constraint": 30.0}},
    "utilization": {
        "TRELLIS_COMB": {"used": 40000, "available": 83640},
        "DP16KD": {"used": 169, "available": 208},
        "DCCA": {"used": 1, "available": 60},
    },
}

NETLIST = {
    "modules": {
        "ulx3s_top": {
            "cells": {
                "ram": {"type": "DP16KD", "attributes": {}, "connections": {"DOA0": [2]}},
                "lut": {"type": "LUT4", "attributes": {}, "connections": {"A": [2]}},
            }
        }
    }
}


def fake(folder, name, body):
    """Write a program that notes its arguments."""
    path = folder / name
    path.write_text(
        f"#!{sys.executable}\nimport json, sys\nfrom pathlib import Path\nargs = sys.argv[1:]\n"
        f"with open({str(folder / 'calls')!r}, 'a') as log:\n"
        f"    print(json.dumps([{name!r}, *args]), file=log)\n"
        "def after(option):\n    return Path(args[args.index(option) + 1])\n" + body
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """A folder of programs; `calls` of it lists what ran."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "calls").touch()
    report = json.dumps(REPORT)
    programs = {
        "run_nextpnr_ecp5": fake(
            folder, "nextpnr",
            f"after('--textcfg').write_text('x')\nafter('--report').write_text({report!r})\n",
        ),
        "run_ecppack": fake(folder, "ecppack", "after('--bit').write_bytes(b'bits')\n"),
    }  # fmt: skip

    def yosys(script, **limits):
        with open(folder / "calls", "a") as log:
            print(json.dumps(["yosys", script.read_text()]), file=log)
        (script.parent / "netlist.json").write_text(json.dumps(NETLIST))

    monkeypatch.setattr(nextpnr_ecp5, "run_yosys", yosys)
    monkeypatch.setattr("skimp_boards.nextpnr_xilinx.run_yosys", yosys)
    monkeypatch.setattr(nextpnr_ecp5, "python_tool", lambda package, name: [programs[name]])
    monkeypatch.setattr(pnr, "kept_verilog", lambda name, *what, **platform: f"module {name};")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv(CHIPDB, raising=False)
    return folder


def calls(tools):
    found = [json.loads(line) for line in (tools / "calls").read_text().splitlines()]
    (tools / "calls").write_text("")
    return found


def run(*arguments):
    result = CliRunner().invoke(pnr.pnr, [str(a) for a in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def test_a_bitstream_and_what_is_kept(tools, tmp_path):
    out, report = tmp_path / "out", tmp_path / "report.json"
    result = run("--board", "ulx3s", "--out", out, "--json", report)
    assert result.exit_code == 0, result.output
    assert "41.23 MHz, wanted 30.0 MHz: met" in result.output
    assert "169" in result.output and "81.2" in result.output
    assert (out / "ulx3s.bit").read_bytes() == b"bits"
    found = json.loads(report.read_text())
    assert found["clocks"] == {"clk": {"fmax_mhz": 41.23, "wanted_mhz": 30.0}}
    assert found["area"]["block RAM (18 kbit)"] == {"used": 169, "available": 208}
    assert "DCCA" not in str(found["area"])
    assert load_config(str(out / "ulx3s.json")) == load_board("ulx3s").config
    yosys, nextpnr, pack = calls(tools)
    assert "synth_ecp5" in yosys[1] and "ulx3s_top" in yosys[1]
    assert nextpnr[1:7] == ["--85k", "--package", "CABGA381", "--speed", "6", "--seed"]
    assert found["seed"] == nextpnr_ecp5._SEEDS[0]
    assert "ulx3s.lpf" in nextpnr and "--compress" in pack
    placed = json.loads((out / nextpnr[nextpnr.index("--json") + 1]).read_text())
    cells = placed["modules"]["ulx3s_top"]["cells"]
    assert cells["ram"]["attributes"]["BEL"] in {s.bel for s in macro_sites("85k")["DP16KD"]}
    assert cells["lut"]["attributes"] == {}
    # Again: nothing has changed, nothing runs.
    assert run("--board", "ulx3s", "--out", out).exit_code == 0
    assert calls(tools) == []
    (out / "ulx3s.bit").unlink()
    assert run("--board", "ulx3s", "--out", out).exit_code == 0
    assert [call[0] for call in calls(tools)] == ["ecppack"]


def test_another_seed_where_the_router_goes_in_circles(tools, tmp_path, monkeypatch):
    """And only so many; what another seed gave is kept, too."""
    report = json.dumps(REPORT)
    circles = "print('Info:     iter=100 wires=9 overused=4', flush=True); time.sleep(60)"
    fake(
        tools,
        "nextpnr",
        f"import time\nif len(Path({str(tools / 'calls')!r}).open().readlines()) < 4:\n    {circles}\n"
        f"after('--textcfg').touch()\nafter('--report').write_text({report!r})",
    )
    monkeypatch.setattr("skimp_boards.tools._LOOK_SECONDS", 0.2)
    out, found = tmp_path / "out", tmp_path / "found.json"
    assert run("--board", "ulx3s", "--out", out, "--json", found).exit_code == 0
    assert json.loads(found.read_text())["seed"] == nextpnr_ecp5._SEEDS[2]
    assert [call[0] for call in calls(tools)] == ["yosys", *["nextpnr"] * 3, "ecppack"]
    assert run("--board", "ulx3s", "--out", out).exit_code == 0
    assert calls(tools) == []
    monkeypatch.setattr(nextpnr_ecp5, "_SEEDS", (1, 2))
    result = run("--board", "ulx3s", "--out", out)
    assert result.exit_code == 2
    assert "nextpnr cannot route it with any of 2 seeds" in result.output


def test_a_clock_that_is_not_met_is_status_1(tools, tmp_path, monkeypatch):
    monkeypatch.setitem(REPORT["fmax"]["$glbnet$clk"], "achieved", 29.9)
    report = json.dumps(REPORT)
    fake(tools, "nextpnr", f"after('--textcfg').touch()\nafter('--report').write_text({report!r})")
    result = run("--board", "ulx3s", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "29.9 MHz, wanted 30.0 MHz: NOT MET" in result.output


def test_user_errors_are_one_line_and_status_2(tools, tmp_path, monkeypatch):
    out = ("--out", tmp_path / "out")
    fake(tools, "nextpnr", "print('ERROR: no such bel'); sys.exit(3)")
    board = replace(load_board("zcu104"), part="XC2064")
    for arguments, message in (
        (("--board", "ulx4"), "board ulx4: unknown"),
        (("--board", "ulx3s", "--config", "none"), "config none: no such preset"),
        (("--board", "ulx3s", "--config", "tiny"), "no divisor gives"),
        (("--board", "ulx3s"), "nextpnr failed: ERROR: no such bel"),
        (("--board", "ulx3s", "--json", tmp_path / "no" / "x.json"), "no"),
        (("--board", "zcu104"), "nextpnr-xilinx is missing"),
    ):
        if "tiny" in arguments:
            monkeypatch.setattr(
                pnr, "kept_verilog", lambda name, what, make, **platform: str(make())
            )
        result = run(*arguments, *out)
        assert result.exit_code == 2, (arguments, result.output)
        assert message in result.output and result.output.count("\n") == 1, result.output
    monkeypatch.setattr(pnr, "load_board", lambda name: board)
    assert "no open flow knows its part" in run("--board", "ulx3s", *out).output


def test_zcu104_where_nextpnr_xilinx_is(tools, tmp_path, monkeypatch):
    fake(tools, "nextpnr-xilinx", "after('--write').write_text('routed')")
    arguments = ("--board", "zcu104", "--out", tmp_path / "out")
    for chipdb, message in ((None, "no chip database"), (tmp_path / "no.bin", "no such chip")):
        result = run(*arguments, *(() if chipdb is None else ("--chipdb", chipdb)))
        assert result.exit_code == 2 and message in result.output
    assert calls(tools) == [], "says so before Yosys's half hour"
    database = tmp_path / "xczu7ev.bin"
    database.write_bytes(b"chip")
    monkeypatch.setenv(CHIPDB, str(database))
    result = run(*arguments, "--json", tmp_path / "report.json")
    assert result.exit_code == 0, result.output
    yosys, nextpnr = calls(tools)
    assert "synth_xilinx -flatten -family xcup -top zcu104_top" in yosys[1]
    assert nextpnr[1:3] == ["--chipdb", str(database)]
    assert (tmp_path / "out" / "routed.json").read_text() == "routed"
    assert "create_clock" in (tmp_path / "out" / "zcu104_top.xdc").read_text()
    assert set(json.loads((tmp_path / "report.json").read_text())["seconds"]) == {
        "yosys", "nextpnr-xilinx",
    }  # fmt: skip


def test_tools(tmp_path):
    with pytest.raises(Exception, match=r"no-such-tool is missing: pip install 'skimp\[synth\]'"):
        python_tool("no_such_tool", "run")
    log = tmp_path / "slow.log"
    with pytest.raises(Exception, match="slow took more than 1 seconds"):
        run_tool([sys.executable, "-c", "import time; time.sleep(9)"], log=log, seconds=1)
    with pytest.raises(Exception, match="cannot be run"):
        run_tool([tmp_path / "nothing"], log=log, seconds=1)
    made = []
    for key in ("a", "a", "b"):
        once([tmp_path / "file"], key, lambda: made.append((tmp_path / "file").touch()))
    assert len(made) == 2
