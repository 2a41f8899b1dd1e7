"""Programs written command by command, and the functional model that runs them."""

import numpy as np

from skimp.config import CHAIN, Config
from skimp.isa import COMMAND_BYTES, LoadTarget, Opcode, assemble, glb_address
from skimp_sim.functional import FunctionalModel

__all__ = ["CommandBench"]

CODE_BYTES = 256 * COMMAND_BYTES


class CommandBench:
    """Commands and data in a DRAM, run on the functional model.

    Parameters
    ----------
    config : Config
    rng : np.random.Generator
    fenced : bool
        Every command is a program of its own with a LAYER behind it, so that semaphores are not
        needed.
    """

    def __init__(self, config: Config, rng, *, fenced=True):
        self.config, self.rng, self.fenced = config, rng, fenced
        self.code: list[bytes] = []
        self.data = bytearray()

    def place(self, values: np.ndarray) -> int:
        """Append an array to the data; return its address."""
        self.data += bytes(-len(self.data) % 128)
        address = CODE_BYTES + len(self.data)
        self.data += np.ascontiguousarray(values).tobytes()
        return address

    def glb(self, flat: int) -> int:
        """GLB address field of a flat word."""
        return glb_address(int(flat), self.config.pixels)

    def add(self, opcode: Opcode, **fields: int) -> None:
        """Append a command."""
        self.code.append(assemble(opcode, **fields))
        if self.fenced:
            self.code.append(assemble(Opcode.LAYER))

    def run(self, model=None, *, end=True) -> FunctionalModel:
        """Run everything from address 0; return the model with its memories.

        A model that is given keeps what it has on the chip.
        """
        step = 2 if self.fenced else max(1, len(self.code))
        code, starts = [], []
        for first in range(0, max(1, len(self.code)), step):
            starts.append(len(code) * COMMAND_BYTES)
            last = first + step >= len(self.code)
            code += self.code[first : first + step] + [assemble(Opcode.END)] * (end or not last)
        assert len(code) * COMMAND_BYTES <= CODE_BYTES
        image = b"".join(code).ljust(CODE_BYTES, b"\0") + self.data
        image += bytes(-len(image) % 128)
        dram = np.frombuffer(image, np.uint8).copy()
        if model is None:
            model = FunctionalModel(self.config, dram)
        else:
            model.dram = dram
        for start in starts:
            model.run(start)
        return model

    def int8(self, *shape, low=-128) -> np.ndarray:
        return self.rng.integers(low, 128, shape).astype(np.int8)

    def fill_ifmap(self, words=None, **fields) -> np.ndarray:
        """Load flat words 0 ... of the ifmap side with noise; return it [word, in_channels]."""
        cfg = self.config
        words = cfg.pixels * cfg.ifmap_depth if words is None else words
        values = self.int8(words, cfg.in_channels)
        self.add(
            Opcode.LOAD_IFMAP, dram_addr=self.place(values), num_blocks=1, num_rows=1,
            num_cols=words, seg_words=words, seg_count=1, dma_blocks=1, inc_col=self.glb(1),
            inc_col_wrap=self.glb(1), stride_h=1, stride_w=1, **fields,
        )  # fmt: skip
        return values

    def fill_dw_ifmap(self, words=None, **fields) -> np.ndarray:
        """Load flat words 0 ... of the depthwise unit's buffer; return them [word, out_channels]."""
        cfg = self.config
        words = cfg.pixels * cfg.dw_ifmap_depth if words is None else words
        values = self.int8(words, cfg.out_channels)
        blocks = values.reshape(words, cfg.ofmap_blocks, -1).transpose(1, 0, 2)
        wanted = dict(
            dram_addr=self.place(blocks), dw=1, num_blocks=cfg.ofmap_blocks, num_rows=1,
            num_cols=words, seg_words=words * cfg.ofmap_blocks, seg_count=1, dma_blocks=1,
            inc_col=self.glb(1), inc_col_wrap=self.glb(1), stride_h=1, stride_w=1,
        )  # fmt: skip
        self.add(Opcode.LOAD_IFMAP, **(wanted | fields))
        return values

    def fill(self, target: LoadTarget, values: np.ndarray, first=0, **fields) -> None:
        """Load blocks of a memory (words of the depthwise weights) from `first` on."""
        cfg = self.config
        item = {
            LoadTarget.WGT: cfg.wgt_block_bytes,
            LoadTarget.PARAM: 12 * cfg.out_channels,
            LoadTarget.DW_WGT: cfg.out_channels,
            LoadTarget.TABLE: cfg.word_bytes,
        }[target]
        start = first * item
        wanted = dict(num_beats=values.nbytes // cfg.bus_bytes, beat_addr=start // cfg.bus_bytes)
        self.add(
            Opcode.LOAD_LINEAR, dram_addr=self.place(values), target=target, **(wanted | fields)
        )

    def fill_wgt(self, blocks: int, **fields) -> np.ndarray:
        """Load weight blocks 0 ... with noise; return them [block, co, ci]."""
        cfg = self.config
        values = self.int8(blocks, cfg.out_channels, cfg.in_channels, low=-127)
        slices = values.reshape(blocks, cfg.out_channels, -1, CHAIN).transpose(0, 3, 1, 2)
        self.fill(LoadTarget.WGT, slices, **fields)
        return values

    def fill_param(self, bias=0, mult=1 << 30, shift=0, **fields) -> None:
        """Load parameter word 0."""
        values = np.empty((3, self.config.out_channels), np.int32)
        values[0], values[1], values[2] = bias, mult, shift
        self.fill(LoadTarget.PARAM, values, **fields)

    def one_tap(self, num_pixels: int, /, **fields: int) -> dict[str, int]:
        """Fields of a 1x1 window over one row of pixels, one channel block."""
        groups = -(-num_pixels // self.config.pixels)
        return dict(
            tile_q=num_pixels, num_pixels=num_pixels, num_groups=groups, num_r=1, num_s=1, num_c=1,
            stride_h=1, stride_w=1,
        ) | fields  # fmt: skip

    def conv(self, num_pixels: int, /, **fields: int) -> None:
        """Append a 1x1 CONV over all lanes."""
        lanes = dict(ci_last=self.config.in_channels, co_valid=self.config.out_channels)
        real = dict(first=1, last=1) | lanes
        self.add(Opcode.CONV, **self.one_tap(num_pixels, **(real | fields)))

    def depthwise(self, num_pixels: int, /, **fields: int) -> None:
        """Append a DEPTHWISE of one tap over all lanes."""
        lanes = dict(ci_last=self.config.out_channels)
        self.add(Opcode.DEPTHWISE, **self.one_tap(num_pixels, **(lanes | fields)))

    def drain(self, num_pixels: int, /, **fields: int) -> None:
        """Append a DRAIN without clamping."""
        limits = dict(act_min=-128, act_max=127)
        self.add(Opcode.DRAIN, num_pixels=num_pixels, **(limits | fields))

    def store(self, words: int, **fields: int) -> int:
        """Append a STORE of words in one segment; return the address."""
        cfg = self.config
        address = self.place(np.zeros((cfg.ofmap_blocks, words, cfg.word_bytes), np.int8))
        wanted = dict(
            dram_addr=address, seg_words=words, seg_count=1, num_blocks=cfg.ofmap_blocks,
            block_stride=words * cfg.word_bytes,
        )  # fmt: skip
        self.add(Opcode.STORE, **(wanted | fields))
        return (wanted | fields)["dram_addr"]
