"""The way out of every layer: psum halves, parameters, requantisation, store."""

from dataclasses import dataclass

from skimp.config import Config
from skimp.isa import LoadTarget, Opcode, Rounding
from skimp_compiler.emitter import Emitter
from skimp_compiler.plane import Planes

__all__ = ["DrainStore", "Requant"]

MAX_OFMAP_SLOTS = 128
"""More would only overflow the semaphore that counts free ones."""


@dataclass(frozen=True, kw_only=True)
class Requant:
    """What DRAIN needs beside the parameter words.

    Parameters
    ----------
    params_addr : int
        DRAM address of the packed parameter words.
    num_params : int
        Words.
    rounding : Rounding
    out_zp, act_min, act_max : int
    """

    params_addr: int
    num_params: int
    rounding: Rounding
    out_zp: int
    act_min: int
    act_max: int


class DrainStore:
    """Emits what follows the compute commands of a psum tile.

    Parameters
    ----------
    emitter : Emitter
    config : Config
    requant : Requant
    output : Planes
    """

    def __init__(self, emitter: Emitter, config: Config, *, requant: Requant, output: Planes):
        self._emitter = emitter
        self._config = config
        self._requant = requant
        self._output = output
        self.psum = emitter.buffer("psum", num_slots=2)
        slots = min(config.ofmap_depth // config.tile_pixels, MAX_OFMAP_SLOTS)
        self._ofmap = emitter.buffer("ofmap", num_slots=slots)
        # All parameters at once where they fit, else halves in turn.
        fits = requant.num_params <= config.param_depth
        self._param_slot_words = requant.num_params if fits else config.param_depth // 2
        self._param = emitter.buffer("param", num_slots=1 if fits else 2)
        self._param_chunk: int | None = None
        self._param_base = 0

    def begin_tile(self) -> int:
        """Return the psum half to fill; compute commands are given to `psum.fill`."""
        return self.psum.begin_fill()

    def end_tile(self, *, param_block, num_pixels, y0, x0, rows, cols, block0, num_blocks):
        """Drain the tile that was just computed and store it.

        Parameters
        ----------
        param_block : int
            Parameter word.
        num_pixels : int
            rows * cols.
        y0, x0, rows, cols : int
            Rectangle of the output.
        block0, num_blocks : int
            Channel blocks of the output.
        """
        requant, emitter = self._requant, self._emitter
        self.psum.end_fill()
        half = (self.psum.filled - 1) % 2
        self._need_params(param_block)
        slot = self._ofmap.begin_fill()
        base = slot * self._config.tile_pixels
        drain = emitter.add(
            Opcode.DRAIN,
            num_pixels=num_pixels,
            ofmap_base=base,
            param_block=self._param_base + param_block % self._param_slot_words,
            psum_half=half,
            rounding=requant.rounding,
            out_zp=requant.out_zp,
            act_min=requant.act_min,
            act_max=requant.act_max,
        )
        self.psum.use(drain)
        self.psum.release()
        self._param.use(drain)
        self._ofmap.fill(drain)
        self._ofmap.end_fill()
        store = emitter.add(
            Opcode.STORE,
            **self._output.store(
                block0=block0,
                num_blocks=num_blocks,
                y0=y0,
                x0=x0,
                rows=rows,
                cols=cols,
                ofmap_base=base,
            ),
        )
        self._ofmap.use(store)
        self._ofmap.release()

    def _need_params(self, param_block: int) -> None:
        """Load the chunk of parameter words that holds `param_block`."""
        chunk = param_block // self._param_slot_words
        if chunk == self._param_chunk:
            return
        if self._param_chunk is not None:
            self._param.release()
        slot = self._param.begin_fill()
        self._param_chunk = chunk
        self._param_base = slot * self._param_slot_words
        first = chunk * self._param_slot_words
        words = min(self._param_slot_words, self._requant.num_params - first)
        beats = self._config.param_block_beats
        load = self._emitter.add(
            Opcode.LOAD_LINEAR,
            dram_addr=self._requant.params_addr + first * beats * self._config.word_bytes,
            num_beats=words * beats,
            target=LoadTarget.PARAM,
            word_addr=self._param_base,
        )
        self._param.fill(load)
        self._param.end_fill()
