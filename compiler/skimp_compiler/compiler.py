"""The compiler's front door: graph in, program out; files and explanations."""

import json
import os
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from skimp.config import Config
from skimp.isa import COMMAND_BYTES, LoadTarget, Opcode, disassemble, parse
from skimp_compiler.coding import code_maps
from skimp_compiler.emitter import ACTIVATION_BASE
from skimp_compiler.graph import Graph, ModelError
from skimp_compiler.lower import Lowering
from skimp_compiler.program import DeviceStep, HostStep, Layer, Program
from skimp_compiler.tflite_reader import check_supported

__all__ = ["compile_graph", "disassemble_program", "write_program"]

_LIMIT = 1 << 30


def compile_graph(
    graph: Graph,
    config: Config,
    *,
    fuse: bool | None = None,
    depthwise: str = "unit",
    compress: str = "off",
    activations: dict | None = None,
    resident: bool = False,
) -> Program:
    """Return the program of a network for a configuration.

    DRAM from address 0: weights, parameters and tables; commands; activations.

    Parameters
    ----------
    graph : Graph
    config : Config
    fuse : bool or None
        Depthwise layers and their neighbours side by side; False: layer by layer; None: whichever
        takes fewer clocks, as the emitter's model of the units estimates.
    depthwise : str
        "unit"; "array": depthwise convolutions as convolutions with zeros between, layer by layer.
    compress : str
        Codes for activations that go through DRAM, one of COMPRESS: "off", "run-length", "bitmap",
        or "auto", for each the one that saves most by `activations`.
    activations : dict or None
        Values of activations by tensor number, of a run on inputs like those to come.
    resident : bool
        Make commands for the images behind the first one, too, for which weights stay on the chip.

    Raises
    ------
    ModelError
        An operator that neither hardware nor host can run, or a network beyond a limit; resident,
        and weights or parameters do not stay.
    """
    check_supported(graph)
    lowering = _lower(graph, config, fuse=fuse is not False, depthwise=depthwise)
    fusion = ""
    if fuse is None and lowering.has_groups:
        plain = _lower(
            graph, config, fuse=False, depthwise=depthwise, alone="which takes fewer clocks"
        )
        beside, alone = lowering.estimated_cycles, plain.estimated_cycles
        if alone < beside:
            lowering = plain
        fusion = (
            f"depthwise layers {'beside their neighbours' if beside <= alone else 'by themselves'}: "
            f"estimated {beside:,.0f} clocks side by side, {alone:,.0f} one after another"
        )

    unit_beats = code_maps(lowering, graph, config, compress=compress, activations=activations)
    constants = lowering.constants
    device = [segment for segment in lowering.segments if not isinstance(segment, Layer)]
    emitters = [emitter for emitter, _ in device]
    if resident:
        _check_resident(graph, config, emitters)
        emitters.append(emitters[0].without_constants())
    sizes = [emitter.size_bytes for emitter in emitters]
    activation_addr = constants.end + sum(constants.round_up(size) for size in sizes)
    dram_bytes = activation_addr + lowering.activations.end
    if dram_bytes > _LIMIT:
        raise ModelError(f"{graph.name}: needs {dram_bytes} bytes of DRAM; the limit is {_LIMIT}")

    steps = []
    for segment in lowering.segments:
        if isinstance(segment, Layer):
            steps.append(HostStep(layer=segment.layer_id, op_index=segment.op_indices[-1]))
            continue
        emitter, layers = segment
        num_commands = len(emitter) + 1
        address = constants.constant(
            emitter.finish(activation_addr=activation_addr), f"commands {len(steps)}"
        )
        steps.append(DeviceStep(address=address, num_commands=num_commands, layers=tuple(layers)))
    resident_steps = []
    if resident:
        emitter = emitters[-1]
        num_commands = len(emitter) + 1
        data = emitter.finish(activation_addr=activation_addr)
        address = constants.constant(data, "commands, weights resident")
        resident_steps = [
            replace(step, address=address, num_commands=num_commands)
            if isinstance(step, DeviceStep)
            else step
            for step in steps
        ]
    assert constants.end == activation_addr

    shift = activation_addr - ACTIVATION_BASE
    places = {
        index: replace(place, address=place.address + (0 if place.on_chip else shift))
        for index, place in lowering.places.items()
    }
    regions = constants.regions + [
        (activation_addr + address, size, what)
        for address, size, what in lowering.activations.regions
    ]
    return Program(
        config=config,
        image=constants.image(),
        dram_bytes=dram_bytes,
        tensors=places,
        steps=steps,
        layers=lowering.layers,
        records_addr=lowering.records + shift,
        fusion=fusion,
        memory_map=sorted(regions),
        unit_beats={address + shift: beats for address, beats in unit_beats.items()},
        resident_steps=resident_steps,
    )


