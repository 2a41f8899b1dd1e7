"""Activation store: feature maps that stay on the chip."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from skimp.config import Config
from skimp.dma.axi import SegmentLayout
from skimp.feed.pipe import delay
from skimp.mem.ram import Ram1R1W

__all__ = ["ActStore"]

_QUEUED_BEATS = 6


class ActStore(wiring.Component):
    """One memory of beats: a beat a clock in, a beat a clock out.

    Parameters
    ----------
    config : Config
        act_depth above 0.

    Members
    -------
    segments : In(stream(SegmentLayout)), beats : Out(stream(chip_bits))
        Runs of beats to read, and their data in order.
    w_en : In(chip_words), w_addr : In(32), w_data : In(chip_bits)
        Words of a beat to write; byte address.
    idle : Out(1)
        Nothing to read is under way.

    Notes
    -----
    *Latency*: 4 clocks from a segment to its first beat. *Throughput*: a beat a clock; one clock
    between segments. *Resources*: act_depth x chip_bytes, of `config.deep_ram_style`.
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "segments": In(stream.Signature(SegmentLayout)),
                "beats": Out(stream.Signature(config.chip_bits)),
                "w_en": In(config.chip_words),
                "w_addr": In(32),
                "w_data": In(config.chip_bits),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg = self._config
        shift = ceil_log2(cfg.chip_bytes)
        m.submodules.ram = ram = Ram1R1W(
            width=cfg.chip_bits,
            depth=cfg.act_depth,
            granularity=cfg.word_bits,
            ram_style=cfg.deep_ram_style,
        )
        m.submodules.queue = queue = SyncFIFOBuffered(width=cfg.chip_bits, depth=_QUEUED_BEATS)
        addr = Signal(ceil_log2(cfg.act_depth), reset_less=True)
        beats_left = Signal(24)
        reading = Signal()
        arriving = delay(m, reading, 1, name="reading")
        m.d.comb += [
            self.segments.ready.eq(beats_left == 0),
            reading.eq((beats_left != 0) & (queue.level < _QUEUED_BEATS - 2)),
            ram.r_en.eq(reading),
            ram.r_addr.eq(addr),
            queue.w_en.eq(arriving),
            queue.w_data.eq(ram.r_data),
            self.beats.payload.eq(queue.r_data),
            self.beats.valid.eq(queue.r_rdy),
            queue.r_en.eq(self.beats.ready),
            self.idle.eq((beats_left == 0) & ~arriving & (queue.level == 0)),
        ]
        with m.If(self.segments.valid & self.segments.ready):
            m.d.sync += [
                addr.eq(self.segments.payload.addr >> shift),
                beats_left.eq(self.segments.payload.beats),
            ]
        with m.Elif(reading):
            m.d.sync += [addr.eq(addr + 1), beats_left.eq(beats_left - 1)]
        m.d.comb += [
            ram.w_en.eq(self.w_en),
            ram.w_addr.eq(self.w_addr >> shift),
            ram.w_data.eq(self.w_data),
        ]
        return m
