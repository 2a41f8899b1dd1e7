"""What skimp's own dataflow reads and writes, kept for `skimp reproduce dataflows`.

`python bench/skimp_counts.py` compiles the networks for the zcu104 preset, which takes a minute
each, and counts from the commands.
"""

import json

from skimp.configs import load_config
from skimp_compiler.compiler import compile_graph
from skimp_compiler.program import DeviceStep, Program
from skimp_compiler.tflite_reader import read_tflite
from skimp_compiler.zoo import path_of
from skimp_sim.counting import LayerCounts, commands_of, count_layers
from skimp_sim.report import write_text
from skimp_sim.reproduce.dataflows import NETWORKS, SKIMP_COUNTS

__all__ = ["values"]

CONFIG = "zcu104"
OPERATIONS = ("conv", "depthwise")


def values(program: Program) -> dict:
    """MACs, and accesses of the convolutions by level and tensor: numbers of values, each one
    access whatever its width."""
    config = program.config
    commands = (
        command
        for step in program.steps
        if isinstance(step, DeviceStep)
        for command in commands_of(program, step)
    )
    counts = count_layers(config, commands)
    # Without a classifier that is a convolution of one pixel.
    layers = [
        layer
        for layer in program.layers
        if layer.op in OPERATIONS and layer.shape["P"] * layer.shape["Q"] > 1
    ]
    macs = sum(layer.macs for layer in layers)
    total = {level: dict.fromkeys(("ifmap", "wgt", "psum"), 0) for level in ("dram", "glb")}
    spads = {"wgt": 0, "psum": 0}
    for layer in layers:
        one = counts.get(layer.layer_id, LayerCounts())
        # The chip's store of activations is a part of the buffer.
        beat = config.chip_words * config.word_bytes
        for level, tensor, count in (
            ("dram", "ifmap", one.dram_read_bytes["ifmap"]),
            ("dram", "wgt", one.dram_read_bytes["wgt"]),
            ("dram", "psum", one.dram_write_bytes["ofmap"]),
            ("glb", "ifmap", one.glb_accesses["ifmap"] * config.in_channels),
            ("glb", "psum", one.glb_accesses["ofmap"] * config.in_channels),
            ("glb", "ifmap", one.act_accesses["read"] * beat),
            ("glb", "psum", one.act_accesses["written"] * beat),
        ):
            total[level][tensor] += count
        for tensor in spads:
            spads[tensor] += one.spad_accesses[tensor]
    return {
        "macs": macs,
        "accesses": {
            **total,
            # To a multiplier goes an ifmap value, from it a sum to the adders of its channels.
            "array": {"ifmap": macs, "wgt": 0, "psum": macs},
            "rf": {"ifmap": 0, "wgt": macs + spads["wgt"], "psum": spads["psum"]},
        },
    }


def main() -> None:
    """Compile, count, write."""
    kept = {}
    for network in NETWORKS:
        graph = read_tflite(path_of(network))
        kept[network] = values(compile_graph(graph, load_config(CONFIG)))
        write_text(SKIMP_COUNTS, json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