def _check_resident(graph: Graph, config: Config, emitters: list) -> None:
    """Raise ModelError where what one image loads is not there for the next one."""
    why = ""
    if len(emitters) != 1:
        why = f"the host works between {len(emitters)} parts of it"
    elif emitters[0].overwritten is not None:
        what = {LoadTarget.PARAM: "parameters"}.get(emitters[0].overwritten, "weights")
        why = f"its {what} are more than {config.name} holds"
    if why:
        raise ModelError(f"{graph.name}: weights cannot stay on the chip: {why}")


def _lower(graph: Graph, config: Config, **options) -> Lowering:
    in_dram = set(graph.outputs)
    while True:
        lowering = Lowering(graph, config, in_dram=in_dram, **options)
        for index in graph.inputs:
            lowering.host_tensor(index)
        lowering.run()
        if lowering.wanted_in_dram <= in_dram:
            return lowering
        # The host needs something that was put on the chip.
        in_dram |= lowering.wanted_in_dram


def disassemble_program(program: Program) -> str:
    """Return every command of a program as text, address first."""
    lines = []
    names = {layer.layer_id: layer.name for layer in program.layers}
    for step in program.steps:
        if isinstance(step, HostStep):
            lines.append(f"; host: {names[step.layer]}")
            continue
        for n in range(step.num_commands):
            address = step.address + n * COMMAND_BYTES
            data = program.image[address : address + COMMAND_BYTES]
            opcode, fields = parse(data)
            line = f"{address:#010x}  {disassemble(data)}"
            if opcode is Opcode.LAYER:
                line += f"  ; {names.get(fields['layer_id'], 'part')}"
            lines.append(line)
    return "\n".join(lines) + "\n"


def write_program(program: Program, folder: str | Path) -> list[Path]:
    """Write program.bin, program.asm, memory_map.json; all or nothing.

    Raises
    ------
    ModelError
        The folder cannot be written.
    """
    folder = Path(folder)
    files = {
        "program.bin": program.image,
        "program.asm": disassemble_program(program).encode(),
        "memory_map.json": json.dumps(_memory_map(program), indent=1).encode(),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            for name, data in files.items():
                (Path(scratch) / name).write_bytes(data)
            for name in files:
                os.replace(Path(scratch) / name, folder / name)
    except OSError as error:
        raise ModelError(
            f"{folder}: cannot be written ({error.strerror}); choose another"
        ) from error
    return [folder / name for name in files]


def _memory_map(program: Program) -> dict:
    return {
        "schema": 1,
        "config": asdict(program.config),
        "config_hash": program.config.hash,
        "dram_bytes": program.dram_bytes,
        "regions": [
            {"address": address, "bytes": size, "what": what}
            for address, size, what in program.memory_map
        ],
        "tensors": [asdict(place) for place in program.tensors.values()],
        "steps": [{"kind": type(step).__name__, **asdict(step)} for step in program.steps],
        "layers": [asdict(layer) for layer in program.layers],
    }
