"""The same vectors through the Amaranth simulator and through the generated Verilog.

A test says what goes in, clock by clock, and what it wants to see; both backends give the same
list, so a test only differs in one argument.
"""

import ctypes
import functools
import re

import numpy as np
from amaranth import *
from amaranth.hdl import Fragment, Value
from amaranth.sim import Simulator

from skimp_sim.bench.verilator import build_shared
from skimp_sim.bench.verilog import verilog_of

__all__ = ["flat_ports", "run_vectors"]

_TOP = "dut"


def flat_ports(component) -> dict[str, tuple[str, Value]]:
    """Return Verilog name -> ("input" or "output", value) of every port of a component."""
    return {
        "__".join(map(str, path)): (
            "input" if member.flow.name == "In" else "output",
            Value.cast(value),
        )
        for path, member, value in component.signature.flatten(component)
    }


def run_vectors(
    component,
    inputs: list[dict[str, int]],
    outputs: list[str],
    *,
    backend: str = "pysim",
    platform=None,
    extra_sources=(),
    verilog: str | None = None,
) -> list[dict[str, int]]:
    """Clock a component through a list of vectors.

    For each vector the inputs are applied, the outputs are sampled once combinational logic has
    settled, and then comes one clock edge. Nothing resets the component: registers start at their
    initial values.

    Parameters
    ----------
    component : wiring.Component
        May be used for many runs; its Verilog is made for the first one only.
    inputs : list of dict
        One per clock: port name -> bits (negative numbers are cut to the port's width). A port
        that is not named keeps its value; all start at 0.
    outputs : list of str
        Ports to sample; input ports can be sampled too.
    backend : str
        "pysim" or "verilator".
    platform : object
        Handed to `elaborate`.
    extra_sources : sequence of Path
        Verilog models of what the component instantiates ("verilator" only).
    verilog : str or None
        Another module `dut` with the component's ports, such as its netlist ("verilator" only).

    Returns
    -------
    list of dict
        One per clock: port name -> unsigned bits.

    Raises
    ------
    ValueError
        Unknown port or backend, an output port among the inputs, or an `Instance` under "pysim"
        (it has no model there and its outputs would stay 0).
    """
    ports = flat_ports(component)
    driven = sorted(set().union(*inputs)) if inputs else []
    for name in [*driven, *outputs]:
        if name not in ports:
            raise ValueError(f"{name}: no such port; the ports are {', '.join(sorted(ports))}")
    for name in driven:
        if ports[name][0] != "input":
            raise ValueError(f"{name}: an output port cannot be driven")
    if backend == "pysim":
        if verilog is not None:
            raise ValueError("pysim runs no Verilog")
        return _run_pysim(component, ports, inputs, outputs, platform)
    if backend == "verilator":
        text = verilog or verilog_of(component, name=_TOP, platform=platform)
        return _run_verilator(component, text, ports, inputs, outputs, extra_sources)
    raise ValueError(f"backend must be 'pysim' or 'verilator', not {backend!r}")


def _mask(value: Value) -> int:
    return (1 << len(value)) - 1


def _refuse_instances(fragment, path: str) -> None:
    if isinstance(fragment, Instance):
        raise ValueError(f"{path}: Instance {fragment.type} has no model in pysim")
    for child, name, _ in fragment.subfragments:
        _refuse_instances(child, f"{path}.{name}")


@functools.lru_cache(maxsize=4)  # making it often takes longer than a run
def _pysim(component, platform):
    """Return a simulator of a component, and the place where it looks for what to do."""
    bench = Module()
    bench.submodules.dut = component
    alive = Signal()  # a purely combinational component has no clock of its own
    bench.d.sync += alive.eq(~alive)
    fragment = Fragment.get(bench, platform)
    _refuse_instances(fragment, "bench")
    job = {}

    async def testbench(ctx):
        ports, outputs, results = job["ports"], job["outputs"], job["results"]
        for vector in job["inputs"]:
            for name, bits in vector.items():
                value = ports[name][1]
                ctx.set(value, bits & _mask(value))
            results.append({n: ctx.get(ports[n][1]) & _mask(ports[n][1]) for n in outputs})
            await ctx.tick()

    sim = Simulator(fragment)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    return sim, job


