"""`python bench/gate_toggles.py`: nets of a slice that change, gate by gate, with and without gating.

What the RTL counts are registers. Here multiplier, pre-adder and adder of a slice become gates
(Yosys, without delays, so without glitches), and every net is counted while operands of a real
network's layers run through chains of eight slices in the order of the commands.
"""

import tempfile
from collections import Counter
from functools import cache
from pathlib import Path

import click
import numpy as np

from skimp.config import CHAIN
from skimp.configs import load_config
from skimp.isa import Opcode
from skimp.prim.dsp48e2 import PACK_SHIFT, PackedSlice
from skimp_boards.yosys import read_netlist, run_yosys
from skimp_compiler.compiler import compile_graph
from skimp_sim.golden.network import run_graph
from skimp_sim.inputs import load_input
from skimp_sim.models import load_model
from skimp_sim.real_networks import input_of, real_networks
from skimp_sim.toggles.predict import array_streams
from skimp_sim.toggles.streams import held
from skimp_sim.traffic import transfers

PARTS = {
    "multiplier": "input signed [26:0] a, input signed [17:0] b, output signed [44:0] y",
    "pre_adder": "input [26:0] a, input [26:0] b, output [26:0] y",
    "adder": "input [47:0] a, input [47:0] b, output [47:0] y",
}
GROUPS = ("multiplier", "weights", "adder")
"""Multiplier, B and M; A, D, pre-adder and AD; X, adder and P."""

COLUMNS = (*GROUPS, "all", "B and M")

_GATES = {
    "$_NOT_": lambda a: ~a,
    "$_AND_": lambda a, b: a & b,
    "$_NAND_": lambda a, b: ~(a & b),
    "$_OR_": lambda a, b: a | b,
    "$_NOR_": lambda a, b: ~(a | b),
    "$_XOR_": lambda a, b: a ^ b,
    "$_XNOR_": lambda a, b: ~(a ^ b),
    "$_ANDNOT_": lambda a, b: a & ~b,
    "$_ORNOT_": lambda a, b: a | ~b,
    "$_MUX_": lambda a, b, s: np.where(s, b, a),
}


class Gates:
    """A part of a slice as gates in an order in which they can be computed.

    Parameters
    ----------
    part : str
        Of PARTS.
    booth : bool
        Multipliers recode an operand by Booth's rule.
    """

    def __init__(self, part: str, *, booth: bool):
        ports = PARTS[part]
        operator = "*" if part == "multiplier" else "+"
        with tempfile.TemporaryDirectory() as folder:
            source, netlist, script = (Path(folder) / f"part.{end}" for end in ("v", "json", "ys"))
            source.write_text(f"module part({ports}); assign y = a {operator} b; endmodule\n")
            script.write_text(
                f"read_verilog {source}\nsynth -flatten -top part {'-booth' if booth else ''}\n"
                f"write_json {netlist}\n"
            )
            run_yosys(script, seconds=300)
            module = read_netlist(netlist, "part")
        self.inputs = {name: module["ports"][name]["bits"] for name in "ab"}
        self.outputs = module["ports"]["y"]["bits"]
        known = {"0", "1", "x", *(bit for bits in self.inputs.values() for bit in bits)}
        waiting, self.gates = list(module["cells"].values()), []
        while waiting:
            later = []
            for cell in waiting:
                pins = {pin: bits[0] for pin, bits in cell["connections"].items()}
                out = pins.pop("Y")
                if known.issuperset(pins.values()):
                    known.add(out)
                    wires = [pins[pin] for pin in "ABS" if pin in pins]
                    self.gates.append((_GATES[cell["type"]], wires, out))
                else:
                    later.append(cell)
            if len(later) == len(waiting):
                raise ValueError(f"{part}: a combinational loop")
            waiting = later

    def run(self, **operands: np.ndarray) -> tuple[np.ndarray, int]:
        """Return the outputs, and how many nets behind gates change from row to row."""
        shape = next(iter(operands.values())).shape
        nets = {"0": np.zeros(shape, bool), "1": np.ones(shape, bool), "x": np.zeros(shape, bool)}
        for name, bits in self.inputs.items():
            for k, bit in enumerate(bits):
                nets[bit] = (operands[name] >> k & 1).astype(bool)
        toggles = 0
        for function, wires, out in self.gates:
            nets[out] = value = function(*(nets[wire] for wire in wires))
            toggles += int(np.count_nonzero(value[1:] != value[:-1]))
        result = sum(nets[bit].astype(np.int64) << k for k, bit in enumerate(self.outputs))
        top = len(self.outputs)
        return (result << 64 - top) >> 64 - top, toggles


@cache
def gates_of(part: str, booth: bool) -> Gates:
    return Gates(part, booth=booth)


def changed(values: np.ndarray, bits: int) -> int:
    mask = np.int64((1 << bits) - 1)
    return int(np.bitwise_count((values[1:] ^ values[:-1]) & mask).sum())


