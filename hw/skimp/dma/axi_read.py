"""AXI4 read master: segments from two clients become bursts, beats go back in order."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from skimp.config import Config
from skimp.dma.axi import BURST_INCR, Axi4, SegmentLayout, burst_split

__all__ = ["AxiReader"]


class AxiReader(wiring.Component):
    """Reads segments of beats for two clients; client 0 goes first.

    A client asks for no more than it can take: its beats wait on the bus otherwise, and the other
    client's behind them.

    Parameters
    ----------
    config : Config

    Members
    -------
    segments : In(stream(SegmentLayout)).array(2)
    beats : Out(stream(bus_bits)).array(2)
    dram_base : In(32)
    stop : In(1)
        No new bursts; those under way are finished.
    axi : Out(Axi4)
        Only the read channels are used.
    error : Out(1), error_addr : Out(32)
        A beat came with an error; the address is that of its burst.
    inc_beats : Out(1)
    idle : Out(1)
        Nothing asked for and nothing under way.
    quiet : Out(1)
        No burst is under way; a stopped master comes to this, whatever it was asked for.

    Notes
    -----
    *Throughput*: a beat a clock; bursts of up to burst_beats, never across 4 KB,
    reads_outstanding of them under way.
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "segments": In(stream.Signature(SegmentLayout)).array(2),
                "beats": Out(stream.Signature(config.bus_bits)).array(2),
                "dram_base": In(32),
                "stop": In(1),
                "axi": Out(Axi4(data_bits=config.bus_bits)),
                "error": Out(1),
                "error_addr": Out(32),
                "inc_beats": Out(1),
                "idle": Out(1),
                "quiet": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cfg, axi = self._config, self.axi
        active = Signal()
        client = Signal()
        addr = Signal(32, reset_less=True)
        beats_left = Signal(24, reset_less=True)

        m.submodules.owners = owners = SyncFIFOBuffered(
            width=33, depth=max(cfg.reads_outstanding, 3)
        )
        outstanding = Signal(range(cfg.reads_outstanding + 1))
        burst = burst_split(
            m,
            addr=addr,
            beats_left=beats_left,
            burst_beats=cfg.burst_beats,
            beat_bytes=cfg.word_bytes,
        )

        # Address channel: one register in front of the bus.
        issue, retire = Signal(), Signal()
        m.d.comb += [
            issue.eq(
                active
                & ~self.stop
                & owners.w_rdy
                & (outstanding != cfg.reads_outstanding)
                & (~axi.arvalid | axi.arready)
            ),
            owners.w_en.eq(issue),
            owners.w_data.eq(Cat(addr, client)),
            axi.arsize.eq((cfg.word_bytes - 1).bit_length()),
            axi.arburst.eq(BURST_INCR),
        ]
        with m.If(issue):
            m.d.sync += [
                axi.arvalid.eq(1),
                axi.araddr.eq(self.dram_base + addr),
                axi.arlen.eq(burst - 1),
                addr.eq(addr + burst * cfg.word_bytes),
                beats_left.eq(beats_left - burst),
            ]
            with m.If(burst == beats_left):
                m.d.sync += active.eq(0)
        with m.Elif(axi.arready):
            m.d.sync += axi.arvalid.eq(0)
        with m.If(~active):
            for k in reversed(range(2)):
                with m.If(self.segments[k].valid):
                    m.d.sync += [
                        active.eq(self.segments[k].payload.beats != 0),
                        client.eq(k),
                        addr.eq(self.segments[k].payload.addr),
                        beats_left.eq(self.segments[k].payload.beats),
                    ]
            m.d.comb += [
                self.segments[0].ready.eq(1),
                self.segments[1].ready.eq(~self.segments[0].valid),
            ]

        # Data channel: the oldest burst's owner takes the beats.
        owner = owners.r_data[32]
        m.d.comb += [
            self.error_addr.eq(owners.r_data[:32]),
            self.error.eq(axi.rvalid & axi.rready & axi.rresp[1]),
            self.inc_beats.eq(axi.rvalid & axi.rready),
            retire.eq(axi.rvalid & axi.rready & axi.rlast),
            owners.r_en.eq(retire),
            axi.rready.eq(owners.r_rdy & Mux(owner, self.beats[1].ready, self.beats[0].ready)),
            self.quiet.eq((outstanding == 0) & ~axi.arvalid),
            self.idle.eq(~active & self.quiet),
        ]
        for k in range(2):
            m.d.comb += [
                self.beats[k].payload.eq(axi.rdata),
                self.beats[k].valid.eq(axi.rvalid & owners.r_rdy & (owner == k)),
            ]
        m.d.sync += outstanding.eq(outstanding + issue - retire)
        return m
