"""Programs of random tiles for both units, ordered by semaphores alone; no compiler."""

from collections import Counter

import numpy as np
from commandbench import CODE_BYTES, CommandBench

from skimp.config import Config
from skimp.isa import COMMAND_BYTES, RECORD_BYTES, LoadTarget, Opcode, Rounding, Semaphore, assemble
from skimp_compiler.geometry import TileGeometry, Window
from skimp_compiler.program import DeviceStep, Program

__all__ = ["random_tiles"]

_MOST_LAYERS = 16


def random_tiles(config: Config, rng, *, count: int) -> Program:
    """Return a program of `count` tiles, of array and depthwise unit in no order."""
    return _Tiles(config, rng).program(count)


class _Tiles(CommandBench):
    """Each tile goes from its loads to its stores.

    Buffers have two halves, psums have their slots, which take turns: who fills one waits until
    what was in it is read.
    """

    def __init__(self, config: Config, rng):
        super().__init__(config, rng, fenced=False)
        self._turns = Counter()

    def program(self, count: int) -> Program:
        """Return a program of `count` tiles."""
        cfg, rng = self.config, self.rng
        records = self.place(np.zeros(_MOST_LAYERS * RECORD_BYTES, np.uint8))
        values = np.empty((cfg.param_depth, 3, cfg.out_channels), np.int32)
        values[:, 0] = rng.integers(0, 1 << 12, values[:, 0].shape)
        values[::2, 0] %= 32  # Rounding.AWAY: a sum of 0 stays 0
        values[:, 1] = rng.integers(1 << 30, 1 << 31, values[:, 1].shape)
        values[:, 2] = rng.integers(-12, -4, values[:, 2].shape)
        self.fill(LoadTarget.PARAM, values, post=1 << Semaphore.PARAM_FULL)
        layers = 0
        for n in range(count):
            self._tile(bool(rng.integers(2)))
            if n == count - 1 or (layers < _MOST_LAYERS - 1 and rng.random() < 0.3):
                self.add(Opcode.LAYER, layer_id=layers, dram_addr=records + RECORD_BYTES * layers)
                layers += 1
        code = b"".join([*self.code, assemble(Opcode.END)])
        assert len(code) <= CODE_BYTES
        image = code.ljust(CODE_BYTES, b"\0") + self.data
        step = DeviceStep(
            address=0, num_commands=len(code) // COMMAND_BYTES, layers=tuple(range(layers))
        )
        return Program(
            config=cfg, image=image, dram_bytes=-(-len(image) // 4096) * 4096, tensors={},
            steps=[step], layers=[None] * layers, records_addr=records,
        )  # fmt: skip

    def _turn(self, free: Semaphore, slots: int = 2) -> tuple[int, int]:
        """Return the slot whose turn it is, and what to wait for until it is free."""
        turn = self._turns[free]
        self._turns[free] += 1
        return turn % slots, (1 << free) * (turn >= slots)

    def _tile(self, dw: bool) -> None:
        cfg, rng = self.config, self.rng

        def semaphore(name):
            return Semaphore[f"DW_{name}" if dw else name]

        def bit(name):
            return 1 << semaphore(name)

        geometry, window, lag, rows = self._geometry(dw)
        blocks = int(rng.integers(1, (cfg.ofmap_blocks if dw else 2) + 1))
        half, wait = self._turn(semaphore("IFMAP_FREE"))
        base = half * (cfg.pixels * (cfg.dw_ifmap_depth if dw else cfg.ifmap_depth) // 2)
        self._load(geometry, blocks, base, dw=dw, wait=wait, post=bit("IFMAP_FULL"))
        ci_last = cfg.in_channels - int(rng.integers(cfg.in_channels))
        fields = geometry.tap_fields(base=base, num_r=window.r + lag) | dict(
            num_pixels=rows[0], num_groups=-(-rows[0] // cfg.pixels),
            in_zp=int(rng.integers(-128, 128)), ci_last=ci_last,
        )  # fmt: skip
        wait, post = bit("IFMAP_FULL"), bit("IFMAP_FREE") | bit("PSUM_FULL")
        mode = "wgt"
        taps = window.r * window.s
        if dw:
            mode = rng.choice(["wgt", "wgt", "unit"] if lag else ["wgt", "unit", "max"])
            fields |= dict(
                num_c=1, ci_last=(blocks - 1) * cfg.in_channels + ci_last, lag=lag,
                num_pixels2=sum(rows[1:]), unit_wgt=mode == "unit", max_mode=mode == "max",
            )  # fmt: skip
        else:
            co_valid = int(rng.integers(1, cfg.out_channels + 1))
            fields |= dict(num_c=blocks, first=1, last=1, co_valid=co_valid)
        if mode == "wgt":
            half, free = self._turn(semaphore("WGT_FREE"))
            beat_words = max(1, cfg.dw_wgt_beat_words)
            if dw:
                target, first = LoadTarget.DW_WGT, half * (cfg.dw_wgt_depth // 2)
                first -= first % beat_words
                values = self.int8(-(-taps // beat_words) * beat_words, cfg.out_channels)
            else:
                target, first = LoadTarget.WGT, half * (cfg.wgt_depth // 2)
                values = self.int8(blocks * taps, cfg.wgt_block_bytes, low=-127)
            self.fill(target, values, first, wait=free, post=bit("WGT_FULL"))
            fields |= dict(wgt_base=first)
            wait, post = wait | bit("WGT_FULL"), post | bit("WGT_FREE")
        slots = cfg.dw_psum_slots if dw else cfg.psum_slots
        slot, free = self._turn(semaphore("PSUM_FREE"), slots)
        self.add(
            Opcode.DEPTHWISE if dw else Opcode.CONV, psum_slot=slot, wait=wait | free, post=post,
            **fields,
        )  # fmt: skip
        stored = blocks if dw else int(rng.integers(1, cfg.ofmap_blocks + 1))
        self._drain_store(rows, slot, stored, dw, bit("PSUM_FULL"), bit("PSUM_FREE"))

    def _geometry(self, dw: bool):
        """Return a layout that fits, the kernel, the lag, the pixels of upper and lower rows."""
        cfg, rng = self.config, self.rng
        # Half of each buffer; the array's tiles have up to two channel blocks.
        words, psums, taps = (
            (cfg.pixels * cfg.dw_ifmap_depth // 2, cfg.dw_tile_pixels, cfg.dw_wgt_depth // 2 - 4)
            if dw
            else (cfg.pixels * cfg.ifmap_depth // 4, cfg.tile_pixels, cfg.wgt_depth // 4)
        )
        while True:
            r, s, out_rows, cols = (int(n) for n in rng.integers(1, (6, 6, 6, 8)))
            stride = int(rng.integers(1, 3))
            two = dw and cfg.dw_rows == 2 and out_rows > 1 and rng.random() < 0.7
            lag = stride * two
            window = Window(r=r + lag, s=s, stride_h=stride + lag, stride_w=stride)
            geometry = TileGeometry(
                pixels=cfg.pixels, window=window, out_rows=-(-out_rows // (1 + two)),
                out_cols=cols, tile_q=cols,
            )  # fmt: skip
            rows = [geometry.out_rows * cols, out_rows // 2 * cols][: 1 + two]
            if (
                geometry.block_words <= words
                and rows[0] <= psums
                and sum(rows) <= cfg.ofmap_depth // 2
                and r * s <= taps
            ):
                return geometry, Window(r=r, s=s), lag, rows

    def _load(self, geometry, blocks: int, base: int, **fields: int) -> None:
        """Append the load of a tile: some of its edge is padding."""
        rng = self.rng
        rows, cols = geometry.in_rows, geometry.in_cols
        top, left = (int(rng.integers(0, min(3, n))) for n in (rows, cols))
        bottom, right = (int(rng.integers(0, min(3, n))) for n in (rows - top, cols - left))
        rows, cols = rows - top - bottom, cols - left - right
        words = blocks * rows * cols
        self.add(
            Opcode.LOAD_IFMAP, dram_addr=self.place(self.int8(words, self.config.in_channels)),
            num_blocks=blocks, num_rows=rows, num_cols=cols, pad_top=top, pad_bottom=bottom,
            pad_left=left, pad_right=right, fill=int(rng.integers(-128, 128)), seg_words=words,
            seg_count=1, dma_blocks=1, **geometry.load_fields(base=base), **fields,
        )  # fmt: skip

    def _drain_store(self, rows, slot: int, blocks: int, dw: bool, full: int, free: int) -> None:
        """Append drains and stores of a tile's rows."""
        cfg, rng = self.config, self.rng
        half, room = self._turn(Semaphore.OFMAP_FREE)
        base = half * (cfg.ofmap_depth // 2)
        wait = full | room | (1 << Semaphore.PARAM_FULL) * (not self._turns["drains"])
        self._turns["drains"] += 1
        starts = [base + sum(rows[:row]) for row in range(len(rows))]
        for row, (start, pixels) in enumerate(zip(starts, rows)):
            last = row == len(rows) - 1
            low, high = sorted(int(n) for n in rng.integers(-128, 128, 2))
            rounding, block = rng.choice(Rounding), int(rng.integers(cfg.param_depth))
            self.drain(
                pixels, dw=dw, dw_row=row, psum_slot=slot, ofmap_base=start, act_min=low,
                act_max=high, out_zp=int(rng.integers(-128, 128)), rounding=rounding,
                param_block=block - block % 2 * (rounding == Rounding.AWAY), wait=wait * (row == 0),
                post=(free | 1 << Semaphore.OFMAP_FULL) * last,
            )  # fmt: skip
        for row, (start, pixels) in enumerate(zip(starts, rows)):
            last = row == len(rows) - 1
            self.store(
                pixels, ofmap_base=start, num_blocks=blocks,
                wait=(1 << Semaphore.OFMAP_FULL) * (row == 0),
                post=(1 << Semaphore.OFMAP_FREE) * last,
            )  # fmt: skip