def slice_toggles(
    acts: np.ndarray, wgts: np.ndarray, *, gating: bool, booth: bool
) -> tuple[Counter, int]:
    """Return the toggles by GROUPS of chains of eight slices, and those of B and M alone.

    Parameters
    ----------
    acts : np.ndarray
        [clock, slice, stream], slice k's k clocks early.
    wgts : np.ndarray
        Working weights, lower and upper [clock, slice, stream, 2].
    """
    found = Counter()
    acts, wgts = acts.astype(np.int64), wgts.astype(np.int64)
    taken = acts != 0 if gating else np.ones(acts.shape, bool)
    b = held(acts, taken)
    packed, toggles = gates_of("pre_adder", booth).run(a=wgts[..., 1] << PACK_SHIFT, b=wgts[..., 0])
    # Registers A and D are 8 bits each here: the sign has one net that many pins share.
    found["weights"] = toggles + changed(wgts, 8) + changed(packed, 27)
    product, toggles = gates_of("multiplier", booth).run(a=packed, b=b)
    assert (product == packed * b).all()
    m = held(product, taken)
    registers = changed(b, 9) + changed(m, 45)
    found["multiplier"] = toggles + registers
    x = np.where(taken, m, 0)
    found["adder"] = changed(x, 45)
    before = np.full(x[:, 0].shape, PackedSlice.offset, np.int64)
    for k in range(CHAIN):
        p, toggles = gates_of("adder", booth).run(a=x[:, k], b=before)
        found["adder"] += toggles + changed(p, 48)
        assert (p == x[:, k] + before).all()
        before = p
    return found, registers


def layer_toggles(graph, program, values, number, *, booth: bool, streams: int) -> tuple:
    """Return the share of zeros, and the toggles with gating on and off: nets, B and M alone."""
    layer = program.layers[number]
    commands = [
        transfer.command
        for transfer in transfers(graph, program)
        if transfer.layer_id == number and transfer.command.opcode is Opcode.CONV
    ]
    rng = np.random.default_rng(number)
    zeros = total = 0
    found, registers = {True: Counter(), False: Counter()}, Counter()
    for acts, wgts, _ in array_streams(graph, program, layer, commands, values, rng):
        zeros += np.count_nonzero(acts == 0)
        total += acts.size
        clocks = len(acts)
        pixels, pairs = acts.shape[1], wgts.shape[2]
        chains = acts.reshape(clocks, pixels, -1, CHAIN).transpose(0, 3, 1, 2)
        a = np.broadcast_to(chains[..., None], (*chains.shape, pairs)).reshape(clocks, CHAIN, -1)
        w = wgts.reshape(clocks, -1, CHAIN, pairs, 2).transpose(0, 2, 1, 3, 4)[:, :, None]
        w = np.broadcast_to(w, (clocks, CHAIN, pixels, *w.shape[3:])).reshape(*a.shape, 2)
        some = rng.permutation(a.shape[2])[:streams]
        for gating in found:
            toggles, alone = slice_toggles(
                a[..., some], w[..., some, :], gating=gating, booth=booth
            )
            found[gating] += toggles
            registers[gating] += alone
    return zeros / total, found, registers


@click.command()
@click.argument("names", nargs=-1)
@click.option("--config", "config_name", default="small", show_default=True)
@click.option("--booth/--array", default=True, show_default=True, help="Kind of multiplier.")
@click.option("--streams", default=8, show_default=True, help="Chains of each tile.")
def main(names, config_name, booth, streams):
    """Print, for the layers on the array, what gating saves of all nets' toggles."""
    config = load_config(config_name)
    networks = {path.stem: path for path in real_networks()}
    sizes = {part: len(gates_of(part, booth).gates) for part in PARTS}
    click.echo(f"gates: {', '.join(f'{part} {n}' for part, n in sizes.items())}")
    click.echo(f"{'layer':<40}{'zeros':>7}" + "".join(f"{group:>12}" for group in COLUMNS))
    sums = {True: Counter(), False: Counter()}
    for name in names or ("resnet8_cifar10_int8",):
        path = networks[name]
        graph, _ = load_model(str(path))
        values = run_graph(graph, load_input(graph, input_of(path)))
        program = compile_graph(graph, config)
        for layer in program.layers:
            if layer.unit != "array":
                continue
            share, found, registers = layer_toggles(
                graph, program, values, layer.layer_id, booth=booth, streams=streams
            )
            alone = 1 - registers[True] / registers[False]
            click.echo(
                f"{name[:12] + ' ' + layer.name:<40}{share:>7.1%}{_saved(found)}{alone:>12.1%}"
            )
            for gating in sums:
                sums[gating] += found[gating]
    click.echo(f"{'all':<47}" + _saved(sums))
    off = sums[False]
    parts = ", ".join(f"{group} {off[group] / off.total():.0%}" for group in GROUPS)
    click.echo(f"of all toggles without gating: {parts}")


def _saved(found: dict[bool, Counter]) -> str:
    on, off = found[True], found[False]
    columns = [1 - on[group] / off[group] if off[group] else 0 for group in GROUPS]
    return "".join(f"{c:>12.1%}" for c in (*columns, 1 - on.total() / off.total()))


if __name__ == "__main__":
    main()
