"""AXI4 read master: segments from several clients become bursts, beats go back in order."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from skimp.config import Config
from skimp.dma.axi import BURST_INCR, Axi4, SegmentLayout, burst_split

__all__ = ["AxiReader"]


class AxiReader(wiring.Component):
    """Reads segments of beats for its clients; client 0 goes first, the others take turns.

    Bursts of different clients alternate; a burst is asked for once its client has room for it, so
    that no client's beats wait on the bus in front of another's.

    Parameters
    ----------
    config : Config
    num_clients : int

    Members
    -------
    segments : In(stream(SegmentLayout)).array(num_clients)
    beats : Out(stream(bus_bits)).array(num_clients)
    room : In(16).array(num_clients)
        Beats that the client could take now; those under way to it are counted in here.
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
    reads_outstanding of them under way. *Latency*: 2 clocks from a segment to its address on the
    bus.
    """

    def __init__(self, config: Config, *, num_clients: int):
        if num_clients < 2:
            raise ValueError(f"num_clients must be at least 2, not {num_clients!r}")
        self._config = config
        self._num_clients = num_clients
        super().__init__(
            {
                "segments": In(stream.Signature(SegmentLayout)).array(num_clients),
                "beats": Out(stream.Signature(config.bus_bits)).array(num_clients),
                "room": In(16).array(num_clients),
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
        clients = range(self._num_clients)
        outstanding = Signal(range(cfg.reads_outstanding + 1))
        m.submodules.owners = owners = SyncFIFOBuffered(
            width=32 + len(clients), depth=max(cfg.reads_outstanding, 3)
        )
        owner = owners.r_data[32:]

        # Each client's segment, and the next burst of it.
        active = [Signal(name=f"active_{k}") for k in clients]
        addr = [Signal(32, name=f"addr_{k}", reset_less=True) for k in clients]
        left = [Signal(24, name=f"beats_left_{k}", reset_less=True) for k in clients]
        bursts, wanted = [], []
        for k in clients:
            burst = burst_split(
                m,
                addr=addr[k],
                beats_left=left[k],
                burst_beats=cfg.burst_beats,
                beat_bytes=cfg.bus_bytes,
                name=f"burst_{k}",
            )
            under_way = Signal(16, name=f"under_way_{k}")
            fits, want = Signal(name=f"fits_{k}"), Signal(name=f"want_{k}")
            m.d.comb += [
                fits.eq(under_way + cfg.burst_beats <= self.room[k]),
                want.eq(active[k] & fits),
            ]
            bursts.append((burst, under_way))
            wanted.append(want)

        # Choice: client 0 first; the others in turn.
        turn = Signal(range(len(clients)), init=1)
        chosen = Signal(len(clients))
        m.d.comb += chosen[0].eq(wanted[0])
        with m.If(~wanted[0]):
            with m.Switch(turn):
                for first in clients[1:]:
                    with m.Case(first):
                        order = [*range(first, len(clients)), *range(1, first)]
                        for k in reversed(order):
                            with m.If(wanted[k]):
                                m.d.comb += chosen.eq(1 << k)

        issue, retire = Signal(), Signal()
        m.d.comb += issue.eq(
            Cat(wanted).any()
            & ~self.stop
            & owners.w_rdy
            & (outstanding != cfg.reads_outstanding)
            & (~axi.arvalid | axi.arready)
        )
        m.d.comb += [
            owners.w_en.eq(issue),
            axi.arsize.eq((cfg.bus_bytes - 1).bit_length()),
            axi.arburst.eq(BURST_INCR),
        ]
        with m.If(issue):
            m.d.sync += axi.arvalid.eq(1)
        with m.Elif(axi.arready):
            m.d.sync += axi.arvalid.eq(0)
        for k in clients:
            burst, under_way = bursts[k]
            mine, came = Signal(name=f"issue_{k}"), Signal(name=f"came_{k}")
            m.d.comb += [
                mine.eq(issue & chosen[k]),
                came.eq(self.inc_beats & owner[k]),
                self.segments[k].ready.eq(~active[k]),
                self.beats[k].payload.eq(axi.rdata),
                self.beats[k].valid.eq(axi.rvalid & owners.r_rdy & owner[k]),
            ]
            m.d.sync += under_way.eq(under_way + Mux(mine, burst, 0) - came)
            with m.If(chosen[k]):
                m.d.comb += owners.w_data.eq(Cat(addr[k], chosen))
            with m.If(mine):
                m.d.sync += [
                    axi.araddr.eq(self.dram_base + addr[k]),
                    axi.arlen.eq(burst - 1),
                    addr[k].eq(addr[k] + burst * cfg.bus_bytes),
                    left[k].eq(left[k] - burst),
                ]
                if k:
                    m.d.sync += turn.eq(k % (len(clients) - 1) + 1)
                with m.If(burst == left[k]):
                    m.d.sync += active[k].eq(0)
            with m.If(self.segments[k].valid & ~active[k]):
                m.d.sync += [
                    active[k].eq(self.segments[k].payload.beats != 0),
                    addr[k].eq(self.segments[k].payload.addr),
                    left[k].eq(self.segments[k].payload.beats),
                ]

        # Data channel: the oldest burst's owner takes the beats.
        ready = Cat(self.beats[k].ready & owner[k] for k in clients).any()
        m.d.comb += [
            axi.rready.eq(owners.r_rdy & ready),
            self.error_addr.eq(owners.r_data[:32]),
            self.error.eq(axi.rvalid & axi.rready & axi.rresp[1]),
            self.inc_beats.eq(axi.rvalid & axi.rready),
            retire.eq(self.inc_beats & axi.rlast),
            owners.r_en.eq(retire),
            self.quiet.eq((outstanding == 0) & ~axi.arvalid),
            self.idle.eq(~Cat(active).any() & self.quiet),
        ]
        m.d.sync += outstanding.eq(outstanding + issue - retire)
        return m
