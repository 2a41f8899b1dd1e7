"""Layers of the elementwise unit: sums of two tensors and operators of one tensor, by tables."""

from dataclasses import dataclass

from skimp.config import Config
from skimp.isa import LoadTarget, Opcode
from skimp_compiler.drain_store import DrainStore, Requant
from skimp_compiler.emitter import Emitter
from skimp_compiler.geometry import TileGeometry, Window
from skimp_compiler.plane import Planes

__all__ = ["TABLE_ENTRIES", "ElementwiseSpec", "emit_elementwise"]

TABLE_ENTRIES = 256


@dataclass(frozen=True, kw_only=True)
class ElementwiseSpec:
    """psum = T1[a] + T2[b] for every element.

    Parameters
    ----------
    num_channels : int
    inputs : tuple of Planes
        Two operands, or one for an operator of one tensor.
    output : Planes
    tables_addr : int
        DRAM address of T1 and T2, 256 int32 each, by the byte value.
    requant : Requant
    """

    num_channels: int
    inputs: tuple[Planes, ...]
    output: Planes
    tables_addr: int
    requant: Requant


def emit_elementwise(emitter: Emitter, config: Config, spec: ElementwiseSpec) -> None:
    """Append the commands of an elementwise layer (without the fence behind it).

    Every pixel is alike, so maps are one long row; an operand's tile is a run of it.
    """
    output = spec.output.flat()
    inputs = [planes.flat() for planes in spec.inputs]
    out = DrainStore(emitter, config, requant=spec.requant, output=output)
    ifmap = emitter.buffer("ifmap", num_slots=2)
    tables = emitter.buffer("wgt", num_slots=1)
    capacity = config.pixels * config.ifmap_depth
    num_blocks = -(-spec.num_channels // config.in_channels)

    tables.begin_fill()
    beats = 2 * TABLE_ENTRIES * 4 // config.word_bytes
    tables.fill(
        emitter.add(
            Opcode.LOAD_LINEAR,
            dram_addr=spec.tables_addr,
            num_beats=beats,
            target=LoadTarget.LUT,
        )
    )
    tables.end_fill()

    # A slot holds a run of pixels of some blocks, for each operand.
    slot_words = capacity // 2 // len(inputs)
    psum_cols = min(config.tile_pixels, output.width, slot_words)
    blocks = max(1, min(num_blocks, slot_words // psum_cols))
    cols = min(output.width, max(1, slot_words // blocks // psum_cols) * psum_cols, 0xFFFF)
    for b0 in range(0, num_blocks, blocks):
        num_b = min(blocks, num_blocks - b0)
        for x0 in range(0, output.width, cols):
            num_cols = min(cols, output.width - x0)
            geometry = TileGeometry(
                pixels=config.pixels,
                window=Window(),
                out_rows=1,
                out_cols=num_cols,
                tile_q=num_cols,
            )
            slot = ifmap.begin_fill() * (capacity // 2)
            for n, planes in enumerate(inputs):
                ifmap.fill(
                    emitter.add(
                        Opcode.LOAD_IFMAP,
                        **planes.load(
                            geometry,
                            block0=b0,
                            num_blocks=num_b,
                            y0=0,
                            x0=x0,
                            base=slot + n * slot_words,
                            fill=0,
                        ),
                    )
                )
            ifmap.end_fill()
            for b in range(num_b):
                for dx in range(0, num_cols, psum_cols):
                    size = min(psum_cols, num_cols - dx)
                    fields = geometry.tap_fields(base=slot + b * geometry.block_words, q0=dx)
                    second = geometry.glb(slot_words if len(inputs) == 2 else 0)
                    fields |= {"tile_q": size, "num_s": 2, "inc_s": second, "inc_s_wrap": second}
                    half = out.begin_tile()
                    command = emitter.add(
                        Opcode.ELEMENTWISE,
                        **fields,
                        num_pixels=size,
                        num_groups=-(-size // config.pixels),
                        num_c=1,
                        psum_half=half,
                    )
                    out.psum.fill(command)
                    ifmap.use(command)
                    tables.use(command)
                    out.end_tile(
                        param_block=0,
                        num_pixels=size,
                        y0=0,
                        x0=x0 + dx,
                        rows=1,
                        cols=size,
                        block0=b0 + b,
                        num_blocks=1,
                    )
            ifmap.release()