def _run_pysim(component, ports, inputs, outputs, platform):
    sim, job = _pysim(component, platform)
    results = []
    if job:
        sim.reset()
    job.update(ports=ports, inputs=inputs, outputs=outputs, results=results)
    sim.run()
    return results


def _run_verilator(component, text, ports, inputs, outputs, extra_sources):
    header = re.search(rf"^module {_TOP}\((.*?)\);", text, re.MULTILINE | re.DOTALL).group(1)
    present = set(re.findall(r"[\w$]+", header))
    # A port of no bits, and one that nothing drives or reads, may be missing from the header.
    layout = {
        name: (direction, -(-len(value) // 32))
        for name, (direction, value) in sorted(ports.items())
        if name in present
    }
    library = build_shared(
        text,
        top=_TOP,
        cpp=_shim(layout, clocked="clk" in present, reset="rst" in present),
        name=type(component).__name__.lower(),
        extra_sources=tuple(extra_sources),
        quick="-O0",
    )
    places, current, num_words = {}, [], 0
    for name, (direction, words) in layout.items():
        if direction == "input":
            places[name] = (len(current), words)
            current.append(bytes(4 * words))
            num_words += words
    rows = bytearray()
    for vector in inputs:
        for name, bits in vector.items():
            if name in places:
                index, words = places[name]
                current[index] = (bits & _mask(ports[name][1])).to_bytes(4 * words, "little")
        rows += b"".join(current)
    total = sum(words for _, words in layout.values())
    given = np.frombuffer(bytes(rows), np.uint32)
    sampled = np.zeros((len(inputs), total), np.uint32)
    run = ctypes.CDLL(str(library)).run_vectors
    run.argtypes = [ctypes.c_uint64, ctypes.c_void_p, ctypes.c_void_p]
    run.restype = None
    run(len(inputs), given.ctypes.data, sampled.ctypes.data)

    columns, first = {}, 0
    for name, (_, words) in layout.items():
        if name in outputs:
            part = np.ascontiguousarray(sampled[:, first : first + words])
            if words == 1:
                columns[name] = part[:, 0].tolist()
            else:
                columns[name] = [int.from_bytes(row.tobytes(), "little") for row in part]
        first += words
    zeros = [0] * len(inputs)
    return [
        dict(zip(outputs, row, strict=True))
        for row in zip(*(columns.get(name, zeros) for name in outputs), strict=True)
    ]


def _shim(layout: dict[str, tuple[str, int]], *, clocked: bool, reset: bool) -> str:
    """Return C++ that takes all vectors at once and gives back every port, clock by clock."""
    applied, taken = [], []
    for name, (direction, words) in layout.items():
        port = f"top.{name.replace('__', '___05F')}"  # what Verilator makes of two underscores
        if direction == "input":
            applied.append(f"put({port}, in); in += {words};")
        taken.append(f"get({port}, out); out += {words};")
    edge = "top.clk = 1; top.eval(); top.clk = 0; top.eval();" if clocked else ""
    start = "top.clk = 0;" if clocked else ""
    start += "top.rst = 0;" if reset else ""
    return f"""
#include <cstdint>
#include <cstring>
#include <type_traits>
#include "V{_TOP}.h"
#include "verilated.h"

template <class Port> void put(Port& port, const uint32_t* words) {{
    if constexpr (!std::is_integral_v<Port>) std::memcpy(&port, words, sizeof port);
    else if constexpr (sizeof port == 8) port = uint64_t(words[1]) << 32 | words[0];
    else port = static_cast<Port>(words[0]);
}}

template <class Port> void get(const Port& port, uint32_t* words) {{
    if constexpr (!std::is_integral_v<Port>) {{
        std::memcpy(words, &port, sizeof port);
    }} else {{
        words[0] = static_cast<uint32_t>(port);
        if constexpr (sizeof port == 8) words[1] = static_cast<uint32_t>(port >> 32);
    }}
}}

extern "C" void run_vectors(uint64_t clocks, const uint32_t* in, uint32_t* out) {{
    VerilatedContext context;
    V{_TOP} top{{&context}};
    {start}
    for (uint64_t n = 0; n < clocks; ++n) {{
        {" ".join(applied)}
        top.eval();
        {" ".join(taken)}
        {edge}
    }}
    top.final();
}}
"""
