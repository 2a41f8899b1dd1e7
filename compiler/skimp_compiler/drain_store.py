"""The way out of every layer: parameters, requantisation, a second stage, store."""

import math
from dataclasses import dataclass

from skimp.config import Config
from skimp.isa import TABLE_ENTRIES, LoadTarget, Opcode, Rounding, Unit
from skimp_compiler.emitter import Emitter
from skimp_compiler.plane import Planes

__all__ = ["DrainStore", "Requant", "SecondStage"]


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


@dataclass(frozen=True, kw_only=True)
class SecondStage:
    """What DRAIN does with a requantised value: T1[q] + T2[residual], requantised.

    Parameters
    ----------
    tables_addr : int
        DRAM address of T1 and T2, TABLE_ENTRIES int32 each, by the byte value.
    residual : Planes or None
        Second operand, as large as the output.
    mult, shift, out_zp, act_min, act_max : int
    """

    tables_addr: int
    residual: Planes | None
    mult: int
    shift: int
    out_zp: int
    act_min: int
    act_max: int

    TABLE_BYTES = 2 * TABLE_ENTRIES * 4


class DrainStore:
    """Emits what follows the compute commands of a psum tile.

    Parameters
    ----------
    emitter : Emitter
    config : Config
    requant : Requant
    output : Planes
    second : SecondStage or None
    unit : Unit
        Whose psums: ARRAY or DEPTHWISE.
    """

    def __init__(
        self,
        emitter: Emitter,
        config: Config,
        *,
        requant: Requant,
        output: Planes,
        second: SecondStage | None = None,
        unit: Unit = Unit.ARRAY,
    ):
        self._emitter = emitter
        self._config = config
        self._requant = requant
        self._output = output
        self._second = second
        self._unit = unit
        self._memory = "dw_psum" if unit is Unit.DEPTHWISE else "psum"
        # All parameters at once where they fit half of the memory (the next layer's fit beside
        # them), else parts in turn.
        self._param_part = min(requant.num_params, max(1, config.param_depth // 2))
        self._param_chunk: int | None = None
        self._param_base: int | None = None
        self._slot = 0
        output.region.expect(output.plane_words)

    def begin_tile(self) -> int:
        """Return the psum slot to fill."""
        self._slot = self._emitter.rings[self._memory].place(1)
        return self._slot

    def psum_words(self, num_pixels: int, row: int = 0) -> tuple[str, int, int]:
        """What compute commands of the present tile write, in one of the rows side by side."""
        if self._unit is Unit.DEPTHWISE:
            start = (self._slot * self._config.dw_rows + row) * self._config.dw_tile_pixels
        else:
            start = self._slot * self._config.tile_pixels
        return self._memory, start, start + num_pixels

    def room(self, param_block: int, num_pixels: int) -> tuple:
        """Memory that parameters and second operand of a tile take, as of a Task."""
        chunk = param_block // self._param_part
        room = ()
        if chunk != self._param_chunk:
            room = (("param", self._param_part, self._param_base),)
        if self._second is not None and self._second.residual is not None:
            room += (("residual", num_pixels),)
        return room

    def needs(self, **rectangle) -> tuple:
        """Part of an activation that the second stage of a tile loads."""
        if self._second is None or self._second.residual is None:
            return ()
        return (self._second.residual.residual_part(**rectangle),)

    def end_tile(
        self, *, param_block, y0, x0, rows, cols, block0, num_blocks, row=0, row_step=1
    ) -> None:
        """Load what draining the tile takes; drain and store it once it is computed.

        Parameters
        ----------
        param_block : int
            Parameter word.
        y0, x0, rows, cols : int
            Rectangle of the output.
        block0, num_blocks : int
            Channel blocks of the output.
        row, row_step : int
            Which of the rows side by side these are; output rows from one to the next.
        """
        requant, emitter = self._requant, self._emitter
        num_pixels = rows * cols
        self._need_params(param_block)
        word = self._param_base + param_block % self._param_part
        reads = [self.psum_words(num_pixels, row), ("param", word, word + 1)]
        where = {
            "block0": block0, "num_blocks": num_blocks, "y0": y0, "x0": x0, "rows": rows,
            "cols": cols,
        }  # fmt: skip
        fields = {
            "num_pixels": num_pixels,
            "param_block": word,
            "psum_slot": self._slot,
            "rounding": requant.rounding,
            "out_zp": requant.out_zp,
            "act_min": requant.act_min,
            "act_max": requant.act_max,
        }
        if self._unit is Unit.DEPTHWISE:
            fields |= {"dw": 1, "dw_row": row}
        if self._second is not None:
            assert row_step == 1
            fields |= self._second_stage(reads, num_pixels, where)

        def drain(take):
            self._drain(take, reads, fields, {**where, "row_step": row_step})

        emitter.timeline.hold(self._unit, drain)

    def _drain(self, take, reads, fields, where) -> None:
        """Emit DRAIN and STORE."""
        emitter, num_pixels = self._emitter, fields["num_pixels"]
        base = emitter.rings["ofmap"].place(num_pixels)
        ofmap = ("ofmap", base, base + num_pixels)
        steps = self._config.drain_pixels
        if self._second is not None:
            self._need_tables()
            reads.append(("table", 0, 1))
            steps = 1
        emitter.add(
            Opcode.DRAIN,
            reads=reads,
            writes=[ofmap],
            # Before anything is stored where an activation was, that one is loaded.
            after=self._output.region.older_loads,
            ofmap_base=base,
            **fields,
        )
        if "residual" in fields:
            emitter.rings["residual"].release(fields["residual_base"])
        self._output.filled(take(-(-num_pixels // steps)), **where)
        emitter.add(Opcode.STORE, reads=[ofmap], **self._output.store(**where, ofmap_base=base))

    def end(self) -> None:
        """Behind the last tile: let the memory of the parameters go."""
        self._emitter.rings["param"].release(self._param_base)

    def _need_tables(self) -> None:
        """Load the tables of the second stage, if they are not there."""
        if self._emitter.table_owner is not self:
            self._emitter.table_owner = self
            self._emitter.load_linear(
                LoadTarget.TABLE,
                dram_addr=self._second.tables_addr,
                word=0,
                num_words=1,
                word_bytes=self._second.TABLE_BYTES,
            )

    def _second_stage(self, reads, num_pixels, where) -> dict:
        """Load the second operand; return the fields of DRAIN."""
        second, emitter = self._second, self._emitter
        fields = {
            "add": 1,
            "mult2": second.mult,
            "shift2": second.shift,
            "out_zp2": second.out_zp,
            "act_min2": second.act_min,
            "act_max2": second.act_max,
        }
        if second.residual is not None:
            base = emitter.rings["residual"].place(num_pixels, keep=True)
            words = ("residual", base, base + num_pixels)
            load = second.residual.load_residual(pixel_base=base, **where)
            emitter.add(Opcode.LOAD_RESIDUAL, writes=[words], **load)
            reads.append(words)
            fields |= {"residual": 1, "residual_base": base}
        return fields

    def _need_params(self, param_block: int) -> None:
        """Load the part of the parameter words that holds `param_block`."""
        chunk = param_block // self._param_part
        if chunk == self._param_chunk:
            return
        ring = self._emitter.rings["param"]
        # Tiles that are not drained yet need the part before.
        self._emitter.timeline.release_until(math.inf if self._param_chunk is not None else -1)
        ring.release(self._param_base)
        self._param_chunk = chunk
        # A shorter part takes as much, so that the next one fits where it was, whatever the layers
        # beside this one hold.
        self._param_base = ring.place(self._param_part, keep=True)
        words = min(self._param_part, self._requant.num_params - chunk * self._param_part)
        word_bytes = self._config.param_block_beats * self._config.bus_bytes
        self._emitter.load_linear(
            LoadTarget.PARAM,
            dram_addr=self._requant.params_addr + chunk * self._param_part * word_bytes,
            word=self._param_base,
            num_words=words,
            word_bytes=word_bytes,
        )
