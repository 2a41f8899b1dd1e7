"""AXI4 write master: segments and a stream of beats become bursts."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from skimp.config import Config
from skimp.dma.axi import BURST_INCR, Axi4, SegmentLayout, WriteBeatLayout, burst_split

__all__ = ["AxiWriter"]


class AxiWriter(wiring.Component):
    """Writes segments; the data stream holds their beats in order.

    Parameters
    ----------
    config : Config

    Members
    -------
    segments : In(stream(SegmentLayout)), beats : In(stream(WriteBeatLayout))
    dram_base : In(32)
    stop : In(1)
        No new bursts; those under way are finished.
    axi : Out(Axi4)
        Only the write channels are used.
    error : Out(1), error_addr : Out(32)
        A burst was answered with an error.
    inc_beats : Out(1)
    idle : Out(1)
        Every segment taken is written and acknowledged.
    quiet : Out(1)
        No burst is under way.
    sent, answered : Out(8)
        Bursts whose last beat was taken, whose answer came: both since reset, modulo 256.

    Notes
    -----
    *Throughput*: a beat a clock; writes_outstanding bursts wait for their answer.
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "segments": In(stream.Signature(SegmentLayout)),
                "beats": In(stream.Signature(WriteBeatLayout(config))),
                "dram_base": In(32),
                "stop": In(1),
                "axi": Out(Axi4(data_bits=config.bus_bits)),
                "error": Out(1),
                "error_addr": Out(32),
                "inc_beats": Out(1),
                "idle": Out(1),
                "quiet": Out(1),
                "sent": Out(8),
                "answered": Out(8),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg, axi = self._config, self.axi
        depth = max(cfg.writes_outstanding, 3)
        m.submodules.lengths = lengths = SyncFIFOBuffered(width=8, depth=depth)
        m.submodules.unanswered = unanswered = SyncFIFOBuffered(width=32, depth=depth)
        active = Signal()
        addr = Signal(32, reset_less=True)
        beats_left = Signal(24, reset_less=True)
        outstanding = Signal(range(cfg.writes_outstanding + 1))
        split = burst_split(
            m,
            addr=addr,
            beats_left=beats_left,
            burst_beats=cfg.burst_beats,
            beat_bytes=cfg.bus_bytes,
        )

        issue, answer = Signal(), Signal()
        m.d.comb += [
            issue.eq(
                active
                & ~self.stop
                & lengths.w_rdy
                & unanswered.w_rdy
                & (outstanding != cfg.writes_outstanding)
                & (~axi.awvalid | axi.awready)
            ),
            lengths.w_en.eq(issue),
            lengths.w_data.eq(split.beats - 1),
            unanswered.w_en.eq(issue),
            unanswered.w_data.eq(addr),
            axi.awsize.eq((cfg.bus_bytes - 1).bit_length()),
            axi.awburst.eq(BURST_INCR),
            self.segments.ready.eq(~active),
        ]
        with m.If(issue):
            m.d.sync += [
                axi.awvalid.eq(1),
                axi.awaddr.eq(self.dram_base + addr),
                axi.awlen.eq(split.beats - 1),
                active.eq(~split.is_last),
                addr.eq(split.next_addr),
                beats_left.eq(split.next_beats_left),
            ]
        with m.Elif(axi.awready):
            m.d.sync += axi.awvalid.eq(0)
        with m.If(~active & self.segments.valid):
            m.d.sync += [
                active.eq(self.segments.payload.beats != 0),
                addr.eq(self.segments.payload.addr),
                beats_left.eq(self.segments.payload.beats),
            ]

        beat = Signal(8)
        m.d.comb += [
            axi.wdata.eq(self.beats.payload.data),
            axi.wstrb.eq(Cat(word.replicate(cfg.in_channels) for word in self.beats.payload.words)),
            axi.wvalid.eq(self.beats.valid & lengths.r_rdy),
            axi.wlast.eq(beat == lengths.r_data),
            self.beats.ready.eq(axi.wready & lengths.r_rdy),
            self.inc_beats.eq(axi.wvalid & axi.wready),
            lengths.r_en.eq(self.inc_beats & axi.wlast),
        ]
        with m.If(self.inc_beats):
            m.d.sync += beat.eq(Mux(axi.wlast, 0, beat + 1))

        m.d.comb += [
            axi.bready.eq(1),
            answer.eq(axi.bvalid),
            unanswered.r_en.eq(answer),
            self.error.eq(answer & axi.bresp[1]),
            self.error_addr.eq(unanswered.r_data),
            self.quiet.eq(outstanding == 0),
            self.idle.eq(~active & self.quiet),
        ]
        m.d.sync += outstanding.eq(outstanding + issue - answer)
        m.d.sync += [
            self.sent.eq(self.sent + (self.inc_beats & axi.wlast)),
            self.answered.eq(self.answered + answer),
        ]
        return m
