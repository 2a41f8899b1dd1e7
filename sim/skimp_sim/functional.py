"""Functional model: executes the commands of a program on its buffers, in numpy.

It checks the compiler without RTL: values come out bit for bit, every access is counted, and a
command that reads what was never written, waits for ever or leaves a buffer is an error.
"""

from collections import Counter

import numpy as np

from skimp.config import CHAIN, DW_LAG_TAPS, DW_SUM_BITS, Config
from skimp.isa import (
    CHIP_BASE,
    COMMAND_BYTES,
    MASK_BITS,
    TABLE_ENTRIES,
    CommandError,
    LoadTarget,
    Opcode,
    Rounding,
    Semaphore,
    parse,
)
from skimp.rlc.format import Code
from skimp_sim.counting import LayerCounts, count_command, segment_starts, unit_starts
from skimp_sim.golden.arithmetic import multiply_double, multiply_single, wrap_int32
from skimp_sim.hazards import HazardCheck
from skimp_sim.rlc.codec import StreamError, decode_tile
from skimp_sim.rlc.units import encode_unit

__all__ = ["FunctionalError", "FunctionalModel", "LayerCounts"]


class FunctionalError(RuntimeError):
    """A program that the hardware could not execute; says which command and why."""


class FunctionalModel:
    """All memories of the accelerator, and an interpreter of its commands.

    Parameters
    ----------
    config : Config
    dram : np.ndarray
        uint8; changed in place.
    """

    def __init__(self, config: Config, dram: np.ndarray):
        self.config = config
        self.dram = dram
        ci, co = config.in_channels, config.out_channels
        self.ifmap = np.zeros((config.pixels * config.ifmap_depth, ci), np.int8)
        self.dw_ifmap = np.zeros((config.pixels * config.dw_ifmap_depth, co), np.int8)
        self.wgt = np.zeros((config.wgt_depth, config.wgt_block_bytes), np.int8)
        dw_beats = -(-config.dw_wgt_depth * co // config.bus_bytes)
        self.dw_wgt = np.zeros((dw_beats * config.bus_bytes // co, co), np.int8)
        self.param = np.zeros((config.param_depth, 3, co), np.int32)
        self.lut = np.zeros((2, TABLE_ENTRIES), np.int32)
        self.psum = np.zeros((config.psum_slots, config.tile_pixels, co), np.int32)
        dw_psums = (config.dw_rows, config.dw_psum_slots, config.dw_tile_pixels, co)
        self.dw_psum = np.zeros(dw_psums, np.int32)
        self.sums = None  # psums under way [pixel, co], of one tile
        self.ofmap = np.zeros((config.ofmap_depth, co), np.int8)
        self.residual = np.zeros((config.ofmap_depth, co), np.int8)
        self.chip = np.zeros(config.act_bytes, np.uint8)
        self.tile_table = np.zeros(config.tile_table_depth, np.int32)
        self.unit_beats: dict[int, int] = {}  # by a unit's address
        self.layers: dict[int, LayerCounts] = {}
        self._counts = LayerCounts()
        self._semaphores: Counter = Counter()
        self._hazards = HazardCheck(config, dram_words=dram.size // config.word_bytes)

    def run(self, address: int, on_layer=None) -> None:
        """Execute commands from a DRAM address to END.

        Parameters
        ----------
        address : int
        on_layer : callable or None
            Called with the layer_id of every LAYER command.
        """
        self._semaphores.clear()
        self._hazards.start()
        while True:
            data = self.dram[address : address + COMMAND_BYTES].tobytes()
            if len(data) < COMMAND_BYTES:
                raise FunctionalError(f"address {address:#x}: the program runs out of DRAM")
            try:
                opcode, fields = parse(data)
            except CommandError as error:
                raise FunctionalError(f"address {address:#x}: {error}") from error
            self._where = f"{opcode.name} at {address:#x}"
            self._take(fields["wait"])
            if opcode not in (Opcode.END, Opcode.CHECK, Opcode.LAYER):
                self._ordered(self._hazards.begin(opcode, fields["wait"], fields["post"]))
                getattr(self, f"_{opcode.name.lower()}")(_Fields(fields))
                self._hazards.end()
            count_command(self.config, self._counts, opcode, _Fields(fields), self.unit_beats)
            if opcode is Opcode.END:
                return
            if opcode is Opcode.CHECK:
                if fields["hash"] != self.config.hash:
                    self._fail("compiled for another configuration")
            elif opcode is Opcode.LAYER:
                self.layers[fields["layer_id"]] = self._counts
                self._counts = LayerCounts()
                if on_layer is not None:
                    on_layer(fields["layer_id"])
            for semaphore in _bits(fields["post"]):
                self._semaphores[semaphore] += 1
            address += COMMAND_BYTES

    def _fail(self, why: str):
        raise FunctionalError(f"{self._where}: {why}")

    def _take(self, mask: int) -> None:
        for semaphore in _bits(mask):
            if not self._semaphores[semaphore]:
                self._fail(f"waits for {Semaphore(semaphore).name} for ever")
            self._semaphores[semaphore] -= 1

    def _read(self, buffer: str, index) -> None:
        self._ordered(self._hazards.read(buffer, index))

    def _write(self, buffer: str, index) -> None:
        self._ordered(self._hazards.write(buffer, index))

    def _ordered(self, problem: str | None) -> None:
        if problem:
            self._fail(problem)

    def _need(self, f, *names: str) -> None:
        """Counts that the hardware takes as at least 1."""
        for name in names:
            if getattr(f, name) < 1:
                self._fail(f"{name} must be at least 1")

    def _flat(self, glb_address: int) -> int:
        """Flat word of a GLB address field; rows above 2^15 are negative offsets."""
        row, bank = glb_address & 0xFFFF, glb_address >> 16
        return (row - (row >> 15 << 16)) * self.config.pixels + bank

    # Load

    def _load_ifmap(self, f) -> None:
        cfg = self.config
        self._need(f, "num_blocks", "stride_h", "stride_w")
        rows = f.pad_top + f.num_rows + f.pad_bottom
        cols = f.pad_left + f.num_cols + f.pad_right

        if not rows or not cols:
            self._fail(f"writes blocks of {rows}x{cols} words")

        def offsets(count, inc, wrap, stride):
            """Offset of each row or column from the first one."""
            steps = np.where(np.arange(1, count) % stride == 0, self._flat(wrap), self._flat(inc))
            return np.concatenate(([0], np.cumsum(steps)))

        base = (f.glb_base & 0xFFFF) * cfg.pixels + (f.glb_base >> 16)
        # A word of the depthwise unit's buffer is filled by some blocks, one behind the other.
        name, buffer, parts = (
            ("dw_ifmap", self.dw_ifmap, cfg.ofmap_blocks) if f.dw else ("ifmap", self.ifmap, 1)
        )
        step, part = np.divmod(np.arange(f.num_blocks), parts)
        words = (
            base
            + step[:, None, None] * self._flat(f.inc_block)
            + offsets(rows, f.inc_row, f.inc_row_wrap, f.stride_h)[None, :, None]
            + offsets(cols, f.inc_col, f.inc_col_wrap, f.stride_w)[None, None, :]
        )
        if f.halve and (f.pad_left or f.pad_right or f.stride_w != 1):
            self._fail("halves rows with padding or a stride")
        if f.halve:
            words = words[:, :, : -(-cols // 2)]
        if words.min() < 0 or words.max() >= len(buffer):
            self._fail(f"writes {name} words {words.min()} to {words.max()} of {len(buffer)}")
        apart = (f.inc_col >> 16) == cfg.pixels // 2
        if f.stride_w == 2 and cols > 1 and cfg.load_words > 1 and not apart:
            self._fail(f"writes two column phases to banks that are not {cfg.pixels // 2} apart")
        tile = np.full((f.num_blocks, rows, cols, cfg.in_channels), f.fill, np.int8)
        count = f.dma_blocks * f.seg_count * f.seg_words
        if count != f.num_blocks * f.num_rows * f.num_cols:
            self._fail(f"moves {count} words, but writes {f.num_rows}x{f.num_cols} words a block")
        if count:
            values = self._load(f)
            tile[:, f.pad_top : f.pad_top + f.num_rows, f.pad_left : f.pad_left + f.num_cols] = (
                values.reshape(f.num_blocks, f.num_rows, f.num_cols, -1)
            )
        if f.halve:
            tile = tile[:, :, ::2]
        places = (words * parts + part[:, None, None]).reshape(-1)
        self._write(name, places)
        buffer.reshape(-1, cfg.in_channels)[places] = tile.reshape(-1, cfg.in_channels)

    def _load_residual(self, f) -> None:
        cfg = self.config
        self._need(f, "num_pixels", "dma_blocks", "seg_words", "seg_count")
        if f.num_pixels != f.seg_count * f.seg_words:
            self._fail(f"{f.num_pixels} pixels are not {f.seg_count} segments of {f.seg_words}")
        where = slice(f.pixel_base, f.pixel_base + f.num_pixels)
        if where.stop > cfg.ofmap_depth or f.dma_blocks > cfg.ofmap_blocks:
            self._fail(f"fills residual pixels to {where.stop}, {f.dma_blocks} blocks")
        values = self._load(f).reshape(f.dma_blocks, f.num_pixels, cfg.in_channels)
        self._write("residual", where)
        pixels = self.residual[where].reshape(f.num_pixels, cfg.ofmap_blocks, cfg.in_channels)
        pixels[:, : f.dma_blocks] = values.transpose(1, 0, 2)

    def _segments(self, f, blocks: int) -> np.ndarray:
        """Return the word addresses (bytes) of a transfer in order."""
        words = np.arange(f.seg_words) * self.config.word_bytes
        return (segment_starts(f, blocks)[:, :, None] + words).reshape(-1)

    def _load(self, f) -> np.ndarray:
        """Return the words that a load reads as int8 rows."""
        if f.code:
            return self._load_units(f)
        at = self._segments(f, f.dma_blocks)
        return self._words(at)[at % CHIP_BASE // self.config.word_bytes]

    def _units(self, f, blocks: int):
        """Return the addresses and the entries in the tile table of units [segment, unit]."""
        cfg = self.config
        if f.code not in (Code.RUN_LENGTH, Code.BITMAP):
            self._fail(f"has no code {f.code}")
        starts = unit_starts(cfg, f, blocks)
        entries = f.table_base + np.arange(blocks)[:, None] * f.table_block_step
        entries = (entries + np.arange(f.seg_count) * f.table_step).reshape(-1, 1)
        entries = entries + np.arange(starts.shape[1])
        if entries.max() >= cfg.tile_table_depth:
            self._fail(f"takes entry {entries.max()} of {cfg.tile_table_depth} of the tile table")
        if starts.max() >= CHIP_BASE or (starts % cfg.bus_bytes).any():
            self._fail(f"has units at {starts.min():#x}, which are not beats of DRAM")
        return starts, entries

    def _load_units(self, f) -> np.ndarray:
        """Return the words of segments of coded units as int8 rows."""
        cfg = self.config
        self._need(f, "unit_words")
        found = []
        num_bytes = f.unit_words * cfg.word_bytes
        known = dict(zero=f.zero % 256, beat_bytes=cfg.bus_bytes)
        starts, table = self._units(f, f.dma_blocks)
        self._ordered(self._hazards.load("tile table", table.reshape(-1)))
        for addresses, entries in zip(starts, table):
            units = []
            for address, entry in zip(addresses, entries):
                size = int(self.tile_table[entry]) * cfg.bus_bytes
                words = self._words(np.arange(address, address + size, cfg.word_bytes))
                first = address // cfg.word_bytes
                coded = words[first : first + size // cfg.word_bytes].tobytes()
                try:
                    units.append(decode_tile(Code(f.code), coded, num_bytes, **known))
                except StreamError as error:
                    self._fail(f"unit at {address:#x}: {error}")
            words = np.frombuffer(b"".join(units), np.int8).reshape(-1, cfg.word_bytes)
            found.append(words[f.skip : f.skip + f.seg_words])
        return np.concatenate(found)

    def _store_units(self, f, data: np.ndarray) -> None:
        """Write words [block, word, byte] as coded units."""
        cfg = self.config
        units = data.reshape(-1, f.seg_words * cfg.word_bytes)
        starts, entries = self._units(f, f.num_blocks)
        self._ordered(self._hazards.store("tile table", entries.reshape(-1)))
        for unit, address, entry in zip(units, starts.flat, entries.flat):
            code = Code(f.code)
            coded = encode_unit(code, unit.tobytes(), zero=f.zero, beat_bytes=cfg.bus_bytes)
            at = np.arange(address, address + len(coded), cfg.word_bytes)
            memory = self._words(at, store=True)
            memory[at // cfg.word_bytes] = np.frombuffer(coded, np.int8).reshape(len(at), -1)
            beats = len(coded) // cfg.bus_bytes
            self.tile_table[entry] = self.unit_beats[int(address)] = beats

    def _words(self, at: np.ndarray, *, store=False) -> np.ndarray:
        """Return the memory that word addresses lie in as int8 rows (a view)."""
        width = self.config.word_bytes
        name = "chip" if at.min() >= CHIP_BASE else "dram"
        memory = self.chip if name == "chip" else self.dram
        low, high = at.min() % CHIP_BASE, at.max() - at.min() + at.min() % CHIP_BASE + width
        verb = "writes" if store else "reads"
        if (at % width).any() or high > memory.size:
            self._fail(f"{verb} {name} bytes {low:#x} to {high:#x}")
        index = at % CHIP_BASE // width
        self._ordered((self._hazards.store if store else self._hazards.load)(name, index))
        return memory[: memory.size // width * width].view(np.int8).reshape(-1, width)

    def _load_linear(self, f) -> None:
        cfg = self.config
        self._need(f, "num_beats")
        if f.target not in set(LoadTarget):
            self._fail(f"has no target {f.target}")
        size = f.num_beats * cfg.bus_bytes
        if f.dram_addr % cfg.bus_bytes or f.dram_addr >= CHIP_BASE:
            self._fail(f"reads beats from {f.dram_addr:#x}")
        at = np.arange(f.dram_addr, f.dram_addr + size, cfg.word_bytes)
        data = self._words(at)[at // cfg.word_bytes].reshape(-1)
        target = LoadTarget(f.target)
        name, memory = {
            LoadTarget.WGT: ("wgt", self.wgt),
            LoadTarget.PARAM: ("param", self.param),
            LoadTarget.DW_WGT: ("dw_wgt", self.dw_wgt),
            LoadTarget.TABLE: ("table", None),
        }[target]
        if target is LoadTarget.TABLE:
            if f.beat_addr or size != self.lut.nbytes:
                self._fail("the tables are loaded whole")
            self._write("table", slice(0, 1))
            self.lut[:] = data.view("<i4").reshape(self.lut.shape)
            return
        start = f.beat_addr * cfg.bus_bytes
        item = memory[0].nbytes
        if start % item or size % item:
            self._fail(f"{f.num_beats} beats from beat {f.beat_addr} on are not whole blocks")
        where = slice(start // item, (start + size) // item)
        if where.stop > len(memory):
            self._fail(f"fills {name} words to {where.stop} of {len(memory)}")
        self._write(name, where)
        shape = (where.stop - where.start, *memory.shape[1:])
        memory[where] = data.view(memory.dtype.newbyteorder("<")).reshape(shape)

    # Array and depthwise unit

    def _lanes(self, f, depth: int) -> np.ndarray:
        """Flat offset of every output pixel from the word of pixel 0; psums of `depth` groups."""
        pixels = self.config.pixels
        self._need(f, "num_pixels", "tile_q")
        n = np.arange(f.num_pixels)
        group, lane = n // pixels, n % pixels
        if f.num_groups != -(-f.num_pixels // pixels):
            self._fail(f"{f.num_groups} groups do not hold {f.num_pixels} pixels")
        if f.num_groups > depth:
            self._fail(f"{f.num_groups} groups; the psum scratchpad holds {depth}")
        return lane + pixels * (group + n // f.tile_q * f.row_step)

    def _taps(self, f) -> np.ndarray:
        """Flat word of every tap [c, r, s] for pixel 0."""

        self._need(f, "num_c", "num_r", "num_s", "stride_h", "stride_w")

        def walk(count, inc, wrap, stride):
            steps = [self._flat(wrap if (k + 1) % stride == 0 else inc) for k in range(count - 1)]
            return np.concatenate(([0], np.cumsum(steps))).astype(np.int64)

        base = (f.ifmap_base & 0xFFFF) * self.config.pixels + (f.ifmap_base >> 16)
        return (
            base
            + np.arange(f.num_c)[:, None, None] * self._flat(f.inc_c)
            + walk(f.num_r, f.inc_r, f.inc_r_wrap, f.stride_h)[None, :, None]
            + walk(f.num_s, f.inc_s, f.inc_s_wrap, f.stride_w)[None, None, :]
        )

    def _words_of(self, name: str, size: int, taps: np.ndarray, lanes: np.ndarray) -> np.ndarray:
        """Return the words [tap, pixel] that are read of an ifmap buffer."""
        words = taps.reshape(-1, 1) + lanes
        if words.min() < 0 or words.max() >= size:
            self._fail(f"reads {name} words {words.min()} to {words.max()} of {size}")
        return words

    def _conv(self, f) -> None:
        cfg = self.config
        lanes = self._lanes(f, cfg.psum_depth)
        words = self._words_of("ifmap", len(self.ifmap), self._taps(f), lanes)
        self._read("ifmap", np.unique(words))
        acts = self.ifmap[words].astype(np.int32) - f.in_zp
        blocks = f.num_c * f.num_r * f.num_s
        if f.wgt_base + blocks > cfg.wgt_depth:
            self._fail(f"takes weight blocks to {f.wgt_base + blocks} of {cfg.wgt_depth}")
        where = slice(f.wgt_base, f.wgt_base + blocks)
        self._read("wgt", where)
        # [block, slice, co, chain] to [block, co, ci]
        chains = cfg.in_channels // CHAIN
        weights = self.wgt[where].reshape(blocks, CHAIN, cfg.out_channels, chains)
        weights = weights.transpose(0, 2, 3, 1).reshape(blocks, cfg.out_channels, -1)
        # [pixel, block * ci] @ [block * ci, co]; float64 is exact below 2^53.
        left = acts.transpose(1, 0, 2).reshape(f.num_pixels, -1)
        right = weights.transpose(0, 2, 1).reshape(-1, cfg.out_channels)
        kind = np.float32 if left.shape[1] * 255 * 128 < 1 << 24 else np.float64
        sums = (left.astype(kind) @ right.astype(kind)).astype(np.int64)
        if not f.first:
            if self.sums is None or len(self.sums) != f.num_pixels:
                self._fail("adds to psums that are not under way")
            sums = sums + self.sums
        sums = wrap_int32(sums).astype(np.int32)
        self.sums = None if f.last else sums
        if f.last:
            self._write("psum", self._psum_words(f))
            self.psum[f.psum_slot, : f.num_pixels] = sums
        real = np.full((f.num_c, 1), cfg.in_channels)
        real[-1] = f.ci_last
        lanes = (np.arange(cfg.in_channels) < real).repeat(f.num_r * f.num_s, axis=0)
        self._counts.macs_gated += int(((acts == 0) & lanes[:, None, :]).sum()) * f.co_valid

    def _psum_words(self, f) -> slice:
        """Words of the psum scratchpad that a tile takes."""
        cfg = self.config
        if f.psum_slot >= cfg.psum_slots:
            self._fail(f"takes psum slot {f.psum_slot} of {cfg.psum_slots}")
        start = f.psum_slot * cfg.tile_pixels
        return slice(start, start + f.num_pixels)

    def _dw_psum_words(self, row: int, slot: int, num_pixels: int) -> slice:
        """Words of the depthwise unit's psum memories that one row of a tile takes."""
        cfg = self.config
        if slot >= cfg.dw_psum_slots:
            self._fail(f"takes psum slot {slot} of {cfg.dw_psum_slots}")
        start = (row * cfg.dw_psum_slots + slot) * cfg.dw_tile_pixels
        return slice(start, start + num_pixels)

    def _depthwise(self, f) -> None:
        cfg = self.config
        if f.num_c != 1:
            self._fail("takes one channel block")
        if not 1 <= f.ci_last <= cfg.out_channels:
            self._fail(f"has {f.ci_last} channels of {cfg.out_channels}")
        lanes = self._lanes(f, cfg.dw_psum_depth)
        taps = self._taps(f)[0]
        if not f.num_pixels2:
            if f.lag:
                self._fail(f"lags {f.lag} rows without a lower row")
            self._dw_row(f, 0, taps, lanes)
            return
        if cfg.dw_rows < 2:
            self._fail("computes two rows side by side; the depthwise unit has lanes for one")
        if f.num_pixels2 > f.num_pixels:
            self._fail(f"has {f.num_pixels2} pixels in the lower rows, {f.num_pixels} in the upper")
        if not 0 < f.lag < f.num_r:
            self._fail(f"lags {f.lag} rows in a walk over {f.num_r}")
        if f.lag * f.num_s > DW_LAG_TAPS:
            self._fail(f"lags {f.lag * f.num_s} taps; weights of {DW_LAG_TAPS} are kept")
        if f.max_mode:
            self._fail("takes maxima of two rows side by side")
        self._dw_row(f, 0, taps[: -f.lag], lanes)
        self._dw_row(f, 1, taps[f.lag :], lanes[: f.num_pixels2])

    def _dw_row(self, f, row: int, taps: np.ndarray, lanes: np.ndarray) -> None:
        """Compute the upper (0) or lower (1) rows of a tile: its taps [r, s], its pixels."""
        cfg = self.config
        words = self._words_of("dw_ifmap", len(self.dw_ifmap), taps, lanes)
        # What lies in lanes that are not real does not matter.
        real_parts = np.arange(-(-f.ci_last // cfg.in_channels))
        self._read("dw_ifmap", np.unique(words)[:, None] * cfg.ofmap_blocks + real_parts)
        acts = self.dw_ifmap[words].astype(np.int32) - f.in_zp
        if f.max_mode:
            sums = np.maximum(acts.max(axis=0), 0)
        elif f.unit_wgt:
            sums = acts.sum(axis=0, dtype=np.int64)
        else:
            where = slice(f.wgt_base, f.wgt_base + taps.size)
            if where.stop > cfg.dw_wgt_depth:
                self._fail(f"takes weights to word {where.stop} of {cfg.dw_wgt_depth}")
            self._read("dw_wgt", where)
            weights = self.dw_wgt[where].astype(np.int32)
            sums = np.einsum("tpc,tc->pc", acts, weights, dtype=np.int64)
            self._counts.macs_gated += int((acts[:, :, : f.ci_last] == 0).sum())
        half = 1 << DW_SUM_BITS - 1
        self._write("dw_psum", self._dw_psum_words(row, f.psum_slot, len(lanes)))
        self.dw_psum[row, f.psum_slot, : len(lanes)] = (sums + half) % (2 * half) - half

    def _drain(self, f) -> None:
        cfg = self.config
        self._need(f, "num_pixels")
        room = cfg.dw_tile_pixels if f.dw else cfg.tile_pixels
        if f.num_pixels > room:
            self._fail(f"{f.num_pixels} pixels; the psum scratchpad holds {room}")
        if f.dw_row >= (cfg.dw_rows if f.dw else 1):
            self._fail("takes psums of lower rows that there are not")
        if f.rounding not in set(Rounding):
            self._fail(f"has no rounding {f.rounding}")
        if f.ofmap_base + f.num_pixels > cfg.ofmap_depth:
            self._fail(f"writes ofmap words to {f.ofmap_base + f.num_pixels} of {cfg.ofmap_depth}")
        if f.param_block >= cfg.param_depth:
            self._fail(f"takes parameter word {f.param_block} of {cfg.param_depth}")
        self._read("param", slice(f.param_block, f.param_block + 1))
        if f.dw:
            self._read("dw_psum", self._dw_psum_words(f.dw_row, f.psum_slot, f.num_pixels))
            psums = self.dw_psum[f.dw_row, f.psum_slot]
        else:
            self._read("psum", self._psum_words(f))
            psums = self.psum[f.psum_slot]
        bias, mult, shift = self.param[f.param_block].astype(np.int64)
        acc = psums[: f.num_pixels].astype(np.int64)
        match Rounding(f.rounding):
            case Rounding.DOUBLE:
                out = multiply_double(wrap_int32(acc + bias), mult, shift)
            case Rounding.SINGLE:
                out = multiply_single(wrap_int32(acc + bias), mult, shift)
            case Rounding.AWAY:
                out = np.sign(acc) * (((np.abs(acc) + bias) * mult) >> (31 - shift))
        out = np.clip(out + f.out_zp, f.act_min, f.act_max)
        if f.add:
            out = self._second_stage(f, out)
        where = slice(f.ofmap_base, f.ofmap_base + f.num_pixels)
        self._write("ofmap", where)
        self.ofmap[where] = out

    def _second_stage(self, f, out: np.ndarray) -> np.ndarray:
        self._read("table", slice(0, 1))
        sums = self.lut[0][out.astype(np.int64) & 0xFF].astype(np.int64)
        if f.residual:
            where = slice(f.residual_base, f.residual_base + f.num_pixels)
            if where.stop > self.config.ofmap_depth:
                self._fail(f"takes residual pixels to {where.stop}")
            self._read("residual", where)
            sums += self.lut[1][self.residual[where].astype(np.int64) & 0xFF]
        scaled = multiply_double(wrap_int32(sums), f.mult2, f.shift2)
        return np.clip(scaled + f.out_zp2, f.act_min2, f.act_max2)

    def _store(self, f) -> None:
        cfg = self.config
        self._need(f, "seg_words", "seg_count", "num_blocks")
        words = f.seg_words * f.seg_count
        where = slice(f.ofmap_base, f.ofmap_base + words)
        if where.stop > cfg.ofmap_depth or f.num_blocks > cfg.ofmap_blocks:
            self._fail(f"takes ofmap words to {where.stop}, {f.num_blocks} blocks")
        self._read("ofmap", where)
        blocks = self.ofmap[where].reshape(words, cfg.ofmap_blocks, cfg.in_channels)
        data = blocks[:, : f.num_blocks].transpose(1, 0, 2).reshape(-1, cfg.in_channels)
        if f.code:
            self._store_units(f, data)
            return
        at = self._segments(f, f.num_blocks)
        memory = self._words(at, store=True)
        memory[at % CHIP_BASE // cfg.word_bytes] = data


class _Fields:
    """Field values of a command as attributes."""

    def __init__(self, values: dict):
        self.__dict__.update(values)


def _bits(mask: int):
    return (bit for bit in range(MASK_BITS) if mask >> bit & 1)
